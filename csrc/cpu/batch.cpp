#include "batch.hpp"

#include <cstdint>
#include <vector>

#include "../elder_rule.hpp"
#include "each_bag.hpp"
#include "pool.hpp"

namespace torchtopo {

template <class Real>
void trees(const Space<Real>& space, const Bags& bags, std::int64_t* edges, Real* weights,
           int threads) {
  const int workers = threads_for(work_of(space, bags), threads);
  const auto place = [&](std::int64_t b) -> Place<Real> {
    const std::int64_t first = bags.first_edge(b);
    return {edges + 2 * first, weights ? weights + first : nullptr, nullptr};
  };
  for_each_group(bags.count, bags_abreast(space, bags, workers), workers,
                 [&](Scratch& scratch, Team team, Group group) {
                   const Ahead ahead = matrices_after(group, space, bags, workers);
                   write_trees(space, bags, group, ahead, scratch, team, place);
                 });
}

template <class Real>
void farthest_pairs(const Space<Real>& space, const Bags& bags, std::int64_t* pairs, int threads) {
  const int workers = threads_for(work_of(space, bags), threads);
  for_each_bag(bags.count, workers, [&](Scratch& scratch, Team team, std::int64_t b) {
    name_pair(bags, b, bag_of(space, bags, b).farthest(scratch, team), pairs + 2 * b);
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
  const double work = work_of_pulls(space, double(bags.count) * double(m));
  for_each_bag(bags.count, threads_for(work, threads), [&](Scratch&, Team, std::int64_t b) {
    const Gradient<Real> of_bag(space, bags, b, gradient);
    for (std::int64_t k = b * m; k < (b + 1) * m; ++k) {
      const std::int64_t i = pairs[2 * k], j = pairs[2 * k + 1];
      if (is_pair(i, j, bags, b)) of_bag.add(i, j, double(pulls[k]));
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
  template void pair_lengths(const Space<Real>&, const Bags&, const std::int64_t*, std::int64_t, \
                             Real*, int);                                                        \
  template void pair_pulls(const Space<Real>&, const Bags&, const std::int64_t*, std::int64_t,   \
                           const Real*, Real*, int);
TORCHTOPO_INSTANTIATE(float)
TORCHTOPO_INSTANTIATE(double)
#undef TORCHTOPO_INSTANTIATE

}  // namespace torchtopo
