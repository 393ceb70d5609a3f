// All distances of a bag by direct differences, tile by tile in registers: the upper half of the
// matrix, and some of the lower that will be overwritten by its mirror image.
//
// (x - y)^2 costs a subtraction where a matrix product would not, but the subtraction runs beside
// the multiply-add on a port of its own, half the matrix suffices, and nothing cancels: |x|^2 +
// |y|^2 - 2xy loses every digit for a cloud far from the origin.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <type_traits>

#include "../../order.hpp"
#include "../cache.hpp"
#include "../isa.hpp"
#include "../scratch.hpp"
#include "../team.hpp"
#include "mirror.hpp"
#include "rules.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

// How an entry is made: `add` joins a coordinate of x and of y to a sum, `join` two sums of parts
// of the depth, and `keys` are those of the entries (i, left), (i, left + 1), ...
template <class Rule, class Real, int W>
struct Direct {
  using Number = Vec<Real, W>;
  static Number add(Number sum, Number x, Number y) {
    return Rule::template add<Real, W>(sum, x - y);
  }
  static Number join(Number a, Number b) { return Rule::template join<Real, W>(a, b); }
  static Number keys(Number sum, int, int) { return bits<Number>(length_keys<Real, W>(sum)); }
};

// Rows of a tile: each where its point is, or neighbours in a panel of C points, read in one
// stream.
template <class Real, int R>
struct Scattered {
  const Real* row[R];
  Real operator()(int r, int k) const { return row[r][k]; }
};
template <class Real, int C>
struct InPanel {
  const Real* first;
  Real operator()(int r, int k) const { return first[std::size_t(k) * C + std::size_t(r)]; }
};

// Of the V vectors in a row of the panel, all but the first `skipped`.
template <class Entries, class Real, int W, int R, int V, int skipped = 0, class Rows>
inline void add_tile(const Rows& rows, const Real* panel, int depth,
                     Vec<Real, W> (&sum)[R][V - skipped]) {
  for (int k = 0; k < depth; ++k) {
    Vec<Real, W> column[V - skipped];
    for (int c = skipped; c < V; ++c)
      column[c - skipped] = load<Real, W>(panel + (std::size_t(k) * V + c) * W);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const auto x = broadcast<Real, W>(rows(r, k));
#pragma GCC unroll 4
      for (int c = 0; c < V - skipped; ++c) sum[r][c] = Entries::add(sum[r][c], x, column[c]);
    }
  }
}

// Row i of a cloud; past the end the last one, whose distances nobody reads.
template <class Real>
inline const Real* row_of(const Real* points, int n, int d, int i) {
  return points + std::size_t(i < n ? i : n - 1) * std::size_t(d);
}

// The depth is summed in blocks of so many coordinates. A panel's block stays in the first-level
// cache, and the rounding error of a float32 sum is that of so many terms, whatever D is.
constexpr int deep = 256;

// Coordinates from `from` on, at most `deep`, of C points from left on: panel[k * C + c].
template <int C, class Real>
inline void pack_panel(const Real* points, int n, int d, int left, int from, Real* panel) {
  constexpr int T = Tile<Real>::T;
  const int depth = d - from < deep ? d - from : deep;
  for (int c = 0; c < C; c += T) {
    const Real* x[T];
    for (int t = 0; t < T; ++t) x[t] = row_of(points, n, d, left + c + t) + from;
    int k = 0;
    for (; k + T <= depth; k += T) {
      Tile<Real> tile;
      tile.load_transposed([&](int s, int t, int column) {
        return load_halves<Real, T>(x[s] + k + column, x[t] + k + column);
      });
      for (int t = 0; t < T; ++t) store(panel + (k + t) * C + c, tile.row[t]);
    }
    for (; k < depth; ++k)
      for (int t = 0; t < T; ++t) panel[k * C + c + t] = x[t][k];
  }
}

// The block from coordinate `from` on of the distances of points i, top <= i < bottom, and
// left + c, c < V * W, is joined to out[i * stride + c]; after the last block out holds keys. The
// first `skipped` vectors of a row are left as they are.
template <int W, int R, int V, int skipped = 0, class Entries, class Real, class RowsFrom>
inline void distance_block(const Entries& entries, const RowsFrom& rows_from, int d, int top,
                           int bottom, int left, const Real* panel, int from, Real* out,
                           std::size_t stride) {
  const int to = from + deep < d ? from + deep : d;
  for (int i = top; i < bottom; i += R) {
    Vec<Real, W> sum[R][V - skipped] = {};
    add_tile<Entries, Real, W, R, V, skipped>(rows_from(i, from), panel, to - from, sum);
    for (int r = 0; r < R && i + r < bottom; ++r) {
      Real* row = out + std::size_t(i + r) * stride;
      for (int c = skipped; c < V; ++c) {
        Vec<Real, W> total = sum[r][c - skipped];
        if (from > 0) total = Entries::join(load<Real, W>(row + c * W), total);
        if (to == d) total = entries.keys(total, i + r, left + c * W);
        store(row + c * W, total);
      }
    }
  }
}

// The rows of tiles of a cloud.
template <int R, class Real>
inline auto scattered(const Real* points, int n, int d) {
  return [=](int i, int from) {
    Scattered<Real, R> rows;
    for (int r = 0; r < R; ++r) rows.row[r] = row_of(points, n, d, i + r) + from;
    return rows;
  };
}

