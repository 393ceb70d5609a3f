// Sums over a warp; minima over a warp and over a block, of (key, code) in lexicographic order.
#pragma once

#include "platform.cuh"

namespace torchtopo::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
__device__ inline int warp_min(int value) { return __reduce_min_sync(whole_warp, value); }
__device__ inline unsigned warp_min(unsigned value) { return __reduce_min_sync(whole_warp, value); }
#endif

template <class T>
__device__ inline T warp_min(T value) {
  for (int step = warp_size / 2; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(whole_warp, value, step);
    value = other < value ? other : value;
  }
  return value;
}

// The sum over the warp, given to all its lanes, added in the same order every time.
template <class T>
__device__ inline T warp_sum(T value) {
  for (int step = warp_size / 2; step > 0; step /= 2)
    value += __shfl_xor_sync(whole_warp, value, step);
  return value;
}

// Something that can be chosen: the order of its key, then of its code.
template <class Key, class Code>
struct Choice {
  Key key;
  Code code;

  __device__ static Choice none() { return {largest<Key>, largest<Code>}; }
  __device__ bool operator<(const Choice& other) const {  // without a branch
    return (key < other.key) | ((key == other.key) & (code < other.code));
  }
};

template <class Key, class Code>
__device__ inline Choice<Key, Code> least(const Choice<Key, Code>& a, const Choice<Key, Code>& b) {
  const bool second = b < a;
  return {second ? b.key : a.key, second ? b.code : a.code};
}

// That of the lane whose number differs by `lanes`.
template <class Key, class Code>
__device__ inline Choice<Key, Code> across_warp(const Choice<Key, Code>& choice, int lanes) {
  return {__shfl_xor_sync(whole_warp, choice.key, lanes),
          __shfl_xor_sync(whole_warp, choice.code, lanes)};
}

// The smallest choice in the warp, given to all its lanes.
template <class Key, class Code>
__device__ inline Choice<Key, Code> warp_min(Choice<Key, Code> choice) {
  const Key key = warp_min(choice.key);
  const Code last = largest<Code>;
  return {key, warp_min(choice.key == key ? choice.code : last)};
}

// The smallest choice in the block, given to all its threads. One barrier: `board` has two halves
// of a warp's width, and calls that follow each other must alternate between them.
template <class Chosen>
__device__ inline Chosen block_min(Chosen choice, Chosen* board, int half, int warps) {
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  board += half * warp_size;
  choice = warp_min(choice);
  if (lane == 0 && warp < warps) board[warp] = choice;
  __syncthreads();
  return warp_min(lane < warps ? board[lane] : Chosen::none());
}

}  // namespace torchtopo::cuda
