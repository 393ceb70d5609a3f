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
#include "../kd_order.hpp"
#include "../scratch.hpp"
#include "../team.hpp"
#include "rules.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

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
    const KdOrder<Real> order(points, n, dimension, leaf_size, scratch, team);
    const Index leaves = Index(n + leaf_size - 1) / leaf_size;
    vertices = scratch.take<int>(Index(n));
    coordinates = scratch.take<Lengths>(leaves * vectors * d);
    team.in_parts(std::int64_t(leaves), 64, [&](std::int64_t begin, std::int64_t end) {
      for (Index s = Index(begin) * leaf_size; s < Index(end) * leaf_size; ++s) {
        if (s < Index(n)) vertices[s] = order.vertex(s);
        for (Index k = 0; k < d; ++k)
          coordinates[s / lanes * d + k][s % lanes] = s < Index(n)
                                                          ? points[Index(vertices[s]) * d + k]
                                                          : std::numeric_limits<Real>::quiet_NaN();
      }
    });
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

  // A slot's point, whose coordinates lie `lanes` apart.
  const Real* point(int slot) const {
    return reinterpret_cast<const Real*>(coordinates + Index(slot / lanes) * d) + slot % lanes;
  }

  // Lower bounds of the keys of the lengths from a point to those of a node's children. They hold
  // in floating point: a box is at most as far away in a coordinate as any point in it, rounding
  // keeps this order, and the same operations sum both.
  template <class Rule>
  Keys bounds(const Real* point, const Level& level, Index node) const {
    const Box* box = level.boxes + node * d;
    Lengths sum = {};
    for (Index k = 0; k < d; ++k) {
      const auto x = broadcast<Real, lanes>(point[k * lanes]);
      const auto apart = maximum(maximum(Lengths{}, box[k].low - x), x - box[k].high);
      sum = Rule::template add<Real, lanes>(sum, apart);
    }
    return length_keys<Real, lanes>(sum);
  }

  // The keys of the lengths from a point to those of a vector.
  template <class Rule>
  Keys lengths(const Real* point, Index vector) const {
    const Lengths* to = coordinates + vector * d;
    Lengths sum = {};
    for (Index k = 0; k < d; ++k)
      sum = Rule::template add<Real, lanes>(sum, to[k] - broadcast<Real, lanes>(point[k * lanes]));
    return length_keys<Real, lanes>(sum);
  }

 private:
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
