// A Boruvka forest: which component each vertex is in, and how a round merges them.
//
// In a round each vertex names its nearest vertex in another component; from these each component
// takes its smallest edge. Edges are strictly ordered, so the taken edges close no cycle but that
// of two components which took the same edge. A component that hooks onto another leaves that edge
// at its root's place in `taken`: every vertex but one per bag gets one, and none gets two.
#pragma once

#include "bags.cuh"
#include "order.cuh"
#include "warp.cuh"

namespace torchtopo::cuda {

__device__ inline void atomic_min(std::int32_t* at, std::int32_t value) { atomicMin(at, value); }
__device__ inline void atomic_min(std::int64_t* at, std::int64_t value) {
  atomicMin(reinterpret_cast<long long*>(at), static_cast<long long>(value));
}
__device__ inline void atomic_min(std::uint64_t* at, std::uint64_t value) {
  atomicMin(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(value));
}

// Reads first: most find that others have lowered it already, and then nobody waits for the word.
template <class T>
__device__ inline void lower(T* at, T value) {
  if (value < *const_cast<volatile T*>(at)) atomic_min(at, value);
}

constexpr Long no_edge = largest<Long>;
constexpr int nobody = -1;

// Arrays over all rows of a batch, or over the vertices of one bag, in shared memory. Vertices and
// components go by their row; codes are `Ends<Long>` without a newer end.
template <class Real>
struct Forest {
  int rows, splits;
  int* component;           // the row of its root
  int* parent[2];           // of roots, while components merge
  Key<Real>* nearest_key;   // (splits, rows): the nearest vertex found in one part of the others
  int* nearest;             // nobody, if none was found
  Key<Real>* least;         // of roots: the smallest key that leaves the component
  Long* ends;               // of roots: the edge that has it
  Long* taken;              // the edges of the tree
  unsigned char* infinite;  // whether the key of a taken edge was infinite
  // Of a whole batch only:
  int* owner;       // the bag of a row, or nobody
  int* first;       // of a bag: its first row
  int* size;        // of a bag: its rows; 0 where cu_seqlens makes no sense
  int* left;        // of a bag: its components
  int* done;        // of a bag: whether it is a single one
  int* distrusted;  // of a bag: whether its keys cannot be trusted

  // Takes the arrays that merging needs.
  __host__ __device__ void take(Arena& arena) {
    taken = arena.take<Long>(rows);
    ends = arena.take<Long>(rows);
    least = arena.take<Key<Real>>(rows);
    nearest_key = arena.take<Key<Real>>(std::int64_t(splits) * rows);
    nearest = arena.take<int>(std::int64_t(splits) * rows);
    component = arena.take<int>(rows);
    parent[0] = arena.take<int>(rows);
    parent[1] = arena.take<int>(rows);
    infinite = arena.take<unsigned char>(rows);
  }
};

__device__ inline Long edge_code(int u, int v) { return Ends<Long>::code(Long(u), Long(v)) | 1; }

template <class Real>
__device__ void stand_alone(const Forest<Real>& f, int v) {
  f.component[v] = v;
  f.least[v] = absent<Real>;
  f.ends[v] = no_edge;
  f.taken[v] = no_edge;
}

// From the parts of a search: a vertex's nearest, and its component's least key.
template <class Real>
__device__ void join_parts(const Forest<Real>& f, int v) {
  Choice<Key<Real>, int> best = Choice<Key<Real>, int>::none();
  for (int s = 0; s < f.splits; ++s) {
    const std::int64_t at = std::int64_t(s) * f.rows + v;
    const Choice<Key<Real>, int> found = {f.nearest_key[at], f.nearest[at]};
    if (found.code != nobody && found < best) best = found;
  }
  f.nearest_key[v] = best.key;
  f.nearest[v] = best.key == absent<Real> ? nobody : best.code;
  if (best.key != absent<Real>) lower(&f.least[f.component[v]], best.key);
}

// The vertices that have their component's least key name their edge to it.
template <class Real>
__device__ void name_edge(const Forest<Real>& f, int v) {
  const int root = f.component[v];
  if (f.nearest[v] != nobody && f.nearest_key[v] == f.least[root])
    atomic_min(&f.ends[root], edge_code(v, f.nearest[v]));
}

// A root hooks onto the component at the other end of its edge. Whether it did.
template <class Real>
__device__ bool hook(const Forest<Real>& f, int v) {
  f.parent[0][v] = v;
  if (f.component[v] != v || f.ends[v] == no_edge) return false;
  const int i = Ends<Long>::smaller(f.ends[v]), j = Ends<Long>::larger(f.ends[v]);
  const int other = f.component[i] == v ? f.component[j] : f.component[i];
  if (f.ends[other] == f.ends[v] && v < other) return false;  // both took it: the smaller stays
  f.parent[0][v] = other;
  f.taken[v] = f.ends[v];
  f.infinite[v] = f.least[v] == Order<Real>::infinity;
  return true;
}

template <class Real>
__device__ void join(const Forest<Real>& f, int v, int root) {
  f.component[v] = root;
  f.least[v] = absent<Real>;  // for the next round
  f.ends[v] = no_edge;
}

// One round's merging, by a block, of the bag with rows first to first + size, once each
// component's least key is known. Whether it is now a single component, the same for all threads.
template <class Real>
__device__ bool merge(const Forest<Real>& f, int first, int size) {
  const int begin = first + threadIdx.x, end = first + size, step = blockDim.x;
  for (int v = begin; v < end; v += step) name_edge(f, v);
  __syncthreads();
  for (int v = begin; v < end; v += step) hook(f, v);
  int *parent = f.parent[0], *next = f.parent[1];
  bool moved = true;
  for (int jump = 0; moved && jump < most_rounds; ++jump) {  // until roots know their tree's root
    __syncthreads();
    moved = false;
    for (int v = begin; v < end; v += step) {
      const int grandparent = parent[parent[v]];
      next[v] = grandparent;
      moved |= grandparent != parent[v];
    }
    int* const last = parent;
    parent = next, next = last;
    moved = __syncthreads_or(moved);
  }
  bool apart = false;
  const int elder = parent[f.component[first]];
  __syncthreads();
  for (int v = begin; v < end; v += step) {
    join(f, v, parent[f.component[v]]);
    apart |= f.component[v] != elder;
  }
  return !__syncthreads_or(apart);
}

}  // namespace torchtopo::cuda
