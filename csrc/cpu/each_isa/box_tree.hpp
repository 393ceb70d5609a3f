// A cloud in leaves of neighbours, W leaves to a node, W of these to a node above, up to one root;
// with the boxes around them all, so that few vector operations a coordinate tell how near all
// children of a node can be. Coordinates must be finite.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "../../order.hpp"
#include "../best_edges.hpp"
#include "../kd_order.hpp"
#include "../scratch.hpp"
#include "../team.hpp"
#include "rules.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

// A slot and how far it is from another; -1: there is none.
template <class Real>
struct Other {
  Key<Real> length;
  int slot;
};

template <class Real>
struct BoxTree {
  static constexpr int lanes = W<Real>, leaf_size = 16, vectors = leaf_size / lanes;
  using Index = std::size_t;
  using Lengths = Vec<Real, lanes>;
  using Keys = Vec<Key<Real>, lanes>;

  struct Box {
    Lengths low, high;  // one coordinate of a node's children
  };
  struct Level {
    Index children;  // of all its nodes; those of level 0 are leaves
    Box* boxes;      // [node][dimension]
    int* first;      // [child], the smallest vertex in it
  };

  int n;
  Index d;
  int* vertices;         // [slot], in k-d order
  Lengths* coordinates;  // [leaf][vector][dimension], filled up with NaN
  Level levels[32];
  int height = 0;

  BoxTree(const Real* points, int size, int dimension, Scratch& scratch, Team team)
      : n(size), d(Index(dimension)) {
    const Index leaves = Index(n + leaf_size - 1) / leaf_size;
    vertices = scratch.take<int>(Index(n));
    coordinates = scratch.take<Lengths>(leaves * vectors * d);
    if (dimension <= 4)
      fill(KdOrder<Real, 4>(points, n, dimension, leaf_size, team), team);
    else
      fill(KdOrder<Real>(points, n, dimension, leaf_size, team), team);
    for (Index children = leaves; height == 0 || children > 1; ++height) {
      const Index nodes = (children + lanes - 1) / lanes;
      Level& level = levels[height];
      level = {children, scratch.take<Box>(nodes * d), scratch.take<int>(children)};
      team.in_parts(std::int64_t(nodes), 64, [&](std::int64_t begin, std::int64_t end) {
        for (Index child = Index(begin) * lanes; child < Index(end) * lanes; ++child)
          enclose(level, child);
      });
      children = nodes;
    }
  }

  static Keys all(Key<Real> x) { return broadcast<Key<Real>, lanes>(x); }

  Edge<Real> edge(int slot, Other<Real> other) const {
    if (other.slot < 0) return no_edge<Real>;
    return {other.length,
            endpoints(std::uint32_t(vertices[slot]), std::uint32_t(vertices[other.slot]))};
  }

  // A slot's point, whose coordinates lie `lanes` apart.
  const Real* point(int slot) const {
    return reinterpret_cast<const Real*>(coordinates + Index(slot / lanes) * d) + slot % lanes;
  }

  // Lower bounds of the keys of the lengths from points in a box to those of a node's children.
  // They hold in floating point: boxes are at most as far apart in a coordinate as any points in
  // them, rounding keeps this order, and the same operations sum both.
  template <class Rule>
  Keys bounds(const Lengths* low, const Lengths* high, const Level& level, Index node) const {
    const Box* box = level.boxes + node * d;
    Lengths sum = {};
    for (Index k = 0; k < d; ++k)
      sum = Rule::template add<Real, lanes>(
          sum, maximum(maximum(Lengths{}, box[k].low - high[k]), low[k] - box[k].high));
    return length_keys<Real, lanes>(sum);
  }

  // Those from several points, a lane each, to one child's.
  template <class Rule>
  Keys bounds_of(const Lengths* x, const Level& level, Index node, int child) const {
    const Box* box = level.boxes + node * d;
    Lengths sum = {};
    for (Index k = 0; k < d; ++k) {
      const auto low = broadcast<Real, lanes>(box[k].low[child]);
      const auto high = broadcast<Real, lanes>(box[k].high[child]);
      sum = Rule::template add<Real, lanes>(sum,
                                            maximum(maximum(Lengths{}, low - x[k]), x[k] - high));
    }
    return length_keys<Real, lanes>(sum);
  }

  // Of points within a child, a lane each, lower bounds to what lies outside it: in some coordinate
  // a halving has set it apart, on the other side of the box.
  template <class Rule>
  Keys margins(const Lengths* x, int level, Index child) const {
    const Box* box = levels[level].boxes + child / lanes * d;
    Lengths least = broadcast<Real, lanes>(std::numeric_limits<Real>::infinity());
    for (Index k = 0; k < d; ++k)
      least = minimum(minimum(x[k] - broadcast<Real, lanes>(box[k].low[child % lanes]),
                              broadcast<Real, lanes>(box[k].high[child % lanes]) - x[k]),
                      least);
    return length_keys<Real, lanes>(Rule::template add<Real, lanes>(Lengths{}, least));
  }

  // The keys of the lengths from points to those of a vector, lane by lane.
  template <class Rule>
  Keys lengths(const Lengths* x, Index vector) const {
    const Lengths* to = coordinates + vector * d;
    Lengths sum = {};
    for (Index k = 0; k < d; ++k) sum = Rule::template add<Real, lanes>(sum, to[k] - x[k]);
    return length_keys<Real, lanes>(sum);
  }

 private:
  template <class Order>
  void fill(const Order& order, Team team) {
    const auto leaves = std::int64_t(n + leaf_size - 1) / leaf_size;
    team.in_parts(leaves, 64, [&](std::int64_t begin, std::int64_t end) {
      for (Index s = Index(begin) * leaf_size; s < Index(end) * leaf_size; ++s) {
        if (s < Index(n)) vertices[s] = order.vertex(s);
        for (Index k = 0; k < d; ++k)
          coordinates[s / lanes * d + k][s % lanes] =
              s < Index(n) ? order.coordinate(s, k) : std::numeric_limits<Real>::quiet_NaN();
      }
    });
  }

  // The box and the smallest vertex of a child; an empty box for a lane without a child.
  void enclose(Level& level, Index child) {
    const Level* below = &level == levels ? nullptr : &level - 1;
    const Index begin = child * Index(below ? lanes : leaf_size);
    const Index end =
        std::min(begin + Index(below ? lanes : leaf_size), below ? below->children : Index(n));
    for (Index k = 0; k < d; ++k) {
      Lengths low = broadcast<Real, lanes>(std::numeric_limits<Real>::infinity());
      Lengths high = Lengths{} - low;
      if (below && begin < end) {
        low = below->boxes[child * d + k].low;
        high = below->boxes[child * d + k].high;
      } else if (begin < end) {
        for (Index t = child * vectors; t < (child + 1) * vectors; ++t) {
          low = minimum(coordinates[t * d + k], low);
          high = maximum(high, coordinates[t * d + k]);
        }
      }
      Real least = low[0], most = high[0];
      for (int c = 1; c < lanes; ++c) {
        least = std::min<Real>(least, low[c]);
        most = std::max<Real>(most, high[c]);
      }
      Box& box = level.boxes[child / lanes * d + k];
      box.low[child % lanes] = least;
      box.high[child % lanes] = most;
    }
    const int* names = below ? below->first : vertices;
    if (begin < end) level.first[child] = *std::min_element(names + begin, names + end);
  }
};

}  // namespace torchtopo::ISA
