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
#include "nearest.hpp"

namespace torchtopo::ISA {

template <class Rule, class Real>
class Boruvka {
  using Tree = BoxTree<Real>;
  using Index = std::size_t;
  using Lengths = typename Tree::Lengths;
  static constexpr int lanes = Tree::lanes, leaf_size = Tree::leaf_size;
  static constexpr int listed = 2;
  using Neighbours = NearestOthers<Real, listed>;
  using Leavers = NearestOutside<Real>;
  using Nearest = Other<Real>[listed];  // ascending
  static constexpr Index most_dimensions_abreast = 4;

 public:
  Boruvka(const Real* points, int n, int d, Scratch& scratch, Team team)
      : tree_(points, n, d, scratch, team), n_(n), team_(team), best_(n, scratch, team) {
    component_ = scratch.take<int>(tree_.levels[0].children * leaf_size);
    nearest_ = scratch.take<Nearest>(Index(n));
    next_ = scratch.take<std::uint8_t>(Index(n));
    beyond_ = scratch.take<Edge<Real>>(Index(n));
    for (int level = 0; level < tree_.height; ++level)
      only_[level] = scratch.take<int>(tree_.levels[level].children);
    rooms_ = scratch.take<Lengths*>(Index(team.threads()));
    for (int worker = 0; worker < team.threads(); ++worker)
      rooms_[worker] = scratch.take<Lengths>(3 * tree_.d);
    std::fill_n(component_, tree_.levels[0].children * leaf_size, 0);
  }

  void run(Edge<Real>* edges) {
    tree_.d <= most_dimensions_abreast ? run<true>(edges) : run<false>(edges);
  }

 private:
  template <bool abreast>
  void run(Edge<Real>* edges) {
    in_parts([&](int begin, int end, Lengths* room) { list<abreast>(begin, end, room); });
    best_.join_all(component_, edges, [this] {
      find_only();
      team_.in_parts(n_, 4096,
                     [&](std::int64_t begin, std::int64_t end) { recall(int(begin), int(end)); });
      in_parts([&](int begin, int end, Lengths* room) { ask<abreast>(begin, end, room); });
    });
  }

  // Calls with parts of all slots, whole leaves, and with room for a search.
  template <class Call>
  void in_parts(const Call& call) const {
    const int size = team_.alone() ? n_ : 512;
    team_.each((n_ + size - 1) / size, [&](int worker, std::int64_t k) {
      const int begin = int(k) * size;
      call(begin, std::min(begin + size, n_), rooms_[worker]);
    });
  }

  template <bool abreast>
  void list(int begin, int end, Lengths* room) {
    constexpr int together = abreast ? lanes : 1;
    for (int first = begin; first < end; first += together) {
      const int count = std::min(together, end - first);
      int slots[lanes];
      for (int lane = 0; lane < lanes; ++lane) slots[lane] = first + std::min(lane, count - 1);
      Neighbours neighbours(tree_, slots);
      BoxSearch<Rule, Real, abreast, Neighbours>(tree_, slots, neighbours, room).run();
      for (int lane = 0; lane < count; ++lane) {
        const int s = first + lane;
        for (int k = 0; k < listed; ++k) nearest_[s][k] = neighbours.found(lane, k);
        next_[s] = 0;
        beyond_[s] = tree_.edge(s, nearest_[s][listed - 1]);
      }
    }
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
          only_[level][child] = one ? *begin : Leavers::mixed;
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
        const Other<Real> other = nearest_[s][next_[s]];
        const Edge<Real> found = tree_.edge(s, other);
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

  // Seeks the smallest edges that leave their components from slots that know none, where these
  // know none that is smaller either.
  template <bool abreast>
  void ask(int begin, int end, Lengths* room) {
    constexpr int together = abreast ? lanes : 1;
    int slots[lanes], count = 0;
    Edge<Real> known[lanes];
    for (int s = begin; s < end; ++s) {
      if (next_[s] == listed) {
        const Edge<Real> best = best_.of(component_[s]).edge;
        if (beyond_[s] < best) slots[count] = s, known[count++] = best;
      }
      const bool last = (s + 1) % leaf_size == 0 || s + 1 == end;
      if (count < (last ? 1 : together)) continue;
      std::fill(slots + count, slots + lanes, slots[0]);
      std::fill(known + count, known + lanes, known[0]);
      Leavers leavers(tree_, component_, only_, slots, known);
      BoxSearch<Rule, Real, abreast, Leavers>(tree_, slots, leavers, room).run();
      for (; count > 0; --count) learn(leavers, count - 1);
    }
  }
  void learn(const Leavers& leavers, int lane) {
    const int s = leavers.slots[lane];
    const Other<Real> found = leavers.found(lane);
    beyond_[s] = leavers.best(lane);
    if (found.slot < 0) return;
    nearest_[s][--next_[s]] = found;
    best_.improve(component_[s], {beyond_[s], s, found.slot});
  }

  const Tree tree_;
  const int n_;
  const Team team_;
  BestEdges<Real> best_;
  int* component_;  // [slot]
  // Of a slot, its nearest others; the first of them that may lie in another component; and what
  // all its edges but theirs are not less than.
  Nearest* nearest_;
  std::uint8_t* next_;
  Edge<Real>* beyond_;
  Lengths** rooms_;  // [worker]
  int* only_[32];    // [level][child], the component in which all of it lies, or Leavers::mixed
};

template <class Rule, class Real>
void boruvka(const Real* points, int n, int d, Scratch& scratch, Team team, Edge<Real>* tree) {
  Boruvka<Rule, Real>(points, n, d, scratch, team).run(tree);
}

}  // namespace torchtopo::ISA
