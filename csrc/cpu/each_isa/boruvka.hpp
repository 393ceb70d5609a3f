// Boruvka's algorithm over a tree of boxes: every component finds the smallest edge that leaves it,
// these edges join components, and so on until there is one. The order of edges is strict, so the
// tree is Kruskal's. O(N D) memory; in few dimensions the time is nearly that of sorting.
//
// Each point first lists its nearest others. While one of them lies in another component, it is the
// nearest that does, and nothing is searched for; once none does, the point looks again only where
// its component may gain by it.
//
// A team shares out the points. What one thread finds spares the others what is farther, so that
// who measures what depends on who comes first, but the smallest edges do not.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "../../order.hpp"
#include "../best_edges.hpp"
#include "../scratch.hpp"
#include "../team.hpp"
#include "box_search.hpp"
#include "box_tree.hpp"
#include "rules.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

template <class Rule, class Real>
class Boruvka {
  using Tree = BoxTree<Real>;
  using Index = std::size_t;
  using Keys = typename Tree::Keys;
  static constexpr int lanes = Tree::lanes, leaf_size = Tree::leaf_size;
  static constexpr int mixed = -1;
  static constexpr int listed = 2;

 public:
  Boruvka(const Real* points, int n, int d, Scratch& scratch, Team team)
      : tree_(points, n, d, scratch, team), n_(n), team_(team), best_(n, scratch, team) {
    component_ = scratch.take<int>(tree_.levels[0].children * leaf_size);
    nearest_ = scratch.take<Nearest>(Index(n));
    next_ = scratch.take<std::uint8_t>(Index(n));
    beyond_ = scratch.take<Edge<Real>>(Index(n));
    for (int level = 0; level < tree_.height; ++level)
      only_[level] = scratch.take<int>(tree_.levels[level].children);
    std::fill_n(component_, tree_.levels[0].children * leaf_size, 0);
  }

  void run(Edge<Real>* edges) {
    each_slot([this](int s) { list(s); });
    best_.join_all(component_, edges, [this] {
      find_only();
      team_.in_parts(n_, 4096,
                     [&](std::int64_t begin, std::int64_t end) { recall(int(begin), int(end)); });
      each_slot([this](int s) { ask(s); });
    });
  }

 private:
  struct Other {
    Key<Real> length;
    int slot;  // -1: there is none
  };
  using Nearest = Other[listed];  // ascending

  template <class Call>
  void each_slot(const Call& call) const {
    team_.in_parts(n_, 512, [&](std::int64_t begin, std::int64_t end) {
      for (int s = int(begin); s < int(end); ++s) call(s);
    });
  }

  Edge<Real> edge(int s, Other other) const {
    if (other.slot < 0) return no_edge<Real>;
    return {other.length,
            endpoints(std::uint32_t(tree_.vertices[s]), std::uint32_t(tree_.vertices[other.slot]))};
  }

  // Seeks a slot's nearest others.
  struct Neighbour {
    const Boruvka& of;
    const int s;
    Nearest& nearest;
    Key<Real> limit = no_edge<Real>.weight;

    bool may_want(const Edge<Real>& bound) const { return bound < of.edge(s, nearest[listed - 1]); }
    bool may_lie_in(int, Index) const { return true; }
    auto others(Index) const { return Keys{} < Keys{}; }
    void offer(Key<Real> length, int slot) {
      if (slot == s || slot >= of.n_) return;
      const Other found = {length, slot};
      int k = listed;
      for (; k > 0 && of.edge(s, found) < of.edge(s, nearest[k - 1]); --k)
        if (k < listed) nearest[k] = nearest[k - 1];
      if (k < listed) nearest[k] = found;
      limit = nearest[listed - 1].length;
    }
  };

  void list(int s) {
    Nearest& nearest = nearest_[s];
    std::fill_n(nearest, listed, Other{no_edge<Real>.weight, -1});
    Neighbour neighbour = {*this, s, nearest};
    search_outwards<Rule>(tree_, s, neighbour);
    next_[s] = 0;
    beyond_[s] = edge(s, nearest[listed - 1]);
  }

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

  // What slots know that still leaves their components. Neighbours are mostly of one component.
  void recall(int begin, int end) {
    Leaving<Real> best;
    for (int s = begin; s < end; ++s) {
      while (leads_inside(s)) ++next_[s];
      if (next_[s] < listed) {
        const Other other = nearest_[s][next_[s]];
        const Edge<Real> found = edge(s, other);
        if (found < best.edge) best = {found, s, other.slot};
      }
      if (s + 1 < end && component_[s + 1] == component_[s]) continue;
      if (best.to >= 0) best_.improve(component_[s], best);
      best = {};
    }
  }
  bool leads_inside(int s) const {
    if (next_[s] == listed) return false;
    const int to = nearest_[s][next_[s]].slot;
    return to >= 0 && component_[to] == component_[s];
  }

  // Seeks the smallest edge from a slot that leaves its component, if the component knows none that
  // is smaller.
  struct Leaver {
    const Boruvka& of;
    const int s, component;
    Leaving<Real> best;
    Key<Real> limit;

    bool may_want(const Edge<Real>& bound) const { return bound < best.edge; }
    bool may_lie_in(int level, Index child) const { return of.only_[level][child] != component; }
    auto others(Index vector) const {
      const auto theirs = load<int, lanes>(of.component_ + vector * lanes);
      return convert<Key<Real>, lanes>(theirs) == broadcast<Key<Real>, lanes>(component);
    }
    void offer(Key<Real> length, int slot) {
      if (slot >= of.n_) return;
      const Edge<Real> found = of.edge(s, {length, slot});
      if (found < best.edge) best = {found, s, slot}, limit = length;
    }
  };

  void ask(int s) {
    if (next_[s] < listed) return;
    const int component = component_[s];
    const Edge<Real> known = best_.of(component).edge;
    if (!(beyond_[s] < known)) return;
    Leaver leaver = {*this, s, component, {known, -1, -1}, known.weight};
    search_outwards<Rule>(tree_, s, leaver);
    beyond_[s] = leaver.best.edge;
    if (leaver.best.to < 0) return;
    nearest_[s][--next_[s]] = {leaver.limit, leaver.best.to};
    best_.improve(component, leaver.best);
  }

  const Tree tree_;
  const int n_;
  const Team team_;
  BestEdges<Real> best_;
  int* component_;  // [slot], the number of one of its slots
  // Of a slot, its nearest others; the first of them that may lie in another component; and what
  // all its edges but theirs are not less than.
  Nearest* nearest_;
  std::uint8_t* next_;
  Edge<Real>* beyond_;
  int* only_[32];  // [level][child], the component in which all of it lies, or mixed
};

template <class Rule, class Real>
void boruvka(const Real* points, int n, int d, Scratch& scratch, Team team, Edge<Real>* tree) {
  Boruvka<Rule, Real>(points, n, d, scratch, team).run(tree);
}

}  // namespace torchtopo::ISA
