// A step of training with the signature loss, bag by bag while a bag is in the cache: the trees of
// both spaces, the lengths of their edges in both, the loss, its slopes, and how these pull at the
// points.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "batch.hpp"
#include "each_bag.hpp"

namespace torchtopo {
namespace {

// Where the edges of a bag lie, as many of x as of z.
struct Edges {
  std::int64_t count, of_x, of_z;

  Edges(const Bags& bags, std::int64_t b) : count(bags.edge_rows(b)) {
    const std::int64_t first = bags.first_edge(b);
    of_x = bags.cu_seqlens ? first : 2 * first;
    of_z = bags.cu_seqlens ? bags.first_edge(bags.count) + first : of_x + count;
  }
};

// One space of a step, in its own type. Largest lengths and losses are in the wider of both.
template <class Real, class Wide>
struct Side {
  Space<Real> space;
  Each by;
  std::int64_t* farthest;
  Wide* largest;
  Real *lengths, *gradient, *slope_of_divisor;

  explicit Side(const Stepped& is)
      : space(is.space.as<Real>()),
        by(is.by),
        farthest(is.farthest),
        largest(static_cast<Wide*>(is.largest)),
        lengths(static_cast<Real*>(is.lengths)),
        gradient(static_cast<Real*>(is.gradient)),
        slope_of_divisor(static_cast<Real*>(is.slope_of_divisor)) {}

  // Where the farthest pair of bag b is to be named, null if nobody asks.
  std::int64_t* farthest_of(std::int64_t b) const { return farthest ? farthest + 2 * b : nullptr; }

