// Boruvka's rounds, for whoever finds the smallest edge that leaves each component: these edges
// join components, and so on until there is one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <numeric>
#include <vector>

#include "../order.hpp"
#include "../union_find.hpp"
#include "scratch.hpp"
#include "spin_lock.hpp"
#include "team.hpp"

namespace torchtopo {

template <class Real>
inline constexpr Edge<Real> no_edge = {std::numeric_limits<Key<Real>>::max(), ~Endpoints(0)};

// An edge that leaves a component, from one slot to another, as a kernel numbers its points;
// without `to` there is none.
template <class Real>
struct Leaving {
  Edge<Real> edge = no_edge<Real>;
  int from = -1, to = -1;
};

// The best edge of each component, which all threads of a team read and replace, under one of some
// locks; a thread alone needs none.
template <class Real>
class BestEdges {
 public:
  BestEdges(int n, Scratch& scratch, Team team)
      : n_(n),
        team_(team),
        best_(scratch.take<Leaving<Real>>(std::size_t(n))),
        slot_(scratch.take<int>(std::size_t(n))),
        number_(scratch.take<int>(std::size_t(n))),
        name_(scratch.take<int>(std::size_t(n))),
        locks_(team.alone() ? 0 : number_of_locks) {}

  Leaving<Real> of(int component) const {
    const auto lock = held(component);
    return best_[component];
  }
  bool improve(int component, const Leaving<Real>& found) {
    const auto lock = held(component);
    const bool better = found.edge < best_[component].edge;
    if (better) best_[component] = found;
    return better;
  }

  // Writes the tree's edges. `component` has room for the number of each slot's component, which
  // are counted anew in every round, so that those that are left lie close together; find_best()
  // improves the best edge of each component from none.
  template <class FindBest>
  void join_all(int* component, Edge<Real>* edges, FindBest find_best) {
    UnionFind merged;
    merged.reset(n_);
    std::iota(component, component + n_, 0);
    std::iota(slot_, slot_ + n_, 0);
    std::fill_n(number_, n_, none);
    for (int living = n_; living > 1;) {
      in_parts(living, [&](int c) { best_[c] = Leaving<Real>(); });
      find_best();
      for (int c = 0; c < living; ++c)
        if (merged.merge(best_[c].from, best_[c].to) >= 0) *edges++ = best_[c].edge;
      in_parts(living, [&](int c) { slot_[c] = int(merged.root(slot_[c])); });
      int left = 0;
      for (int c = 0; c < living; ++c) {
        const int root = slot_[c];
        if (number_[root] == none) number_[root] = left, slot_[left++] = root;
        name_[c] = number_[root];
      }
      for (int c = 0; c < left; ++c) number_[slot_[c]] = none;
      living = left;
      in_parts(n_, [&](int s) { component[s] = name_[component[s]]; });
    }
  }

 private:
  static constexpr std::size_t number_of_locks = 256;
  static constexpr int none = -1;

  std::unique_lock<SpinLock> held(int component) const {
    if (team_.alone()) return {};
    return std::unique_lock<SpinLock>(locks_[std::size_t(component) % number_of_locks]);
  }

  template <class Call>
  void in_parts(int count, const Call& call) const {
    team_.in_parts(count, 4096, [&](std::int64_t begin, std::int64_t end) {
      for (int k = int(begin); k < int(end); ++k) call(k);
    });
  }

  int n_;
  Team team_;
  Leaving<Real>* best_;  // [component]
  int* slot_;            // [component], one of its slots
  int* number_;          // [slot], the component of which it is that one, while they are counted
  int* name_;            // [component], its number in the next round
  mutable std::vector<SpinLock> locks_;
};

}  // namespace torchtopo