// A cloud in panels of C points, the depth in blocks.
template <int C, class Real>
class Panels {
 public:
  Panels(const Real* points, int n, int d, Scratch& scratch, Team team)
      : d_(d), padded_(std::size_t((n + C - 1) / C * C)) {
    values_ = scratch.take<Real>(padded_ * std::size_t(d));
    team.in_parts(std::int64_t(padded_) / C, 64 / C, [&](std::int64_t first, std::int64_t last) {
      for (int from = 0; from < d; from += deep)
        for (int left = int(first) * C; left < int(last) * C; left += C)
          pack_panel<C>(points, n, d, left, from, at(left, from));
    });
  }

  // Coordinates from `from` on of the points from `left` on.
  Real* at(int left, int from) const {
    const int depth = d_ - from < deep ? d_ - from : deep;
    return values_ + padded_ * std::size_t(from) + std::size_t(left) * std::size_t(depth);
  }

  // The rows of tiles, of which none lies in two panels.
  auto rows() const {
    return [this](int i, int from) { return InPanel<Real, C>{at(i / C * C, from) + i % C}; };
  }

 private:
  int d_;
  std::size_t padded_;
  Real* values_;
};

// As many points as fit a core's cache with a block of their depth, a multiple of some.
template <class Real, int some>
constexpr int rows_in_cache = int(fast_cache / 8) / (deep * int(sizeof(Real))) / some * some;

// The matrix of keys: rows[i * stride + j]. As many points as fit the cache meet all panels, or
// those of a group, before the next points do; a team shares out the groups. Its upper half is
// measured, and mirrored while it is at hand.
template <int W, int R, int V, class Entries, class Real>
void distance_tiles(const Entries& entries, const Real* points, int n, int d, Scratch& scratch,
                    Team team, Real* rows, std::size_t stride) {
  constexpr int C = V * W, together = rows_in_cache<Real, std::lcm(R, C)>;
  const Panels<C, Real> panels(points, n, d, scratch, team);
  const auto rows_from = [&] {
    if constexpr (C % R == 0)
      return panels.rows();
    else
      return scattered<R>(points, n, d);
  }();
  const int padded = (n + C - 1) / C * C, group = team.alone() ? padded : 64;
  const int groups = (n + group - 1) / group, blocks = (n + together - 1) / together;
  team.each(std::int64_t(blocks) * groups, [&](int, std::int64_t k) {
    const int top = int(k / groups) * together, begin = int(k % groups) * group;
    for (int from = 0; from < d; from += deep)
      for (int left = std::max(begin, top / C * C); left < std::min(begin + group, n); left += C) {
        const int bottom = std::min({top + together, left + C, n});
        // From here on only the last vector of a row reaches beyond the diagonal.
        const int half = std::clamp(top + (left + (V - 1) * W - top + R - 1) / R * R, top, bottom);
        const auto block = [&](auto skipped, int first, int last) {
          distance_block<W, R, V, skipped()>(entries, rows_from, d, first, last, left,
                                             panels.at(left, from), from, rows + left, stride);
        };
        block(std::integral_constant<int, 0>(), top, half);
        block(std::integral_constant<int, V - 1>(), half, bottom);
        if (from + deep >= d) mirror(rows, stride, top, bottom, left, std::min(left + C, n));
      }
  });
}

// Offers the keys of row i in the C columns from left on, those right of the diagonal.
template <int C, class Real>
inline void offer_keys(const Real* keys, int i, int left, int n, Farthest<Real>& best) {
  constexpr Key<Real> infinity = Order<Real>::infinity;
  Key<Real> key[C], row_largest = -1;
  std::memcpy(key, keys, sizeof key);
  const int first = i < left ? 0 : i + 1 - left, last = left + C < n ? C : n - left;
  for (int c = first; c < last; ++c) row_largest = row_largest < key[c] ? key[c] : row_largest;
  if (row_largest < best.key) return;
  best.infinite |= row_largest >= infinity;
  for (int c = first; c < last; ++c)
    if (key[c] != infinity) best.offer(key[c], endpoints(unsigned(i), unsigned(left + c)));
}

// The farthest pair of a whole matrix of keys, whose rows are padded to C columns.
template <int C, class Real>
Farthest<Real> farthest_of_keys(const Real* rows, std::size_t stride, int n, Team team) {
  return farthest_of_parts<Real>(
      team, (n + 63) / 64, [=](int, std::int64_t k, Farthest<Real>& best) {
        for (int i = int(k) * 64; i < std::min(int(k + 1) * 64, n); ++i)
          for (int left = i / C * C; left < n; left += C)
            offer_keys<C>(rows + std::size_t(i) * stride + left, i, left, n, best);
      });
}

// The largest distance below infinity, the first in the order (i, j) of its equals; NaN before all.
template <class Rule, class Real, int W, int R, int V>
Farthest<Real> farthest(const Real* points, int n, int d, Scratch& scratch, Team team) {
  constexpr int C = V * W;
  const std::size_t room = std::size_t(deep + n) * C;
  Real* rooms = scratch.take<Real>(room * std::size_t(team.threads()));
  const int strips = (n + C - 1) / C;
  const auto offer_strip = [=](int worker, std::int64_t k, Farthest<Real>& best) {
    Real* panel = rooms + room * std::size_t(worker);
    Real* strip = panel + std::size_t(deep) * C;
    const int left = (strips - 1 - int(k)) * C, bottom = left + C < n ? left + C : n;
    for (int from = 0; from < d; from += deep) {
      pack_panel<C>(points, n, d, left, from, panel);
      distance_block<W, R, V>(Direct<Rule, Real, W>(), scattered<R>(points, n, d), d, 0, bottom,
                              left, panel, from, strip, std::size_t(C));
    }
    for (int i = 0; i < bottom; ++i) offer_keys<C>(strip + std::size_t(i) * C, i, left, n, best);
  };
  return farthest_of_parts<Real>(team, strips, offer_strip);
}

}  // namespace torchtopo::ISA