  double divisor(std::int64_t b) const {
    if (!farthest) return by.of(b);
    return largest[b] == 0 ? 1.0 : double(largest[b]);
  }
};

// NaN beside it is left for the caller to see.
bool one_is_infinite(double a, double b) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return (a == infinity && b == b) || (b == infinity && a == a);
}

// Fills the pairs of bags, and their lengths in the space that they are of.
template <class X, class Z, class Wide>
void find_edges(const Step& step, const Side<X, Wide>& x, const Side<Z, Wide>& z, Group group,
                Scratch& scratch, Team team) {
  const Bags& bags = step.bags;
  const auto in_x = [&](std::int64_t b) -> Place<X> {
    const std::int64_t of_x = Edges(bags, b).of_x;
    return {step.pairs + 2 * of_x, x.lengths + of_x, x.farthest_of(b)};
  };
  const auto in_z = [&](std::int64_t b) -> Place<Z> {
    const std::int64_t of_z = Edges(bags, b).of_z;
    return {step.pairs + 2 * of_z, z.lengths + of_z, z.farthest_of(b)};
  };
  if (!step.pairs_x) {
    write_trees(x.space, bags, group, {}, scratch, team, in_x);
  } else {
    for (std::int64_t b = group.first; b < group.last; ++b) {
      const auto [pairs, lengths, farthest] = in_x(b);
      const std::int64_t count = bags.edge_rows(b);
      std::copy_n(step.pairs_x + 2 * bags.first_edge(b), 2 * count, pairs);
      measure_pairs(x.space, bags, b, team, pairs, count, lengths);
      if (farthest) name_pair(bags, b, bag_of(x.space, bags, b).farthest(scratch, team), farthest);
    }
  }
  write_trees(z.space, bags, group, {}, scratch, team, in_z);
}

// Their lengths in the other space too, and the largest length of either.
template <class X, class Z, class Wide>
void measure_edges(const Step& step, const Side<X, Wide>& x, const Side<Z, Wide>& z, std::int64_t b,
                   const Edges& edges, Team team) {
  const Bags& bags = step.bags;
  measure_pairs(x.space, bags, b, team, step.pairs + 2 * edges.of_z, edges.count,
                x.lengths + edges.of_z);
  measure_pairs(z.space, bags, b, team, step.pairs + 2 * edges.of_x, edges.count,
                z.lengths + edges.of_x);
  for (const std::int64_t first : {edges.of_x, edges.of_z})
    for (std::int64_t k = first; k < first + edges.count; ++k)
      if (one_is_infinite(double(x.lengths[k]), double(z.lengths[k]))) {
        step.pairs[2 * k] = step.pairs[2 * k + 1] = -1;
        x.lengths[k] = 0, z.lengths[k] = 0;
      }
  const auto measure_farthest = [&](const auto& side) {
    if (!side.farthest) return;
    std::remove_pointer_t<decltype(side.lengths)> length;
    measure_pairs(side.space, bags, b, team, side.farthest_of(b), 1, &length);
    side.largest[b] = Wide(length);
  };
  measure_farthest(x);
  measure_farthest(z);
}

// Calls visit(k, e) for each edge of a bag, those of x first: e counts them, k is where one lies.
template <class Visit>
void for_each_edge(const Edges& edges, Visit visit) {
  const std::int64_t count = edges.count;
  for (std::int64_t e = 0; e < count; ++e) visit(edges.of_x + e, e);
  for (std::int64_t e = count; e < 2 * count; ++e) visit(edges.of_z + e - count, e);
}

// A bag's loss, in double and added in the order of the edges. `slopes` are those of the loss in
// what is compared of x, and the opposite of those in what is compared of z.
struct BagLoss {
  double loss, *slopes;
};

template <class X, class Z, class Wide>
BagLoss compare(const Step& step, const Side<X, Wide>& x, const Side<Z, Wide>& z, std::int64_t b,
                const Edges& edges, Scratch& scratch) {
  const double by_x = x.divisor(b), by_z = z.divisor(b);
  double* apart = scratch.take<double>(std::size_t(2 * edges.count));
  double squares[2] = {0, 0}, loss, factor[2];
  for_each_edge(edges, [&](std::int64_t k, std::int64_t e) {
    apart[e] = double(x.lengths[k]) / by_x - double(z.lengths[k]) / by_z;
    squares[e >= edges.count] += apart[e] * apart[e];
  });
  if (step.shares.halves_of_norms()) {
    const double norm[2] = {std::sqrt(squares[0]), std::sqrt(squares[1])};
    loss = (norm[0] + norm[1]) / 2;
    for (int tree = 0; tree < 2; ++tree) factor[tree] = norm[tree] == 0 ? 0 : 0.5 / norm[tree];
  } else {
    const double share = step.shares.of(b);
    loss = (squares[0] + squares[1]) / share;
    factor[0] = factor[1] = 2 / share;
  }
  for (std::int64_t e = 0; e < 2 * edges.count; ++e) apart[e] *= factor[e >= edges.count];
  return {loss, apart};
}

// How the loss of bag b pulls at the points of a space, and its slope in what divides the lengths
// there. `sign` is the space's in the difference.
template <class Real, class Wide>
void pull(const Step& step, const Side<Real, Wide>& side, double sign, const double* slopes,
          std::int64_t b, const Edges& edges) {
  const double by = side.divisor(b), times = sign / by;
  double of_divisor = 0;
  for_each_edge(edges, [&](std::int64_t k, std::int64_t e) {
    of_divisor -= slopes[e] * times * double(side.lengths[k]);
  });
  of_divisor /= by;
  if (side.slope_of_divisor) side.slope_of_divisor[b] = Real(of_divisor);
  if (!side.gradient) return;
  const Gradient<Real> gradient(side.space, step.bags, b, side.gradient);
  for_each_edge(edges, [&](std::int64_t k, std::int64_t e) {
    const std::int64_t i = step.pairs[2 * k], j = step.pairs[2 * k + 1];
    if (i >= 0) gradient.add(i, j, slopes[e] * times);
  });
  if (!side.farthest) return;
  const std::int64_t* far = side.farthest + 2 * b;
  if (far[0] >= 0) gradient.add(far[0], far[1], of_divisor);
}

template <class X, class Z>
void step_of(const Step& step, int threads) {
  using Wide = std::conditional_t<sizeof(X) >= sizeof(Z), X, Z>;
  const Side<X, Wide> x(step.x);
  const Side<Z, Wide> z(step.z);
  Wide* const losses = static_cast<Wide*>(step.losses);
  const Bags& bags = step.bags;
  const double m = 2 * double(bags.first_edge(bags.count));
  double work = work_of(z.space, bags);
  if (!step.pairs_x) work += work_of(x.space, bags);
  if (x.gradient) work += work_of_pulls(x.space, m);
  if (z.gradient) work += work_of_pulls(z.space, m);
  const auto of_bag = [&](Scratch& scratch, Team team, std::int64_t b) {
    const Edges edges(bags, b);
    measure_edges(step, x, z, b, edges, team);
    if (!losses) return;
    const BagLoss found = compare(step, x, z, b, edges, scratch);
    losses[b] = Wide(found.loss);
    if (x.gradient || x.slope_of_divisor) pull(step, x, 1, found.slopes, b, edges);
    if (z.gradient || z.slope_of_divisor) pull(step, z, -1, found.slopes, b, edges);
  };
  const int workers = threads_for(work, threads);
  int abreast = bags_abreast(z.space, bags, workers);
  if (!step.pairs_x) abreast = std::min(abreast, bags_abreast(x.space, bags, workers));
  for_each_group(bags.count, abreast, workers, [&](Scratch& scratch, Team team, Group group) {
    find_edges(step, x, z, group, scratch, team);
    for (std::int64_t b = group.first; b < group.last; ++b) of_bag(scratch, team, b);
  });
}

}  // namespace

void signature_step(const Step& step, int threads) {
  with_real(step.x.space.dtype, [&](auto x) {
    with_real(step.z.space.dtype,
              [&](auto z) { step_of<decltype(x), decltype(z)>(step, threads); });
  });
}

}  // namespace torchtopo
