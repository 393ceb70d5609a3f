// The two halves of a square matrix, tile by tile: is one the mirror image of the other, and if
// not, make it so. Prim reads whole rows; the contract knows only the entries i < j.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "../../order.hpp"
#include "../cache.hpp"
#include "../scratch.hpp"
#include "../team.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

template <class Real>
struct Tile {
  static constexpr int T = 32 / int(sizeof(Real));  // one vector of 32 bytes per row
  using Row = Vec<std::conditional_t<T == 8, std::int32_t, std::int64_t>, T>;
  Row row[T];

  void load_from(const Real* corner, std::size_t stride) {
    for (int i = 0; i < T; ++i) row[i] = bits<Row>(load<Real, T>(corner + std::size_t(i) * stride));
  }

  // The transpose of a square of numbers, of which halves(i, k, j) is half a row i, from column j
  // on, and behind it that of row k. So the off-diagonal quarters are swapped as they are loaded,
  // which takes no shuffle. Each quarter is transposed by dealing its rows like cards, once for
  // rows of two and twice for rows of four.
  template <class Halves>
  void load_transposed(Halves halves) {
    for (int i = 0; i < half; ++i) {
      row[i] = bits<Row>(halves(i, i + half, 0));
      row[i + half] = bits<Row>(halves(i, i + half, half));
    }
    for (int deal = 1; deal < half; deal *= 2) {
      Row dealt[T];
      for (int i = 0; i < T; i += 2) {
        const int first = i / half * half + i % half / 2;
        dealt[i] = dealt_from<0>(row[first], row[first + half / 2]);
        dealt[i + 1] = dealt_from<half / 2>(row[first], row[first + half / 2]);
      }
      std::copy_n(dealt, T, row);
    }
  }
  void load_transposed(const Real* corner, std::size_t stride) {
    load_transposed([=](int i, int k, int j) {
      const Real* column = corner + j;
      return load_halves<Real, T>(column + std::size_t(i) * stride,
                                  column + std::size_t(k) * stride);
    });
  }

 private:
  static constexpr int half = T / 2;  // lanes of 16 bytes, within which a shuffle is quick

  // Lanes of both by turns, within each half those from one on.
  template <int from>
  static Row dealt_from(Row a, Row b) {
    return dealt_from<from>(a, b, std::make_integer_sequence<int, T>());
  }
  template <int from, int... I>
  static Row dealt_from(Row a, Row b, std::integer_sequence<int, I...>) {
    return shuffle(
        a, b, std::integer_sequence<int, (I / half * half + from + I % half / 2 + I % 2 * T)...>());
  }
};

// Calls visit(i, j) for the squares of the lower half, diagonal included, within rows [top, bottom)
// and columns [left, right): the squares of the last side, grouped by those before it, so that a
// tile and its mirror image stay in the cache.
template <int side, int... finer, class Visit>
inline void every_lower_square(int top, int bottom, int left, int right, Visit visit) {
  for (int i = top; i < bottom; i += side)
    for (int j = left; j < right && j <= i; j += side)
      if constexpr (sizeof...(finer) == 0)
        visit(i, j);
      else
        every_lower_square<finer...>(i, i + side < bottom ? i + side : bottom, j,
                                     j + side < right ? j + side : right, visit);
}

// What a comparison of mirror images found so far, for every lane.
template <class Real>
struct Comparison {
  static constexpr int T = Tile<Real>::T;
  using Unsigned = std::make_unsigned_t<Key<Real>>;
  using Row = Vec<Unsigned, T>;
  Row differs, largest;

  // Written out: Clang compiles an implicit one for the baseline, which has no such vectors.
  Comparison() : differs(broadcast<Unsigned, T>(0)), largest(differs) {}

  // lower and upper are corners of the tiles (i, j) and (j, i).
  void meet(const Real* lower, std::size_t stride, const Real* upper, std::size_t upper_stride,
            bool on_diagonal) {
    Tile<Real> a, b;
    a.load_from(lower, stride);
    b.load_transposed(upper, upper_stride);
    if (on_diagonal)
      for (int k = 0; k < T; ++k) a.row[k][k] = b.row[k][k] = 0;
    for (int k = 0; k < T; ++k) {
      const Row key = bits<Row>(a.row[k]);
      differs = differs | (key ^ bits<Row>(b.row[k]));
      largest = maximum(key, largest);
    }
  }

  // Below infinity as unsigned numbers are the keys of neither negative numbers nor NaN.
  bool found_no_fault() const {
    bool fault = false;
    for (int k = 0; k < T; ++k)
      fault |= differs[k] != 0 || largest[k] > Unsigned(Order<Real>::infinity);
    return !fault;
  }
};

template <class Real>
inline void prefetch_row(const Real* from, int count) {
  for (int k = 0; k < count; k += int(line / sizeof(Real))) prefetch_for_later(from + k);
}

