// Prim's algorithm over the distances of codes. Its tree is the one sought but for edges that are
// nearly as long as another on their loop: those are found on the way and measured, and of them and
// the tree's, Kruskal takes the best.
//
// Prim adds a vertex at a time. The longest edge of the path between two vertices of its tree is
// the longest that was added after the first of them, up to the second. An edge longer than that,
// by more than codes can be wrong, is the longest of a loop and in no tree.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../../order.hpp"
#include "../../union_find.hpp"
#include "../isa.hpp"
#include "../scratch.hpp"
#include "../sort.hpp"
#include "../team.hpp"
#include "codes.hpp"
#include "lanes.hpp"
#include "mirror.hpp"
#include "prim.hpp"
#include "rules.hpp"
#include "simd.hpp"
#include "tiles.hpp"

namespace torchtopo::ISA {

// The edges that may be in the tree, gathered while Prim runs: at most so many.
class Near {
  static constexpr int L = W<float>, B = COLUMNS * L;  // as rows are padded
  using Keys = Vec<float, L>;                          // keys as floats, which compare alike

 public:
  Near(const float* rows, std::size_t stride, int n, Margin margin, std::size_t room,
       Scratch& scratch)
      : ends(scratch.take<Endpoints>(room + B)),
        rows_(rows),
        stride_(stride),
        room_(room),
        padded_((n + B - 1) / B * B),
        margin_(margin),
        limits_(scratch.take<float>(std::size_t(padded_))) {
    std::fill_n(limits_, padded_, std::numeric_limits<float>::quiet_NaN());
    limits_[0] = 0;
  }

  bool too_many() const { return count > room_; }

  // Meets a vertex that an edge of this weight has just made part of the tree.
  void operator()(int v, Key<float> weight) {
    if (too_many()) return;
    const auto longest = broadcast<float, L>(weight_of<float>(margin_.beyond(weight)));
    const float* row = rows_ + std::size_t(v) * stride_;
    for (int left = 0; left < padded_ && !too_many(); left += B) {
      auto near = Keys{} < Keys{};
      for (int c = left; c < left + B; c += L) {
        // Outside the tree there is NaN, which stays so and compares with nothing.
        const Keys limit = maximum(load<float, L>(limits_ + c), longest);
        store(limits_ + c, limit);
        near = near | (load<float, L>(row + c) < limit);
      }
      if (some(near)) gather(v, row, left);
    }
    limits_[v] = 0;
  }

  Endpoints* ends;
  std::size_t count = 0;

 private:
  void gather(int v, const float* row, int left) {
    float keys[B];
    std::memcpy(keys, row + left, sizeof keys);
    for (int c = 0; c < B; ++c)
      if (keys[c] < limits_[left + c]) ends[count++] = endpoints(unsigned(left + c), unsigned(v));
  }

