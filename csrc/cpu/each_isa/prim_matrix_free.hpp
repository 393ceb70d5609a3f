// Prim's algorithm over points: the newest vertex's row of the distance matrix is computed when it
// is needed and never stored. O(N^2 D) work, O(N D) memory.
//
// Vertices outside the tree live in slots, W to a block, coordinate by coordinate. When one of them
// joins the tree, the last slot moves into its place, so that a step works on what remains only.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <cstddef>

#include "../../order.hpp"
#include "../scratch.hpp"
#include "lanes.hpp"
#include "rules.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

template <class Lanes, class Real>
struct Remaining {
  static constexpr int W = Lanes::width;
  using Vertex = typename Lanes::Vertex;

  int count, dimension;
  Real* coordinates;                   // [block][dimension][W]
  typename Lanes::Vertices* vertices;  // [block]
  Lanes* frontier;                     // [block]
  int* slot_of;                        // [vertex], -1 once it is in the tree

  Remaining(const Real* points, int n, int d, Scratch& scratch) : count(n), dimension(d) {
    const std::size_t blocks = std::size_t(n + W - 1) / W;
    coordinates = scratch.take<Real>(blocks * W * std::size_t(d));
    vertices = scratch.take<typename Lanes::Vertices>(blocks);
    frontier = scratch.take<Lanes>(blocks);
    slot_of = scratch.take<int>(std::size_t(n));
    for (std::size_t b = 0; b < blocks; ++b) {
      vertices[b] = count_up<Vertex, W>(Vertex(b * W));
      frontier[b] = Lanes::absent();
    }
    for (std::size_t s = 0; s < blocks * W; ++s) {
      if (s < std::size_t(n))
        slot_of[s] = int(s);
      else
        frontier[s / W].erase(int(s % W));
      for (int k = 0; k < d; ++k)
        at(int(s), k) = s < std::size_t(n) ? points[s * std::size_t(d) + std::size_t(k)] : Real(0);
    }
  }

  Real& at(int slot, int k) {
    return coordinates[(std::size_t(slot / W) * std::size_t(dimension) + std::size_t(k)) * W +
                       std::size_t(slot % W)];
  }

  // Takes the vertex out, leaving its coordinates in point.
  void remove(int vertex, Real* point) {
    const int slot = slot_of[vertex], last = --count;
    slot_of[vertex] = -1;
    for (int k = 0; k < dimension; ++k) {
      point[k] = at(slot, k);
      at(slot, k) = at(last, k);
    }
    if (slot != last) {
      const Vertex moved = vertices[last / W][last % W];
      vertices[slot / W][slot % W] = moved;
      frontier[slot / W].move(slot % W, frontier[last / W], last % W);
      slot_of[moved] = slot;
    }
    frontier[last / W].erase(last % W);
  }
};

template <class Lanes, class Rule, class Real>
void prim_matrix_free(const Real* points, int n, int d, Scratch& scratch, Edge<Real>* tree) {
  constexpr int W = Lanes::width, together = 4;
  using Lengths = Vec<Real, W>;
  using Vertex = typename Lanes::Vertex;
  using Weights = typename Lanes::Weights;
  Remaining<Lanes, Real> remaining(points, n, d, scratch);
  Real* point = scratch.take<Real>(std::size_t(d));

  int newest = 0;
  for (int step = 0; step < n - 1; ++step) {
    remaining.remove(newest, point);
    const auto v = broadcast<Vertex, W>(Vertex(newest));
    Lanes best = Lanes::absent();
    const auto meet = [&](int block, Lengths lengths) {
      Lanes& mine = remaining.frontier[block];
      const Weights weights = length_keys<Real, W>(lengths);
      mine = offered(Lanes::between(Either(), remaining.vertices[block], v, weights), mine);
      best = smaller_of(mine, best);
    };
    const int blocks = (remaining.count + W - 1) / W;
    int block = 0;
    for (; block + together <= blocks; block += together) {
      const Real* x = remaining.coordinates + std::size_t(block) * std::size_t(d) * W;
      Lengths sum[together] = {};
      for (int k = 0; k < d; ++k) {
        const auto p = broadcast<Real, W>(point[k]);
        for (int t = 0; t < together; ++t) {
          const auto q = load<Real, W>(x + (std::size_t(t) * std::size_t(d) + std::size_t(k)) * W);
          sum[t] = Rule::template add<Real, W>(sum[t], q - p);
        }
      }
      for (int t = 0; t < together; ++t) meet(block + t, sum[t]);
    }
    for (; block < blocks; ++block) {
      const Real* x = remaining.coordinates + std::size_t(block) * std::size_t(d) * W;
      Lengths sum = {};
      for (int k = 0; k < d; ++k)
        sum = Rule::template add<Real, W>(
            sum, load<Real, W>(x + std::size_t(k) * W) - broadcast<Real, W>(point[k]));
      meet(block, sum);
    }
    tree[step] = best.smallest();
    newest = int(smaller(tree[step].ends));
    if (remaining.slot_of[newest] < 0) newest = int(larger(tree[step].ends));
  }
}

}  // namespace torchtopo::ISA
