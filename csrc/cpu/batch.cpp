#include "batch.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../elder_rule.hpp"
#include "cloud.hpp"
#include "kept_scratch.hpp"
#include "pool.hpp"
#include "team.hpp"

namespace torchtopo {
namespace {

// Work below this many elementary steps is done before another thread has woken up.
constexpr double worth_a_thread = 20000;

int threads_for(double work, int threads) {
  return int(std::max(1.0, std::min(double(threads), work / worth_a_thread)));
}

// Calls work(scratch, team, b) for every bag b. Where there are more threads than bags, a bag is
// the work of a team.
template <class Work>
void for_each_bag(std::int64_t bags, int threads, Work work) {
  const int workers = int(std::clamp<std::int64_t>(bags, 1, threads));
  std::vector<Scratch> scratch = KeptScratch::of_process().borrow(std::size_t(workers));
  const Team team(threads / workers);
  parallel_for(bags, threads, [&](int worker, std::int64_t b) {
    Scratch& mine = scratch[std::size_t(worker)];
    mine.reset();
    work(mine, team, b);
  });
  KeptScratch::of_process().give_back(std::move(scratch));
}

// Bag b as its space holds it.
template <class Real>
Cloud<Real> bag_of(const Space<Real>& space, const Bags& bags, std::int64_t b) {
  return {space.values + bags.first_row(b) * space.d, int(bags.size(b)), int(space.d), space.metric,
          space.symmetric};
}

void name_pair(const Bags& bags, std::int64_t b, Endpoints ends, std::int64_t* pair) {
  const bool none = ends == ~Endpoints(0);
  pair[0] = none ? -1 : bags.first_name(b) + smaller(ends);
  pair[1] = none ? -1 : bags.first_name(b) + larger(ends);
}

// Writes the tree of bag b to its rows of pairs and, where asked for, of weights, and its farthest
// pair where asked for.
template <class Real>
void write_tree(const Space<Real>& space, const Bags& bags, std::int64_t b, Scratch& scratch,
                Team team, std::int64_t* pairs, Real* weights, std::int64_t* farthest = nullptr) {
  scratch.reset();
  const Cloud<Real> bag = bag_of(space, bags, b);
  Edge<Real>* tree = scratch.take<Edge<Real>>(std::size_t(bag.n));
  if (farthest)
    name_pair(bags, b, bag.tree_and_farthest(scratch, team, tree), farthest + 2 * b);
  else
    bag.tree(scratch, team, tree);
  const int count = std::max(bag.n - 1, 0);
  for (int k = 0; k < count; ++k) {
    name_pair(bags, b, tree[k].ends, pairs + 2 * k);
    if (weights) weights[k] = weight_of<Real>(tree[k].weight);
  }
  const std::int64_t padding = bags.edge_rows(b) - count;
  std::fill_n(pairs + 2 * count, 2 * padding, -1);
  if (weights) std::fill_n(weights + count, padding, Real(0));
}

// Whether (i, j) names two points of bag b; the padding (-1, -1) does not, and nothing else is let
// through.
bool is_pair(std::int64_t i, std::int64_t j, const Bags& bags, std::int64_t b) {
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
  const Real* named_0 = space.values + (bags.first_row(b) - bags.first_name(b)) * space.d;
  team.in_parts(count, 512, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      const std::int64_t i = pairs[2 * k], j = pairs[2 * k + 1];
      if (!is_pair(i, j, bags, b))
        lengths[k] = 0;
      else if (space.metric == Metric::precomputed)
        lengths[k] = named_0[std::min(i, j) * space.d + std::max(i, j)];
      else
        lengths[k] = Real(length(named_0 + i * space.d, named_0 + j * space.d, std::size_t(space.d),
                                 space.metric));
    }
  });
}

// NaN beside it is left for the caller to see.
bool one_is_infinite(double a, double b) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return (a == infinity && b == b) || (b == infinity && a == a);
}

double mean_size(const Bags& bags) {
  return bags.cu_seqlens
             ? double(bags.cu_seqlens[bags.count]) / double(std::max<std::int64_t>(bags.count, 1))
             : double(bags.n);
}

// Elementary steps to look at all pairs of the bags.
template <class Real>
double work_of(const Space<Real>& space, const Bags& bags) {
  const double n = mean_size(bags);
  const double a_pair = space.metric == Metric::precomputed ? 1 : double(space.d) / 8;
  return double(bags.count) * n * n * a_pair;
}

}  // namespace

template <class Real>
void trees(const Space<Real>& space, const Bags& bags, std::int64_t* edges, Real* weights,
           int threads) {
  const int workers = threads_for(work_of(space, bags), threads);
  for_each_bag(bags.count, workers, [&](Scratch& scratch, Team team, std::int64_t b) {
    const std::int64_t first = bags.first_edge(b);
    write_tree(space, bags, b, scratch, team, edges + 2 * first,
               weights ? weights + first : nullptr);
  });
}

template <class Real>
void farthest_pairs(const Space<Real>& space, const Bags& bags, std::int64_t* pairs, int threads) {
  const int workers = threads_for(work_of(space, bags), threads);
  for_each_bag(bags.count, workers, [&](Scratch& scratch, Team team, std::int64_t b) {
    name_pair(bags, b, bag_of(space, bags, b).farthest(scratch, team), pairs + 2 * b);
  });
}

