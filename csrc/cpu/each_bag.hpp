// The bags of a batch: which threads work at each, and what is read of one and written for it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../bags.hpp"
#include "../metric.hpp"
#include "../order.hpp"
#include "cache.hpp"
#include "cloud.hpp"
#include "isa.hpp"
#include "kept_scratch.hpp"
#include "pool.hpp"
#include "scratch.hpp"
#include "team.hpp"

namespace torchtopo {

// Work below this many elementary steps is done before another thread has woken up.
constexpr double worth_a_thread = 20000;

inline int threads_for(double work, int threads) {
  return int(std::max(1.0, std::min(double(threads), work / worth_a_thread)));
}

// Bags that are worked at together: from first on, without last.
struct Group {
  std::int64_t first, last;

  int size() const { return int(last - first); }
};

// Calls work(scratch, team, group) for groups of `size` bags. Where there are more threads than
// groups, a group is the work of a team.
template <class Work>
void for_each_group(std::int64_t bags, int size, int threads, Work work) {
  const std::int64_t groups = (bags + size - 1) / size;
  const int workers = int(std::clamp<std::int64_t>(groups, 1, threads));
  std::vector<Scratch> scratch = KeptScratch::of_process().borrow(std::size_t(workers));
  const Team team(threads / workers);
  parallel_for(groups, threads, [&](int worker, std::int64_t k) {
    Scratch& mine = scratch[std::size_t(worker)];
    mine.reset();
    work(mine, team, Group{k * size, std::min((k + 1) * size, bags)});
  });
  KeptScratch::of_process().give_back(std::move(scratch));
}

// Calls work(scratch, team, b) for every bag b.
template <class Work>
void for_each_bag(std::int64_t bags, int threads, Work work) {
  for_each_group(bags, 1, threads, [&](Scratch& scratch, Team team, Group group) {
    work(scratch, team, group.first);
  });
}

// Bag b as its space holds it.
template <class Real>
Cloud<Real> bag_of(const Space<Real>& space, const Bags& bags, std::int64_t b) {
  return {space.values + bags.first_row(b) * space.d, int(bags.size(b)), int(space.d), space.metric,
          space.symmetric};
}

// Where row 0 of bag b would be if its rows had the numbers of its vertices.
template <class Value>
Value* named_0(Value* rows, const Bags& bags, std::int64_t b, std::int64_t d) {
  return rows + (bags.first_row(b) - bags.first_name(b)) * d;
}

inline void name_pair(const Bags& bags, std::int64_t b, Endpoints ends, std::int64_t* pair) {
  const bool none = ends == ~Endpoints(0);
  pair[0] = none ? -1 : bags.first_name(b) + smaller(ends);
  pair[1] = none ? -1 : bags.first_name(b) + larger(ends);
}

// Where the edges of a bag's tree go, their weights and its farthest pair if these are wanted.
template <class Real>
struct Place {
  std::int64_t* pairs;
  Real* weights;
  std::int64_t* farthest;
};

// Writes the trees of bags to place(b).
template <class Real, class PlaceOf>
void write_trees(const Space<Real>& space, const Bags& bags, Group group, Ahead ahead,
                 Scratch& scratch, Team team, PlaceOf place) {
  scratch.reset();
  Cloud<Real> clouds[most_abreast] = {};
  Edge<Real>* trees[most_abreast] = {};
  Endpoints farthest[most_abreast];
  for (std::int64_t b = group.first; b < group.last; ++b) {
    clouds[b - group.first] = bag_of(space, bags, b);
    trees[b - group.first] = scratch.take<Edge<Real>>(std::size_t(bags.size(b)));
  }
  const bool any_farthest = place(group.first).farthest;
  find_trees(clouds, group.size(), ahead, scratch, team, trees, any_farthest ? farthest : nullptr);
  for (std::int64_t b = group.first; b < group.last; ++b) {
    const auto [pairs, weights, far] = place(b);
    const Edge<Real>* tree = trees[b - group.first];
    const std::int64_t count = std::max<std::int64_t>(bags.size(b) - 1, 0);
    for (std::int64_t k = 0; k < count; ++k) {
      name_pair(bags, b, tree[k].ends, pairs + 2 * k);
      if (weights) weights[k] = weight_of<Real>(tree[k].weight);
    }
    const std::int64_t padding = bags.edge_rows(b) - count;
    std::fill_n(pairs + 2 * count, 2 * padding, -1);
    if (weights) std::fill_n(weights + count, padding, Real(0));
    if (far) name_pair(bags, b, farthest[b - group.first], far);
  }
}

// Bytes of a bag's matrix of distances.
template <class Real>
double matrix_bytes(const Bags& bags) {
  return double(bags.n) * double(bags.n) * sizeof(Real);
}

// How many bags' trees a worker finds abreast: of small bags, whose distances fit half of a core's
// cache and whose points fit it, and no more than leave all workers some.
template <class Real>
int bags_abreast(const Space<Real>& space, const Bags& bags, int workers) {
  const bool matrices = space.metric == Metric::precomputed;
  if (!matrices && !by_matrix<Real>(int(bags.n), int(space.d), space.metric)) return 1;
  const double points = matrices ? 0 : double(bags.n) * double(space.d) * sizeof(Real);
  const double most = std::min({double(worth_abreast) / matrix_bytes<Real>(bags),
                                double(fast_cache) / points, double(bags.count) / workers});
  return int(std::clamp(most, 1.0, double(most_abreast)));
}

// The matrices that a worker will most likely meet after a group, where they are small and not in
// its cache yet: of them half of what fits beside the group, whose rows are still to be met.
template <class Real>
Ahead matrices_after(Group group, const Space<Real>& space, const Bags& bags, int workers) {
  const double bytes = matrix_bytes<Real>(bags);
  const std::int64_t first = group.last + std::int64_t(workers - 1) * group.size();
  const std::int64_t count = std::min<std::int64_t>(group.size(), bags.count - first);
  const bool near = bytes * double(bags.count) <= double(fast_cache);
  if (space.metric != Metric::precomputed || count < 1 || bytes > double(worth_abreast) || near)
    return {};
  const double fits = (double(fast_cache) - bytes * group.size()) / 2;
  return {space.values + bags.first_row(first) * space.d,
          std::size_t(std::min(bytes * double(count), fits))};
}

// Whether (i, j) names two points of bag b; the padding (-1, -1) does not, and nothing else is let
// through.
inline bool is_pair(std::int64_t i, std::int64_t j, const Bags& bags, std::int64_t b) {
  const std::int64_t first = bags.first_name(b), last = first + bags.size(b) - 1;
  if (first <= i && i <= last && first <= j && j <= last) return true;
  if (i == -1 && j == -1) return false;
  const auto text = [](std::int64_t number) { return std::to_string(number); };
  throw std::invalid_argument(
      "pairs must name points of their own bag (bag " + text(b) + " has " + text(first) + ".." +
      text(last) + ") or be the padding (-1, -1); one is (" + text(i) + ", " + text(j) + ")");
}

// Lengths of pairs of bag b.
template <class Real>
void measure_pairs(const Space<Real>& space, const Bags& bags, std::int64_t b, Team team,
                   const std::int64_t* pairs, std::int64_t count, Real* lengths) {
  const auto length = instruction_set().kernels<Real>().length;
  const Real* points = named_0(space.values, bags, b, space.d);
  team.in_parts(count, 512, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      const std::int64_t i = pairs[2 * k], j = pairs[2 * k + 1];
      if (!is_pair(i, j, bags, b))
        lengths[k] = 0;
      else if (space.metric == Metric::precomputed)
        lengths[k] = points[std::min(i, j) * space.d + std::max(i, j)];
      else
        lengths[k] = Real(
            length(points + i * space.d, points + j * space.d, std::size_t(space.d), space.metric));
    }
  });
}

