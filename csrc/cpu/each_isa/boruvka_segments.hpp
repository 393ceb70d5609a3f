// Boruvka's algorithm over the square of all distances, which is measured once, half of it, tile by
// tile, and never stored. The cloud is cut into segments, and of each point only its smallest edge
// into each segment is kept: its cells. O(N^2 D) work, O(N D) memory and 64 cells a point.
//
// A cell whose edge leaves the point's component is exact. Once the component has grown over that
// edge, it is a lower bound for what else leads there, and it is measured again only if the bound
// is smaller than the best that the component knows. In many dimensions that is about one cell a
// point and round, and nothing of it waits for memory as Prim does, or for another thread.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../../order.hpp"
#include "../best_edges.hpp"
#include "../cache.hpp"
#include "../kd_order.hpp"
#include "../scratch.hpp"
#include "../team.hpp"
#include "rules.hpp"
#include "simd.hpp"
#include "tiles.hpp"

namespace torchtopo::ISA {

template <class Rule, class Real, int W, int R, int V>
class BoruvkaSegments {
  using Index = std::size_t;
  using Entries = Direct<Rule, Real, W>;
  using Keys = Vec<Key<Real>, W>;
  static constexpr int C = V * W, rows_at_once = rows_in_cache<Real, R>;
  static constexpr int least_size = 128, most_segments = 64;
  static constexpr Key<Real> none = no_edge<Real>.weight;

 public:
  BoruvkaSegments(const Real* points, int n, int d, Scratch& scratch, Team team)
      : n_(n),
        d_(d),
        size_((std::max(least_size, (n + most_segments - 1) / most_segments) + C - 1) / C * C),
        segments_((n + size_ - 1) / size_),
        rows_(std::clamp(int(fast_cache / 8 / sizeof(Real)) / d, 4 * R, rows_at_once) / R * R),
        team_(team),
        vertices_(scratch.take<int>(Index(n))),
        coordinates_(sorted(points, scratch)),
        panels_(coordinates_, n, d, scratch, team),
        best_(n, scratch, team) {
    component_ = scratch.take<int>(Index(n));
    cells_ = scratch.take<Cell>(Index(n) * Index(segments_));
    only_ = scratch.take<int>(Index(segments_));
    rooms_ = scratch.take<Room>(Index(team.threads()));
  }

  void run(Edge<Real>* edges) {
    scan();
    best_.join_all(component_, edges, [this] { find_best(); });
  }

 private:
  // The smallest edge from a slot into a segment leads to the slot `to`; none there is -1.
  struct Cell {
    Key<Real> key;
    int to;
  };
  // What a worker needs to itself.
  struct Room {
    Real strip[rows_at_once * C];
    Key<Real> row_key[rows_at_once * W], row_to[rows_at_once * W];
  };

  // Segments are neighbours in space. Within one, slots ascend as vertices do: of a slot's edges
  // into it that tie, the first is the smallest in the order of edges too.
  Real* sorted(const Real* points, Scratch& scratch) const {
    const KdOrder<Real> order(points, n_, d_, size_, team_);
    Real* coordinates = scratch.take<Real>(Index(n_) * Index(d_));
    team_.in_parts(segments_, 1, [&](std::int64_t first, std::int64_t last) {
      for (int a = int(first); a < int(last); ++a) {
        for (int s = begin(a); s < end(a); ++s) vertices_[s] = order.vertex(Index(s));
        std::sort(vertices_ + begin(a), vertices_ + end(a));
        for (int s = begin(a); s < end(a); ++s)
          std::copy_n(points + Index(vertices_[s]) * Index(d_), d_,
                      coordinates + Index(s) * Index(d_));
      }
    });
    return coordinates;
  }

  int begin(int segment) const { return segment * size_; }
  int end(int segment) const { return std::min(begin(segment) + size_, n_); }
  Cell& cell(int slot, int segment) const {
    return cells_[Index(slot) * Index(segments_) + Index(segment)];
  }
  Edge<Real> edge(int slot, Cell to) const {
    return {to.key, endpoints(std::uint32_t(vertices_[slot]), std::uint32_t(vertices_[to.to]))};
  }

