// The kernels of one instruction set: a file csrc/cpu/isa_*.cpp includes this, with ISA, BYTES,
// ROWS and COLUMNS defined (see width.hpp). Everything in this folder is compiled there, within
// that set's namespace, so that no function compiled for AVX-512 can be picked by the linker for a
// processor without it.
#pragma once

#include "../plan.hpp"
#include "boruvka.hpp"
#include "boruvka_segments.hpp"
#include "codes.hpp"
#include "length.hpp"
#include "mirror.hpp"
#include "prim.hpp"
#include "prim_coarse.hpp"
#include "prim_codes.hpp"
#include "prim_matrix_free.hpp"
#include "ranks.hpp"
#include "rules.hpp"
#include "tiles.hpp"

namespace torchtopo::ISA {

// Float edges fit one word while their vertices fit 16 bits; doubles never do.
template <class Real, int doubles = W<double>, class Call>
inline auto with_lanes(int n, Call call) {
  if constexpr (std::is_same_v<Real, float>) {
    if (n < 1 << 16) return call(EdgeLanes<float, W<float>, true>());
  }
  return call(EdgeLanes<Real, doubles, false>());
}

// Rows are padded to whole tiles, and away from powers of two, whose rows would all compete for the
// same few sets of the cache.
template <class Real>
std::size_t padded_stride(int n) {
  constexpr std::size_t tile = std::size_t(COLUMNS * W<Real>);
  const std::size_t stride = (std::size_t(n) + tile - 1) / tile * tile;
  return stride * sizeof(Real) % 1024 == 0 ? stride + tile : stride;
}

template <class Real>
Rows<Real> rows_of_matrix(const Real* distances, std::size_t stride, int n, Scratch& scratch,
                          Team team, Edge<Real>* tree) {
  if (is_symmetric_and_plain(distances, stride, n, scratch, team))
    return {distances, stride, n, tree};
  const std::size_t padded = padded_stride<Real>(n);
  Real* keys = scratch.take<Real>(std::size_t(n) * padded);
  const bool copied = copy_symmetric(distances, stride, n, team, keys, padded);
  return {copied ? keys : nullptr, padded, n, tree};
}

template <class Real>
bool prims_abreast(const Rows<Real>* matrices, int count, bool plain, Ahead ahead,
                   Scratch& scratch) {
  int n = 0;
  for (int m = 0; m < count; ++m) n = std::max(n, matrices[m].n);
  return with_lanes<Real>(n, [&](auto lanes) {
    using Lanes = decltype(lanes);
    return plain ? prims_abreast<Lanes, true>(matrices, count, ahead, scratch)
                 : prims_abreast<Lanes, false>(matrices, count, ahead, scratch);
  });
}

// Room for the matrix of n points.
template <class Real>
Real* take_keys(int n, Scratch& scratch) {
  return scratch.take<Real>(std::size_t(n) * padded_stride<Real>(n));
}

template <class Real>
Rows<Real> rows_by_tiles(const Real* points, int n, int d, Metric metric, Scratch& scratch,
                         Team team, Real* keys, Edge<Real>* tree, Farthest<Real>* far) {
  const std::size_t stride = padded_stride<Real>(n);
  with_rule(metric, [&](auto rule) {
    distance_tiles<W<Real>, ROWS, COLUMNS>(Direct<decltype(rule), Real, W<Real>>(), points, n, d,
                                           scratch, team, keys, stride);
  });
  if (far) *far = farthest_of_keys<COLUMNS * W<Real>>(keys, stride, n, team);
  return {keys, stride, n, tree};
}

template <class Real>
Rows<Real> rows_of_points(const Real* points, int n, int d, Metric metric, Scratch& scratch,
                          Team team, Edge<Real>* tree, Farthest<Real>* far) {
  Real* keys = take_keys<Real>(n, scratch);
  return rows_by_tiles<Real>(points, n, d, metric, scratch, team, keys, tree, far);
}

template <class Real>
void prim_tiled(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                Real* keys, Edge<Real>* tree, Farthest<Real>* far) {
  const auto rows = rows_by_tiles(points, n, d, metric, scratch, team, keys, tree, far);
  prims_abreast<Real>(&rows, 1, true, {}, scratch);
}

template <class Real>
void prim_tiled(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                Edge<Real>* tree) {
  Real* keys = take_keys<Real>(n, scratch);
  prim_tiled<Real>(points, n, d, metric, scratch, team, keys, tree, nullptr);
}

// Doubles by eights wherever AVX-512 is, whose registers hold the tiles of 8 rows: half as many
// edges to meet, and more of them under way.
template <class Real>
void prim_matrix_free(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team,
                      Edge<Real>* tree) {
  constexpr int doubles = ROWS < 8 ? W<double> : 8;
  with_lanes<Real, doubles>(n, [&](auto lanes) {
    with_rule(metric, [&](auto rule) {
      prim_matrix_free<decltype(lanes), decltype(rule)>(points, n, d, scratch, tree);
    });
  });
}

template <class Real>
void prim_coarse(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                 Edge<Real>* tree) {
  const bool found = with_lanes<Real>(n, [&](auto lanes) {
    return with_rule(metric, [&](auto rule) {
      return prim_coarse<decltype(lanes), decltype(rule)>(points, n, d, scratch, team, tree);
    });
  });
  if (!found) prim_matrix_free(points, n, d, metric, scratch, team, tree);
}

template <class Real>
void boruvka(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
             Edge<Real>* tree) {
  with_rule(metric, [&](auto rule) { boruvka<decltype(rule)>(points, n, d, scratch, team, tree); });
}

template <class Real>
void boruvka_segments(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                      Edge<Real>* tree) {
  with_rule(metric, [&](auto rule) {
    boruvka_segments<decltype(rule), Real, W<Real>, ROWS, COLUMNS>(points, n, d, scratch, team,
                                                                   tree);
  });
}

template <class Real>
Farthest<Real> farthest(const Real* points, int n, int d, Metric metric, Scratch& scratch,
                        Team team) {
  return with_rule(metric, [&](auto rule) {
    return farthest<decltype(rule), Real, W<Real>, ROWS, COLUMNS>(points, n, d, scratch, team);
  });
}

template <class Real>
void prim_codes(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                Edge<Real>* tree, Farthest<Real>* far) {
  Found found = {};
  Real* keys = take_keys<Real>(n, scratch);
  if (metric == Metric::euclidean || metric == Metric::cosine)
    found = with_lanes<float>(n, [&](auto lanes) {
      return prim_codes<decltype(lanes), Euclidean>(points, n, d, scratch, team,
                                                    reinterpret_cast<std::int32_t*>(keys),
                                                    padded_stride<float>(n), tree, far);
    });
  if (!found.tree) return prim_tiled(points, n, d, metric, scratch, team, keys, tree, far);
  if (far && !found.farthest) *far = farthest(points, n, d, metric, scratch, team);
}

template <class Real>
void prim_codes(const Real* points, int n, int d, Metric metric, Scratch& scratch, Team team,
                Edge<Real>* tree) {
  prim_codes<Real>(points, n, d, metric, scratch, team, tree, nullptr);
}

template <class Real>
Farthest<Real> prim_codes_and_farthest(const Real* points, int n, int d, Metric metric,
                                       Scratch& scratch, Team team, Edge<Real>* tree) {
  Farthest<Real> far;
  prim_codes(points, n, d, metric, scratch, team, tree, &far);
  return far;
}

template <class Real>
constexpr Kernels<Real> kernels() {
  Kernels<Real> table{};
  table.rows_of_matrix = &rows_of_matrix<Real>;
  table.rows_of_points = &rows_of_points<Real>;
  table.prims_abreast = &prims_abreast<Real>;
  table.prim_tiled = &prim_tiled<Real>;
  table.prim_matrix_free = &prim_matrix_free<Real>;
  table.prim_coarse = &prim_coarse<Real>;
  table.prim_codes = &prim_codes<Real>;
  table.boruvka = &boruvka<Real>;
  table.boruvka_segments = &boruvka_segments<Real>;
  table.farthest = &farthest<Real>;
  table.prim_codes_and_farthest = &prim_codes_and_farthest<Real>;
  table.ranks = &ranks<Real>;
  table.length = &length<Real>;
  table.norm = &norm<Real>;
  table.pull_ends = &pull_ends<Real>;
  return table;
}
// For UndefinedBehaviorSanitizer, which comes with AddressSanitizer here, gcc no longer takes it
// for granted that a function has an address.
#if !defined(__SANITIZE_ADDRESS__)
static_assert(every_way_has_its_kernel(kernels<float>()) &&
                  every_way_has_its_kernel(kernels<double>()),
              "assign every kernel that plan.hpp names in kernels() above");
#endif

}  // namespace torchtopo::ISA
