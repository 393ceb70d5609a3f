// The merges of single linkage, numbered as scipy numbers them, from a tree in Kruskal order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../union_find.hpp"

namespace torchtopo {

// Row k merges two clusters into cluster vertices + k: the smaller number, the larger one, the
// height, and how many vertices the new cluster has. Vertex `first_name` is number 0. Padding
// becomes (-1, -1, 0, 0).
class Merges {
 public:
  template <class Real>
  void operator()(const std::int64_t* edges, const Real* heights, std::int64_t count,
                  std::int64_t first_name, Real* rows) {
    std::int64_t vertices = 1;
    while (vertices <= count && edges[2 * (vertices - 1)] >= 0) ++vertices;
    components_.reset(vertices);
    clusters_.resize(std::size_t(vertices));
    for (std::int64_t v = 0; v < vertices; ++v) clusters_[std::size_t(v)] = {v, 1};
    for (std::int64_t k = 0; k < count; ++k, rows += 4) {
      const std::int64_t i = edges[2 * k] - first_name, j = edges[2 * k + 1] - first_name;
      const bool inside = 0 <= i && i < vertices && 0 <= j && j < vertices;
      if (!inside) {
        rows[0] = rows[1] = -1, rows[2] = rows[3] = 0;
        continue;
      }
      const std::int64_t of_i = components_.find(i), of_j = components_.find(j);
      const Cluster a = of(of_i), b = of(of_j);
      components_.merge(of_i, of_j);
      Cluster& both = of(std::min(of_i, of_j));
      both = {vertices + k, a.size + b.size};
      rows[0] = Real(std::min(a.number, b.number));
      rows[1] = Real(std::max(a.number, b.number));
      rows[2] = heights[k];
      rows[3] = Real(both.size);
    }
  }

 private:
  struct Cluster {
    std::int64_t number, size;
  };
  Cluster& of(std::int64_t root) { return clusters_[std::size_t(root)]; }

  UnionFind components_;
  std::vector<Cluster> clusters_;  // of each component, under the name of its eldest vertex
};

}  // namespace torchtopo
