// How long an edge is: quickly, to compare it with others, and exactly, to return it.
#pragma once

#include "../metric.hpp"
#include "order.cuh"
#include "warp.cuh"

namespace torchtopo::cuda {

// Quick lengths add up direct differences, in chunks of so many coordinates. Every kernel adds in
// this one order, so an edge has the same key whichever kernel meets it. Euclidean lengths stay
// squared: that keeps their order.
constexpr int chunk = 32;

// As many coordinates as one load from shared memory brings.
template <class Real>
struct alignas(16) Quad {
  static constexpr int width = 16 / sizeof(Real);
  Real x[width];
};

struct Euclidean {
  static constexpr bool squared = true;
  template <class Real>
  __device__ static Real finish(Real length) {
    return length;
  }
  template <class Real>
  __device__ static Real add(Real sum, Real difference) {
    return fma(difference, difference, sum);
  }
  template <class Real>
  __device__ static Real join(Real a, Real b) {
    return a + b;
  }
};

// Of unit vectors, whose squared distances are twice the cosine distances. A zero vector is at
// distance 1 from everything, other zero vectors too; it is put out where each of its distances is
// larger than any of two unit vectors (normalise.cu), and such a length is a right angle's.
struct Cosine : Euclidean {
  static constexpr double farthest = 4.5;  // of unit vectors, squared, rounding included
  __device__ static double finish(double length) { return length > farthest ? 2.0 : length; }
};

struct Manhattan {
  static constexpr bool squared = false;
  template <class Real>
  __device__ static Real finish(Real length) {
    return length;
  }
  template <class Real>
  __device__ static Real add(Real sum, Real difference) {
    return sum + fabs(difference);
  }
  template <class Real>
  __device__ static Real join(Real a, Real b) {
    return a + b;
  }
};

struct Chebyshev {
  static constexpr bool squared = false;
  template <class Real>
  __device__ static Real finish(Real length) {
    return length;
  }
  template <class Real>
  __device__ static Real add(Real largest, Real difference) {
    return join(largest, Real(fabs(difference)));
  }
  template <class Real>
  __device__ static Real join(Real a, Real b) {
    return a > b || a != a ? a : b;  // NaN stays
  }
};

// Calls run(rule) with the rule of a metric's quick lengths: of points as they are given, or of the
// unit vectors of normalise.cu. What a caller has neither of is not compiled.
template <bool given, bool unit, class Run>
void with_rule(Metric metric, Run run) {
  switch (metric) {
    case Metric::euclidean:
      if constexpr (given) return run(Euclidean());
      break;
    case Metric::manhattan:
      if constexpr (given) return run(Manhattan());
      break;
    case Metric::chebyshev:
      if constexpr (given) return run(Chebyshev());
      break;
    case Metric::cosine:
      if constexpr (unit) return run(Cosine());
      break;
    case Metric::precomputed:
      break;
  }
  throw std::logic_error("no CUDA kernel measures these points by this metric");
}

// Exact lengths, measured in double by a whole warp; every lane gets the result. The formulas are
// those of ../cpu/each_isa/length.hpp.
template <class Term, class Join>
__device__ inline double warp_fold(std::int64_t d, Term term, Join join) {
  double folded = 0;
  for (std::int64_t k = threadIdx.x % warp_size; k < d; k += warp_size)
    folded = join(folded, term(k));
  for (int step = warp_size / 2; step > 0; step /= 2)
    folded = join(folded, __shfl_xor_sync(whole_warp, folded, step));
  return folded;
}

struct Plus {
  __device__ double operator()(double a, double b) const { return a + b; }
};
struct LargerOrNan {
  __device__ double operator()(double a, double b) const { return Chebyshev::join(a, b); }
};

// The largest |x_k - y_k| and the root of the sum of squares that have been divided by it: squares
// may leave the range of double where the length does not.
template <class Real>
__device__ double warp_chebyshev(const Real* x, const Real* y, std::int64_t d) {
  return warp_fold(
      d, [=](std::int64_t k) { return fabs(double(x[k]) - double(y[k])); }, LargerOrNan());
}

template <class Difference>
__device__ double warp_norm(std::int64_t d, Difference difference) {
  const double square =
      warp_fold(d, [=](std::int64_t k) { return difference(k) * difference(k); }, Plus());
  if (square > 1e-270 && square < 1e300) return sqrt(square);
  const double scale =
      warp_fold(d, [=](std::int64_t k) { return fabs(difference(k)); }, LargerOrNan());
  if (!(scale > 0 && scale <= largest<double>)) return scale;
  return scale * sqrt(warp_fold(
                     d,
                     [=](std::int64_t k) {
                       const double ratio = difference(k) / scale;
                       return ratio * ratio;
                     },
                     Plus()));
}

// 1 - cos as half the squared distance of the unit vectors, in which nothing cancels.
template <class Real>
__device__ double warp_cosine(const Real* x, const Real* y, std::int64_t d) {
  const double nx = warp_norm(d, [=](std::int64_t k) { return double(x[k]); });
  const double ny = warp_norm(d, [=](std::int64_t k) { return double(y[k]); });
  if (nx == 0 || ny == 0) return nx != nx || ny != ny ? nx + ny : 1;
  return 0.5 * warp_fold(
                   d,
                   [=](std::int64_t k) {
                     const double difference = double(x[k]) / nx - double(y[k]) / ny;
                     return difference * difference;
                   },
                   Plus());
}

template <class Real>
__device__ __noinline__ double warp_length(const Real* x, const Real* y, std::int64_t d,
                                           Metric metric) {
  switch (metric) {
    case Metric::manhattan:
      return warp_fold(
          d, [=](std::int64_t k) { return fabs(double(x[k]) - double(y[k])); }, Plus());
    case Metric::chebyshev:
      return warp_chebyshev(x, y, d);
    case Metric::cosine:
      return warp_cosine(x, y, d);
    case Metric::euclidean:
    case Metric::precomputed:  // an entry is read, never measured
      break;
  }
  return warp_norm(d, [=](std::int64_t k) { return double(x[k]) - double(y[k]); });
}

// Whether the quick arithmetic that chose an edge may have left its range: its key is infinite, or
// its square was so small that it lost digits. It suffices to ask this of the edges of the tree:
// its smallest is the smallest of all, and edges that overflowed are tied at infinity, so that only
// if one of these is in the tree can another have been kept out. That the one is infinite in truth
// says nothing of the other, which it may have beaten by (i, j).
template <class Quick>
__device__ inline bool out_of_range(Key<Quick> quick, double exact, Metric metric) {
  const bool overflowed = quick == Order<Quick>::infinity;
  const bool squared = metric == Metric::euclidean || metric == Metric::cosine;
  const double least = sizeof(Quick) == 4 ? 1e-15 : 1e-145;
  return overflowed || (squared && exact > 0 && exact < least);
}

}  // namespace torchtopo::cuda
