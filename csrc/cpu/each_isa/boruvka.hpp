// Boruvka's algorithm over a tree of boxes: every component finds the smallest edge that leaves it,
// these edges join components, and so on until there is one. The order of edges is strict, so the
// tree is Kruskal's. O(N D) memory; in few dimensions the time is nearly that of sorting.
//
// Compiled once for each instruction set (see all.inc).
#ifndef TORCHTOPO_EACH_ISA_BORUVKA_HPP
#define TORCHTOPO_EACH_ISA_BORUVKA_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../../order.hpp"
#include "../../union_find.hpp"
#include "../scratch.hpp"
#include "box_tree.hpp"
#include "rules.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

template <class Rule, class Real>
class Boruvka {
  using Tree = BoxTree<Real>;
  using Index = std::size_t;
  using Keys = typename Tree::Keys;
  static constexpr int lanes = Tree::lanes, vectors = Tree::vectors, leaf_size = Tree::leaf_size;
  static constexpr int mixed = -1;
  static constexpr Edge<Real> no_edge = {std::numeric_limits<Key<Real>>::max(), ~Endpoints(0)};

 public:
  Boruvka(const Real* points, int n, int d, Scratch& scratch)
      : tree_(points, n, d, scratch), n_(n) {
    component_ = scratch.take<int>(tree_.levels[0].children * leaf_size);
    known_ = scratch.take<Found>(Index(n));
    best_ = scratch.take<Found>(Index(n));
    for (int level = 0; level < tree_.height; ++level)
      only_[level] = scratch.take<int>(tree_.levels[level].children + lanes);
    std::fill_n(component_, tree_.levels[0].children * leaf_size, 0);
    std::fill_n(known_, n, Found{{0, 0}, -1, -1});
  }

  void run(Edge<Real>* edges) {
    UnionFind merged;
    merged.reset(n_);
    for (int found = 0; found < n_ - 1;) {
      for (int s = 0; s < n_; ++s) component_[s] = int(merged.find(s));
      find_only();
      find_best();
      for (int c = 0; c < n_; ++c)
        if (component_[c] == c && merged.merge(best_[c].from, best_[c].to) >= 0)
          edges[found++] = best_[c].edge;
    }
  }

 private:
  struct Found {
    Edge<Real> edge;
    int from, to;  // slots
  };

  // The points of a leaf that look for an edge that leaves their component.
  struct Asking {
    Index leaf;
    std::uint32_t which = 0;
    int only = mixed;            // the component of them all
    Key<Real> limit[leaf_size];  // of each, the weight of the best edge known
    Edge<Real> farthest;         // and the largest of these edges
  };

  // Marks leaves and nodes that lie in one component.
  void find_only() {
    for (int level = 0; level < tree_.height; ++level) {
      const int* of = level == 0 ? component_ : only_[level - 1];
      const Index size = level == 0 ? leaf_size : lanes;
      const Index all = level == 0 ? Index(n_) : tree_.levels[level - 1].children;
      for (Index child = 0; child < tree_.levels[level].children; ++child) {
        const int* begin = of + child * size;
        const int* end = of + std::min((child + 1) * size, all);
        const bool one = std::all_of(begin, end, [=](int c) { return c == *begin; });
        only_[level][child] = one ? *begin : mixed;
      }
    }
  }

  // The smallest edge that leaves each component.
  void find_best() {
    std::fill_n(best_, n_, Found{no_edge, -1, -1});
    for (int s = 0; s < n_; ++s) {
      Found& mine = known_[s];
      if (mine.to >= 0 && component_[mine.to] == component_[s]) mine.to = -1;
      Found& best = best_[component_[s]];
      if (mine.to >= 0 && mine.edge < best.edge) best = mine;
    }
    for (Index leaf = 0; leaf < tree_.levels[0].children; ++leaf) {
      Asking asking;
      asking.leaf = leaf;
      for (int c = 0; c < leaf_size; ++c) {
        const int s = slot(leaf, c);
        if (s >= n_ || known_[s].to >= 0 || !(known_[s].edge < best_[component_[s]].edge)) continue;
        asking.only = asking.which == 0 || asking.only == component_[s] ? component_[s] : mixed;
        asking.which |= 1u << c;
      }
      if (asking.which) search(asking);
    }
  }

  static int slot(Index leaf, int c) { return int(leaf) * leaf_size + c; }

  // From a leaf outwards: what is near is found first, and spares what is far.
  void search(Asking& asking) {
    narrow(asking);
    Index child = asking.leaf;
    visit_leaf(child, asking);
    for (int level = 0; level < tree_.height; ++level, child /= lanes)
      visit_children(level, child / lanes, child, asking);
    for (auto which = asking.which; which; which &= which - 1) {
      const int s = slot(asking.leaf, trailing_zeros(which));
      known_[s] = best_[component_[s]];
      if (known_[s].from != s) known_[s].to = -1;
    }
  }

