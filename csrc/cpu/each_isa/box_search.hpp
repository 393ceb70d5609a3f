// What lies near points of a cloud in boxes: from their own leaf outwards, for what is near is
// found first and spares what is far.
//
// In few dimensions as many points of a leaf as a vector has lanes are searched for abreast: what
// decides where one of them goes on is guessed wrong about as often as not, of all of them it is
// asked at once. In more dimensions each goes its own way, and one point meets a vector of others.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "../../order.hpp"
#include "../best_edges.hpp"
#include "box_tree.hpp"
#include "rules.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

// Of a point alone all lanes are that point, and lane 0 counts. Sought says and is told, lane by
// lane:
//   limit                       the key of the longest length that may still be of use,
//   may_want(lane, bound)       whether an edge of that length, not less than `bound`, may be,
//   may_lie_in(level, c)        whether child c has points that are meant at all,
//   lanes_without(slot)         a mask of the lanes that don't mean a point,
//   slots_without(slot)         of the vector of points from there on that lane 0 doesn't mean,
//   meet(lengths, slot)         lengths from all lanes to a point; returns which tie with others,
//   offer(lane, length, slot)   a length that is not beyond the limit.
template <class Rule, class Real, bool abreast, class Sought>
class BoxSearch {
  using Tree = BoxTree<Real>;
  using Index = std::size_t;
  using Lengths = typename Tree::Lengths;
  using Keys = typename Tree::Keys;
  static constexpr int lanes = Tree::lanes, vectors = Tree::vectors;
  static constexpr int at_once = lanes < 4 ? lanes : 4;

 public:
  // A slot for each lane, all of one leaf, and room for 3 vectors a dimension.
  BoxSearch(const Tree& tree, const int* slots, Sought& sought, Lengths* room)
      : tree_(tree),
        slots_(slots),
        x_(room),
        low_(abreast ? room + tree.d : room),
        high_(abreast ? room + 2 * tree.d : room),
        sought_(sought) {
    for (Index k = 0; k < tree.d; ++k) {
      x_[k] = broadcast<Real, lanes>(tree.point(slots[0])[k * lanes]);
      if (!abreast) continue;
      Real x[lanes];
      for (int lane = 0; lane < lanes; ++lane) x[lane] = tree.point(slots[lane])[k * lanes];
      x_[k] = load<Real, lanes>(x);
      low_[k] = broadcast<Real, lanes>(*std::min_element(x, x + lanes));
      high_[k] = broadcast<Real, lanes>(*std::max_element(x, x + lanes));
    }
  }

  void run() {
    Index child = Index(slots_[0] / Tree::leaf_size);
    if (sought_.may_lie_in(0, child)) look(child);
    for (int level = 0; level < tree_.height; ++level, child /= lanes) {
      if (every(limits() < tree_.template margins<Rule>(x_, level, child))) return;
      visit(level, child / lanes, child);
    }
  }

 private:
  // All children of a node but one. Where many points are the same, ties are many: of children that
  // may hold no shorter edge, those of the smallest vertices come first and spare the others.
  void visit(int level, Index node, Index but) {
    const auto& at = tree_.levels[level];
    const Index begin = node * lanes;
    const int* first = at.first + begin;
    const Keys apart = tree_.template bounds<Rule>(low_, high_, at, node);
    auto near = not_beyond(farthest_limit(), apart);
    if (at.children - begin < Index(lanes)) near &= (1u << (at.children - begin)) - 1;
    if (but - begin < Index(lanes)) near &= ~(1u << (but - begin));
    if (!near) return;
    Key<Real> nearest[lanes];
    store(nearest, apart);
    const auto bounds = [&](int c) {
      if constexpr (abreast)
        return tree_.template bounds_of<Rule>(x_, at, node, c);
      else
        return nearest[c];
    };
    std::uint32_t ties = 0;
    for (; near; near &= near - 1) {
      const int c = trailing_zeros(near);
      if (!sought_.may_lie_in(level, begin + Index(c))) continue;
      const auto bound = bounds(c);
      if (some_within(bound))
        enter(level, begin + Index(c));
      else if (which_tie(bound))
        ties |= 1u << c;
    }
    while (ties) {
      int c = trailing_zeros(ties);
      for (auto rest = ties & (ties - 1); rest; rest &= rest - 1) {
        const int other = trailing_zeros(rest);
        if (first[other] < first[c]) c = other;
      }
      ties &= ~(1u << c);
      if (may_tie(bounds(c), first[c])) enter(level, begin + Index(c));
    }
  }

