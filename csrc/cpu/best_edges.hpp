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
        living_(scratch.take<int>(std::size_t(n))),
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

  // Writes the tree's edges. `component` has room for the number of one of its slots, for each
  // slot; find_best() improves the best edge of each component from none.
  template <class FindBest>
  void join_all(int* component, Edge<Real>* edges, FindBest find_best) {
    UnionFind merged;
    merged.reset(n_);
    std::iota(component, component + n_, 0);
    std::iota(living_, living_ + n_, 0);
    for (int living = n_; living > 1;) {
      each(living, [&](int c) { best_[c] = Leaving<Real>(); });
      find_best();
      for (int k = 0; k < living; ++k) {
        const Leaving<Real>& best = best_[living_[k]];
        if (merged.merge(best.from, best.to) >= 0) *edges++ = best.edge;
      }
      for (int k = 0; k < living; ++k) name_[living_[k]] = int(merged.find(living_[k]));
      living = int(std::remove_if(living_, living_ + living, [&](int c) { return name_[c] != c; }) -
                   living_);
      team_.in_parts(n_, 4096, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t s = begin; s < end; ++s) component[s] = name_[component[s]];
      });
    }
  }

 private:
  static constexpr std::size_t number_of_locks = 256;

  std::unique_lock<SpinLock> held(int component) const {
    if (team_.alone()) return {};
    return std::unique_lock<SpinLock>(locks_[std::size_t(component) % number_of_locks]);
  }

  template <class Call>
  void each(int living, const Call& call) const {
    team_.in_parts(living, 4096, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) call(living_[k]);
    });
  }

  int n_;
  Team team_;
  Leaving<Real>* best_;  // [component]
  int* living_;          // the components that are left
  int* name_;            // [component], that which it has become part of
  mutable std::vector<SpinLock> locks_;
};

}  // namespace torchtopo
