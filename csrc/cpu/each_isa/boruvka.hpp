// Boruvka's algorithm over a tree of boxes: every component finds the smallest edge that leaves it,
// these edges join components, and so on until there is one. The order of edges is strict, so the
// tree is Kruskal's. O(N D) memory; in few dimensions the time is nearly that of sorting.
//
// A team shares out the leaves. What one thread finds spares the others what is farther, so that
// who measures what depends on who comes first, but the smallest edges do not.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../../order.hpp"
#include "../best_edges.hpp"
#include "../scratch.hpp"
#include "../team.hpp"
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

 public:
  Boruvka(const Real* points, int n, int d, Scratch& scratch, Team team)
      : tree_(points, n, d, scratch, team), n_(n), team_(team), best_(n, scratch, team) {
    component_ = scratch.take<int>(tree_.levels[0].children * leaf_size);
    known_ = scratch.take<Leaving<Real>>(Index(n));
    for (int level = 0; level < tree_.height; ++level)
      only_[level] = scratch.take<int>(tree_.levels[level].children + lanes);
    std::fill_n(component_, tree_.levels[0].children * leaf_size, 0);
    std::fill_n(known_, n, Leaving<Real>{{0, 0}, -1, -1});
  }

  void run(Edge<Real>* edges) {
    best_.join_all(component_, edges, [this] {
      find_only();
      find_best();
    });
  }

 private:
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
      const auto children = std::int64_t(tree_.levels[level].children);
      team_.in_parts(children, 1024, [&](std::int64_t first, std::int64_t last) {
        for (Index child = Index(first); child < Index(last); ++child) {
          const int* begin = of + child * size;
          const int* end = of + std::min((child + 1) * size, all);
          const bool one = std::all_of(begin, end, [=](int c) { return c == *begin; });
          only_[level][child] = one ? *begin : mixed;
        }
      });
    }
  }

  // The smallest edge that leaves each component.
  void find_best() {
    team_.in_parts(n_, 4096,
                   [&](std::int64_t begin, std::int64_t end) { recall(int(begin), int(end)); });
    team_.in_parts(std::int64_t(tree_.levels[0].children), 16,
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t leaf = begin; leaf < end; ++leaf) ask(Index(leaf));
                   });
  }

  // What slots know that still leaves their components. Neighbours are mostly of one component.
  void recall(int begin, int end) {
    Leaving<Real> best;
    for (int s = begin; s < end; ++s) {
      Leaving<Real>& mine = known_[s];
      if (mine.to >= 0 && component_[mine.to] == component_[s]) mine.to = -1;
      if (mine.to >= 0 && mine.edge < best.edge) best = mine;
      if (s + 1 < end && component_[s + 1] == component_[s]) continue;
      if (best.to >= 0) best_.improve(component_[s], best);
      best = {};
    }
  }

  // Searches for the points of a leaf that may have a smaller edge than their component knows.
  void ask(Index leaf) {
    Asking asking;
    asking.leaf = leaf;
    for (int c = 0; c < leaf_size; ++c) {
      const int s = slot(leaf, c);
      if (s >= n_ || known_[s].to >= 0 || !(known_[s].edge < best_.of(component_[s]).edge))
        continue;
      asking.only = asking.which == 0 || asking.only == component_[s] ? component_[s] : mixed;
      asking.which |= 1u << c;
    }
    if (asking.which) search(asking);
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
      known_[s] = best_.of(component_[s]);
      if (known_[s].from != s) known_[s].to = -1;
    }
  }

  // Sets how far the points look from what is known by now.
  void narrow(Asking& asking) const {
    std::fill_n(asking.limit, leaf_size, Key<Real>(-1));
    asking.farthest = {-1, 0};
    Edge<Real> best = no_edge<Real>;
    int component = mixed;
    for (auto which = asking.which; which; which &= which - 1) {
      const int c = trailing_zeros(which), of = component_[slot(asking.leaf, c)];
      if (of != component) best = best_.of(component = of).edge;
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
      const int c = trailing_zeros(near), s = slot(asking.leaf, c);
      if (only_[0][leaf] != component_[s]) any |= measure(s, leaf, asking.limit[c]);
    }
    if (any) narrow(asking);
  }

  // Whether the smallest edge from a slot into a leaf, if it is not longer than the limit, is the
  // best of its component so far.
  bool measure(int s, Index leaf, Key<Real> limit) {
    const auto mine = broadcast<Key<Real>, lanes>(component_[s]);
    const auto none = broadcast<Key<Real>, lanes>(no_edge<Real>.weight);
    Keys lengths[vectors], least = none;
    for (Index t = 0; t < Index(vectors); ++t) {
      const Index at = leaf * vectors + t;
      const auto theirs = convert<Key<Real>, lanes>(load<int, lanes>(component_ + at * lanes));
      lengths[t] = select(theirs == mine, none, tree_.template lengths<Rule>(s, at));
      least = minimum(lengths[t], least);
    }
    const Key<Real> shortest = smallest(least);
    if (shortest > limit) return false;
    Key<Real> length[leaf_size];
    std::memcpy(length, lengths, sizeof length);
    Leaving<Real> best;
    for (int c = 0; c < leaf_size; ++c) {
      const int to = slot(leaf, c);
      if (length[c] != shortest || to >= n_) continue;
      const Edge<Real> edge = {
          shortest, endpoints(std::uint32_t(tree_.vertices[s]), std::uint32_t(tree_.vertices[to]))};
      if (edge < best.edge) best = {edge, s, to};
    }
    return best.to >= 0 && best_.improve(component_[s], best);
  }

  static Key<Real> smallest(Keys keys) {
    Key<Real> key[lanes];
    store(key, keys);
    return *std::min_element(key, key + lanes);
  }

  const Tree tree_;
  const int n_;
  const Team team_;
  BestEdges<Real> best_;
  int* component_;        // [slot], the number of one of its slots
  Leaving<Real>* known_;  // [slot], its smallest edge; without `to` a lower bound
  int* only_[32];         // [level][child], the component in which all of it lies, or mixed
};

template <class Rule, class Real>
void boruvka(const Real* points, int n, int d, Scratch& scratch, Team team, Edge<Real>* tree) {
  Boruvka<Rule, Real>(points, n, d, scratch, team).run(tree);
}

}  // namespace torchtopo::ISA
