// Prim's algorithm over many points. Most distances from a new vertex are too long to matter, and a
// coarse copy of the cloud tells so from a quarter of the memory. O(N D) memory; coordinates must
// be finite.
//
// A coarse coordinate is a byte, a place on a grid of step s. If no point is farther than r from
// its place c, then |x - y| >= |c(x) - c(y)| - 2r, and only what may come nearer to the tree is
// measured. A vertex that joins the tree leaves its slot empty; now and then the others move up.
// Neighbours in space are neighbours in memory, so that what is measured lies together.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "../../order.hpp"
#include "../kd_order.hpp"
#include "../scratch.hpp"
#include "../team.hpp"
#include "lanes.hpp"
#include "rules.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

template <class Lanes, class Rule, class Real>
class PrimCoarse {
  static constexpr int W = Lanes::width;
  static constexpr int L = BYTES / 2;               // coarse distances in a vector,
  static constexpr int strips = 4, B = strips * L;  // in a block
  using Index = std::size_t;
  using Lengths = Vec<Real, W>;
  using Vertex = typename Lanes::Vertex;
  using Vertices = typename Lanes::Vertices;
  using Weights = typename Lanes::Weights;
  using Places = Vec<std::uint16_t, L>;
  using Signed = Vec<std::int16_t, L>;
  using Mask = decltype(Signed() < Signed());

 public:
  PrimCoarse(const Real* points, int n, int d, Scratch& scratch, Team team)
      : points_(points), d_(Index(d)), count_(n), slots_(n) {
    const Index blocks = blocks_of(n), vectors = blocks * (B / W);
    coordinates_ = scratch.take<Real>(blocks * B * d_);
    vertices_ = scratch.take<Vertices>(vectors);
    frontier_ = scratch.take<Lanes>(vectors);
    shortest_ = scratch.take<Edge<Real>>(blocks);
    slot_of_ = scratch.take<int>(Index(n));
    places_ = scratch.take<std::uint8_t>(blocks * B * d_);
    limits_ = scratch.take<std::int16_t>(blocks * B);
    newest_places_ = scratch.take<Places>(d_);
    double* low = scratch.take<double>(d_);
    lay_grid(low);
    if (usable()) fill(low, KdOrder<Real>(points, n, d, B, team));
  }

  // Whether squares of steps and distances stay clear of overflow and of the subnormal numbers.
  bool usable() const {
    const double most = std::is_same_v<Real, float> ? 1e15 : 1e140;
    return step_ > 1 / most && step_ < most;
  }

  void run(Edge<Real>* tree) {
    int newest = 0;
    for (int left = count_ - 1; left > 0; --left, ++tree) {
      remove(newest);
      *tree = meet(newest);
      newest = int(smaller(tree->ends));
      if (slot_of_[newest] < 0) newest = int(larger(tree->ends));
    }
  }

 private:
  static constexpr std::int16_t no_limit = 32767, empty = -32768;

  static Index blocks_of(int slots) { return Index(slots + B - 1) / B; }

  Real& coordinate(int slot, Index k) {
    return coordinates_[(Index(slot / W) * d_ + k) * W + Index(slot % W)];
  }
  std::uint8_t& place(int slot, Index k) {
    return places_[(Index(slot / B) * d_ + k) * B + Index(slot % B)];
  }
  void erase(int slot) {
    frontier_[slot / W].erase(slot % W);
    limits_[slot] = empty;
  }

  // The finest grid on which the square of no distance exceeds 255^2, rounded places included.
  void lay_grid(double* low) {
    double diagonal = 0;
    for (Index k = 0; k < d_; ++k) {
      double high = points_[k];
      low[k] = high;
      for (Index v = 1; v < Index(count_); ++v) {
        low[k] = std::min<double>(low[k], points_[v * d_ + k]);
        high = std::max<double>(high, points_[v * d_ + k]);
      }
      diagonal += (high - low[k]) * (high - low[k]);
    }
    step_ = std::sqrt(diagonal) / (255 - std::sqrt(double(d_)));
  }

  void fill(const double* low, const KdOrder<Real>& order) {
    const int n = slots_, all = int(blocks_of(n)) * B;
    double r = 0;
    for (int s = 0; s < all; ++s) {
      const int vertex = order.vertex(Index(std::min(s, n - 1)));
      double off = 0;
      for (Index k = 0; k < d_; ++k) {
        coordinate(s, k) = points_[Index(vertex) * d_ + k];
        const double x = (coordinate(s, k) - low[k]) / step_, nearest = std::floor(x + 0.5);
        place(s, k) = std::uint8_t(nearest);
        off = Rule::add(off, std::fabs(x - nearest));
      }
      r = std::max(r, Rule::length(off));
      vertices_[s / W][s % W] = Vertex(vertex);
      if (s % W == 0) frontier_[s / W] = Lanes::absent();
      limits_[s] = no_limit;
      if (s < n)
        slot_of_[vertex] = s;
      else
        erase(s);
    }
    // A margin for the rounding of float32 sums of up to 100 squares.
    per_step_ = Real(1.0001 / step_);
    twice_r_ = Real(2 * r);
    for (Index b = 0; b < blocks_of(n); ++b) find_shortest(b);
  }

