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
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "../../order.hpp"
#include "../cache.hpp"
#include "../scratch.hpp"
#include "lanes.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

// Calls joined(v, weight) for every vertex v but the first, when an edge of that weight has just
// made it part of the tree. Of a matrix whose entries nobody has looked at (`plain` false) they are
// looked at as they are met: false, and no tree, if one is negative, -0.0 included, or NaN.
template <class Lanes, bool plain = true, class Real, class Joined>
bool prim(const Real* rows, std::size_t stride, int n, Scratch& scratch, Edge<Real>* tree,
          Joined joined) {
  constexpr int W = Lanes::width;
  using Vertex = typename Lanes::Vertex;
  using Vertices = typename Lanes::Vertices;
  using Weights = typename Lanes::Weights;
  const bool far = std::size_t(n) * stride * sizeof(Real) > fast_cache;
  constexpr int vectors_a_line = std::max(1, int(line / sizeof(Real)) / W);
  const int blocks = (n + W - 1) / W;
  Lanes* frontier = scratch.take<Lanes>(std::size_t(blocks));
  std::fill_n(frontier, blocks, Lanes::absent());
  for (int v = n; v < blocks * W; ++v) frontier[v / W].erase(v % W);
  unsigned char* in_tree = scratch.take<unsigned char>(std::size_t(n));
  std::fill_n(in_tree, n, 0);
  // Rows are read in whole vectors. The last rows, whose vectors would reach beyond the matrix's
  // end, are copied: one, or more where rows are shorter than a vector.
  const std::size_t padded = std::size_t(blocks) * W, beyond = padded - std::size_t(n);
  const int copied = int(std::min((beyond + stride - 1) / stride, std::size_t(n)));
  Real* last = scratch.take<Real>(std::size_t(copied) * padded);
  for (int c = 0; c < copied; ++c) {
    Real* copy = last + std::size_t(c) * padded;
    std::copy_n(rows + std::size_t(n - copied + c) * stride, n, copy);
    std::fill(copy + n, copy + padded, Real(0));
  }

  using Unsigned = std::make_unsigned_t<Key<Real>>;
  using Keys = Vec<Unsigned, W>;
  constexpr Unsigned beyond_infinity = Unsigned(Order<Real>::infinity) + 1;
  const Keys all = broadcast<Unsigned, W>(~Unsigned(0));
  Keys inside = all, largest = broadcast<Unsigned, W>(0);
  for (int lane = n - (blocks - 1) * W; lane < W; ++lane) inside[lane] = 0;

  const auto first = count_up<Vertex, W>(0), next = broadcast<Vertex, W>(W);
  // Without a branch, which would be guessed wrong half the time.
  const auto end_outside = [&](Endpoints ends) {
    const int i = int(smaller(ends)), j = int(larger(ends));
    return i ^ ((i ^ j) & -int(in_tree[i]));
  };
  int newest = 0;
  const Real* soon = rows;  // of the vertex that will most likely be the next
  for (int k = 0; k < n - 1; ++k) {
    in_tree[newest] = 1;
    const int from_last = newest - (n - copied);
    const Real* row = from_last < 0 ? rows + std::size_t(newest) * stride
                                    : last + std::size_t(from_last) * padded;
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
    tree[k] = best.smallest();
    newest = end_outside(tree[k].ends);
    if (far) soon = rows + std::size_t(end_outside(best.runner_up())) * stride;
    joined(newest, tree[k].weight);
  }
  return true;
}

template <class Lanes, bool plain = true, class Real>
bool prim(const Real* rows, std::size_t stride, int n, Scratch& scratch, Edge<Real>* tree) {
  return prim<Lanes, plain>(rows, stride, n, scratch, tree, [](int, Key<Real>) {});
}

}  // namespace torchtopo::ISA
