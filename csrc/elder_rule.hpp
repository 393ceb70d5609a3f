// The elder rule of 0-dimensional persistence: of two components that merge, the younger dies.
#pragma once

#include <cstdint>

#include "union_find.hpp"

namespace torchtopo {

// dying[k] is the vertex that edge k of a sorted tree kills; padding (-1, -1) kills nobody.
inline void elder_rule(const std::int64_t* edges, std::int64_t count, std::int64_t vertices,
                       std::int64_t* dying, UnionFind& components) {
  components.reset(vertices);
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int64_t i = edges[2 * k], j = edges[2 * k + 1];
    const bool inside = 0 <= i && i < vertices && 0 <= j && j < vertices;
    dying[k] = inside ? components.merge(i, j) : -1;
  }
}

}  // namespace torchtopo
