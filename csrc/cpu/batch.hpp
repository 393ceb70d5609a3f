// Batches of bags on the CPU. Addresses are of contiguous memory that the caller has checked.
#pragma once

#include <cstdint>

#include "../bags.hpp"

namespace torchtopo {

// Weights may be null.
template <class Real>
void trees(const Space<Real>&, const Bags&, std::int64_t* edges, Real* weights, int threads);
// The farthest pair of each bag, (-1, -1) where there is none.
template <class Real>
void farthest_pairs(const Space<Real>&, const Bags&, std::int64_t* pairs, int threads);

// Pairs (bags, m, 2); a pair (-1, -1) has length 0 and pulls at nothing.
template <class Real>
void pair_lengths(const Space<Real>&, const Bags&, const std::int64_t* pairs, std::int64_t m,
                  Real* lengths, int threads);
template <class Real>
void pair_pulls(const Space<Real>&, const Bags&, const std::int64_t* pairs, std::int64_t m,
                const Real* pulls, Real* gradient, int threads);

// One space of a step of training with the signature loss: its points; what divides its lengths,
// or, if there is room for farthest pairs (bags, 2), the largest of these lengths, a largest of 0
// as 1 does; and room for the lengths and, unless null, for the gradient of the points and the
// slope in the divisor. Largest lengths are in the wider of the types of both spaces.
struct Stepped {
  AnySpace space;
  Each by;
  std::int64_t* farthest;
  void *largest, *lengths, *gradient, *slope_of_divisor;
};

// The edges of a batch's trees in two spaces, all measured in both: for each bag those of x, then
// those of z; in a packed batch those of x for all bags first. A pair that is infinitely far apart
// in either space becomes the padding (-1, -1). With `pairs_x` the tree of x is not looked for.
// Then, unless `losses` is null, the loss of each bag, in the wider type, and its slopes.
struct Step {
  Stepped x, z;
  Bags bags;
  const std::int64_t* pairs_x;
  Shares shares;
  std::int64_t* pairs;
  void* losses;
};
void signature_step(const Step&, int threads);

void elder_rule(const std::int64_t* edges, std::int64_t bags, std::int64_t m, std::int64_t n,
                std::int64_t* dying, int threads);

}  // namespace torchtopo