// Whether the matrix is its own matrix of keys, entries (i, j) and (j, i) alike: nothing negative
// (-0.0 included) and no NaN. The diagonal does not matter.
//
// Of a matrix beyond the core's cache, a block of the upper half is copied before the lower half is
// compared with it: rows a power of two apart would share a few sets of the cache, and the second
// half of a line be gone before it is read. Each row of a block may lie on a page of its own, so
// the hardware foresees none, and the next block is fetched while this one is compared: a copy and
// what is compared with it, of two blocks, are to fit that cache.
template <class Real>
bool is_symmetric_and_plain(const Real* matrix, std::size_t stride, int n, Scratch& scratch,
                            Team team) {
  constexpr int T = Tile<Real>::T, block = 128, padded = block + T;
  const int whole = n / T * T;
  const auto at = [=](int i, int j) { return matrix + std::size_t(i) * stride + j; };
  if (std::size_t(n) * stride * sizeof(Real) <= fast_cache / 2) {
    Comparison<Real> comparison;
    every_lower_square<64, 16, T>(0, whole, 0, whole, [&](int i, int j) {
      comparison.meet(at(i, j), stride, at(j, i), stride, i == j);
    });
    if (!comparison.found_no_fault()) return false;
  } else {
    const std::size_t room = std::size_t(block) * padded;
    Real* rooms = scratch.take<Real>(room * std::size_t(team.threads()));
    std::atomic<bool> fault{false};
    const int bands = (whole + block - 1) / block;
    team.each(bands, [&](int worker, std::int64_t k) {
      Real* copy = rooms + room * std::size_t(worker);
      const int top = (bands - 1 - int(k)) * block;  // the longest first
      const int bottom = top + block < whole ? top + block : whole;
      Comparison<Real> comparison;
      every_lower_square<block>(top, bottom, 0, bottom, [&](int, int left) {
        const int right = left + block < bottom ? left + block : bottom;
        const int next = right + block < bottom ? right + block : bottom;
        for (int j = left; j < right; ++j) {
          std::copy_n(at(j, top), bottom - top, copy + (j - left) * padded);
          if (j + block < next) prefetch_row(at(j + block, top), bottom - top);
        }
        every_lower_square<T>(top, bottom, left, right, [&](int i, int j) {
          if (j == left)
            for (int t = 0; t < T; ++t) prefetch_row(at(i + t, right), next - right);
          const Real* upper = copy + (j - left) * padded + (i - top);
          comparison.meet(at(i, j), stride, upper, padded, i == j);
        });
      });
      if (!comparison.found_no_fault()) fault.store(true, std::memory_order_relaxed);
    });
    if (fault.load(std::memory_order_relaxed)) return false;
  }
  for (int i = whole; i < n; ++i)
    for (int j = 0; j < i; ++j) {
      Key<Real> lower, upper;
      std::memcpy(&lower, matrix + std::size_t(i) * stride + j, sizeof lower);
      std::memcpy(&upper, matrix + std::size_t(j) * stride + i, sizeof upper);
      if (lower != upper || lower < 0 || lower > Order<Real>::infinity) return false;
    }
  return true;
}

// Copies those entries i < j of a part of a matrix, of rows [top, bottom) and columns [left,
// right), to (j, i). Parts begin at multiples of T, and end there or where the matrix does.
template <class Real>
void mirror(Real* keys, std::size_t stride, int top, int bottom, int left, int right) {
  constexpr int T = Tile<Real>::T;
  const auto at = [=](int i, int j) { return keys + std::size_t(i) * stride + j; };
  for (int j = left; j < right; j += T) {
    const int width = right - j < T ? right - j : T;
    for (int i = top; i < bottom && i < j; i += T) {
      Tile<Real> tile;
      tile.load_transposed(at(i, j), stride);
      for (int k = 0; k < width; ++k) store(at(j + k, i), tile.row[k]);
    }
    if (top <= j && j < bottom)
      for (int k = 1; k < width; ++k)
        for (int l = 0; l < k; ++l) std::memcpy(at(j + k, j + l), at(j + l, j + k), sizeof(Real));
  }
}

// Makes the lower half of a matrix of keys, of rows of whole tiles, the mirror image of the upper.
template <class Real>
void mirror(Real* keys, std::size_t stride, int n, Team team) {
  constexpr int band = 64;
  const int bands = (n + band - 1) / band;
  team.each(bands, [&](int, std::int64_t number) {
    const int left = (bands - 1 - int(number)) * band;  // the longest first
    const int right = left + band < n ? left + band : n;
    for (int top = 0; top < right; top += band)
      mirror(keys, stride, top, top + band < right ? top + band : right, left, right);
  });
}

// Copies the entries i < j as keys, and their mirror image; false if one is negative, for then the
// keys do not compare as unsigned ones do and Prim's kernel cannot take them.
template <class Real>
bool copy_symmetric(const Real* matrix, std::size_t matrix_stride, int n, Team team, Real* keys,
                    std::size_t stride) {
  std::atomic<bool> any_negative{false};
  team.in_parts(n, 64, [&](std::int64_t begin, std::int64_t end) {
    Key<Real> negative = 0;
    for (int i = int(begin); i < int(end); ++i) {
      const Real* from = matrix + std::size_t(i) * matrix_stride;
      Real* to = keys + std::size_t(i) * stride;
      for (int j = i + 1; j < n; ++j) {
        const Key<Real> key = key_of<Real>(from[j]);
        negative |= key;
        std::memcpy(to + j, &key, sizeof key);
      }
    }
    if (negative < 0) any_negative.store(true, std::memory_order_relaxed);
  });
  if (any_negative.load(std::memory_order_relaxed)) return false;
  mirror(keys, stride, n, team);
  return true;
}

}  // namespace torchtopo::ISA
