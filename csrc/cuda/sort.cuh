// Sorting a bag's edges, or their ends: by one block in shared memory, or by many that merge runs.
//
// A list gives a value by `list[k]` and takes one by `list.put(k, value)`; values compare by <.
#pragma once

#include "warp.cuh"

namespace torchtopo::cuda {

// Keys and codes in two arrays, as one list of choices.
template <class Key, class Code>
struct Choices {
  Key* keys;
  Code* codes;

  __device__ Choice<Key, Code> operator[](std::int64_t k) const { return {keys[k], codes[k]}; }
  __device__ void put(std::int64_t k, const Choice<Key, Code>& choice) const {
    keys[k] = choice.key;
    codes[k] = choice.code;
  }
};

inline std::int64_t power_of_two_above(std::int64_t count) {
  std::int64_t places = 1;
  while (places < count) places *= 2;
  return places;
}

// A bitonic sort of so many places, a power of two, by a block.
template <class List>
__device__ void block_sort(const List& list, int places) {
  for (int size = 2; size <= places; size *= 2)
    for (int stride = size / 2; stride > 0; stride /= 2) {
      __syncthreads();
      for (int low = threadIdx.x; low < places; low += blockDim.x) {
        const int high = low ^ stride;
        if (high < low) continue;
        const auto a = list[low], b = list[high];
        if ((low & size) == 0 ? !(b < a) : !(a < b)) continue;
        list.put(low, b);
        list.put(high, a);
      }
    }
  __syncthreads();
}

// How far into [low, high) of a sorted list the values are that come before one, or, `or_equal`,
// not after it.
template <class List, class Value>
__device__ std::int64_t rank(const List& list, std::int64_t low, std::int64_t high,
                             const Value& value, bool or_equal) {
  const std::int64_t first = low;
  while (low < high) {
    const std::int64_t probe = low + (high - low) / 2;
    const Value there = list[probe];
    if (or_equal ? !(value < there) : there < value)
      low = probe + 1;
    else
      high = probe;
  }
  return low - first;
}

// Where the value at `mine` goes when neighbouring runs, of `run` values each, are merged: its
// place in its own run plus its rank in the other, of equals the left run's first. So places never
// collide, and how many merges there are depends on the list's length alone.
template <class List>
__device__ std::int64_t merged_place(const List& list, std::int64_t first, std::int64_t count,
                                     std::int64_t run, std::int64_t mine) {
  const std::int64_t start = mine / (2 * run) * (2 * run), rest = count - start;
  const std::int64_t middle = start + (run < rest ? run : rest);
  const std::int64_t end = start + (2 * run < rest ? 2 * run : rest);
  const bool left = mine < middle;
  const std::int64_t before = rank(list, first + (left ? middle : start),
                                   first + (left ? end : middle), list[first + mine], !left);
  return first + start + (mine - (left ? start : middle)) + before;
}

}  // namespace torchtopo::cuda
