// One bag: its tree, edges in Kruskal's order, and its farthest pair.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "../metric.hpp"
#include "../order.hpp"
#include "exact.hpp"
#include "farthest.hpp"
#include "isa.hpp"
#include "plan.hpp"
#include "scratch.hpp"
#include "sort.hpp"
#include "team.hpp"
#include "textbook.hpp"

namespace torchtopo {

// The tree of a matrix. Edges come back sorted, their weights are the matrix's entries.
template <class Real>
void tree_of_matrix(const Real* distances, std::size_t stride, int n, bool symmetric,
                    Scratch& scratch, Team team, Edge<Real>* tree) {
  if (!instruction_set().kernels<Real>().prim_of_matrix(distances, stride, n, symmetric, scratch,
                                                        team, tree)) {
    const auto weight = [=](int i, int j) {
      return distances[std::size_t(i) * stride + std::size_t(j)];
    };
    prim_textbook<Real>(n, weight, scratch, tree);
  }
  sort_edges(tree, n - 1, scratch);
}

template <class Real>
void smallest_edges(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                    Edge<Real>* tree) {
  const Kernels<Real>& kernels = instruction_set().kernels<Real>();
  const Way<Real>& way = way_of<Real>(plan_of<Real>(n, d));
  const bool usable =
      way.any_coordinates || std::all_of(points, points + std::size_t(n) * std::size_t(d),
                                         [](Real x) { return std::isfinite(x); });
  (usable ? kernels.*way.kernel : kernels.prim_matrix_free)(points, n, d, metric, scratch, team,
                                                            tree);
}

// The tree of points. Edges come back sorted by their lengths, measured in double and rounded.
//
// Every attempt but the last is checked: float32 arithmetic gives way to double where squares leave
// its range, and double to the textbook, which measures each edge without squaring out of range.
template <class Real>
void tree_of_points(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                    Edge<Real>* tree) {
  const int count = n - 1;
  if (metric != Metric::cosine) {
    smallest_edges(points, n, d, metric, scratch, team, tree);
    if (!measure(points, n, d, metric, team, tree, tree)) return sort_edges(tree, count, scratch);
  }
  Edge<double>* found = scratch.take<Edge<double>>(std::size_t(n));
  if (const double* wide = in_double(points, n, d, metric, scratch)) {
    smallest_edges(wide, n, d, metric, scratch, team, found);
    if (!measure(points, n, d, metric, team, found, tree)) return sort_edges(tree, count, scratch);
  }
  const auto weight = [=](int i, int j) {
    return length(points, d, endpoints(std::uint32_t(i), std::uint32_t(j)), metric);
  };
  prim_textbook<double>(n, weight, scratch, found);
  measure(points, n, d, metric, team, found, tree);
  sort_edges(tree, count, scratch);
}

// Tree and farthest pair together.
template <class Real>
Endpoints tree_and_farthest_of_points(const Real* points, int n, int d, Metric metric,
                                      Scratch& scratch, Team team, Edge<Real>* tree) {
  const auto with_farthest = way_of<Real>(plan_of<Real>(n, d)).with_farthest;
  if (n > 1 && metric != Metric::cosine && with_farthest) {
    const Kernels<Real>& kernels = instruction_set().kernels<Real>();
    const Farthest<Real> found =
        (kernels.*with_farthest)(points, n, d, metric, scratch, team, tree);
    const bool out_of_range = measure(points, n, d, metric, team, tree, tree);
    if (!out_of_range && trustworthy(found, points, n, d, metric)) {
      sort_edges(tree, n - 1, scratch);
      return found.ends;
    }
  }
  if (n > 1) tree_of_points(points, n, d, metric, scratch, team, tree);
  return farthest_of_points(points, n, d, metric, scratch, team);
}

// One bag of n points in the space that its batch is measured in.
template <class Real>
struct Cloud {
  const Real* values;
  int n, d;
  Metric metric;
  bool symmetric;

  bool is_matrix() const { return metric == Metric::precomputed; }

  void tree(Scratch& scratch, Team team, Edge<Real>* edges) const {
    if (n < 2) return;
    if (is_matrix())
      tree_of_matrix(values, std::size_t(d), n, symmetric, scratch, team, edges);
    else
      tree_of_points(values, n, d, metric, scratch, team, edges);
  }

  Endpoints farthest(Scratch& scratch, Team team) const {
    return is_matrix() ? farthest_of_matrix(values, std::size_t(d), n, team)
                       : farthest_of_points(values, n, d, metric, scratch, team);
  }

  Endpoints tree_and_farthest(Scratch& scratch, Team team, Edge<Real>* edges) const {
    if (!is_matrix())
      return tree_and_farthest_of_points(values, n, d, metric, scratch, team, edges);
    tree(scratch, team, edges);
    return farthest(scratch, team);
  }
};

}  // namespace torchtopo
