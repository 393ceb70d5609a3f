#include "batch.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../kruskal.hpp"
#include "bag.hpp"
#include "pool.hpp"

namespace torchtopo {
namespace {

// Work below this many elementary steps is done before another thread has woken up.
constexpr double worth_a_thread = 20000;

int threads_for(double work, int threads) {
  return int(std::max(1.0, std::min(double(threads), work / worth_a_thread)));
}

// Calls work(scratch, b) for every bag b, each thread with its own scratch memory.
template <class Work>
void for_each_bag(std::int64_t bags, int threads, Work work) {
  std::vector<Scratch> scratch(std::size_t(std::max(threads, 1)));
  parallel_for(bags, threads, [&](int worker, std::int64_t b) {
    Scratch& mine = scratch[std::size_t(worker)];
    mine.reset();
    work(mine, b);
  });
}

template <class Real, class Tree>
void trees(const Bags& bags, double work_per_bag, std::int64_t* edges, Real* weights, int threads,
           Tree find_tree) {
  const int workers = threads_for(double(bags.count) * work_per_bag, threads);
  for_each_bag(bags.count, workers, [&](Scratch& scratch, std::int64_t b) {
    const int n = int(bags.size(b));
    Edge<Real>* tree = scratch.take<Edge<Real>>(std::size_t(n));
    find_tree(b, n, scratch, tree);
    std::int64_t* pair = edges + 2 * bags.first_edge(b);
    Real* weight = weights + bags.first_edge(b);
    const std::int64_t base = bags.first_name(b);
    for (int k = 0; k < n - 1; ++k, pair += 2) {
      pair[0] = base + smaller(tree[k].ends);
      pair[1] = base + larger(tree[k].ends);
      *weight++ = weight_of<Real>(tree[k].weight);
    }
    const std::int64_t padding = bags.edge_rows(b) - std::max(n - 1, 0);
    std::fill_n(pair, 2 * padding, -1);
    std::fill_n(weight, padding, Real(0));
  });
}

void name_pair(const Bags& bags, std::int64_t b, Endpoints ends, std::int64_t* pair) {
  const bool none = ends == ~Endpoints(0);
  pair[0] = none ? -1 : bags.first_name(b) + smaller(ends);
  pair[1] = none ? -1 : bags.first_name(b) + larger(ends);
}

// Whether (i, j) names two points; the padding (-1, -1) does not, and nothing else is let through.
bool is_pair(std::int64_t i, std::int64_t j, std::int64_t n) {
  if (0 <= i && i < n && 0 <= j && j < n) return true;
  if (i == -1 && j == -1) return false;
  throw std::invalid_argument("pairs must name points 0.." + std::to_string(n - 1) +
                              " or be the padding (-1, -1); one is (" + std::to_string(i) + ", " +
                              std::to_string(j) + ")");
}

double mean_size(const Bags& bags) {
  return bags.cu_seqlens
             ? double(bags.cu_seqlens[bags.count]) / double(std::max<std::int64_t>(bags.count, 1))
             : double(bags.n);
}

}  // namespace

template <class Real>
void trees_of_matrices(const Real* distances, const Bags& bags, std::int64_t* edges, Real* weights,
                       int threads) {
  const std::int64_t n = bags.n;
  trees(bags, double(n) * double(n), edges, weights, threads,
        [=](std::int64_t b, int size, Scratch& scratch, Edge<Real>* tree) {
          if (size > 1) tree_of_matrix(distances + b * n * n, std::size_t(n), size, scratch, tree);
        });
}

template <class Real>
void trees_of_points(const Real* points, std::int64_t d, Metric metric, const Bags& bags,
                     std::int64_t* edges, Real* weights, int threads, std::int64_t* farthest) {
  const double n = mean_size(bags);
  trees(bags, n * n * double(d) / 8, edges, weights, threads,
        [=, &bags](std::int64_t b, int size, Scratch& scratch, Edge<Real>* tree) {
          const Real* bag = points + bags.first_row(b) * d;
          if (farthest)
            name_pair(bags, b,
                      tree_and_farthest_of_points(bag, size, int(d), metric, scratch, tree),
                      farthest + 2 * b);
          else if (size > 1)
            tree_of_points(bag, size, int(d), metric, scratch, tree);
        });
}

template <class Real>
void farthest_of_matrices(const Real* distances, const Bags& bags, std::int64_t* pairs,
                          int threads) {
  const std::int64_t n = bags.n;
  const int workers = threads_for(double(bags.count) * double(n) * double(n), threads);
  for_each_bag(bags.count, workers, [&](Scratch&, std::int64_t b) {
    name_pair(bags, b, farthest_of_matrix(distances + b * n * n, std::size_t(n), int(bags.size(b))),
              pairs + 2 * b);
  });
}

template <class Real>
void farthest_of_points(const Real* points, std::int64_t d, Metric metric, const Bags& bags,
                        std::int64_t* pairs, int threads) {
  const double n = mean_size(bags);
  const int workers = threads_for(double(bags.count) * n * n * double(d) / 8, threads);
  for_each_bag(bags.count, workers, [&](Scratch& scratch, std::int64_t b) {
    const Real* bag = points + bags.first_row(b) * d;
    name_pair(bags, b, farthest_of_points(bag, int(bags.size(b)), int(d), metric, scratch),
              pairs + 2 * b);
  });
}

template <class Real>
void pair_lengths(const Real* points, std::int64_t d, Metric metric, const Bags& bags,
                  const std::int64_t* pairs, std::int64_t m, Real* lengths, int threads) {
  const int workers = threads_for(double(bags.count) * double(m) * double(d) / 4, threads);
  const auto length = instruction_set().kernels<Real>().length;
  for_each_bag(bags.count, workers, [&](Scratch&, std::int64_t b) {
    const Real* bag = points + b * bags.n * d;
    for (std::int64_t k = b * m; k < (b + 1) * m; ++k) {
      const std::int64_t i = pairs[2 * k], j = pairs[2 * k + 1];
      lengths[k] = is_pair(i, j, bags.n)
                       ? Real(length(bag + i * d, bag + j * d, std::size_t(d), metric))
                       : Real(0);
    }
  });
}

template <class Real>
void pair_pulls(const Real* points, std::int64_t d, Metric metric, const Bags& bags,
                const std::int64_t* pairs, std::int64_t m, const Real* pulls, Real* gradient,
                int threads) {
  const int workers = threads_for(double(bags.count) * double(m) * double(d) / 2, threads);
  const auto pull_ends = instruction_set().kernels<Real>().pull_ends;
  for_each_bag(bags.count, workers, [&](Scratch&, std::int64_t b) {
    const Real* bag = points + b * bags.n * d;
    Real* out = gradient + b * bags.n * d;
    std::fill_n(out, bags.n * d, Real(0));
    for (std::int64_t k = b * m; k < (b + 1) * m; ++k) {
      const std::int64_t i = pairs[2 * k], j = pairs[2 * k + 1];
      if (is_pair(i, j, bags.n))
        pull_ends(bag + i * d, bag + j * d, std::size_t(d), metric, pulls[k], out + i * d,
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

#define TORCHTOPO_INSTANTIATE(Real)                                                               \
  template void trees_of_matrices(const Real*, const Bags&, std::int64_t*, Real*, int);           \
  template void trees_of_points(const Real*, std::int64_t, Metric, const Bags&, std::int64_t*,    \
                                Real*, int, std::int64_t*);                                       \
  template void farthest_of_matrices(const Real*, const Bags&, std::int64_t*, int);               \
  template void farthest_of_points(const Real*, std::int64_t, Metric, const Bags&, std::int64_t*, \
                                   int);                                                          \
  template void pair_lengths(const Real*, std::int64_t, Metric, const Bags&, const std::int64_t*, \
                             std::int64_t, Real*, int);                                           \
  template void pair_pulls(const Real*, std::int64_t, Metric, const Bags&, const std::int64_t*,   \
                           std::int64_t, const Real*, Real*, int);
TORCHTOPO_INSTANTIATE(float)
TORCHTOPO_INSTANTIATE(double)
#undef TORCHTOPO_INSTANTIATE

}  // namespace torchtopo
