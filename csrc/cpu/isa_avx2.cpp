// The kernels for AVX2.
#include "any_isa.hpp"

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
#define SIGNS_AT_ONCE 32
#include "each_isa/kernels.hpp"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace torchtopo {

constexpr InstructionSet avx2_set = {
    "avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
    multiplies_pairs, avx2::kernels<float>(), avx2::kernels<double>()};

}  // namespace torchtopo

#endif
