// Which edge of one spanning tree each edge of another stands for, once lighter ones are
// contracted.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace torchtopo {

// Both trees span the same vertices, in Kruskal order. Edge k of `inner`, with its ends contracted
// by the edges of `inner` before it, closes a loop in what is left of `outer`; the heaviest edge of
// that loop is the one it replaces. Every edge of `outer` is replaced once. (Algorithm 1 of
// RTD-Lite, by one changing tree in place of a union-find for each edge.)
class Exchange {
 public:
  void operator()(const std::int64_t* inner, const std::int64_t* outer, std::int64_t count,
                  std::int64_t* replaced) {
    nodes_.assign(std::size_t(count + 1), Node());
    for (std::int64_t k = 0; k < count; ++k) {
      replaced[k] = -1;
      if (inside(outer + 2 * k, count)) link(outer[2 * k], outer[2 * k + 1], k);
    }
    for (std::int64_t k = 0; k < count; ++k) {
      if (!inside(inner + 2 * k, count)) continue;
      const std::int64_t u = inner[2 * k], v = inner[2 * k + 1];
      make_root(u);
      std::int64_t heaviest = -1;
      for (std::int64_t w = v; w >= 0 && w != u; w = at(w).up)
        if (at(w).rank > (heaviest < 0 ? -1 : at(heaviest).rank)) heaviest = w;
      if (heaviest < 0) continue;  // not two trees over the same vertices
      replaced[k] = at(heaviest).rank;
      at(heaviest) = Node();
      link(u, v, -1);
    }
  }

 private:
  struct Node {
    std::int64_t up = -1;    // a step to the root
    std::int64_t rank = -1;  // of the edge there; -1: contracted
  };
  Node& at(std::int64_t v) { return nodes_[std::size_t(v)]; }

  static bool inside(const std::int64_t* edge, std::int64_t last) {
    return 0 <= edge[0] && edge[0] <= last && 0 <= edge[1] && edge[1] <= last;
  }

  void link(std::int64_t u, std::int64_t v, std::int64_t rank) {
    make_root(v);
    at(v) = {u, rank};
  }

  void make_root(std::int64_t v) {
    Node before;
    while (v >= 0) {
      const Node next = at(v);
      at(v) = before;
      before = {v, next.rank};
      v = next.up;
    }
  }

  std::vector<Node> nodes_;
};

}  // namespace torchtopo
