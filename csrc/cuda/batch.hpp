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

void set_device(int device);
int version();                // of the CUDA runtime inside: 13000 is 13.0
const char* architectures();  // "75;80;...": what the kernels were compiled for

}  // namespace torchtopo::cuda
