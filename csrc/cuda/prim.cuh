// Dense Prim by a block; distances are never stored.
//
// Each thread holds a few points that are still outside the tree, in registers, and for each the
// smallest edge to the tree. A step has one barrier: the warps elect the smallest edge of all,
// every warp fetches the point that has joined, and all measure their distance to it. Whenever half
// of the points have joined, the rest are dealt again to the first half of the threads.
#pragma once

#include "finish.cuh"

namespace torchtopo::cuda {

using Seat =
    std::uint32_t;  // vertex << 16 | older: a point outside the tree and its nearest inside

// As many threads as hold the points of a bag that have not joined, each of them `vertices`.
inline int fewest_threads(std::int64_t n, int vertices) {
  const std::int64_t threads = ceil_div(n > 1 ? n - 1 : 1, vertices);
  return int(ceil_div(threads, warp_size) * warp_size);
}

// What growing takes of the tree's scratch, for points of at most `dim` coordinates.
template <class Real>
std::size_t growing_bytes(std::int64_t n, int dim, int threads) {
  const std::size_t election = 2 * warp_size * sizeof(Choice<Key<Real>, Short>) +
                               std::size_t(threads / warp_size) * dim * sizeof(Real);
  return election + std::size_t((n + 1) / 2) * (sizeof(Key<Real>) + sizeof(Seat)) + 16;
}

// The edges of n points, in the order in which they are found.
template <class Real, class Rule, int dim, int vertices, class In>
__device__ inline void grow(const Real* points, int n, int d, const BlockTree<In>& tree) {
  using Chosen = Choice<Key<Real>, Short>;
  const int thread = threadIdx.x, lane = thread % warp_size, warp = thread / warp_size;
  const int threads = blockDim.x, warps = threads / warp_size;
  Chosen* board = reinterpret_cast<Chosen*>(tree.scratch);
  Real* joined = reinterpret_cast<Real*>(board + 2 * warp_size) + warp * dim;  // a copy per warp
  Key<Real>* dealt_keys = reinterpret_cast<Key<Real>*>(joined + (warps - warp) * dim);
  Seat* dealt = reinterpret_cast<Seat*>(dealt_keys + (n + 1) / 2);
  int* seats = reinterpret_cast<int*>(dealt + (n + 1) / 2);

  int newest = 0, found = 0, outside = n - 1;
  while (outside > 0) {
    Key<Real> key[vertices];
    int vertex[vertices], older[vertices];
    Real at[vertices][dim];
#pragma unroll
    for (int s = 0; s < vertices; ++s) {
      const int seat = thread + s * threads;
      const bool taken = seat < outside;
      const bool first_deal = found == 0;
      vertex[s] = !taken ? -1 : first_deal ? seat + 1 : int(dealt[seat] >> 16);
      older[s] = taken && !first_deal ? int(dealt[seat] & 0xffff) : 0;
      key[s] = taken && !first_deal ? dealt_keys[seat] : absent<Real>;
#pragma unroll
      for (int k = 0; k < dim; ++k) at[s][k] = taken && k < d ? points[vertex[s] * d + k] : Real(0);
    }
    const int busy = int(ceil_div(outside < threads ? outside : threads, warp_size));  // warps
    const int keep = outside / 2;
    for (; outside > keep; --outside, ++found) {
      Chosen best = Chosen::none();
      if (warp < busy) {
        constexpr int loads = int(ceil_div(dim, warp_size));  // of a lane, all under way at once
        Real fetched[loads];
#pragma unroll
        for (int l = 0; l < loads; ++l) {
          const int k = lane + l * warp_size;
          fetched[l] = k < d ? points[newest * d + k] : Real(0);
        }
        __syncwarp();
#pragma unroll
        for (int l = 0; l < loads; ++l)
          if (lane + l * warp_size < dim) joined[lane + l * warp_size] = fetched[l];
        __syncwarp();
#pragma unroll
        for (int s = 0; s < vertices; ++s) {
          Real length = 0;
#pragma unroll
          for (int begin = 0; begin < dim; begin += chunk) {
            Real part = 0;
#pragma unroll
            for (int k = begin; k < begin + chunk && k < dim; k += Quad<Real>::width) {
              const Quad<Real> other = *reinterpret_cast<const Quad<Real>*>(joined + k);
#pragma unroll
              for (int l = 0; l < Quad<Real>::width; ++l)
                part = Rule::add(part, at[s][k + l] - other.x[l]);
            }
            length = Rule::join(length, part);
          }
          const Key<Real> candidate = length_key(Rule::finish(length));
          // Of two edges at one vertex the one with the smaller other end is the smaller.
          if (candidate < key[s] || (candidate == key[s] && newest < older[s])) {
            key[s] = candidate;
            older[s] = newest;
          }
          if (vertex[s] < 0) continue;
          const Chosen choice = {key[s], Ends<Short>::code(Short(vertex[s]), Short(older[s]))};
          if (choice < best) best = choice;
        }
      }
      best = block_min(best, board, found % 2, busy);
      newest = Ends<Short>::newer(best.code);
#pragma unroll
      for (int s = 0; s < vertices; ++s)
        if (vertex[s] == newest) vertex[s] = -1;
      if (thread == 0) {
        tree.codes[found] = best.code;
        tree.keys[found] = best.key == Order<Real>::infinity;
      }
    }
    if (outside == 0) break;
    if (thread == 0) *seats = 0;
    __syncthreads();
#pragma unroll
    for (int s = 0; s < vertices; ++s) {
      if (vertex[s] < 0) continue;
      const int seat = atomicAdd(seats, 1);
      dealt[seat] = Seat(vertex[s]) << 16 | Seat(older[s]);
      dealt_keys[seat] = key[s];
    }
    __syncthreads();
  }
}

}  // namespace torchtopo::cuda
