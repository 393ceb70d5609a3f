// Where edges come from, for the scan by tiles and for reading a segment again: points, measured by
// a metric's quick rule, or distances that are given.
//
// A block has the keys of 64 x 64 edges at a time, 4 x 4 to a thread: `keys(top, left, key)` are
// those of rows from `top` and columns from `left`, `column(across, j)` says which column a thread
// has. Columns ascend with j.
#pragma once

#include "length.cuh"
#include "segments.cuh"

namespace torchtopo::cuda {

constexpr int tile_threads = 256, micro = 4;

template <class Real>
struct Four {
  Real x[micro];

  __device__ explicit Four(const Real* from) {
#pragma unroll
    for (int l = 0; l < micro; l += Quad<Real>::width) {
      const Quad<Real> quad = *reinterpret_cast<const Quad<Real>*>(from + l);
#pragma unroll
      for (int k = 0; k < Quad<Real>::width; ++k) x[l + k] = quad.x[k];
    }
  }
};

template <class Real, class Rule>
struct Points {
  static constexpr int pitch = side + 4;
  static constexpr std::size_t shared_bytes = 2 * chunk * pitch * sizeof(Real);
  const Real* values;
  std::int64_t rows, d;

  __device__ static int column(int across, int j) { return across * micro + j; }

  // Direct differences, 32 coordinates of both sides staged in shared memory at a time.
  __device__ void keys(int top, int left, Key<Real> (&key)[micro][micro]) const {
    Real(*down)[pitch] = reinterpret_cast<Real(*)[pitch]>(shared_memory());
    Real(*across)[pitch] = down + chunk;
    const int row = threadIdx.x / 16 * micro, column = threadIdx.x % 16 * micro;
    Real length[micro][micro] = {};
    for (std::int64_t begin = 0; begin < d; begin += chunk) {
      __syncthreads();
      stage(top, begin, down);
      stage(left, begin, across);
      __syncthreads();
      Real part[micro][micro] = {};
      const int depth = int(d - begin < chunk ? d - begin : chunk);
      for (int k = 0; k < depth; ++k) {
        const Four<Real> a(&down[k][row]), b(&across[k][column]);
#pragma unroll
        for (int i = 0; i < micro; ++i)
#pragma unroll
          for (int j = 0; j < micro; ++j) part[i][j] = Rule::add(part[i][j], a.x[i] - b.x[j]);
      }
#pragma unroll
      for (int i = 0; i < micro; ++i)
#pragma unroll
        for (int j = 0; j < micro; ++j) length[i][j] = Rule::join(length[i][j], part[i][j]);
    }
#pragma unroll
    for (int i = 0; i < micro; ++i)
#pragma unroll
      for (int j = 0; j < micro; ++j) key[i][j] = length_key(Rule::finish(length[i][j]));
  }

  // By a warp, a row a lane.
  __device__ Choice<Key<Real>, int> nearest(int vertex, int own, const int* component, int begin,
                                            int end) const {
    Choice<Key<Real>, int> best = Choice<Key<Real>, int>::none();
    const Real* x = values + vertex * d;
    for (int row = begin + int(threadIdx.x % warp_size); row < end; row += warp_size) {
      if (component[row] == own) continue;
      const Real* y = values + row * d;
      Real length = 0;
      for (std::int64_t k0 = 0; k0 < d; k0 += chunk) {
        Real part = 0;
        const std::int64_t stop = k0 + chunk < d ? k0 + chunk : d;
#pragma unroll 4
        for (std::int64_t k = k0; k < stop; ++k) part = Rule::add(part, x[k] - y[k]);
        length = Rule::join(length, part);
      }
      const Key<Real> key = length_key(Rule::finish(length));
      if (key < best.key) best = {key, row};
    }
    return warp_min(best);
  }

 private:
  // Coordinates of 64 rows, transposed: 8 lanes read neighbouring coordinates, 4 neighbouring rows.
  __device__ void stage(int first, std::int64_t begin, Real (*tile)[pitch]) const {
    const unsigned t = threadIdx.x;
    const int k = t % 8 + (t / 32 % 4) * 8, row0 = t / 8 % 4 + t / 128 * 4;
    constexpr int steps = side * chunk / tile_threads, stride = tile_threads / 128 * 4;
    const bool inside = begin + k < d;
    const Real* from = values + std::int64_t(first + row0) * d + begin + k;
    Real value[steps];
#pragma unroll
    for (int i = 0; i < steps; ++i)
      value[i] =
          inside && first + row0 + i * stride < rows ? from[std::int64_t(i * stride) * d] : Real(0);
#pragma unroll
    for (int i = 0; i < steps; ++i) tile[k][row0 + i * stride] = value[i];
  }
};

// Matrices of a padded batch, of which the half above the diagonal is read.
template <class Real>
struct Matrices {
  static constexpr std::size_t shared_bytes = 0;
  const Real* values;
  int rows, n;

  // Neighbouring lanes read neighbouring entries.
  __device__ static int column(int across, int j) { return across + 16 * j; }

  __device__ void keys(std::int64_t top, std::int64_t left, Key<Real> (&key)[micro][micro]) const {
    const int row = int(top) + threadIdx.x / 16 * micro, across = threadIdx.x % 16;
    Real weight[micro][micro];
#pragma unroll
    for (int i = 0; i < micro; ++i) {
      const int u = row + i, first = first_of(u), end = u < rows ? first + n : 0;
#pragma unroll
      for (int j = 0; j < micro; ++j) {
        const int v = int(left) + column(across, j);
        const bool edge = first <= v && v < end && u != v;
        weight[i][j] = edge ? values[at(first, u, v)] : Real(0);
      }
    }
#pragma unroll
    for (int i = 0; i < micro; ++i)
#pragma unroll
      for (int j = 0; j < micro; ++j) key[i][j] = order_key(weight[i][j]);
  }

  __device__ Choice<Key<Real>, int> nearest(int vertex, int own, const int* component, int begin,
                                            int end) const {
    Choice<Key<Real>, int> best = Choice<Key<Real>, int>::none();
    const int first = first_of(vertex);
#pragma unroll 2
    for (int row = begin + int(threadIdx.x % warp_size); row < end; row += warp_size) {
      const Key<Real> key = order_key(values[at(first, vertex, row)]);
      if (component[row] != own && key < best.key) best = {key, row};
    }
    return warp_min(best);
  }

 private:
  // The first row of a row's matrix.
  __device__ int first_of(int row) const { return row - int(unsigned(row) % unsigned(n)); }
  // Of two rows of one matrix.
  __device__ std::int64_t at(int first, int u, int v) const {
    const int i = u < v ? u : v, j = u < v ? v : u;
    return std::int64_t(i) * n + (j - first);
  }
};

// Calls with what a space is searched as.
template <class Real, class Call>
void searched(const Space<Real>& space, const Bags& bags, Call call) {
  if (space.metric == Metric::precomputed)
    return call(Matrices<Real>{space.values, int(bags.rows), int(bags.n)});
  with_rule<true, std::is_same_v<Real, double>>(space.metric, [&](auto rule) {
    call(Points<Real, decltype(rule)>{space.values, bags.rows, space.d});
  });
}

}  // namespace torchtopo::cuda
