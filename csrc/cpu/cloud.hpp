// One bag: its tree, edges in Kruskal's order, and its farthest pair.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "../metric.hpp"
#include "../order.hpp"
#include "cache.hpp"
#include "exact.hpp"
#include "farthest.hpp"
#include "isa.hpp"
#include "plan.hpp"
#include "scratch.hpp"
#include "sort.hpp"
#include "team.hpp"
#include "textbook.hpp"

namespace torchtopo {

// So many matrices have their trees found abreast: as many as fit half of a core's cache.
constexpr int most_abreast = 4;
constexpr std::size_t worth_abreast = fast_cache / 2;

// The trees of matrices of n <= 2^31 rows. Edges come back sorted, their weights are the matrices'
// entries.
template <class Real>
void trees_of_matrices(Rows<Real>* matrices, int count, bool symmetric, Ahead ahead,
                       Scratch& scratch, Team team) {
  const Kernels<Real>& kernels = instruction_set().kernels<Real>();
  if (!(symmetric && kernels.prims_abreast(matrices, count, false, ahead, scratch))) {
    Rows<Real> rows[most_abreast];
    int ready = 0;
    for (int m = 0; m < count; ++m) {
      const auto [distances, stride, n, tree] = matrices[m];
      rows[ready] = kernels.rows_of_matrix(distances, stride, n, scratch, team, tree);
      if (rows[ready].keys) {
        ++ready;
        continue;
      }
      const auto weight = [distances = distances, stride = stride](int i, int j) {
        return distances[std::size_t(i) * stride + std::size_t(j)];
      };
      prim_textbook<Real>(n, weight, scratch, tree);
    }
    kernels.prims_abreast(rows, ready, true, ahead, scratch);
  }
  for (int m = 0; m < count; ++m) sort_edges(matrices[m].tree, matrices[m].n - 1, scratch);
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

// The same in double, and by the textbook, which measures each edge without squaring out of range.
// Edges come back sorted by their lengths.
template <class Real>
void tree_in_double(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                    Edge<Real>* tree) {
  const int count = n - 1;
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

// The tree of points whose smallest edges have been found, where its arithmetic kept its range,
// else found again. Edges come back sorted by their lengths, measured in double and rounded.
template <class Real>
void measured_tree(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                   Edge<Real>* tree) {
  if (measure(points, n, d, metric, team, tree, tree))
    tree_in_double(points, n, d, metric, scratch, team, tree);
  else
    sort_edges(tree, n - 1, scratch);
}

// Arithmetic of the points' own type gives way to double where squares leave its range; the cosine
// is always taken in double.
template <class Real>
void tree_of_points(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                    Edge<Real>* tree) {
  if (metric == Metric::cosine) return tree_in_double(points, n, d, metric, scratch, team, tree);
  smallest_edges(points, n, d, metric, scratch, team, tree);
  measured_tree(points, n, d, metric, scratch, team, tree);
}

// Tree and farthest pair together, of two points or more.
template <class Real>
Endpoints tree_and_farthest_of_points(const Real* points, int n, int d, Metric metric,
                                      Scratch& scratch, Team team, Edge<Real>* tree) {
  const auto with_farthest = way_of<Real>(plan_of<Real>(n, d)).with_farthest;
  if (metric != Metric::cosine && with_farthest) {
    const Kernels<Real>& kernels = instruction_set().kernels<Real>();
    const Farthest<Real> found =
        (kernels.*with_farthest)(points, n, d, metric, scratch, team, tree);
    const bool out_of_range = measure(points, n, d, metric, team, tree, tree);
    if (!out_of_range && trustworthy(found, points, n, d, metric)) {
      sort_edges(tree, n - 1, scratch);
      return found.ends;
    }
  }
  tree_of_points(points, n, d, metric, scratch, team, tree);
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

  Endpoints farthest(Scratch& scratch, Team team) const {
    return is_matrix() ? farthest_of_matrix(values, std::size_t(d), n, team)
                       : farthest_of_points(values, n, d, metric, scratch, team);
  }
};

// Whether the tree of n points is found in the matrix of their distances.
template <class Real>
bool by_matrix(int n, int d, Metric metric) {
  return metric != Metric::cosine && plan_of<Real>(n, d) == Plan::tiled;
}

// The trees of bags in one space, those that are found in matrices abreast, and their farthest
// pairs where there is room for them.
template <class Real>
void find_trees(const Cloud<Real>* bags, int count, Ahead ahead, Scratch& scratch, Team team,
                Edge<Real>* const* trees, Endpoints* farthest) {
  const Kernels<Real>& kernels = instruction_set().kernels<Real>();
  Rows<Real> rows[most_abreast];
  Farthest<Real> far[most_abreast];
  int of_bag[most_abreast], ready = 0;
  for (int b = 0; b < count; ++b) {
    const auto [values, n, d, metric, symmetric] = bags[b];
    if (farthest) farthest[b] = ~Endpoints(0);
    if (n < 2) continue;
    of_bag[ready] = b;
    if (bags[b].is_matrix()) {
      rows[ready++] = {values, std::size_t(d), n, trees[b]};
      if (farthest) farthest[b] = bags[b].farthest(scratch, team);
    } else if (by_matrix<Real>(n, d, metric)) {
      rows[ready] = kernels.rows_of_points(values, n, d, metric, scratch, team, trees[b],
                                           farthest ? &far[ready] : nullptr);
      ++ready;
    } else if (farthest) {
      farthest[b] = tree_and_farthest_of_points(values, n, d, metric, scratch, team, trees[b]);
    } else {
      tree_of_points(values, n, d, metric, scratch, team, trees[b]);
    }
  }
  if (!ready) return;
  if (bags->is_matrix())
    return trees_of_matrices(rows, ready, bags->symmetric, ahead, scratch, team);
  kernels.prims_abreast(rows, ready, true, ahead, scratch);
  for (int k = 0; k < ready; ++k) {
    const auto [values, n, d, metric, symmetric] = bags[of_bag[k]];
    measured_tree(values, n, d, metric, scratch, team, rows[k].tree);
    if (farthest)
      farthest[of_bag[k]] = trustworthy(far[k], values, n, d, metric)
                                ? far[k].ends
                                : farthest_of_points(values, n, d, metric, scratch, team);
  }
}

}  // namespace torchtopo
