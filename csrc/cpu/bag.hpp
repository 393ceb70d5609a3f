// One bag: which kernel finds its tree, and the tree's edges in Kruskal's order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "../order.hpp"
#include "kernels.hpp"
#include "scratch.hpp"
#include "sort.hpp"
#include "textbook.hpp"

namespace torchtopo {

// The tree of a matrix. Edges come back sorted, their weights are the matrix's entries.
template <class Real>
void tree_of_matrix(const Real* distances, std::size_t stride, int n, Scratch& scratch,
                    Edge<Real>* tree) {
  if (!instruction_set().kernels<Real>().prim(distances, stride, n, scratch, tree)) {
    const auto weight = [=](int i, int j) {
      return distances[std::size_t(i) * stride + std::size_t(j)];
    };
    prim_textbook<Real>(n, weight, scratch, tree);
  }
  sort_edges(tree, n - 1, scratch);
}

// How the tree of n points in d dimensions is found: by the matrix of their distances while that is
// cheaper to store than its rows are to compute again (it takes a gigabyte at 16384 points in
// float); else row by row; of many points with the help of a coarse copy, or, in few dimensions, of
// boxes.
// `make -C tests/cpp crossover` prints all paths over n and d.
enum class Path { tiled, matrix_free, coarse, boxes };

inline Path path_of(int n, int d) {
  const bool rows =
      (n > 128 && d <= 8) || (n >= 1024 && d <= 16) || (n >= 4096 && d <= 32) || n > 16384;
  if (!rows) return Path::tiled;
  if (d <= (n < 4096 ? 0 : n < 8192 ? 2 : n < 16384 ? 4 : n < 65536 ? 5 : 8)) return Path::boxes;
  return n >= (d <= 16 ? 8192 : 4096) && d <= 32 ? Path::coarse : Path::matrix_free;
}

template <class Real>
void smallest_edges(const Real* points, int n, int d, Metric metric, Scratch& scratch,
                    Edge<Real>* tree) {
  const Kernels<Real>& kernels = instruction_set().kernels<Real>();
  const Path path = path_of(n, d);
  if (path == Path::tiled) return kernels.prim_tiled(points, n, d, metric, scratch, tree);
  const bool finite = std::all_of(points, points + std::size_t(n) * std::size_t(d),
                                  [](Real x) { return std::isfinite(x); });
  (path == Path::matrix_free || !finite ? kernels.prim_matrix_free
   : path == Path::coarse               ? kernels.prim_coarse
                                        : kernels.boruvka)(points, n, d, metric, scratch, tree);
}

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
  const double sum = d * (metric == Metric::euclidean ? difference * difference : difference);
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
bool measure(const Real* points, int n, int d, Metric metric, const Edge<Kernel>* found,
             Edge<Real>* tree) {
  const bool squared = metric == Metric::euclidean;
  bool infinite = false, lost_digits = false;
  for (int k = 0; k < n - 1; ++k) {
    const Endpoints ends = found[k].ends;
    const double exact = length(points, d, ends, metric);
    infinite |= found[k].weight == Order<Kernel>::infinity;
    lost_digits |= squared && exact > 0 && exact < least_length<Kernel>();
    tree[k] = {key_of<Real>(Real(exact)), ends};
  }
  return lost_digits || (infinite && may_overflow<Kernel>(points, n, d, metric));
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

// The tree of points. Edges come back sorted by their lengths, measured in double and rounded.
//
// Every attempt but the last is checked: float32 arithmetic gives way to double where squares leave
// its range, and double to the textbook, which measures each edge without squaring out of range.
template <class Real>
void tree_of_points(const Real* points, int n, int d, Metric metric, Scratch& scratch,
                    Edge<Real>* tree) {
  const int count = n - 1;
  if (metric != Metric::cosine) {
    smallest_edges(points, n, d, metric, scratch, tree);
    if (!measure(points, n, d, metric, tree, tree)) return sort_edges(tree, count, scratch);
  }
  Edge<double>* found = scratch.take<Edge<double>>(std::size_t(n));
  if (const double* wide = in_double(points, n, d, metric, scratch)) {
    smallest_edges(wide, n, d, metric, scratch, found);
    if (!measure(points, n, d, metric, found, tree)) return sort_edges(tree, count, scratch);
  }
  const auto weight = [=](int i, int j) {
    return length(points, d, endpoints(std::uint32_t(i), std::uint32_t(j)), metric);
  };
  prim_textbook<double>(n, weight, scratch, found);
  measure(points, n, d, metric, found, tree);
  sort_edges(tree, count, scratch);
}

// The farthest pair of a matrix at a finite distance, a pair at NaN before it.
template <class Real>
Endpoints farthest_of_matrix(const Real* distances, std::size_t stride, int n) {
  Farthest<Real> best;
  best.key = std::numeric_limits<Key<Real>>::min();
  for (int i = 0; i < n; ++i)
    for (int j = i + 1; j < n; ++j) {
      const Real distance = distances[std::size_t(i) * stride + std::size_t(j)];
      if (!std::isinf(distance))
        best.offer(key_of(distance), endpoints(std::uint32_t(i), std::uint32_t(j)));
    }
  return best.ends;
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
  if (metric != Metric::euclidean) return true;
  // Where every square is 0, each may have underflowed.
  if (found.key == 0) return all_equal(points, n, d);
  return !(exact < least_length<Kernel>());
}

// The same for points; like the tree, in the kernel's arithmetic where it keeps its range, else in
// double, else pair by pair.
template <class Real>
Endpoints farthest_of_points(const Real* points, int n, int d, Metric metric, Scratch& scratch) {
  if (n < 2) return ~Endpoints(0);
  if (metric != Metric::cosine) {
    const Farthest<Real> found =
        instruction_set().kernels<Real>().farthest(points, n, d, metric, scratch);
    if (trustworthy(found, points, n, d, metric)) return found.ends;
  }
  if (const double* wide = in_double(points, n, d, metric, scratch)) {
    const Farthest<double> found =
        instruction_set().for_double.farthest(wide, n, d, metric, scratch);
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

// Tree and farthest pair together.
template <class Real>
Endpoints tree_and_farthest_of_points(const Real* points, int n, int d, Metric metric,
                                      Scratch& scratch, Edge<Real>* tree) {
  if (n > 1 && metric != Metric::cosine && path_of(n, d) == Path::tiled) {
    const Farthest<Real> found = instruction_set().kernels<Real>().prim_tiled_and_farthest(
        points, n, d, metric, scratch, tree);
    const bool out_of_range = measure(points, n, d, metric, tree, tree);
    if (!out_of_range && trustworthy(found, points, n, d, metric)) {
      sort_edges(tree, n - 1, scratch);
      return found.ends;
    }
  }
  if (n > 1) tree_of_points(points, n, d, metric, scratch, tree);
  return farthest_of_points(points, n, d, metric, scratch);
}

// One bag of n points in the space that its batch is measured in.
template <class Real>
struct Cloud {
  const Real* values;
  int n, d;
  Metric metric;

  bool is_matrix() const { return metric == Metric::precomputed; }

  void tree(Scratch& scratch, Edge<Real>* edges) const {
    if (n < 2) return;
    if (is_matrix())
      tree_of_matrix(values, std::size_t(d), n, scratch, edges);
    else
      tree_of_points(values, n, d, metric, scratch, edges);
  }

  Endpoints farthest(Scratch& scratch) const {
    return is_matrix() ? farthest_of_matrix(values, std::size_t(d), n)
                       : farthest_of_points(values, n, d, metric, scratch);
  }

  Endpoints tree_and_farthest(Scratch& scratch, Edge<Real>* edges) const {
    if (!is_matrix()) return tree_and_farthest_of_points(values, n, d, metric, scratch, edges);
    tree(scratch, edges);
    return farthest(scratch);
  }
};

}  // namespace torchtopo
