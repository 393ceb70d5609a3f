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

struct Bags {
  std::int64_t count, n, rows;
  const std::int64_t* lengths;
  const std::int64_t* cu_seqlens;

  explicit Bags(const Batch& batch)
      : count(batch.bags),
        n(batch.n),
        rows(batch.rows),
        lengths(batch.lengths),
        cu_seqlens(batch.cu_seqlens) {}

  __device__ Bag at(std::int64_t b) const {
    if (!cu_seqlens) {
      const int size = lengths ? int(clamp(lengths[b], 0, n)) : int(n);
      return {b * n, size, b * (n - 1), int(n - 1), 0};
    }
    const std::int64_t first = clamp(cu_seqlens[b], 0, rows);
    const std::int64_t size = clamp(cu_seqlens[b + 1], first, rows) - first;
    // Rows that would be written outside the output belong to bags that cannot exist.
    const bool possible =
        size > 0 && size <= n && first >= b && first - b + size - 1 <= rows - count;
    if (!possible) return {first, 0, 0, 0, first};
    return {first, int(size), first - b, int(size - 1), first};
  }

  // The bag of a row, -1 if none: every row belongs to one bag at most, even if bags overlap.
  __device__ std::int64_t of(std::int64_t row) const {
    std::int64_t b = row / n;
    if (cu_seqlens) {
      std::int64_t low = 0, high = count - 1;  // the last b with cu_seqlens[b] <= row
      while (low < high) {
        const std::int64_t middle = (low + high + 1) / 2;
        if (cu_seqlens[middle] <= row)
          low = middle;
        else
          high = middle - 1;
      }
      b = low;
    }
    const Bag bag = at(b);
    return bag.first <= row && row < bag.first + bag.size ? b : -1;
  }

 private:
  __device__ static std::int64_t clamp(std::int64_t x, std::int64_t low, std::int64_t high) {
    return x < low ? low : x > high ? high : x;
  }
};

}  // namespace torchtopo::cuda
