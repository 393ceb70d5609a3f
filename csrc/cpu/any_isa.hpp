// What the kernels use that is compiled for no instruction set in particular. It is included before
// a target region begins: a function template of the standard library that was compiled for AVX-512
// could otherwise be the copy the linker keeps.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <mutex>
#include <new>
#include <numeric>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "../metric.hpp"
#include "../order.hpp"
#include "../union_find.hpp"
#include "best_edges.hpp"
#include "cache.hpp"
#include "isa.hpp"
#include "kd_order.hpp"
#include "plan.hpp"
#include "scratch.hpp"
#include "sort.hpp"
#include "team.hpp"

#if TORCHTOPO_X86
#include <immintrin.h>
#endif

#if TORCHTOPO_X86 && defined(__x86_64__) && !defined(TORCHTOPO_PLAIN_VECTORS)
#define TORCHTOPO_MULTIPLIES_PAIRS 1
#endif

namespace torchtopo {

#if TORCHTOPO_MULTIPLIES_PAIRS
inline constexpr bool multiplies_pairs = true;
#else
inline constexpr bool multiplies_pairs = false;
#endif

}  // namespace torchtopo
