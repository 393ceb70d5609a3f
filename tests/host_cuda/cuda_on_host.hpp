// CUDA's words with a meaning on the host: the kernels' own source runs here as C++.
//
// A block's threads are fibres. A fibre runs until it meets a barrier or a warp operation, where it
// waits for the others; who runs next is chosen in order, in reverse or at random, so that a result
// which leans on a barrier that is not there changes with the schedule. Blocks run one after
// another, in an order chosen likewise. Shared memory is filled with garbage before every block and
// lies on the heap, sized to the byte, where AddressSanitizer watches it. What the host cannot know
// are registers, timings and the memory model within a warp.
#pragma once

#include <math.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define __global__
#define __device__
#define __host__
#define __noinline__
#define __launch_bounds__(...)
#define __grid_constant__
#define CUDART_VERSION 0

namespace cuda_on_host {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

enum class Schedule { in_order, reversed, random };

enum class Wait { nothing, barrier, warp, end };

constexpr int warp = 32;
constexpr std::size_t stack_bytes = 64 * 1024;

struct Fibre {
  ucontext_t context;
  jmp_buf place;
  bool begun = false;
  std::unique_ptr<char[]> stack;
  Wait wait = Wait::nothing;
  int operation = 0;        // which warp operation it waits in
  unsigned warp_count = 0;  // operations so far
  bool vote = false;
  unsigned char deposit[2][8];
};

struct Machine {
  Schedule schedule = Schedule::in_order;
  std::mt19937 random{0};
  std::vector<Fibre> fibres;
  std::vector<unsigned char> shared;
  std::function<void()> kernel;
  ucontext_t scheduler;
  jmp_buf scheduler_place;
  const void* scheduler_stack = nullptr;
  std::size_t scheduler_stack_bytes = 0;
  int current = 0;
  bool voted = false;  // what the last barrier's votes came to
  Index block, thread, grid_size, block_size;
  std::int64_t launches = 0, blocks = 0, switches = 0;
  std::int64_t before_last = 0;     // switches until the latest launch
  std::function<void()> meanwhile;  // what others do to memory while a kernel waits
};

inline Machine machine;

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "cuda_on_host: %s (block %u, thread %u)\n", what, machine.block.x,
               unsigned(machine.current));
  std::abort();
}

inline void leave(Wait why) {
  Machine& m = machine;
  const int self = m.current;
  m.fibres[self].wait = why;
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(why == Wait::end ? nullptr : &fake, m.scheduler_stack,
                                 m.scheduler_stack_bytes);
#endif
#if defined(__SANITIZE_ADDRESS__)
  swapcontext(&m.fibres[self].context, &m.scheduler);
  __sanitizer_finish_switch_fiber(fake, &m.scheduler_stack, &m.scheduler_stack_bytes);
#else
  // swapcontext asks the kernel for the signal mask each time; a jump between stacks need not.
  if (_setjmp(m.fibres[self].place) == 0) _longjmp(m.scheduler_place, 1);
#endif
}

inline void fibre_main() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &machine.scheduler_stack,
                                  &machine.scheduler_stack_bytes);
#endif
  machine.kernel();
  leave(Wait::end);
}

inline void resume(int t) {
  Machine& m = machine;
  m.current = t;
  m.thread.x = unsigned(t);
  ++m.switches;
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, m.fibres[t].stack.get(), stack_bytes);
#endif
#if defined(__SANITIZE_ADDRESS__)
  swapcontext(&m.scheduler, &m.fibres[t].context);
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#else
  if (_setjmp(m.scheduler_place) != 0) return;
  if (m.fibres[t].begun) _longjmp(m.fibres[t].place, 1);
  m.fibres[t].begun = true;
  swapcontext(&m.scheduler, &m.fibres[t].context);
#endif
}

// Lets those go on whose wait is over: a warp's when all its lanes wait in the same operation, the
// block's when all threads that have not ended wait at the barrier.
inline bool release() {
  Machine& m = machine;
  if (m.meanwhile) m.meanwhile();
  const int threads = int(m.fibres.size());
  bool any = false;
  for (int first = 0; first < threads; first += warp) {
    bool all = true;
    for (int t = first; t < first + warp; ++t) all &= m.fibres[t].wait == Wait::warp;
    if (!all) continue;
    for (int t = first; t < first + warp; ++t) {
      if (m.fibres[t].operation != m.fibres[first].operation)
        fail("the lanes of a warp met in different operations");
      m.fibres[t].wait = Wait::nothing;
    }
    any = true;
  }
  if (any) return true;
  bool barrier = true, alive = false, vote = false;
  for (const Fibre& f : m.fibres) {
    if (f.wait == Wait::end) continue;
    alive = true;
    barrier &= f.wait == Wait::barrier;
    vote |= f.vote;
  }
  if (!alive) return false;
  if (!barrier) fail("deadlock: some threads wait where the others never come");
  m.voted = vote;
  for (Fibre& f : m.fibres)
    if (f.wait == Wait::barrier) f.wait = Wait::nothing;
  return true;
}

