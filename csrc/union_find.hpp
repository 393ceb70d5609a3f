// Components that merge, as Kruskal's algorithm asks for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace torchtopo {

// Components are named by their smallest vertex. All vertices are born at 0, so of two components
// that merge, the one with the larger name is the younger, and it is the younger that dies.
class UnionFind {
 public:
  void reset(std::int64_t vertices) {
    parent_.resize(std::size_t(vertices));
    for (std::int64_t v = 0; v < vertices; ++v) parent_[std::size_t(v)] = v;
  }

  std::int64_t find(std::int64_t v) {
    while (parent_[std::size_t(v)] != v) {
      std::int64_t& up = parent_[std::size_t(v)];
      v = up = parent_[std::size_t(up)];  // path halving
    }
    return v;
  }

  // The same, and leaves the paths as they are: threads may ask at once.
  std::int64_t root(std::int64_t v) const {
    while (parent_[std::size_t(v)] != v) v = parent_[std::size_t(v)];
    return v;
  }

  // Merges the components of i and j; returns the name that dies, -1 if they were one already.
  std::int64_t merge(std::int64_t i, std::int64_t j) {
    std::int64_t elder = find(i), younger = find(j);
    if (elder == younger) return -1;
    if (elder > younger) std::swap(elder, younger);
    return parent_[std::size_t(younger)] = elder, younger;
  }

 private:
  std::vector<std::int64_t> parent_;
};

}  // namespace torchtopo
