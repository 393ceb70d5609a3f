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

// Distances that are given are measured by no rule.
struct Given {
  static constexpr bool squared = false;
};

inline Euclidean rule_of(Named<Metric::euclidean>) { return {}; }
inline Manhattan rule_of(Named<Metric::manhattan>) { return {}; }
inline Chebyshev rule_of(Named<Metric::chebyshev>) { return {}; }
inline Cosine rule_of(Named<Metric::cosine>) { return {}; }
inline Given rule_of(Named<Metric::precomputed>) { return {}; }

// Calls run(rule) with the rule of a metric's quick lengths: of points as they are given, or of the
// unit vectors of normalise.cu. What a caller has neither of is not compiled.
template <bool given, bool unit, class Run>
void with_rule(Metric metric, Run run) {
  visit(metric, [&](auto named) {
    if constexpr (named != Metric::precomputed && (named == Metric::cosine ? unit : given))
      run(rule_of(named));
    else
      throw std::logic_error("no CUDA kernel measures these points by this metric");
  });
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

// The folds of `many` lists at once: their loads are under way together, and where a lane hands on
// half of what it holds it takes the other half, in the order of one fold alone, so the bits are
// the same. A lane gets the fold of list `folded_by(lane)`. Loads of so many `rows` of a warp's
// width are under way at once, too.
template <int many>
__device__ constexpr int folded_by(int lane) {
  return lane / (warp_size / many);
}

template <int many, int rows, class Term, class Join>
__device__ inline double warp_folds(std::int64_t d, Term term, Join join) {
  const int lane = threadIdx.x % warp_size;
  double folded[many] = {};
#pragma unroll rows
  for (std::int64_t k = lane; k < d; k += warp_size)
#pragma unroll
    for (int e = 0; e < many; ++e) folded[e] = join(folded[e], term(e, k));
#pragma unroll
  for (int held = many, step = warp_size / 2; step > 0; step /= 2) {
    const bool upper = lane & step;
    if (held == 1) {
      folded[0] = join(folded[0], __shfl_xor_sync(whole_warp, folded[0], step));
      continue;
    }
    held /= 2;
#pragma unroll
    for (int e = 0; e < held; ++e) {
      const double low = folded[e], high = folded[e + held];  // chosen by value: no memory
      folded[e] = join(upper ? high : low, __shfl_xor_sync(whole_warp, upper ? low : high, step));
    }
  }
  return folded[0];
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

__device__ inline bool has_a_root(double square) { return square > 1e-270 && square < 1e300; }

template <class Difference>
__device__ double warp_norm(std::int64_t d, Difference difference) {
  const double square =
      warp_fold(d, [=](std::int64_t k) { return difference(k) * difference(k); }, Plus());
  if (has_a_root(square)) return sqrt(square);
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
  return visit(metric, [=](auto named) -> double {
    if constexpr (named == Metric::euclidean)
      return warp_norm(d, [=](std::int64_t k) { return double(x[k]) - double(y[k]); });
    else if constexpr (named == Metric::manhattan)
      return warp_fold(
          d, [=](std::int64_t k) { return fabs(double(x[k]) - double(y[k])); }, Plus());
    else if constexpr (named == Metric::chebyshev)
      return warp_chebyshev(x, y, d);
    else if constexpr (named == Metric::cosine)
      return warp_cosine(x, y, d);
    else {
      static_assert(named == Metric::precomputed, "a metric that has no length here");
      return 0;  // an entry is read, never measured
    }
  });
}

// Where the coordinates of a pair's points begin.
template <class Real>
struct Pointed {
  const Real *x, *y;
};

// The lengths of `many` pairs by one warp, with the bits of `warp_length`; `pointed(e)` is a pair,
// a lane gets the length of pair `folded_by(lane)`. Where a square has no root, and under cosine,
// they are measured one by one.
template <int many, int rows = 1, class At>
__device__ double warp_lengths(At pointed, std::int64_t d, Metric metric) {
  if (metric != Metric::cosine) {
    decltype(pointed(0)) pair[many];
#pragma unroll
    for (int e = 0; e < many; ++e) pair[e] = pointed(e);
    const auto apart = [&](int e, std::int64_t k) {
      return double(pair[e].x[k]) - double(pair[e].y[k]);
    };
    const auto size = [&](int e, std::int64_t k) { return fabs(apart(e, k)); };
    if (metric == Metric::manhattan) return warp_folds<many, rows>(d, size, Plus());
    if (metric == Metric::chebyshev) return warp_folds<many, rows>(d, size, LargerOrNan());
    const auto squared = [&](int e, std::int64_t k) { return apart(e, k) * apart(e, k); };
    const double square = warp_folds<many, rows>(d, squared, Plus());
    if (warp_min(int(has_a_root(square)))) return sqrt(square);
  }
  double own = 0;
#pragma unroll 1
  for (int e = 0; e < many; ++e) {
    const auto pair = pointed(e);
    const double length = warp_length(pair.x, pair.y, d, metric);
    if (folded_by<many>(threadIdx.x % warp_size) == e) own = length;
  }
  return own;
}

// How far apart two points of the bag with rows first to first + n are, in whichever order they are
// named: measured in one, so the bits are the same; 0 if they are none.
template <class Real>
__device__ inline double warp_pair_length(const Space<Real>& space, std::int64_t first,
                                          std::int64_t n, std::int64_t i, std::int64_t j) {
  const std::int64_t u = i < j ? i : j, v = i < j ? j : i, d = space.d;
  if (u < 0 || v >= n) return 0;
  const Real* row = space.values + (first + u) * d;
  if (space.metric == Metric::precomputed) return double(row[v]);
  return warp_length(row, space.values + (first + v) * d, d, space.metric);
}

// Whether the quick arithmetic that chose an edge may have left its range: its key is infinite, or
// its square was so small that it lost digits. It suffices to ask this of the edges of the tree:
// its smallest is the smallest of all, and edges that overflowed are tied at infinity, so that only
// if one of these is in the tree can another have been kept out. That the one is infinite in truth
// says nothing of the other, which it may have beaten by (i, j).
template <class Quick>
__device__ inline bool out_of_range(Key<Quick> quick, double exact, Metric metric) {
  const bool overflowed = quick == Order<Quick>::infinity;
  const bool squared = visit(metric, [](auto named) { return decltype(rule_of(named))::squared; });
  const double least = sizeof(Quick) == 4 ? 1e-15 : 1e-145;
  return overflowed || (squared && exact > 0 && exact < least);
}

}  // namespace torchtopo::cuda
