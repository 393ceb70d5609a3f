// How a pair pulls its two ends along the gradient of its length.
#pragma once

#include "length.cuh"

namespace torchtopo::cuda {

// What a pair's gradient takes besides the coordinates of its ends.
struct alignas(16) Pull {
  double by, length, scale_x, scale_y;
};

// Whether a pair's pull takes a whole warp, which looks at the coordinates.
__device__ constexpr bool pulled_by_warp(Named<Metric::euclidean>) { return false; }
__device__ constexpr bool pulled_by_warp(Named<Metric::manhattan>) { return false; }
__device__ constexpr bool pulled_by_warp(Named<Metric::chebyshev>) { return true; }
__device__ constexpr bool pulled_by_warp(Named<Metric::cosine>) { return true; }
__device__ constexpr bool pulled_by_warp(Named<Metric::precomputed>) { return false; }

// Everything but the coordinates, of a pair that is so long. A length that is returned as zero or
// infinity pulls nowhere.
template <class Real>
__device__ Pull pull_of(const Real* x, const Real* y, std::int64_t d, Metric metric, double by,
                        double length) {
  Pull pull = {by, length, 1, 1};
  if (pull.length == 0 || Real(pull.length) > largest<Real>) pull.by = 0;
  visit(metric, [&](auto named) {
    if constexpr (named == Metric::euclidean) {
      // A subnormal length has no reciprocal; a power of two lifts it and the differences alike.
      pull.scale_y = pull.length < 1e-290 ? 0x1p600 : 1.0;
      pull.scale_x = by / (pull.length * pull.scale_y);
    } else if constexpr (named == Metric::chebyshev) {
      // The coordinates that attain the maximum share the pull.
      const auto attains = [=](std::int64_t k) {
        return fabs(double(x[k]) - double(y[k])) == pull.length ? 1.0 : 0.0;
      };
      pull.scale_x = by / warp_fold(d, attains, Plus());
    } else if constexpr (named == Metric::cosine) {
      pull.scale_x = warp_norm(d, [=](std::int64_t k) { return double(x[k]); });
      pull.scale_y = warp_norm(d, [=](std::int64_t k) { return double(y[k]); });
      if (pull.scale_x == 0 || pull.scale_y == 0) pull.by = 0;
    } else {
      static_assert(named == Metric::manhattan || named == Metric::precomputed,
                    "a metric that has no pull here");
    }
  });
  return pull;
}

// A pair that does not pull is passed over: what it would add may be NaN where it should be 0.
__device__ inline bool pulls_somewhere(const Pull& pull) {
  return pull.by != 0 || pull.length != pull.length;
}

__device__ inline double sign(double t) { return t > 0 ? 1.0 : t < 0 ? -1.0 : t; }

// One coordinate of the pull at the end with coordinate `mine`; `first` says which end that is.
__device__ inline double coordinate(const Pull& pull, Metric metric, double mine, double other,
                                    bool first) {
  if (pull.length != pull.length) return pull.length;
  const double apart = mine - other;
  return visit(metric, [=](auto named) -> double {
    if constexpr (named == Metric::euclidean) {
      return pull.scale_x * (apart * pull.scale_y);
    } else if constexpr (named == Metric::manhattan) {
      return pull.by * sign(apart);
    } else if constexpr (named == Metric::chebyshev) {
      return fabs(apart) < pull.length ? 0.0 : pull.scale_x * sign(apart);
    } else if constexpr (named == Metric::cosine) {
      const double norm = first ? pull.scale_x : pull.scale_y;
      const double a = mine / norm, b = other / (first ? pull.scale_y : pull.scale_x);
      return pull.by * ((a - b) - pull.length * a) / norm;
    } else {
      static_assert(named == Metric::precomputed, "a metric that has no pull here");
      return 0;  // an entry has its gradient from torch
    }
  });
}

}  // namespace torchtopo::cuda
