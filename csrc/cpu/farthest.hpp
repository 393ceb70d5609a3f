// The farthest pair of one bag.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "../metric.hpp"
#include "../order.hpp"
#include "exact.hpp"
#include "isa.hpp"
#include "scratch.hpp"
#include "team.hpp"

namespace torchtopo {

// The farthest pair of a matrix at a finite distance, a pair at NaN before it.
template <class Real>
Endpoints farthest_of_matrix(const Real* distances, std::size_t stride, int n, Team team) {
  constexpr int rows = 64;
  const auto offer_rows = [=](int, std::int64_t k, Farthest<Real>& best) {
    for (int i = int(k) * rows; i < std::min(int(k + 1) * rows, n); ++i)
      for (int j = i + 1; j < n; ++j) {
        const Real distance = distances[std::size_t(i) * stride + std::size_t(j)];
        if (!std::isinf(distance))
          best.offer(key_of(distance), endpoints(std::uint32_t(i), std::uint32_t(j)));
      }
  };
  return farthest_of_parts<Real>(team, (n + rows - 1) / rows, offer_rows).ends;
}

template <class Real>
bool all_equal(const Real* points, int n, int d) {
  const std::size_t row = std::size_t(d);
  for (int i = 1; i < n; ++i)
    if (!std::equal(points, points + row, points + std::size_t(i) * row)) return false;
  return true;
}

// Whether the kernel's arithmetic found the farthest pair: no distance that matters left its range.
template <class Kernel, class Real>
bool trustworthy(const Farthest<Kernel>& found, const Real* points, int n, int d, Metric metric) {
  if (found.infinite && may_overflow<Kernel>(points, n, d, metric)) return false;
  if (found.ends == ~Endpoints(0)) return true;
  const double exact = length(points, d, found.ends, metric);
  if (Real(exact) == std::numeric_limits<Real>::infinity()) return false;
  if (!squares(metric)) return true;
  // Where every square is 0, each may have underflowed.
  if (found.key == 0) return all_equal(points, n, d);
  return !(exact < least_length<Kernel>());
}

// The same for points; like the tree, in the kernel's arithmetic where it keeps its range, else in
// double, else pair by pair.
template <class Real>
Endpoints farthest_of_points(const Real* points, int n, int d, Metric metric, Scratch& scratch,
                             Team team) {
  if (n < 2) return ~Endpoints(0);
  if (metric != Metric::cosine) {
    const Farthest<Real> found =
        instruction_set().kernels<Real>().farthest(points, n, d, metric, scratch, team);
    if (trustworthy(found, points, n, d, metric)) return found.ends;
  }
  if (const double* wide = in_double(points, n, d, metric, scratch)) {
    const Farthest<double> found =
        instruction_set().for_double.farthest(wide, n, d, metric, scratch, team);
    if (metric == Metric::cosine || trustworthy(found, points, n, d, metric)) return found.ends;
  }
  Farthest<double> best;
  for (int i = 0; i < n; ++i)
    for (int j = i + 1; j < n; ++j) {
      const Endpoints ends = endpoints(std::uint32_t(i), std::uint32_t(j));
      const double exact = length(points, d, ends, metric);
      if (Real(exact) != std::numeric_limits<Real>::infinity()) best.offer(key_of(exact), ends);
    }
  return best.ends;
}

}  // namespace torchtopo
