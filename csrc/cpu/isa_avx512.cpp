// The kernels for AVX-512, with its products of 16-bit numbers that are added in the same
// instruction (VNNI): all processors but its first have it.
#include "any_isa.hpp"

#if TORCHTOPO_X86

#if defined(__clang__)
#pragma clang attribute push(                                                     \
    __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,fma"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,fma,prefer-vector-width=512")
#endif
#define ISA avx512
#define BYTES 64
#define ROWS 8
#define COLUMNS 2
#define SIGNS_AT_ONCE 64
#define ADDS_DOT_PAIRS 1
#include "each_isa/kernels.hpp"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace torchtopo {

constexpr InstructionSet avx512_set = {
    "avx512",
    [] {
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni");
    },
    multiplies_pairs, avx512::kernels<float>(), avx512::kernels<double>()};

}  // namespace torchtopo

#endif
