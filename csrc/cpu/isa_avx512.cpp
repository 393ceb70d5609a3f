// The kernels for AVX-512.
#include "any_isa.hpp"

#if TORCHTOPO_X86

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,fma,prefer-vector-width=512")
#endif
#define ISA avx512
#define BYTES 64
#define ROWS 8
#define COLUMNS 2
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
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    },
    multiplies_pairs, avx512::kernels<float>(), avx512::kernels<double>()};

}  // namespace torchtopo

#endif
