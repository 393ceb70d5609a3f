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
constexpr std::int64_t elder_rule_in_shared = 8000;
void elder_rule_packed(const std::int64_t* edges, const Bags& bags, std::int64_t* dying,
                       Stream stream);

// The farthest pair of each bag, (bags, 2), (-1, -1) where no two points are finitely far apart,
// and its length, there 0: of one space or of two at once.
struct FarthestPairs {
  AnySpace space;
  std::int64_t* pairs;  // null: nobody asks
  void* lengths;        // of the dtype 0 for float32 or 1 for float64; null too
  int dtype;
};
std::size_t farthest_pairs_workspace(const Bags& bags, int spaces);
void farthest_pairs(const FarthestPairs& x, const FarthestPairs& z, const Bags& bags,
                    void* workspace, Stream stream);

// Lengths of pairs, (bags, m); padding and pairs that name no point have length 0.
void pair_lengths(const AnySpace& space, const Bags& bags, const std::int64_t* pairs,
                  std::int64_t m, void* lengths, Stream stream);

// Pairs of each bag, (bags, m, 2), and by how much they pull, (bags, m).
struct Pulling {
  const std::int64_t* pairs;
  std::int64_t m;
  const void* by;
};

// The gradient of their lengths in the points, (bags, n, d), of two lists as if they were one; all
// pulls of a bag times its weight, where there are weights. Added in the order of the pairs, so the
// same bits in every run.
std::size_t pair_pulls_workspace(const Bags& bags, std::int64_t m);
void pair_pulls(const AnySpace& space, const Bags& bags, const Pulling& pairs,
                const Pulling& further, const void* weights, void* gradient, void* workspace,
                Stream stream);

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

// One space of the signature loss: the lengths of the pairs, (bags, 2 half), what divides them, and
// room for the slopes of the loss in either, unless null. A largest length of 0 divides as 1 does.
struct Compared {
  const void* lengths;
  int dtype;
  Each by;
  bool by_largest;
  void *slopes, *slope_of_divisor;

  TORCHTOPO_HOST_DEVICE double divisor(std::int64_t bag) const {
    const double is = by.of(bag);
    return by_largest && is == 0 ? 1.0 : is;
  }
};

// The losses of the bags, in the wider of the types, and those slopes.
void signature_losses(const Compared& x, const Compared& z, std::int64_t bags, std::int64_t half,
                      const Shares& shares, void* losses, Stream stream);

// One space of a step of training: its points, what divides its lengths, and room for its lengths
// of the pairs, for the gradient of its points and for the slope in the divisor, unless null.
struct Stepped {
  AnySpace space;
  Each by;
  void *lengths, *gradient, *slope_of_divisor;
};

// A step of training with the signature loss where the pairs of x are known: the pairs, lengths and
// losses that `signature_edges` and `signature_losses` would find, and the gradient that
// `pair_pulls` would, bit for bit.
struct Step {
  Stepped x, z;
  Bags bags;
  const std::int64_t* pairs_x;
  Shares shares;
  std::int64_t* pairs;
  void* losses;
};

// Whether a block is to do all of a bag's step; where it cannot hold the bag, never.
bool step_fits_a_block(const AnySpace& x, const AnySpace& z, const Bags& bags, Plan plan);
std::size_t signature_step_workspace(const AnySpace& z, const Bags& bags);
void signature_step(const Step& step, void* workspace, Stream stream);

void set_device(int device);
int version();                // of the CUDA runtime inside: 13000 is 13.0
const char* architectures();  // "75;80;...": what the kernels were compiled for

}  // namespace torchtopo::cuda
