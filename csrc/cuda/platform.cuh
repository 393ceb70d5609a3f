// What the kernels ask of the platform: CUDA, or the host that stands in for it in the tests
// (tests/host_cuda/cuda_on_host.hpp gives the same names a meaning without a GPU).
#pragma once

#ifdef TORCHTOPO_CUDA_ON_HOST
#include "cuda_on_host.hpp"
#else
#include <cuda_runtime.h>
#endif

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include "batch.hpp"

namespace torchtopo::cuda {

constexpr int warp_size = 32;
constexpr unsigned whole_warp = 0xffffffffu;
constexpr int most_shared = 64 * 1024;  // bytes a block may have on every architecture since 7.5
// More rounds than halvings or doublings of a 32-bit count can take: loops on the device end after
// so many even if the input is overwritten while they read it.
constexpr int most_rounds = 32;
template <class T>
inline constexpr T largest = std::numeric_limits<T>::max();

// Turns a CUDA error into an exception that says what to do, and clears it: the next call starts
// afresh.
void check(cudaError_t error, const char* what);

#ifndef TORCHTOPO_CUDA_ON_HOST
__device__ inline unsigned char* shared_memory() {
  extern __shared__ __align__(16) unsigned char memory[];
  return memory;
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), std::int64_t blocks, int threads, std::size_t shared,
            Stream stream, Arguments... arguments) {
  const void* function = reinterpret_cast<const void*>(kernel);
  // Beyond 48 KB a kernel must ask. It always asks for the same, whatever this launch takes: the
  // limit is the kernel's, and another thread may be about to launch it with more.
  if (shared > 48 * 1024)
    check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, most_shared),
          "asking for shared memory");
  if (blocks == 0) return;
  if (blocks > 0x7fffffff) throw std::invalid_argument("too many bags for one CUDA launch");
  const auto start = [&](Parameters... parameters) {
    void* list[] = {&parameters...};
    check(cudaLaunchKernel(function, dim3(unsigned(blocks)), dim3(unsigned(threads)), list, shared,
                           static_cast<cudaStream_t>(stream)),
          "launching a kernel");
  };
  start(arguments...);
}
#endif

__host__ __device__ constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// Rows are counted in 32 bits, as is where a tile of them ends.
constexpr std::int64_t most_rows = (std::int64_t(1) << 31) - 4096;

inline void check_rows(const Bags& bags) {
  if (bags.rows > most_rows)
    throw std::invalid_argument("a batch on CUDA has at most 2**31 - 4096 rows, not " +
                                std::to_string(bags.rows) + "; split it");
}

// Hands out pieces of one allocation, each on a boundary of 128 bytes. With no allocation it only
// counts, so that one function both sizes a memory and divides it.
class Arena {
 public:
  __host__ __device__ explicit Arena(void* memory = nullptr)
      : memory_(static_cast<unsigned char*>(memory)) {}

  template <class T>
  __host__ __device__ T* take(std::int64_t count) {
    const std::size_t here = used_;
    used_ += (std::size_t(count) * sizeof(T) + 127) / 128 * 128;
    return memory_ ? reinterpret_cast<T*>(memory_ + here) : nullptr;
  }
  __host__ __device__ std::size_t used() const { return used_; }

 private:
  unsigned char* memory_;
  std::size_t used_ = 0;
};

}  // namespace torchtopo::cuda