  // Measures every pair of segments; each cell belongs to one of them.
  void scan() {
    team_.in_parts(n_, 1024, [&](std::int64_t first, std::int64_t last) {
      std::fill(&cell(int(first), 0), cells_ + Index(last) * Index(segments_), Cell{none, -1});
    });
    team_.each(std::int64_t(segments_) * segments_, [&](int worker, std::int64_t k) {
      const int a = int(k / segments_), b = int(k % segments_);
      for (int top = begin(a); a <= b && top < end(a); top += rows_)
        scan_rows(a, top, std::min(top + rows_, end(a)), b, rooms_[worker]);
    });
  }

  // Some slots of segment a meet those of b; in the square on the diagonal those after them.
  void scan_rows(int a, int top, int bottom, int b, Room& room) {
    std::fill_n(room.row_key, (bottom - top) * W, none);
    const auto rows = scattered<R>(coordinates_ + Index(top) * Index(d_), n_ - top, d_);
    for (int left = begin(b); left < end(b); left += C) {
      const int last = a == b ? std::min(bottom, left + C) : bottom;
      if (last <= top) continue;
      for (int from = 0; from < d_; from += deep)
        distance_block<W, R, V>(Entries(), rows, d_, 0, last - top, left, panels_.at(left, from),
                                from, room.strip, C);
      for (int i = std::max(top, left); a == b && i < last; ++i)
        hide(room.strip + (i - top) * C, i - left, i - left + 1);
      for (int i = top; left + C > n_ && i < last; ++i)
        hide(room.strip + (i - top) * C, n_ - left, C);
      meet(a, top, last, left, room);
    }
    for (int i = top; i < bottom; ++i)
      for (int k = 0; k < W; ++k)
        offer(cell(i, b), room.row_key[(i - top) * W + k], int(room.row_to[(i - top) * W + k]));
  }

  static void hide(Real* keys, int first, int last) {
    for (int c = first; c < last; ++c) std::memcpy(keys + c, &none, sizeof none);
  }

  static void offer(Cell& cell, Key<Real> key, int to) {
    if (key < cell.key || (key == cell.key && key != none && to < cell.to)) cell = {key, to};
  }

  // A strip of keys, of slots top to bottom and C others from left on: the smallest of each row so
  // far, lane by lane, and the smallest of each column.
  void meet(int a, int top, int bottom, int left, Room& room) {
    Keys least[V], from[V];
    for (int c = 0; c < V; ++c) least[c] = from[c] = broadcast<Key<Real>, W>(none);
    for (int i = top; i < bottom; ++i) {
      const Real* strip = room.strip + (i - top) * C;
      const Index row = Index(i - top) * W;
      const Keys here = broadcast<Key<Real>, W>(i);
      Keys key = load<Key<Real>, W>(room.row_key + row), to = load<Key<Real>, W>(room.row_to + row);
      for (int c = 0; c < V; ++c) {
        const Keys met = bits<Keys>(load<Real, W>(strip + c * W));
        const Keys there = count_up<Key<Real>, W>(left + c * W);
        to = select(met < key, there, to);
        key = minimum(met, key);
        from[c] = select(met < least[c], here, from[c]);
        least[c] = minimum(met, least[c]);
      }
      store(room.row_key + row, key);
      store(room.row_to + row, to);
    }
    Key<Real> keys[C], slots[C];
    std::memcpy(keys, least, sizeof keys);
    std::memcpy(slots, from, sizeof slots);
    for (int c = 0; c < std::min(C, n_ - left); ++c)
      offer(cell(left + c, a), keys[c], int(slots[c]));
  }

