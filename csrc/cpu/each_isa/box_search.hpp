// What lies near a point of a cloud in boxes: from its own leaf outwards, for what is near is found
// first and spares what is far.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "../../order.hpp"
#include "../best_edges.hpp"
#include "box_tree.hpp"
#include "rules.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

// Sought says, and is told:
//   limit                 the key of the longest length that may still be of use,
//   may_want(bound)       whether an edge of that length that is not less than `bound` may be, too,
//   may_lie_in(level, c)  whether child c has points that are meant at all,
//   others(vector)        a mask of a vector's points that are not,
//   offer(length, slot)   what was found; a slot may be past the last.
template <class Rule, class Real, class Sought>
class BoxSearch {
  using Tree = BoxTree<Real>;
  using Index = std::size_t;
  using Keys = typename Tree::Keys;
  static constexpr int lanes = Tree::lanes, vectors = Tree::vectors;

 public:
  BoxSearch(const Tree& tree, int slot, Sought& sought)
      : tree_(tree), slot_(slot), point_(tree.point(slot)), sought_(sought) {}

  void run() {
    Index child = Index(slot_ / Tree::leaf_size);
    if (sought_.may_lie_in(0, child)) look(child);
    for (int level = 0; level < tree_.height; ++level, child /= lanes)
      visit(level, child / lanes, child);
  }

 private:
  // All children of a node but one. Where many points are the same, ties are many: of children that
  // may hold no shorter edge, those of the smallest vertices come first and spare the others.
  void visit(int level, Index node, Index but) {
    const auto& at = tree_.levels[level];
    const Index begin = node * lanes;
    const int* first = at.first + begin;
    const Keys bounds = tree_.template bounds<Rule>(point_, at, node);
    auto near = within_limit(bounds);
    if (at.children - begin < Index(lanes)) near &= (1u << (at.children - begin)) - 1;
    if (but - begin < Index(lanes)) near &= ~(1u << (but - begin));
    if (!near) return;
    Key<Real> nearest[lanes];
    store(nearest, bounds);
    std::uint32_t ties = 0;
    for (; near; near &= near - 1) {
      const int c = trailing_zeros(near);
      if (nearest[c] < sought_.limit)
        enter(level, begin + Index(c));
      else
        ties |= 1u << c;
    }
    while (ties) {
      int c = trailing_zeros(ties);
      for (auto rest = ties & (ties - 1); rest; rest &= rest - 1) {
        const int other = trailing_zeros(rest);
        if (first[other] < first[c]) c = other;
      }
      ties &= ~(1u << c);
      if (may_tie(nearest[c], first[c])) enter(level, begin + Index(c));
    }
  }

  void enter(int level, Index child) {
    if (!sought_.may_lie_in(level, child)) return;
    level == 0 ? look(child) : visit(level - 1, child, ~Index(0));
  }

  bool may_tie(Key<Real> nearest, int first) const {
    const auto mine = std::uint32_t(tree_.vertices[slot_]);
    return nearest == sought_.limit &&
           sought_.may_want({nearest, endpoints(mine, std::uint32_t(first))});
  }

  // Measures what is in a leaf.
  void look(Index leaf) {
    const auto none = broadcast<Key<Real>, lanes>(no_edge<Real>.weight);
    Keys lengths[vectors], least = none;
    for (int t = 0; t < vectors; ++t) {
      const Index vector = leaf * vectors + Index(t);
      lengths[t] =
          select(sought_.others(vector), none, tree_.template lengths<Rule>(point_, vector));
      least = minimum(lengths[t], least);
    }
    if (!within_limit(least)) return;
    for (int t = 0; t < vectors; ++t) {
      Key<Real> length[lanes];
      store(length, lengths[t]);
      for (auto near = within_limit(lengths[t]); near; near &= near - 1) {
        const int c = trailing_zeros(near);
        if (length[c] <= sought_.limit)
          sought_.offer(length[c], (int(leaf) * vectors + t) * lanes + c);
      }
    }
  }

  // The lanes that are not beyond the limit.
  std::uint32_t within_limit(Keys lengths) const {
    constexpr std::uint32_t all = (1u << lanes) - 1;
    return all & ~which<Key<Real>, lanes>(broadcast<Key<Real>, lanes>(sought_.limit) < lengths);
  }

  const Tree& tree_;
  const int slot_;
  const Real* point_;
  Sought& sought_;
};

template <class Rule, class Real, class Sought>
void search_outwards(const BoxTree<Real>& tree, int slot, Sought& sought) {
  BoxSearch<Rule, Real, Sought>(tree, slot, sought).run();
}

}  // namespace torchtopo::ISA
