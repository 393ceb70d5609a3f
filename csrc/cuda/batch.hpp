// The GPU's side of the package as plain C++: addresses of device memory, sizes, a stream.
//
// Nothing here waits for the device or allocates; workspace comes from the caller, who asks
// `*_workspace` how much. `lengths` and `cu_seqlens` of bags are read by the kernels only, which
// clamp them (bags.cuh).
#pragma once

#include <cstddef>
#include <cstdint>

#include "../bags.hpp"

namespace torchtopo::cuda {

using Stream = void*;  // a cudaStream_t

// How a tree is found. The edges are the same; `automatic` takes what should be faster.
enum class Plan { automatic, one_block, many_blocks };

// The trees, in Kruskal's order: `edges` (row, 2) and `weights` (row), n - 1 rows a bag, or,
// packed, rows - bags in all.
std::size_t trees_workspace(const AnySpace& space, const Bags& bags, Plan plan);
void trees(const AnySpace& space, const Bags& bags, Plan plan, std::int64_t* edges, void* weights,
           void* workspace, Stream stream);

// The vertex that each edge of sorted trees kills.
std::size_t elder_rule_workspace(std::int64_t bags, std::int64_t n);
void elder_rule(const std::int64_t* edges, std::int64_t bags, std::int64_t m, std::int64_t n,
                std::int64_t* dying, void* workspace, Stream stream);

// The same of packed trees, whose edges and dying vertices go by rows of the batch, a bag apart
// from the others; of bags of at most `elder_rule_in_shared` vertices.
constexpr std::int64_t elder_rule_in_shared = 8192;
void elder_rule_packed(const std::int64_t* edges, const Bags& bags, std::int64_t* dying,
                       Stream stream);

// The farthest pair of each bag, (bags, 2), (-1, -1) where no two points are finitely far apart.
std::size_t farthest_pairs_workspace(const Bags& bags);
void farthest_pairs(const AnySpace& space, const Bags& bags, std::int64_t* pairs, void* workspace,
                    Stream stream);

// Lengths of pairs, (bags, m); padding and pairs that name no point have length 0.
void pair_lengths(const AnySpace& space, const Bags& bags, const std::int64_t* pairs,
                  std::int64_t m, void* lengths, Stream stream);

// Their gradient in the points, (bags, n, d): pair p pulls its ends by `pulls[p]`. Added in the
// order of the pairs, so the same bits in every run.
std::size_t pair_pulls_workspace(const Bags& bags, std::int64_t m);
void pair_pulls(const AnySpace& space, const Bags& bags, const std::int64_t* pairs, std::int64_t m,
                const void* pulls, void* gradient, void* workspace, Stream stream);

// A tree as `trees` gives it; without weights, pairs that are yet to be measured.
struct Tree {
  const std::int64_t* edges;
  const void* weights;
};

// The edges of the trees of x and z, all measured in both: for each bag those of x, then those of
// z; in a packed batch those of x for all bags first. A pair that is infinitely far apart in either
// space becomes the padding (-1, -1).
void signature_edges(const AnySpace& x, const AnySpace& z, const Bags& bags, const Tree& tree_x,
                     const Tree& tree_z, std::int64_t* pairs, void* lengths_x, void* lengths_z,
                     Stream stream);

// Numbers (bags, m) of the dtype 0 for float32 or 1 for float64.
struct Reals {
  const void* values;
  int dtype;
};

// What a bag's sum is divided by: one number for all, or one for each in the type of the sums.
struct Shares {
  const void* each;
  std::int64_t all;

  template <class Real>
  TORCHTOPO_HOST_DEVICE double of(std::int64_t bag) const {
    return each ? double(static_cast<const Real*>(each)[bag]) : double(all);
  }
};

// Sums of (a - b)^2 over each bag's m numbers, divided by its share, in the wider of the types; and
// the gradient of these in a, in a's own.
void squares(const Reals& a, const Reals& b, std::int64_t bags, std::int64_t m,
             const Shares& shares, void* sums, Stream stream);
void squares_pulls(const Reals& a, const Reals& b, std::int64_t bags, std::int64_t m,
                   const Shares& shares, const void* grad, void* slopes, Stream stream);

void set_device(int device);
int version();                // of the CUDA runtime inside: 13000 is 13.0
const char* architectures();  // "75;80;...": what the kernels were compiled for

}  // namespace torchtopo::cuda
