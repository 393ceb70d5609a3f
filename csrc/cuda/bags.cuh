// Where a bag lies, whatever `lengths` and `cu_seqlens` say: they come from the user, on the
// device, and nobody has looked at them before.
#pragma once

#include "platform.cuh"

namespace torchtopo::cuda {

struct Bag {
  std::int64_t first;  // row of the batch
  int size;            // rows
  std::int64_t out;    // first row of its edges in the output
  int out_rows;        // rows of the output that are its own; those past size - 1 are padding
  std::int64_t named;  // the name of its first row in the output
};

__device__ inline std::int64_t clamp(std::int64_t x, std::int64_t low, std::int64_t high) {
  return x < low ? low : x > high ? high : x;
}

__device__ inline Bag bag_at(const Bags& bags, std::int64_t b) {
  const std::int64_t n = bags.n, rows = bags.rows;
  if (!bags.cu_seqlens) {
    const int size = bags.lengths ? int(clamp(bags.lengths[b], 0, n)) : int(n);
    return {b * n, size, b * (n - 1), int(n - 1), 0};
  }
  const std::int64_t first = clamp(bags.cu_seqlens[b], 0, rows);
  const std::int64_t size = clamp(bags.cu_seqlens[b + 1], first, rows) - first;
  // Rows that would be written outside the output belong to bags that cannot exist.
  const bool possible =
      size > 0 && size <= n && first >= b && first - b + size - 1 <= rows - bags.count;
  if (!possible) return {first, 0, 0, 0, first};
  return {first, int(size), first - b, int(size - 1), first};
}

// The bag of a row, -1 if none: every row belongs to one bag at most, even if bags overlap.
__device__ inline std::int64_t bag_of(const Bags& bags, std::int64_t row) {
  std::int64_t b = row / bags.n;
  if (bags.cu_seqlens) {
    std::int64_t low = 0, high = bags.count - 1;  // the last b with cu_seqlens[b] <= row
    while (low < high) {
      const std::int64_t middle = (low + high + 1) / 2;
      if (bags.cu_seqlens[middle] <= row)
        low = middle;
      else
        high = middle - 1;
    }
    b = low;
  }
  const Bag bag = bag_at(bags, b);
  return bag.first <= row && row < bag.first + bag.size ? b : -1;
}

// The values of one bag: its points, or its matrix, whose rows are as long as the bag's.
template <class Real>
__device__ const Real* values_of(const Space<Real>& space, const Bag& bag) {
  return space.values + bag.first * space.d;
}

}  // namespace torchtopo::cuda