template <class X, class Z>
void signature_edges(const Space<X>& x, const Space<Z>& z, const Bags& bags,
                     const SignatureEdges& edges, X* lengths_x, Z* lengths_z, int threads) {
  const int workers =
      threads_for((edges.pairs_x ? 0 : work_of(x, bags)) + work_of(z, bags), threads);
  const bool packed = bags.cu_seqlens;
  for_each_bag(bags.count, workers, [&](Scratch& scratch, Team team, std::int64_t b) {
    const std::int64_t first = bags.first_edge(b), m = bags.edge_rows(b);
    const std::int64_t of_x = packed ? first : 2 * first;
    const std::int64_t of_z = packed ? bags.first_edge(bags.count) + first : of_x + m;
    std::int64_t *pairs_x = edges.pairs + 2 * of_x, *pairs_z = edges.pairs + 2 * of_z;
    if (edges.pairs_x) {
      std::copy_n(edges.pairs_x + 2 * first, 2 * m, pairs_x);
      measure_pairs(x, bags, b, team, pairs_x, m, lengths_x + of_x);
      if (edges.farthest_x)
        name_pair(bags, b, bag_of(x, bags, b).farthest(scratch, team), edges.farthest_x + 2 * b);
    } else {
      write_tree(x, bags, b, scratch, team, pairs_x, lengths_x + of_x, edges.farthest_x);
    }
    write_tree(z, bags, b, scratch, team, pairs_z, lengths_z + of_z, edges.farthest_z);
    measure_pairs(x, bags, b, team, pairs_z, m, lengths_x + of_z);
    measure_pairs(z, bags, b, team, pairs_x, m, lengths_z + of_x);
    for (const std::int64_t part : {of_x, of_z})
      for (std::int64_t k = part; k < part + m; ++k)
        if (one_is_infinite(lengths_x[k], lengths_z[k])) {
          edges.pairs[2 * k] = edges.pairs[2 * k + 1] = -1;
          lengths_x[k] = 0, lengths_z[k] = 0;
        }
  });
}

template <class Real>
void pair_lengths(const Space<Real>& space, const Bags& bags, const std::int64_t* pairs,
                  std::int64_t m, Real* lengths, int threads) {
  const double work = double(bags.count) * double(m) * double(space.d) / 4;
  for_each_bag(bags.count, threads_for(work, threads), [&](Scratch&, Team team, std::int64_t b) {
    measure_pairs(space, bags, b, team, pairs + 2 * b * m, m, lengths + b * m);
  });
}

template <class Real>
void pair_pulls(const Space<Real>& space, const Bags& bags, const std::int64_t* pairs,
                std::int64_t m, const Real* pulls, Real* gradient, int threads) {
  const double work = double(bags.count) * double(m) * double(space.d) / 2;
  const auto pull_ends = instruction_set().kernels<Real>().pull_ends;
  for_each_bag(bags.count, threads_for(work, threads), [&](Scratch&, Team, std::int64_t b) {
    const std::int64_t d = space.d;
    const Real* bag = space.values + b * bags.n * d;
    Real* out = gradient + b * bags.n * d;
    std::fill_n(out, bags.n * d, Real(0));
    for (std::int64_t k = b * m; k < (b + 1) * m; ++k) {
      const std::int64_t i = pairs[2 * k], j = pairs[2 * k + 1];
      if (is_pair(i, j, bags, b))
        pull_ends(bag + i * d, bag + j * d, std::size_t(d), space.metric, pulls[k], out + i * d,
                  out + j * d);
    }
  });
}

void elder_rule(const std::int64_t* edges, std::int64_t bags, std::int64_t m, std::int64_t n,
                std::int64_t* dying, int threads) {
  const int workers = threads_for(double(bags) * double(m) * 8, threads);
  std::vector<UnionFind> components(static_cast<std::size_t>(workers));
  parallel_for(bags, workers, [&](int worker, std::int64_t b) {
    elder_rule(edges + 2 * b * m, m, n, dying + b * m, components[std::size_t(worker)]);
  });
}

#define TORCHTOPO_INSTANTIATE(Real)                                                              \
  template void trees(const Space<Real>&, const Bags&, std::int64_t*, Real*, int);               \
  template void farthest_pairs(const Space<Real>&, const Bags&, std::int64_t*, int);             \
  template void signature_edges(const Space<Real>&, const Space<float>&, const Bags&,            \
                                const SignatureEdges&, Real*, float*, int);                      \
  template void signature_edges(const Space<Real>&, const Space<double>&, const Bags&,           \
                                const SignatureEdges&, Real*, double*, int);                     \
  template void pair_lengths(const Space<Real>&, const Bags&, const std::int64_t*, std::int64_t, \
                             Real*, int);                                                        \
  template void pair_pulls(const Space<Real>&, const Bags&, const std::int64_t*, std::int64_t,   \
                           const Real*, Real*, int);
TORCHTOPO_INSTANTIATE(float)
TORCHTOPO_INSTANTIATE(double)
#undef TORCHTOPO_INSTANTIATE

}  // namespace torchtopo