  // The smallest edge that leaves each component.
  void find_best() {
    for (int a = 0; a < segments_; ++a) {
      const int *first = component_ + begin(a), *last = component_ + end(a);
      const bool one = std::all_of(first, last, [=](int c) { return c == *first; });
      only_[a] = one ? *first : -1;
    }
    team_.each(segments_, [&](int, std::int64_t a) {
      for (int s = begin(int(a)); s < end(int(a)); ++s) recall(s);
    });
    team_.each(segments_, [&](int, std::int64_t a) {
      for (int b = 0; b < segments_; ++b) ask(int(a), (int(a) + b) % segments_);
    });
  }

  // The best of the cells that leave the component.
  void recall(int s) {
    Leaving<Real> best = {no_edge<Real>, s, -1};
    for (int b = 0; b < segments_; ++b) {
      const Cell known = cell(s, b);
      if (known.key > best.edge.weight || known.to < 0) continue;
      if (component_[known.to] == component_[s]) continue;
      if (edge(s, known) < best.edge) best.edge = edge(s, known), best.to = known.to;
    }
    if (best.to >= 0) best_.improve(component_[s], best);
  }

  // Measures again the cells from segment a into b that may hold an edge that is better than the
  // best known of its component.
  void ask(int a, int b) {
    int asking[R], count = 0;
    for (int s = begin(a); s < end(a); ++s) {
      Cell& known = cell(s, b);
      const int mine = component_[s];
      if (known.to < 0 || component_[known.to] != mine) continue;
      if (only_[b] == mine)
        known = {none, -1};
      else if (edge(s, known) < best_.of(mine).edge)
        asking[count++] = s;
      if (count == R) measure(asking, count, b), count = 0;
    }
    if (count) measure(asking, count, b);
  }

  void measure(const int* slots, int count, int b) {
    const Real* rows[R];
    Cell found[R];
    for (int r = 0; r < R; ++r) {
      rows[r] = coordinates_ + Index(slots[std::min(r, count - 1)]) * Index(d_);
      found[r] = {none, -1};
    }
    for (int left = begin(b); left < end(b); left += C) {
      Vec<Real, W> total[R][V];
      for (int from = 0; from < d_; from += deep) {
        Scattered<Real, R> x;
        for (int r = 0; r < R; ++r) x.row[r] = rows[r] + from;
        Vec<Real, W> sum[R][V] = {};
        add_tile<Entries, Real, W, R, V>(x, panels_.at(left, from), std::min(deep, d_ - from), sum);
        for (int r = 0; r < R; ++r)
          for (int c = 0; c < V; ++c)
            total[r][c] = from ? Entries::join(total[r][c], sum[r][c]) : sum[r][c];
      }
      for (int r = 0; r < count; ++r) {
        Key<Real> keys[C];
        for (int c = 0; c < V; ++c) store(keys + c * W, length_keys<Real, W>(total[r][c]));
        for (int c = 0; c < std::min(C, end(b) - left); ++c)
          if (keys[c] < found[r].key && component_[left + c] != component_[slots[r]])
            found[r] = {keys[c], left + c};
      }
    }
    for (int r = 0; r < count; ++r) {
      cell(slots[r], b) = found[r];
      if (found[r].to >= 0)
        best_.improve(component_[slots[r]], {edge(slots[r], found[r]), slots[r], found[r].to});
    }
  }

  const int n_, d_, size_, segments_, rows_;
  const Team team_;
  int* vertices_;      // [slot]
  Real* coordinates_;  // [slot][dimension]
  Panels<C, Real> panels_;
  BestEdges<Real> best_;
  int* component_;  // [slot]
  Cell* cells_;     // [slot][segment]
  int* only_;       // [segment], the component in which all of it lies, or -1
  Room* rooms_;     // [worker]
};

template <class Rule, class Real, int W, int R, int V>
void boruvka_segments(const Real* points, int n, int d, Scratch& scratch, Team team,
                      Edge<Real>* tree) {
  BoruvkaSegments<Rule, Real, W, R, V>(points, n, d, scratch, team).run(tree);
}

}  // namespace torchtopo::ISA
