// Batches of bags on the CPU. Addresses are of contiguous memory that the caller has checked.
#pragma once

#include <cstdint>

#include "../metric.hpp"

namespace torchtopo {

// Where the bags of a batch lie: padded to n rows each, of which the first lengths[b] count (all,
// without lengths); or packed, bag b in the rows from cu_seqlens[b] to cu_seqlens[b + 1].
struct Bags {
  std::int64_t count;
  std::int64_t n = 0;
  const std::int64_t* lengths = nullptr;
  const std::int64_t* cu_seqlens = nullptr;

  std::int64_t first_row(std::int64_t b) const { return cu_seqlens ? cu_seqlens[b] : b * n; }
  std::int64_t size(std::int64_t b) const {
    return cu_seqlens ? cu_seqlens[b + 1] - cu_seqlens[b] : lengths ? lengths[b] : n;
  }
  // A tree has one row less than its bag.
  std::int64_t first_edge(std::int64_t b) const {
    return cu_seqlens ? cu_seqlens[b] - b : b * (n - 1);
  }
  std::int64_t edge_rows(std::int64_t b) const { return (cu_seqlens ? size(b) : n) - 1; }
  // Vertices are named by their row in the bag, in a packed batch by their row in the batch.
  std::int64_t first_name(std::int64_t b) const { return cu_seqlens ? cu_seqlens[b] : 0; }
};

// Points (rows, d) and their metric; or, precomputed, a matrix (d, d) of distances for each bag.
template <class Real>
struct Space {
  const Real* values;
  std::int64_t d;
  Metric metric;
};

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

// The edges of a batch's trees in two spaces, all measured in both: for each bag those of x, then
// those of z; in a packed batch those of x for all bags first. A pair that is infinitely far apart
// in either space becomes the padding (-1, -1). With `pairs_x` the tree of x is not looked for; the
// farthest pairs are, where there is room for them.
struct SignatureEdges {
  const std::int64_t* pairs_x;
  std::int64_t* pairs;
  std::int64_t *farthest_x, *farthest_z;
};
template <class X, class Z>
void signature_edges(const Space<X>& x, const Space<Z>& z, const Bags&, const SignatureEdges&,
                     X* lengths_x, Z* lengths_z, int threads);

void elder_rule(const std::int64_t* edges, std::int64_t bags, std::int64_t m, std::int64_t n,
                std::int64_t* dying, int threads);

}  // namespace torchtopo
