// Lengths in double, measured one by one without leaving its range; and whether a kernel, whose
// arithmetic is quicker, has left its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "../metric.hpp"
#include "../order.hpp"
#include "cache.hpp"
#include "isa.hpp"
#include "scratch.hpp"
#include "team.hpp"

namespace torchtopo {

template <class Real>
double length(const Real* points, int d, Endpoints ends, Metric metric) {
  const std::size_t depth = std::size_t(d);
  return instruction_set().kernels<Real>().length(points + smaller(ends) * depth,
                                                  points + larger(ends) * depth, depth, metric);
}

// Lengths below this are squares that lost digits to the subnormal numbers (0 is told apart by
// comparing the points).
template <class Real>
constexpr double least_length() {
  return std::numeric_limits<Real>::digits < 30 ? 1e-15 : 1e-145;
}

// Whether a length between points at finite coordinates may exceed what Kernel can hold: twice the
// largest coordinate bounds a difference, and half the range leaves room for rounding.
template <class Kernel, class Real>
bool may_overflow(const Real* points, int n, int d, Metric metric) {
  double largest = 0;
  for (const Real* x = points; x < points + std::size_t(n) * std::size_t(d); ++x)
    if (std::isfinite(*x)) largest = std::max(largest, std::fabs(double(*x)));
  const double difference = 2 * largest;
  const double sum = d * (squares(metric) ? difference * difference : difference);
  return !(sum < double(std::numeric_limits<Kernel>::max()) / 2);
}

// Replaces the kernel's weights by lengths measured in double; true if the kernel's arithmetic may
// have left its range where it mattered. It suffices to look at the tree:
//
// An edge that overflowed is longer than all that did not, so Prim takes one only where no other
// edge leaves a component. A tree without infinite weights therefore owes nothing to any. In a tree
// with one, it stands for all edges across that gap, which the kernel cannot tell apart: it may be
// infinite in truth and have won by its endpoints over one that is not. So then all are trusted
// only if no two points at finite coordinates can be so far apart. NaN comes from NaN or from
// infinite coordinates, in any arithmetic alike.
//
// An edge whose square lost digits joins points that the tree joins by edges no longer in the
// kernel's eyes: they too lost digits, or are between equal points, which cannot be all of them.
template <class Real, class Kernel>
bool measure(const Real* points, int n, int d, Metric metric, Team team, const Edge<Kernel>* found,
             Edge<Real>* tree) {
  constexpr std::int64_t ahead = 16;  // of the ends of an edge, where points do not fit a cache
  const std::size_t depth = std::size_t(d);
  const bool squared = squares(metric);
  std::atomic<bool> any_infinite{false}, any_lost_digits{false};
  team.in_parts(n - 1, 512, [&](std::int64_t begin, std::int64_t end) {
    bool infinite = false, lost_digits = false;
    for (std::int64_t k = begin; k < end; ++k) {
      const Endpoints ends = found[k].ends, soon = found[std::min(k + ahead, end - 1)].ends;
      prefetch(points + smaller(soon) * depth);
      prefetch(points + larger(soon) * depth);
      const double exact = length(points, d, ends, metric);
      infinite |= found[k].weight == Order<Kernel>::infinity;
      lost_digits |= squared && exact > 0 && exact < least_length<Kernel>();
      tree[k] = {key_of<Real>(Real(exact)), ends};
    }
    if (infinite) any_infinite.store(true, std::memory_order_relaxed);
    if (lost_digits) any_lost_digits.store(true, std::memory_order_relaxed);
  });
  return any_lost_digits.load(std::memory_order_relaxed) ||
         (any_infinite.load(std::memory_order_relaxed) &&
          may_overflow<Kernel>(points, n, d, metric));
}

// The unit vectors of the points, whose squared distances are twice the cosine distances; false if
// a point has no direction.
template <class Real>
bool normalise(const Real* points, int n, int d, double* unit) {
  for (int i = 0; i < n; ++i) {
    const Real* x = points + std::size_t(i) * std::size_t(d);
    const double size = instruction_set().kernels<Real>().norm(x, std::size_t(d));
    if (!(size > 1e-150 && size < 1e150)) return false;
    for (int k = 0; k < d; ++k) *unit++ = x[k] / size;
  }
  return true;
}

// The points as the kernels of double take them, unit vectors for the cosine; null if these would
// find no more than those of Real.
template <class Real>
const double* in_double(const Real* points, int n, int d, Metric metric, Scratch& scratch) {
  if (metric != Metric::cosine && std::is_same_v<Real, double>) return nullptr;
  const std::size_t all = std::size_t(n) * std::size_t(d);
  double* wide = scratch.take<double>(all);
  if (metric == Metric::cosine) return normalise(points, n, d, wide) ? wide : nullptr;
  std::copy_n(points, all, wide);
  return wide;
}

}  // namespace torchtopo