inline void run_block() {
  Machine& m = machine;
  std::fill(m.shared.begin(), m.shared.end(), 0xa5);
  std::vector<int> order(m.fibres.size());
  for (std::size_t t = 0; t < order.size(); ++t) {
    order[t] = int(t);
    Fibre& f = m.fibres[t];
    f.wait = Wait::nothing;
    f.warp_count = 0;
    f.begun = false;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.get();
    f.context.uc_stack.ss_size = stack_bytes;
    f.context.uc_link = nullptr;
    makecontext(&f.context, fibre_main, 0);
  }
  if (m.schedule == Schedule::reversed) std::reverse(order.begin(), order.end());
  do {
    if (m.schedule == Schedule::random) std::shuffle(order.begin(), order.end(), m.random);
    for (int t : order)
      if (m.fibres[t].wait == Wait::nothing) resume(t);
  } while (release());
}

// Deposits a value with the warp, waits for all lanes, and gives the value of lane `from`.
template <class T>
T exchange(int operation, T value, int from) {
  static_assert(sizeof(T) <= 8);
  Machine& m = machine;
  const int self = m.current;
  Fibre& f = m.fibres[self];
  const unsigned half = f.warp_count++ % 2;  // no lane can be two operations ahead of another
  std::memcpy(f.deposit[half], &value, sizeof value);
  f.operation = operation;
  leave(Wait::warp);
  T result;
  std::memcpy(&result, m.fibres[self / warp * warp + from].deposit[half], sizeof result);
  return result;
}

inline bool barrier(bool vote) {
  machine.fibres[machine.current].vote = vote;
  leave(Wait::barrier);
  return machine.voted;
}

}  // namespace cuda_on_host

#define threadIdx (cuda_on_host::machine.thread)
#define blockIdx (cuda_on_host::machine.block)
#define blockDim (cuda_on_host::machine.block_size)
#define gridDim (cuda_on_host::machine.grid_size)

inline void __syncthreads() { cuda_on_host::barrier(false); }
inline int __syncthreads_or(int vote) { return cuda_on_host::barrier(vote != 0); }
inline void __syncwarp() { cuda_on_host::exchange(1, 0, 0); }

template <class T>
T __shfl_xor_sync(unsigned, T value, int lanes) {
  const int lane = cuda_on_host::machine.current % cuda_on_host::warp;
  return cuda_on_host::exchange(2, value, lane ^ lanes);
}

template <class T>
T atomicMin(T* at, T value) {
  const T old = *at;
  *at = value < old ? value : old;
  return old;
}
template <class T>
T atomicMax(T* at, T value) {
  const T old = *at;
  *at = old < value ? value : old;
  return old;
}
inline int atomicAdd(int* at, int value) {
  const int old = *at;
  *at += value;
  return old;
}

template <class To, class From>
To bits_as(From value) {
  To to;
  static_assert(sizeof to == sizeof value);
  std::memcpy(&to, &value, sizeof to);
  return to;
}
inline int __float_as_int(float x) { return bits_as<int>(x); }
inline long long __double_as_longlong(double x) { return bits_as<long long>(x); }
inline float __int_as_float(int x) { return bits_as<float>(x); }
inline double __longlong_as_double(long long x) { return bits_as<double>(x); }

using cudaError_t = int;
constexpr cudaError_t cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2,
                      cudaErrorInvalidConfiguration = 9, cudaErrorInsufficientDriver = 35,
                      cudaErrorNoDevice = 100, cudaErrorInvalidDevice = 101,
                      cudaErrorNoKernelImageForDevice = 209, cudaErrorUnsupportedPtxVersion = 222,
                      cudaErrorLaunchOutOfResources = 701, cudaErrorLaunchFailure = 719,
                      cudaErrorStreamCaptureUnsupported = 900,
                      cudaErrorStreamCaptureInvalidated = 901, cudaErrorStreamCaptureUnjoined = 904,
                      cudaErrorStreamCaptureIsolation = 905, cudaErrorStreamCaptureImplicit = 906,
                      cudaErrorStreamCaptureWrongThread = 908;
inline cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "an error"; }
inline const char* cudaGetErrorName(cudaError_t) { return "cudaErrorOnHost"; }

namespace torchtopo::cuda {

using Stream = void*;

inline unsigned char* shared_memory() { return cuda_on_host::machine.shared.data(); }

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), std::int64_t blocks, int threads, std::size_t shared,
            Stream, Arguments... arguments) {
  using namespace cuda_on_host;
  if (blocks < 0 || blocks > 0x7fffffff || threads < 1 || threads > 1024 || threads % warp != 0 ||
      shared > 64 * 1024)  // what the smallest architecture allows
    throw std::runtime_error("cuda_on_host: no GPU of ours could launch this");
  ++machine.launches;
  machine.before_last = machine.switches;
  machine.blocks += blocks;
  if (blocks == 0) return;
  while (int(machine.fibres.size()) > threads) machine.fibres.pop_back();
  while (int(machine.fibres.size()) < threads) {
    machine.fibres.emplace_back();
    machine.fibres.back().stack.reset(new char[stack_bytes]);
  }
  std::vector<unsigned char>(shared).swap(machine.shared);
  machine.grid_size.x = unsigned(blocks);
  machine.block_size.x = unsigned(threads);
  machine.kernel = [&] { kernel(Parameters(arguments)...); };
  std::vector<unsigned> order(static_cast<std::size_t>(blocks));
  for (std::size_t b = 0; b < order.size(); ++b) order[b] = unsigned(b);
  if (machine.schedule == Schedule::reversed) std::reverse(order.begin(), order.end());
  if (machine.schedule == Schedule::random)
    std::shuffle(order.begin(), order.end(), machine.random);
  for (unsigned b : order) {
    machine.block.x = b;
    run_block();
  }
}

}  // namespace torchtopo::cuda