// The gradient of the points of bag b: it begins as zeros, and pair after pair pulls at its ends.
template <class Real>
class Gradient {
 public:
  Gradient(const Space<Real>& space, const Bags& bags, std::int64_t b, Real* of_batch)
      : pull_ends_(instruction_set().kernels<Real>().pull_ends),
        points_(named_0(space.values, bags, b, space.d)),
        gradient_(named_0(of_batch, bags, b, space.d)),
        d_(space.d),
        metric_(space.metric) {
    std::fill_n(of_batch + bags.first_row(b) * d_, (bags.edge_rows(b) + 1) * d_, Real(0));
  }

  // By the gradient `pull` of the length of (i, j).
  void add(std::int64_t i, std::int64_t j, double pull) const {
    pull_ends_(points_ + i * d_, points_ + j * d_, std::size_t(d_), metric_, pull,
               gradient_ + i * d_, gradient_ + j * d_);
  }

 private:
  void (*pull_ends_)(const Real*, const Real*, std::size_t, Metric, double, Real*, Real*);
  const Real* points_;
  Real* gradient_;
  std::int64_t d_;
  Metric metric_;
};

// Elementary steps to look at all pairs of the bags.
template <class Real>
double work_of(const Space<Real>& space, const Bags& bags) {
  const double n = bags.cu_seqlens ? double(bags.cu_seqlens[bags.count]) /
                                         double(std::max<std::int64_t>(bags.count, 1))
                                   : double(bags.n);
  const double a_pair = space.metric == Metric::precomputed ? 1 : double(space.d) / 8;
  return double(bags.count) * n * n * a_pair;
}

// Elementary steps to pull at the ends of m pairs.
template <class Real>
double work_of_pulls(const Space<Real>& space, double m) {
  return m * double(space.d) / 2;
}

}  // namespace torchtopo
