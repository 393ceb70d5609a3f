// Prim's algorithm over the rows of a symmetric matrix: O(N^2) work, every entry read once.
//
// The frontier holds, for each vertex outside the tree, its smallest edge into the tree. A step
// meets the newest vertex's row: each entry is an edge that may replace a frontier edge, and the
// smallest edge of the whole frontier is the next of the tree. Both minima are those of the strict
// order, so the tree is Kruskal's. What a row holds on the diagonal, for vertices of the tree and
// past column n is offered to lanes that are gone, and may be anything.
//
// The rows of a large matrix are met in an order that no hardware foresees, but Prim mostly does:
// the next vertex is most often that of the frontier's second smallest edge, whose row is fetched
// while the first one's is met.
//
// A step's row is known once the step before has found its edge, and of a small matrix that takes
// longer than to meet the row. So the steps of several matrices are taken in turn: a processor
// meets the row of one while it waits for another's edge.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <type_traits>

#include "../../order.hpp"
#include "../cache.hpp"
#include "../isa.hpp"
#include "../scratch.hpp"
#include "lanes.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

// Of a matrix whose entries nobody has looked at (`plain` false) they are looked at as they are
// met: false, and no tree, if one is negative, -0.0 included, or NaN.
template <class Lanes, bool plain, class Real>
class Prim {
 public:
  Prim(const Rows<Real>& matrix, Scratch& scratch)
      : rows_(matrix.keys),
        stride_(matrix.stride),
        n_(matrix.n),
        blocks_((n_ + W - 1) / W),
        far_(std::size_t(n_) * stride_ * sizeof(Real) > fast_cache),
        tree_(matrix.tree),
        soon_(rows_) {
    frontier_ = scratch.take<Lanes>(std::size_t(blocks_));
    std::fill_n(frontier_, blocks_, Lanes::absent());
    for (int v = n_; v < blocks_ * W; ++v) frontier_[v / W].erase(v % W);
    in_tree_ = scratch.take<unsigned char>(std::size_t(n_));
    std::fill_n(in_tree_, n_, 0);
    // Rows are read in whole vectors. The last rows, whose vectors would reach beyond the matrix's
    // end, are copied: one, or more where rows are shorter than a vector.
    padded_ = std::size_t(blocks_) * W;
    const std::size_t beyond = padded_ - std::size_t(n_);
    copied_ = int(std::min((beyond + stride_ - 1) / stride_, std::size_t(n_)));
    last_ = scratch.take<Real>(std::size_t(copied_) * padded_);
    for (int c = 0; c < copied_; ++c) {
      Real* copy = last_ + std::size_t(c) * padded_;
      std::copy_n(rows_ + std::size_t(n_ - copied_ + c) * stride_, n_, copy);
      std::fill(copy + n_, copy + padded_, Real(0));
    }
  }

  int steps() const { return n_ - 1; }
  bool far() const { return far_; }       // whether its matrix is larger than the core's cache
  int newest() const { return newest_; }  // the vertex that the last step's edge has reached

