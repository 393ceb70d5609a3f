// The k-d order of a cloud: neighbours in space become neighbours in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "team.hpp"

namespace torchtopo {

// A point and the coordinate x by which it is sorted; with all its coordinates at hand, or not.
template <class Real, int at_hand>
struct Place {
  Real x;
  int vertex;
  Real at[at_hand];
};
template <class Real>
struct Place<Real, 0> {
  Real x;
  int vertex;
};

// In up to `at_hand` dimensions points are moved as a whole, or else every halving would have to
// fetch a coordinate of each from anywhere.
template <class Real, int at_hand = 0>
class KdOrder {
  using Place = torchtopo::Place<Real, at_hand>;

 public:
  // Points (n, d), finite, are to be sorted into leaves of `leaf_size`, the last of which may have
  // less.
  KdOrder(const Real* points, int n, int d, int leaf_size, Team team)
      : points_(points),
        d_(std::size_t(d)),
        leaf_size_(leaf_size),
        places_(new Place[std::size_t(n)]) {
    team.in_parts(n, 4096, [&](std::int64_t first, std::int64_t last) {
      for (auto v = std::size_t(first); v < std::size_t(last); ++v) {
        places_[v].vertex = int(v);
        if constexpr (at_hand > 0) std::copy_n(points + v * d_, d_, places_[v].at);
      }
    });
    sort(places_.get(), places_.get() + n, team);
  }

  int vertex(std::size_t slot) const { return places_[slot].vertex; }
  Real coordinate(std::size_t slot, std::size_t k) const { return coordinate(places_[slot], k); }

 private:
  // Halves until there are parts enough for a team.
  void sort(Place* begin, Place* end, Team team) {
    std::vector<Place*> cuts = {begin, end};
    while (!team.alone() && cuts.size() <= 4 * std::size_t(team.threads())) {
      std::vector<Place*> finer(2 * cuts.size() - 1);
      for (std::size_t k = 0; k < cuts.size(); ++k) finer[2 * k] = cuts[k];
      team.each(std::int64_t(cuts.size()) - 1, [&](int, std::int64_t k) {
        finer[2 * std::size_t(k) + 1] = halve(cuts[std::size_t(k)], cuts[std::size_t(k) + 1]);
      });
      cuts.swap(finer);
    }
    team.each(std::int64_t(cuts.size()) - 1,
              [&](int, std::int64_t k) { sort(cuts[std::size_t(k)], cuts[std::size_t(k) + 1]); });
  }

  void sort(Place* begin, Place* end) {
    Place* middle = halve(begin, end);
    if (middle == end) return;
    sort(begin, middle);
    sort(middle, end);
  }

  // Halves the points, in whole leaves, where they are spread widest; returns where the right half
  // begins. The left half has a power of two of leaves, so that leaves 2^k m to 2^k (m + 1) are
  // always one part of space.
  Place* halve(Place* begin, Place* end) const {
    const std::size_t leaves =
        (std::size_t(end - begin) + std::size_t(leaf_size_) - 1) / std::size_t(leaf_size_);
    if (leaves <= 1) return end;
    std::size_t left = 1;
    while (2 * left < leaves) left *= 2;
    const std::size_t widest = widest_of(begin, end);
    for (Place* p = begin; p < end; ++p) p->x = coordinate(*p, widest);
    Place* middle = begin + left * std::size_t(leaf_size_);
    select(begin, middle, end);
    return middle;
  }

  // As nth_element does. Of many, a sample tells between which two the middle one most likely lies;
  // what is beyond these is set apart without a branch, which would be guessed wrong half of the
  // time.
  static void select(Place* begin, Place* middle, Place* end) {
    constexpr std::ptrdiff_t size = 63, margin = 6;
    const std::ptrdiff_t all = end - begin;
    if (all > 4 * size) {
      Real some[size];
      for (std::ptrdiff_t k = 0; k < size; ++k) some[k] = begin[k * all / size].x;
      std::sort(some, some + size);
      const std::ptrdiff_t expected = (middle - begin) * size / all;
      const std::ptrdiff_t ranks[] = {std::min(expected + margin, size - 1),
                                      std::max(expected - margin, std::ptrdiff_t(0))};
      for (const std::ptrdiff_t rank : ranks) {
        Place* cut = smaller_first(begin, end, some[rank]);
        (middle < cut ? end : begin) = cut;
      }
    }
    std::nth_element(begin, middle, end, [](const Place& a, const Place& b) { return a.x < b.x; });
  }

  static Place* smaller_first(Place* begin, Place* end, Real x) {
    Place* cut = begin;
    for (Place* p = begin; p < end; ++p) {
      const Place place = *p;
      *p = *cut;
      *cut = place;
      cut += place.x < x;
    }
    return cut;
  }

  // In which dimension some of the points are spread widest: enough to see where to cut.
  std::size_t widest_of(const Place* begin, const Place* end) const {
    const std::size_t step = std::size_t(end - begin) / sample + 1;
    std::size_t widest = 0;
    Real spread = -1;
    for (std::size_t k = 0; k < d_; ++k) {
      Real low = coordinate(*begin, k), high = low;
      for (const Place* p = begin; p < end - (step - 1); p += step) {
        const Real x = coordinate(*p, k);
        low = x < low ? x : low;
        high = high < x ? x : high;
      }
      if (high - low > spread) spread = high - low, widest = k;
    }
    return widest;
  }

  Real coordinate(const Place& place, std::size_t k) const {
    if constexpr (at_hand > 0)
      return place.at[k];
    else
      return points_[std::size_t(place.vertex) * d_ + k];
  }

  static constexpr std::size_t sample = 64;
  const Real* points_;
  std::size_t d_;
  int leaf_size_;
  std::unique_ptr<Place[]> places_;
};

}  // namespace torchtopo
