// Kruskal's order for the edges of a tree: a comparison sort would take as long as finding them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "../order.hpp"
#include "scratch.hpp"

namespace torchtopo {

// Sorts by the leading 16 bits of (weight - smallest weight), in two counting passes of 8 bits, and
// what these bits leave together by comparison.
template <class Real>
void sort_edges(Edge<Real>* edges, int count, Scratch& scratch) {
  using Unsigned = std::make_unsigned_t<Key<Real>>;
  constexpr int worth_counting = 64, values = 256;
  if (count < worth_counting) return std::sort(edges, edges + count);

  Key<Real> least = edges[0].weight, most = least;
  for (int k = 1; k < count; ++k) {
    least = std::min(least, edges[k].weight);
    most = std::max(most, edges[k].weight);
  }
  int shift = 0;
  for (Unsigned range = Unsigned(most) - Unsigned(least); range >> shift >> 16 != 0;) ++shift;
  const auto digits = [=](const Edge<Real>& edge) {
    return unsigned((Unsigned(edge.weight) - Unsigned(least)) >> shift);
  };

  int low[values] = {}, high[values] = {};
  for (int k = 0; k < count; ++k) {
    const unsigned d = digits(edges[k]);
    ++low[d % values];
    ++high[d / values];
  }
  for (int v = 0, lower = 0, higher = 0; v < values; ++v) {
    lower += std::exchange(low[v], lower);
    higher += std::exchange(high[v], higher);
  }
  Edge<Real>* half_sorted = scratch.take<Edge<Real>>(std::size_t(count));
  for (int k = 0; k < count; ++k) half_sorted[low[digits(edges[k]) % values]++] = edges[k];
  for (int k = 0; k < count; ++k) edges[high[digits(half_sorted[k]) / values]++] = half_sorted[k];

  for (int first = 0, last; first < count; first = last) {
    for (last = first + 1; last < count && digits(edges[last]) == digits(edges[first]);) ++last;
    if (last - first > 1) std::sort(edges + first, edges + last);
  }
}

}  // namespace torchtopo