  // The newest vertex meets all others; the smallest edge of the frontier.
  Edge<Real> meet(int newest) {
    const Real* point = points_ + Index(newest) * d_;
    const auto v = broadcast<Vertex, W>(Vertex(newest));
    Edge<Real> best = {std::numeric_limits<Key<Real>>::max(), ~Endpoints(0)};
    for (Index b = 0; b < blocks_of(slots_); ++b) {
      Places sum[strips] = {};
      const std::uint8_t* x = places_ + b * d_ * B;
      for (Index k = 0; k < d_; ++k, x += B)
        for (int j = 0; j < strips; ++j)
          sum[j] = Rule::template add_places<L>(
              sum[j], widen<std::uint16_t, L>(x + j * L) - newest_places_[k]);
      Mask far[strips];
      for (int j = 0; j < strips; ++j) {
        const auto distance = bits<Signed>(sum[j] - broadcast<std::uint16_t, L>(32767));
        far[j] = load<std::int16_t, L>(limits_ + b * B + Index(j * L)) < distance;
      }
      Mask all = far[0];
      for (int j = 1; j < strips; ++j) all = all & far[j];
      if (!every(all)) {
        for (int j = 0; j < strips; ++j)
          if (!every(far[j])) measure(point, v, b * strips + Index(j));
        find_shortest(b);
      }
      if (shortest_[b] < best) best = shortest_[b];
    }
    return best;
  }

  // The newest vertex at `point` meets the L vertices of a strip.
  void measure(const Real* point, Vertices v, Index strip) {
    constexpr int vectors = L / W;
    const Index first = strip * vectors;
    const Real* x = coordinates_ + first * d_ * W;
    Lengths sum[vectors] = {};
    for (Index k = 0; k < d_; ++k)
      for (int t = 0; t < vectors; ++t)
        sum[t] = Rule::template add<Real, W>(
            sum[t], load<Real, W>(x + (Index(t) * d_ + k) * W) - broadcast<Real, W>(point[k]));
    Real weights[L];
    for (int t = 0; t < vectors; ++t) {
      Lanes& mine = frontier_[first + Index(t)];
      const Vertices u = vertices_[first + Index(t)];
      mine = offered(Lanes::between(Either(), u, v, length_keys<Real, W>(sum[t])), mine);
      store(weights + t * W, mine.weights());
    }
    std::int16_t* limits = limits_ + strip * L;
    for (int c = 0; c < L; ++c) {
      const Real most = Rule::sum(Rule::length(weights[c]) * per_step_ + twice_r_) + 1;
      const int limit = most < 65534 ? int(most) : 65534;  // also where the weight is NaN
      limits[c] = std::min(limits[c], std::int16_t(limit - 32767));
    }
  }

  void find_shortest(Index block) {
    Lanes best = Lanes::absent();
    for (Index t = block * (B / W); t < (block + 1) * (B / W); ++t)
      best = smaller_of(frontier_[t], best);
    shortest_[block] = best.smallest();
  }

  // Takes the vertex out.
  void remove(int vertex) {
    const int slot = slot_of_[vertex];
    slot_of_[vertex] = -1;
    for (Index k = 0; k < d_; ++k) newest_places_[k] = broadcast<std::uint16_t, L>(place(slot, k));
    erase(slot);
    find_shortest(Index(slot / B));
    if (--count_ < slots_ - slots_ / 8) move_up();
  }

  // Closes the gaps.
  void move_up() {
    int to = 0;
    for (int s = 0; s < slots_; ++s) {
      if (limits_[s] == empty) continue;
      if (s != to) {
        for (Index k = 0; k < d_; ++k) coordinate(to, k) = coordinate(s, k);
        for (Index k = 0; k < d_; ++k) place(to, k) = place(s, k);
        const Vertex vertex = vertices_[s / W][s % W];
        vertices_[to / W][to % W] = vertex;
        slot_of_[vertex] = to;
        frontier_[to / W].move(to % W, frontier_[s / W], s % W);
        limits_[to] = limits_[s];
      }
      ++to;
    }
    slots_ = to;
    for (int s = to; s < int(blocks_of(to)) * B; ++s) erase(s);
    for (Index b = 0; b < blocks_of(to); ++b) find_shortest(b);
  }

  const Real* points_;
  Index d_;
  int count_, slots_;
  double step_;
  Real per_step_ = 0, twice_r_ = 0;
  Real* coordinates_;     // [block][vector][dimension][W]
  Vertices* vertices_;    // [block][vector]
  Lanes* frontier_;       // [block][vector]
  Edge<Real>* shortest_;  // [block]
  int* slot_of_;          // [vertex], -1 once it is in the tree
  std::uint8_t* places_;  // [block][dimension][B]
  std::int16_t* limits_;  // [block][B], the coarse distance less 32767 up to which one is measured
  Places* newest_places_;
};

// False, and no tree, if the cloud is too large or too small for its squares.
template <class Lanes, class Rule, class Real>
bool prim_coarse(const Real* points, int n, int d, Scratch& scratch, Team team, Edge<Real>* tree) {
  PrimCoarse<Lanes, Rule, Real> prim(points, n, d, scratch, team);
  if (prim.usable()) prim.run(tree);
  return prim.usable();
}

}  // namespace torchtopo::ISA
