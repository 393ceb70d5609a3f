// What is sought near points of a cloud in boxes, a lane each (see box_search.hpp): their nearest
// others, or the nearest that lies in another component.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cstddef>

#include "../../order.hpp"
#include "../best_edges.hpp"
#include "box_tree.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

template <class Real>
constexpr Key<Real> longer_than_any = Order<Real>::infinity + 1;

// So many nearest others of each lane's slot, ascending.
template <class Real, int count>
struct NearestOthers {
  using Tree = BoxTree<Real>;
  using Keys = typename Tree::Keys;
  static constexpr int lanes = Tree::lanes;

  const Tree* tree;
  const int* slots;
  Keys mine, key[count], to[count], limit;

  NearestOthers(const Tree& of, const int* slots_of_lanes)
      : tree(&of),
        slots(slots_of_lanes),
        mine(convert<Key<Real>, lanes>(load<int, lanes>(slots))),
        limit(Tree::all(longer_than_any<Real>)) {
    for (int k = 0; k < count; ++k) key[k] = limit, to[k] = Tree::all(-1);
  }

  Other<Real> found(int lane, int k) const { return {key[k][lane], int(to[k][lane])}; }

  bool may_want(int lane, const Edge<Real>& bound) const {
    return bound < tree->edge(slots[lane], found(lane, count - 1));
  }
  bool may_lie_in(int, std::size_t) const { return true; }
  auto lanes_without(int slot) const { return mine == Tree::all(slot); }
  auto slots_without(int slot) const {
    return count_up<Key<Real>, lanes>(slot) == Tree::all(mine[0]);
  }

  auto meet(Keys length, int slot) {
    auto ties = length == key[0];
    for (int k = 1; k < count; ++k) ties = ties | (length == key[k]);
    for (int k = count - 1; k > 0; --k) {
      const auto next = select(length < key[k], Tree::all(slot), to[k]);
      to[k] = select(length < key[k - 1], to[k - 1], next);
      key[k] = maximum(key[k - 1], minimum(length, key[k]));
    }
    to[0] = select(length < key[0], Tree::all(slot), to[0]);
    key[0] = minimum(length, key[0]);
    limit = key[count - 1];
    return ties;
  }
  void offer(int lane, Key<Real> length, int slot) {
    const Edge<Real> offered = tree->edge(slots[lane], {length, slot});
    int k = count;
    for (; k > 0 && offered < tree->edge(slots[lane], found(lane, k - 1)); --k)
      if (k < count) key[k][lane] = key[k - 1][lane], to[k][lane] = to[k - 1][lane];
    if (k < count) key[k][lane] = length, to[k][lane] = slot;
    limit[lane] = key[count - 1][lane];
  }
};

// The smallest edge of each lane's slot that leaves its component, if it is smaller than a known
// one.
template <class Real>
struct NearestOutside {
  using Tree = BoxTree<Real>;
  using Keys = typename Tree::Keys;
  static constexpr int lanes = Tree::lanes;
  static constexpr int mixed = -1;

  const Tree* tree;
  const int* component_of;  // [slot]
  const int* const* only;   // [level][child], the component in which all of it lies, or mixed
  const int* slots;
  const Edge<Real>* known;
  Keys component, to, limit;

  NearestOutside(const Tree& of, const int* component_of_slots, const int* const* only_of_levels,
                 const int* slots_of_lanes, const Edge<Real>* known_of_lanes)
      : tree(&of),
        component_of(component_of_slots),
        only(only_of_levels),
        slots(slots_of_lanes),
        known(known_of_lanes),
        to(Tree::all(-1)) {
    Key<Real> components[lanes], limits[lanes];
    for (int lane = 0; lane < lanes; ++lane) {
      components[lane] = component_of[slots[lane]];
      limits[lane] = std::min(known[lane].weight, longer_than_any<Real>);
    }
    component = load<Key<Real>, lanes>(components);
    limit = load<Key<Real>, lanes>(limits);
  }

  Other<Real> found(int lane) const { return {limit[lane], int(to[lane])}; }
  Edge<Real> best(int lane) const {
    return to[lane] < 0 ? known[lane] : tree->edge(slots[lane], found(lane));
  }

  bool may_want(int lane, const Edge<Real>& bound) const { return bound < best(lane); }
  bool may_lie_in(int level, std::size_t child) const {
    const int alone = only[level][child];
    return alone == mixed || !every(component == Tree::all(alone));
  }
  auto lanes_without(int slot) const { return component == Tree::all(component_of[slot]); }
  auto slots_without(int slot) const {
    const auto theirs = convert<Key<Real>, lanes>(load<int, lanes>(component_of + slot));
    return theirs == Tree::all(component[0]);
  }

  auto meet(Keys length, int slot) {
    const auto ties = length == limit;
    to = select(length < limit, Tree::all(slot), to);
    limit = minimum(length, limit);
    return ties;
  }
  void offer(int lane, Key<Real> length, int slot) {
    if (tree->edge(slots[lane], {length, slot}) < best(lane)) to[lane] = slot, limit[lane] = length;
  }
};

}  // namespace torchtopo::ISA
