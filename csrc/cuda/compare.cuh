// The signature loss of a bag, by the block that has the bag, from how far apart its pairs are in
// both spaces; and its slopes: how it changes with each length and with what divides them.
#pragma once

#include <type_traits>

#include "warp.cuh"

namespace torchtopo::cuda {

template <class X, class Z>
using Wider = std::conditional_t<sizeof(X) >= sizeof(Z), X, Z>;

// A pair that is infinitely far apart in one space is left out of both; NaN stays, and is seen.
__device__ inline bool one_is_infinite(double a, double b) {
  return (a > largest<double> && b == b) || (b > largest<double> && a == a);
}

// The sum of `count` terms, given to all threads of the block: in parts of a warp each, added in an
// order that the number of threads does not change, so the bits are the same whoever adds. `board`
// has a warp's width.
template <class Term>
__device__ double block_sum(std::int64_t count, Term term, double* board) {
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  const int warps = blockDim.x / warp_size;
  const std::int64_t wanted = ceil_div(count, warp_size);
  const int parts = int(wanted < warp_size ? wanted : warp_size);
  __syncthreads();  // the board may still be read
  for (int part = warp; part < parts; part += warps) {
    double sum = 0;
    for (std::int64_t k = part * warp_size + lane; k < count; k += parts * warp_size)
      sum += term(k);
    sum = warp_sum(sum);
    if (lane == 0) board[part] = sum;
  }
  __syncthreads();
  return warp_sum(lane < parts ? board[lane] : 0.0);
}

// A space's lengths, rounded to its type, as the loss compares them.
template <class Real, class Kept = Real>
struct Lengths {
  const Kept* of;
  double divisor;

  __device__ double operator[](std::int64_t k) const { return double(Real(of[k])) / divisor; }
};

// A bag's loss. Its pairs are those of the tree of x and then as many, `half`, of the tree of z.
template <class A, class B>
struct BagLoss {
  A a;
  B b;
  std::int64_t half;
  double loss, factor[2];

  __device__ BagLoss(const A& in_x, const B& in_z, std::int64_t half, const Shares& shares,
                     std::int64_t bag, double* board)
      : a(in_x), b(in_z), half(half) {
    double squares[2];
#pragma unroll
    for (int tree = 0; tree < 2; ++tree)
      squares[tree] = block_sum(
          half,
          [&](std::int64_t k) {
            const double apart = a[tree * half + k] - b[tree * half + k];
            return apart * apart;
          },
          board);
    if (shares.halves_of_norms()) {
      const double norm[2] = {sqrt(squares[0]), sqrt(squares[1])};
      loss = (norm[0] + norm[1]) / 2;
#pragma unroll
      for (int tree = 0; tree < 2; ++tree) factor[tree] = norm[tree] == 0 ? 0 : 0.5 / norm[tree];
    } else {
      const double share = shares.of(bag);
      loss = (squares[0] + squares[1]) / share;
      factor[0] = factor[1] = 2 / share;
    }
  }

  // Of the loss in a length of x, and in one of z.
  __device__ double slope_x(std::int64_t k) const { return slope(k) / a.divisor; }
  __device__ double slope_z(std::int64_t k) const { return -slope(k) / b.divisor; }

  // Of the loss in what divides the lengths of x, and in what divides those of z.
  __device__ double slope_of_divisor_x(double* board) const {
    return -block_sum(2 * half, [&](std::int64_t k) { return slope_x(k) * a[k]; }, board);
  }
  __device__ double slope_of_divisor_z(double* board) const {
    return -block_sum(2 * half, [&](std::int64_t k) { return slope_z(k) * b[k]; }, board);
  }

 private:
  __device__ double slope(std::int64_t k) const {
    return (a[k] - b[k]) * (k < half ? factor[0] : factor[1]);
  }
};

}  // namespace torchtopo::cuda
