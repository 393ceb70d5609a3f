// Kruskal's order for the edges of a tree: a comparison sort would take as long as finding them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "../order.hpp"
#include "isa.hpp"
#include "scratch.hpp"

namespace torchtopo {

// Sorts, by comparison, runs of edges that are alike to the order in which they have been put.
template <class Real, class Alike>
void sort_runs(Edge<Real>* edges, int count, Alike alike) {
  for (int first = 0, last; first < count; first = last) {
    for (last = first + 1; last < count && alike(edges[last], edges[first]);) ++last;
    if (last - first > 1) std::sort(edges + first, edges + last);
  }
}

// Puts each edge where its rank is; those of one weight, which have one rank, next to each other.
template <class Real>
void sort_few_edges(Edge<Real>* edges, int count) {
  Key<Real> keys[most_ranked] = {}, rank[most_ranked];
  unsigned char taken[most_ranked] = {};
  Edge<Real> sorted[most_ranked];
  for (int k = 0; k < count; ++k) keys[k] = edges[k].weight;
  instruction_set().kernels<Real>().ranks(keys, count, rank);
  bool ties = false;
  for (int k = 0; k < count; ++k) {
    unsigned char& before = taken[rank[k]];
    ties |= before != 0;
    sorted[int(rank[k]) + before++] = edges[k];
  }
  std::copy_n(sorted, count, edges);
  const auto tied = [](const Edge<Real>& a, const Edge<Real>& b) { return a.weight == b.weight; };
  if (ties) sort_runs(edges, count, tied);
}

// Sorts by the leading 16 bits of (weight - smallest weight), in two counting passes of 8 bits, and
// what these bits leave together by comparison; a few by their ranks.
template <class Real>
void sort_edges(Edge<Real>* edges, int count, Scratch& scratch) {
  using Unsigned = std::make_unsigned_t<Key<Real>>;
  constexpr int values = 256;
  if (count <= most_ranked) return sort_few_edges(edges, count);

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

  sort_runs(edges, count,
            [=](const Edge<Real>& a, const Edge<Real>& b) { return digits(a) == digits(b); });
}

}  // namespace torchtopo