  void enter(int level, Index child) {
    level == 0 ? look(child) : visit(level - 1, child, ~Index(0));
  }

  template <class Bounds>
  bool may_tie(Bounds nearest, int first) const {
    for (auto ties = which_tie(nearest); ties; ties &= ties - 1) {
      const int lane = trailing_zeros(ties);
      const auto mine = std::uint32_t(tree_.vertices[slots_[lane]]);
      if (sought_.may_want(lane, {sought_.limit[lane], endpoints(mine, std::uint32_t(first))}))
        return true;
    }
    return false;
  }

  // Bounds of all lanes, or of the point that is alone.
  bool some_within(Keys bounds) const { return some(bounds < sought_.limit); }
  bool some_within(Key<Real> bound) const { return bound < sought_.limit[0]; }
  std::uint32_t which_tie(Keys bounds) const {
    return which<Key<Real>, lanes>(bounds == sought_.limit);
  }
  std::uint32_t which_tie(Key<Real> bound) const { return bound == sought_.limit[0]; }

  // Measures what is in a leaf.
  void look(Index leaf) {
    const int begin = int(leaf) * Tree::leaf_size;
    if (!abreast) return look_alone(begin);
    Sought found = sought_;
    auto ties = Keys{} < Keys{};
    for (int slot = begin; slot < begin + Tree::leaf_size; slot += at_once) {
      Keys lengths[at_once];
      measure(slot, lengths);
      for (int k = 0; k < at_once; ++k) ties = ties | found.meet(lengths[k], slot + k);
    }
    if (some(ties))
      look_closely(begin);
    else
      sought_ = found;
  }

  // Where lengths are the same, vertices decide.
  void look_closely(int begin) {
    for (int slot = begin; slot < begin + Tree::leaf_size; slot += at_once) {
      Keys lengths[at_once];
      measure(slot, lengths);
      for (int k = 0; k < at_once; ++k) {
        Key<Real> length[lanes];
        store(length, lengths[k]);
        for (auto near = not_beyond(sought_.limit, lengths[k]); near; near &= near - 1)
          sought_.offer(trailing_zeros(near), length[trailing_zeros(near)], slot + k);
      }
    }
  }

  // From all lanes to some slots.
  void measure(int slot, Keys* lengths) const {
    const Real* to = tree_.point(slot);
    Lengths sum[at_once] = {};
    for (Index k = 0; k < tree_.d; ++k)
      for (int j = 0; j < at_once; ++j)
        sum[j] = Rule::template add<Real, lanes>(
            sum[j], broadcast<Real, lanes>(to[k * lanes + Index(j)]) - x_[k]);
    for (int j = 0; j < at_once; ++j)
      lengths[j] =
          select(sought_.lanes_without(slot + j), none(), length_keys<Real, lanes>(sum[j]));
  }

  void look_alone(int begin) {
    Keys lengths[vectors], least = none();
    for (int t = 0; t < vectors; ++t) {
      const int slot = begin + t * lanes;
      lengths[t] = select(sought_.slots_without(slot), none(),
                          tree_.template lengths<Rule>(x_, Index(slot / lanes)));
      least = minimum(lengths[t], least);
    }
    if (!not_beyond(limits(), least)) return;
    for (int t = 0; t < vectors; ++t) {
      Key<Real> length[lanes];
      store(length, lengths[t]);
      for (auto near = not_beyond(limits(), lengths[t]); near; near &= near - 1) {
        const int c = trailing_zeros(near);
        if (length[c] <= sought_.limit[0]) sought_.offer(0, length[c], begin + t * lanes + c);
      }
    }
  }

  static Keys none() { return Tree::all(no_edge<Real>.weight); }

  Keys limits() const { return abreast ? sought_.limit : Tree::all(sought_.limit[0]); }
  Keys farthest_limit() const {
    if (!abreast) return limits();
    Key<Real> limit[lanes];
    store(limit, sought_.limit);
    return Tree::all(*std::max_element(limit, limit + lanes));
  }

  static std::uint32_t not_beyond(Keys limit, Keys lengths) {
    return all & ~which<Key<Real>, lanes>(limit < lengths);
  }
  static constexpr std::uint32_t all = (1u << lanes) - 1;

  const Tree& tree_;
  const int* slots_;
  Lengths *x_, *low_, *high_;  // of the lanes, and the box around them
  Sought& sought_;
};

}  // namespace torchtopo::ISA