  // Of a small matrix a step takes 10 ns, of which a call would be two, and one to ask whether it
  // is far: a bool, or a constant where that is known.
  template <class Far>
  [[gnu::always_inline]] bool step(int k, Far far) {
    using Unsigned = std::make_unsigned_t<Key<Real>>;
    using Keys = Vec<Unsigned, W>;
    constexpr Unsigned beyond_infinity = Unsigned(Order<Real>::infinity) + 1;
    constexpr int vectors_a_line = std::max(1, int(line / sizeof(Real)) / W);
    // Copied, for what is stored below might be a member for all that the compiler knows.
    const int blocks = blocks_, newest = newest_;
    const Real* const soon = soon_;
    Lanes* const frontier = frontier_;

    const Keys all = broadcast<Unsigned, W>(~Unsigned(0));
    Keys inside = all, largest = broadcast<Unsigned, W>(0);
    if (!plain)
      for (int lane = n_ - (blocks - 1) * W; lane < W; ++lane) inside[lane] = 0;
    in_tree_[newest] = 1;
    const int from_last = newest - (n_ - copied_);
    const Real* const row = from_last < 0 ? rows_ + std::size_t(newest) * stride_
                                          : last_ + std::size_t(from_last) * padded_;
    const auto first = count_up<Vertex, W>(0), next = broadcast<Vertex, W>(W);
    const auto v = broadcast<Vertex, W>(Vertex(newest));
    Lanes best = Lanes::absent();
    const auto meet = [&](auto side, int b, Vertices u, Keys counted) {
      const auto weights = bits<Weights>(load<Real, W>(row + b * W));
      if (far && b % vectors_a_line == 0) {
        prefetch_for_later(row + b * W + page / sizeof(*row));
        prefetch_for_later(soon + b * W);
      }
      constexpr bool on_diagonal = std::is_same_v<decltype(side), Either>;
      if (!plain) {
        Keys keys = bits<Keys>(weights) & counted;
        if (on_diagonal) keys[newest % W] = 0;
        largest = maximum(keys, largest);
      }
      Lanes mine = offered(Lanes::between(side, u, v, weights), frontier[b]);
      if (on_diagonal) mine.erase(u, v);
      best = smaller_of(mine, best);
      frontier[b] = mine;
    };
    const int home = newest / W, end = blocks - 1;
    int b = 0;
    Vertices u = first;
    for (; b < home; ++b, u = u + next) meet(Below(), b, u, all);
    meet(Either(), b++, u, home == end ? inside : all);
    for (u = u + next; b < end; ++b, u = u + next) meet(Above(), b, u, all);
    if (b == end) meet(Above(), b, u, inside);
    if (!plain && !every(largest < broadcast<Unsigned, W>(beyond_infinity))) return false;
    const Edge<Real> edge = best.smallest();
    tree_[k] = edge;
    newest_ = end_outside(edge.ends);
    if (far) soon_ = rows_ + std::size_t(end_outside(best.runner_up())) * stride_;
    return true;
  }

 private:
  static constexpr int W = Lanes::width;
  using Vertex = typename Lanes::Vertex;
  using Vertices = typename Lanes::Vertices;
  using Weights = typename Lanes::Weights;

  // Without a branch, which would be guessed wrong half the time.
  int end_outside(Endpoints ends) const {
    const int i = int(smaller(ends)), j = int(larger(ends));
    return i ^ ((i ^ j) & -int(in_tree_[i]));
  }

  const Real* rows_;
  std::size_t stride_, padded_;
  int n_, blocks_, copied_, newest_ = 0;
  bool far_;
  Lanes* frontier_;
  unsigned char* in_tree_;
  Real* last_;
  Edge<Real>* tree_;
  const Real* soon_;  // the row of the vertex that will most likely be the next
};

// Calls reached(v, weight) for every vertex v but the first, in the order in which edges of that
// weight made them part of the tree, when its row has been read and is at hand.
template <class Lanes, class Real, class Reached>
void prim(const Rows<Real>& matrix, Scratch& scratch, Reached reached) {
  Prim<Lanes, true, Real> run(matrix, scratch);
  for (int k = 0; k < run.steps(); ++k) {
    const int v = run.newest();
    run.step(k, run.far());
    if (k > 0) reached(v, matrix.tree[k - 1].weight);
  }
  if (run.steps() > 0) reached(run.newest(), matrix.tree[run.steps() - 1].weight);
}

// Steps of several runs by turns, until one is refused.
template <class Run, class Far>
bool in_turns(Run* runs, int count, int steps, Ahead ahead, Far far) {
  bool found = true;
  for (int k = 0; k < steps && found; ++k) {
    ahead.fetch_part(k, steps);
    for (int m = 0; m < count; ++m)
      if (k < runs[m].steps()) found &= runs[m].step(k, far);
  }
  return found;
}

// The trees of several matrices of two rows or more; false, and no trees, where one was refused.
template <class Lanes, bool plain = true, class Real>
bool prims_abreast(const Rows<Real>* matrices, int count, Ahead ahead, Scratch& scratch) {
  using Run = Prim<Lanes, plain, Real>;
  Run* runs = scratch.take<Run>(std::size_t(count));
  int steps = 0;
  bool far = false;
  for (int m = 0; m < count; ++m) {
    new (runs + m) Run(matrices[m], scratch);
    steps = std::max(steps, runs[m].steps());
    far |= runs[m].far();
  }
  return far ? in_turns(runs, count, steps, ahead, std::true_type())
             : in_turns(runs, count, steps, ahead, std::false_type());
}

}  // namespace torchtopo::ISA