  const float* rows_;
  std::size_t stride_, room_;
  int padded_;
  Margin margin_;
  float* limits_;  // of each vertex in the tree, what the longest edge since then makes near
};

// The keys that the tiles give these pairs: the same sums in the same order.
template <class Rule, class Real>
void keys_of_pairs(const Real* points, int d, const Endpoints* ends, std::size_t count,
                   Edge<Real>* edges) {
  constexpr int T = Tile<Real>::T, groups = 2, P = T * groups;
  using Numbers = Vec<Real, T>;
  const std::size_t depth = std::size_t(d);
  for (std::size_t first = 0; first < count; first += P) {
    const Real *x[P], *y[P];
    for (int p = 0; p < P; ++p) {
      const Endpoints pair = ends[std::min(first + std::size_t(p), count - 1)];
      x[p] = points + smaller(pair) * depth;
      y[p] = points + larger(pair) * depth;
    }
    Numbers total[groups] = {};
    for (int from = 0; from < d; from += deep) {
      const int to = std::min(from + deep, d);
      Numbers sum[groups] = {};
      int k = from;
      for (; k + T <= to; k += T) {
        for (int g = 0; g < groups; ++g) {
          Tile<Real> tile;
          tile.load_transposed([&](int s, int t, int column) {
            const int u = g * T + s, v = g * T + t, at = k + column;
            return load_halves<Real, T>(x[u] + at, x[v] + at) -
                   load_halves<Real, T>(y[u] + at, y[v] + at);
          });
          for (int t = 0; t < T; ++t)
            sum[g] = Rule::template add<Real, T>(sum[g], bits<Numbers>(tile.row[t]));
        }
      }
      for (; k < to; ++k)
        for (int g = 0; g < groups; ++g) {
          Numbers difference;
          for (int t = 0; t < T; ++t) difference[t] = x[g * T + t][k] - y[g * T + t][k];
          sum[g] = Rule::template add<Real, T>(sum[g], difference);
        }
      for (int g = 0; g < groups; ++g)
        total[g] = from > 0 ? Rule::template join<Real, T>(total[g], sum[g]) : sum[g];
    }
    for (int g = 0; g < groups; ++g) {
      const auto keys = length_keys<Real, T>(total[g]);
      for (int t = 0; t < T; ++t) {
        const std::size_t p = first + std::size_t(g * T + t);
        if (p < count) edges[p] = {keys[t], ends[p]};
      }
    }
  }
}

// The tree of these edges.
template <class Real>
void kruskal(int n, Edge<Real>* edges, std::size_t count, Scratch& scratch, Edge<Real>* tree) {
  sort_edges(edges, int(count), scratch);
  UnionFind components;
  components.reset(n);
  for (std::size_t k = 0; k < count; ++k)
    if (components.merge(smaller(edges[k].ends), larger(edges[k].ends)) >= 0) *tree++ = edges[k];
}

// The edges that may be in the tree of points with these codes, and the keys of all distances.
template <class Lanes>
Near near_edges(const Codes& codes, int n, Margin margin, std::size_t room, Scratch& scratch,
                Team team, std::int32_t* keys, std::size_t stride) {
  codes.distances(scratch, team, keys, stride);
  const float* rows = reinterpret_cast<const float*>(keys);
  Near near(rows, stride, n, margin, room, scratch);
  Edge<float>* tree = scratch.take<Edge<float>>(std::size_t(n));
  prim<Lanes>(Rows<float>{rows, stride, n, tree}, scratch,
              [&](int v, Key<float> weight) { near(v, weight); });
  return near;
}

// Of about m points, one from each part of the cloud, so that no period in their order is met.
template <class Real>
const Real* some_points(const Real* points, int n, int d, int m, Scratch& scratch) {
  const std::size_t depth = std::size_t(d);
  Real* some = scratch.take<Real>(std::size_t(m) * depth);
  for (std::uint32_t i = 0; i < std::uint32_t(m); ++i) {
    const auto first = std::uint32_t(std::uint64_t(i) * std::uint64_t(n) / std::uint64_t(m));
    const auto next = std::uint32_t(std::uint64_t(i + 1) * std::uint64_t(n) / std::uint64_t(m));
    const std::size_t chosen = first + (i * 2654435761u >> 8) % (next - first);
    std::copy_n(points + chosen * depth, depth, some + std::size_t(i) * depth);
  }
  return some;
}

// The pair whose key of the direct path is the largest, measured among all that may be; false if
// these are too many.
template <class Rule, class Real>
bool farthest_by_codes(const Real* points, int n, int d, Margin margin, const std::int32_t* keys,
                       std::size_t stride, std::size_t room, Scratch& scratch, Team team,
                       Farthest<Real>& far) {
  std::int32_t* largest = scratch.take<std::int32_t>(std::size_t(n));
  team.in_parts(n, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int32_t* row = keys + std::size_t(i) * stride;
      std::int32_t most = 0;
      for (int j = int(i) + 1; j < n; ++j) most = std::max(most, row[j]);
      largest[i] = most;
    }
  });
  const std::int32_t least = margin.short_of(*std::max_element(largest, largest + n));
  Endpoints* ends = scratch.take<Endpoints>(room);
  std::size_t count = 0;
  for (int i = 0; i < n; ++i)
    for (int j = i + 1; j < n && largest[i] >= least; ++j) {
      if (keys[std::size_t(i) * stride + std::size_t(j)] < least) continue;
      if (count == room) return false;
      ends[count++] = endpoints(unsigned(i), unsigned(j));
    }
  Edge<Real>* edges = scratch.take<Edge<Real>>(count);
  keys_of_pairs<Rule>(points, d, ends, count, edges);
  for (std::size_t k = 0; k < count; ++k) far.offer(edges[k].weight, edges[k].ends);
  return true;
}

// What codes found of tree and farthest pair.
struct Found {
  bool tree, farthest;
};

// Nothing is found where codes cannot tell enough: coordinates that are not finite or out of the
// range of squares, and, as a trial with some of the points shows, too many edges nearly as long as
// others. `far` may be null. The keys are room for the matrix.
template <class Lanes, class Rule, class Real>
Found prim_codes(const Real* points, int n, int d, Scratch& scratch, Team team, std::int32_t* keys,
                 std::size_t stride, Edge<Real>* tree, Farthest<Real>* far) {
  const int m = std::min(128, (n + 4) / 5);
  const auto room_for = [](int count, double share) {
    return std::size_t(count + share * count * count / 2);
  };
  const Real* some = some_points(points, n, d, m, scratch);
  const Grid<Real> grid(points, n, d, some, m, scratch, team);
  if (!grid.usable()) return {};
  const Margin margin = grid.margin();
  const auto near_of = [&](const Real* x, int count, std::size_t room) {
    const Codes codes(grid, x, count, d, scratch, team);
    return near_edges<Lanes>(codes, count, margin, room, scratch, team, keys, stride);
  };
  if (near_of(some, m, room_for(m, 0.02)).too_many()) return {};
  const std::size_t room = room_for(n, 0.05);
  const Near near = near_of(points, n, room);
  if (near.too_many()) return {};
  Edge<Real>* edges = scratch.take<Edge<Real>>(near.count);
  team.in_parts(std::int64_t(near.count), 256, [&](std::int64_t begin, std::int64_t end) {
    keys_of_pairs<Rule>(points, d, near.ends + begin, std::size_t(end - begin), edges + begin);
  });
  kruskal(n, edges, near.count, scratch, tree);
  return {true, far && farthest_by_codes<Rule>(points, n, d, margin, keys, stride, room, scratch,
                                               team, *far)};
}

}  // namespace torchtopo::ISA
