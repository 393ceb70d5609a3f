// What one scan of a batch leaves for all rounds of Boruvka: for each vertex the least edge to each
// segment of the rows of its bag.
//
// Components only grow, so an edge that was the least to a segment stays so until its other end
// joins the vertex's component; from then on its key bounds from below what the segment still has,
// and the segment is read again only where that bound does not exclude it. At one vertex the order
// (key, i, j) is the order (key, other end).
#pragma once

#include "forest.cuh"

namespace torchtopo::cuda {

constexpr int side = 64;  // rows and columns of a tile

// Bytes of segments, at most; beyond, every round measures everything anew. Tests lower it.
inline std::int64_t most_segment_bytes = std::int64_t(512) << 20;

template <class Real>
struct Segments {
  int shift = 0;     // of rows of the batch to their segment; 0: there are none
  int count = 0;     // of one vertex, at most
  Key<Real>* key;    // (count, rows): the least key of an edge to a row of the segment
  int* nearest;      // the row; the vertex itself, under the key `absent`, where there is none left
  Key<Real>* bound;  // of a vertex: the least key of a segment whose nearest is in its component

  // Those of points are as wide as their memory wants; of matrices they are a small part.
  static Segments in(Arena& arena, Metric metric, const Bags& bags) {
    constexpr int narrowest = 6, widest = 10;
    static_assert(1 << narrowest == side);
    Segments s = {};
    for (int shift = narrowest; shift <= widest && !s.exist(); ++shift) {
      s.count = int(ceil_div(bags.n - 1, std::int64_t(1) << shift)) + 1;
      const std::int64_t cells = s.count * bags.rows;
      if (metric == Metric::precomputed ||
          cells * std::int64_t(sizeof(Key<Real>) + sizeof(int)) <= most_segment_bytes)
        s.shift = shift;
    }
    if (!s.exist()) return s;
    s.key = arena.take<Key<Real>>(s.count * bags.rows);
    s.nearest = arena.take<int>(s.count * bags.rows);
    s.bound = arena.take<Key<Real>>(bags.rows);
    return s;
  }
  bool exist() const { return shift > 0; }
  __host__ __device__ int width() const { return 1 << shift; }

  // The cell of a vertex whose bag begins at `first`, and of the segment that `row` lies in.
  __device__ std::int64_t cell(int rows, int first, int row, int vertex) const {
    return std::int64_t((row >> shift) - (first >> shift)) * rows + vertex;
  }
  __device__ int last(int first, int size) const {
    return ((first + size - 1) >> shift) - (first >> shift);
  }
};

// What the segments of a vertex say of a round: the least edge that is known to leave the
// component, and the least key of what is to be looked for.
template <class Real>
struct Seen {
  Choice<Key<Real>, int> best;
  Key<Real> bound;
};

// From every `parts`-th segment.
template <class Real>
__device__ Seen<Real> look(const Forest<Real>& forest, const Segments<Real>& segments, int bag,
                           int vertex, int part, int parts) {
  Seen<Real> seen = {Choice<Key<Real>, int>::none(), absent<Real>};
  const int own = forest.component[vertex];
  const int last = segments.last(forest.first[bag], forest.size[bag]);
#pragma unroll 4
  for (int c = part; c <= last; c += parts) {
    const std::int64_t at = std::int64_t(c) * forest.rows + vertex;
    const Key<Real> key = segments.key[at];
    const int other = segments.nearest[at];
    const bool inside = forest.component[other] == own;
    if (!inside && key < seen.best.key) seen.best = {key, other};  // rows ascend
    if (inside && key < seen.bound) seen.bound = key;
  }
  return seen;
}

template <class Real>
__device__ void note(const Forest<Real>& forest, const Segments<Real>& segments, int vertex,
                     const Seen<Real>& seen) {
  const bool found = seen.best.key != absent<Real>;
  forest.nearest_key[vertex] = seen.best.key;
  forest.nearest[vertex] = found ? seen.best.code : nobody;
  segments.bound[vertex] = seen.bound;
  if (found) lower(&forest.least[forest.component[vertex]], seen.best.key);
}

// Reads again, by a warp, what the bounds do not exclude from holding the component's least edge.
// `space.nearest(vertex, own, component, begin, end)` is the least edge from a vertex to those rows
// in [begin, end) that are not in its component.
template <class Real, class Searched>
__device__ void read_again(const Forest<Real>& forest, const Segments<Real>& segments,
                           const Searched& space, int bag, int vertex) {
  using Chosen = Choice<Key<Real>, int>;
  const int own = forest.component[vertex], lane = threadIdx.x % warp_size;
  Key<Real> limit = forest.least[own];
  limit = warp_min(limit);  // others lower it meanwhile: one value for all lanes
  if (segments.bound[vertex] > limit || segments.bound[vertex] == absent<Real>) return;
  const int first = forest.first[bag], size = forest.size[bag];
  const int last = segments.last(first, size), start = first >> segments.shift;
  Chosen best = {forest.nearest_key[vertex], forest.nearest[vertex]};
  for (int c0 = 0; c0 <= last; c0 += warp_size) {
    const std::int64_t at = std::int64_t(c0 + lane) * forest.rows + vertex;
    Chosen there = {absent<Real>, vertex};
    if (c0 + lane <= last) there = {segments.key[at], segments.nearest[at]};
    bool bounds = there.key != absent<Real> && forest.component[there.code] == own;
    for (int read = 0; read < warp_size; ++read) {
      const bool open = bounds && there.key <= limit && there < best;
      const int next = warp_min(open ? lane : warp_size);
      if (next == warp_size) break;
      const int row = (start + c0 + next) << segments.shift, end = row + segments.width();
      const Chosen found = space.nearest(vertex, own, forest.component, row < first ? first : row,
                                         end < first + size ? end : first + size);
      if (lane == next) {
        bounds = false;
        segments.key[at] = found.key;
        segments.nearest[at] = found.key == absent<Real> ? vertex : found.code;
      }
      if (found.key != absent<Real> && (best.code == nobody || found < best)) best = found;
      limit = best.key < limit ? best.key : limit;
    }
  }
  if (lane != 0 || best.code == nobody) return;
  forest.nearest_key[vertex] = best.key;
  forest.nearest[vertex] = best.code;
  lower(&forest.least[own], best.key);
}

}  // namespace torchtopo::cuda
