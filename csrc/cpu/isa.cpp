// Compiles the kernels once per instruction set.
//
// Everything from the standard library is included before the first target region: a function
// template of it that was compiled for AVX-512 could otherwise be the copy the linker keeps.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "isa.hpp"

#include "../metric.hpp"
#include "../order.hpp"
#include "../union_find.hpp"
#include "best_edges.hpp"
#include "cache.hpp"
#include "kd_order.hpp"
#include "plan.hpp"
#include "scratch.hpp"
#include "sort.hpp"
#include "team.hpp"

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__) && \
    !defined(TORCHTOPO_ONLY_BASELINE)
#define TORCHTOPO_X86 1
#if defined(__x86_64__) && !defined(TORCHTOPO_PLAIN_VECTORS)
#define TORCHTOPO_MULTIPLIES_PAIRS 1
#endif
#endif

#define ISA baseline
#if defined(TORCHTOPO_WIDE_BASELINE)  // tests: the widest vectors' logic on any processor
#define BYTES 64
#define ROWS 8
#else
#define BYTES 16
#define ROWS 6
#endif
#define COLUMNS 2
#include "each_isa/all.inc"

#if TORCHTOPO_X86

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define ISA avx2
#define BYTES 32
#define ROWS 6
#define COLUMNS 2
#include "each_isa/all.inc"
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,fma"))), \
                             apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,fma,prefer-vector-width=512")
#endif
#define ISA avx512
#define BYTES 64
#define ROWS 8
#define COLUMNS 2
#include "each_isa/all.inc"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

namespace torchtopo {
namespace {

#if TORCHTOPO_MULTIPLIES_PAIRS
constexpr bool multiplies_pairs = true;
#else
constexpr bool multiplies_pairs = false;
#endif

const InstructionSet all[] = {
    {"baseline", [] { return true; }, multiplies_pairs, baseline::kernels<float>(),
     baseline::kernels<double>()},
#if TORCHTOPO_X86
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
     multiplies_pairs, avx2::kernels<float>(), avx2::kernels<double>()},
    {"avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
              __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
     },
     multiplies_pairs, avx512::kernels<float>(), avx512::kernels<double>()},
#endif
};

}  // namespace

std::vector<const InstructionSet*> instruction_sets() {
  std::vector<const InstructionSet*> sets;
  for (const InstructionSet& set : all)
    if (set.available()) sets.push_back(&set);
  return sets;
}

}  // namespace torchtopo