  // Sets how far the points look from what is known by now.
  void narrow(Asking& asking) const {
    std::fill_n(asking.limit, leaf_size, Key<Real>(-1));
    asking.farthest = {-1, 0};
    for (auto which = asking.which; which; which &= which - 1) {
      const int c = trailing_zeros(which);
      const Edge<Real>& best = best_[component_[slot(asking.leaf, c)]].edge;
      asking.limit[c] = best.weight;
      if (asking.farthest < best) asking.farthest = best;
    }
  }

  // All children of a node but one.
  void visit_children(int level, Index node, Index but, Asking& asking) {
    const auto& at = tree_.levels[level];
    const Index begin = node * lanes;
    const std::uint32_t first = std::uint32_t(tree_.levels[0].first[asking.leaf]);
    Key<Real> nearest[lanes];
    store(nearest, tree_.template from_leaf<Rule>(asking.leaf, at, node));
    std::uint32_t near = 0;
    for (int c = 0; c < lanes; ++c) {
      const int only = only_[level][begin + Index(c)];
      const bool leaves = (only != asking.only) | (only == mixed);
      near |= std::uint32_t((nearest[c] <= asking.farthest.weight) & leaves) << c;
    }
    for (; near; near &= near - 1) {
      const int c = trailing_zeros(near);
      const Index child = begin + Index(c);
      if (child == but || child >= at.children) continue;
      const Edge<Real> bound = {nearest[c], endpoints(first, std::uint32_t(at.first[child]))};
      if (!(bound < asking.farthest)) continue;
      level == 0 ? visit_leaf(child, asking) : visit_children(level - 1, child, ~Index(0), asking);
    }
  }

  void visit_leaf(Index leaf, Asking& asking) {
    std::uint32_t near = 0;
    for (int t = 0; t < vectors; ++t) {
      Key<Real> nearest[lanes];
      store(nearest, tree_.template to_leaf<Rule>(leaf, asking.leaf * vectors + Index(t)));
      for (int c = 0; c < lanes; ++c)
        near |= std::uint32_t(nearest[c] <= asking.limit[t * lanes + c]) << (t * lanes + c);
    }
    bool any = false;
    for (; near; near &= near - 1) {
      const int s = slot(asking.leaf, trailing_zeros(near));
      if (only_[0][leaf] != component_[s]) any |= measure(s, leaf);
    }
    if (any) narrow(asking);
  }

  // Whether the smallest edge from a slot into a leaf is the best of its component so far.
  bool measure(int s, Index leaf) {
    Found& best = best_[component_[s]];
    const auto mine = broadcast<Key<Real>, lanes>(component_[s]);
    const auto none = broadcast<Key<Real>, lanes>(no_edge.weight);
    Keys lengths[vectors], least = none;
    for (Index t = 0; t < Index(vectors); ++t) {
      const Index at = leaf * vectors + t;
      const auto theirs = convert<Key<Real>, lanes>(load<int, lanes>(component_ + at * lanes));
      lengths[t] = select(theirs == mine, none, tree_.template lengths<Rule>(s, at));
      least = minimum(lengths[t], least);
    }
    const Key<Real> shortest = smallest(least);
    if (shortest > best.edge.weight) return false;
    Key<Real> length[leaf_size];
    std::memcpy(length, lengths, sizeof length);
    bool any = false;
    for (int c = 0; c < leaf_size; ++c) {
      const int to = slot(leaf, c);
      if (length[c] != shortest || to >= n_) continue;
      const Edge<Real> edge = {
          shortest, endpoints(std::uint32_t(tree_.vertices[s]), std::uint32_t(tree_.vertices[to]))};
      if (edge < best.edge) best = {edge, s, to}, any = true;
    }
    return any;
  }

  static Key<Real> smallest(Keys keys) {
    Key<Real> key[lanes];
    store(key, keys);
    return *std::min_element(key, key + lanes);
  }

  const Tree tree_;
  const int n_;
  int* component_;  // [slot], the number of one of its slots
  Found* known_;    // [slot], its smallest edge out of the component; without `to` a lower bound
  Found* best_;     // [component]
  int* only_[32];   // [level][child], the component in which all of it lies, or mixed
};

template <class Rule, class Real>
void boruvka(const Real* points, int n, int d, Scratch& scratch, Edge<Real>* tree) {
  Boruvka<Rule, Real>(points, n, d, scratch).run(tree);
}

}  // namespace torchtopo::ISA

#endif
