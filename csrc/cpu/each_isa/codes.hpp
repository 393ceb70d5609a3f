// Points as whole numbers of 16 bits, their codes: on a processor with an instruction for it,
// distances of codes take half the time of those of float coordinates, and are exact.
//
// A code is the nearest place on a grid of one step s, so no coordinate is off by more than half a
// step, and a length is that of the codes, in steps, give or take a known number of them. The proof
// of each margin here is docs/decisions/0011-codes-before-lengths.md.
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
#include "../scratch.hpp"
#include "../team.hpp"
#include "simd.hpp"
#include "tiles.hpp"

namespace torchtopo::ISA {

// What the squared distance of codes, one of the keys below, tells of the key of a squared length.
struct Margin {
  double off;     // a length is that of the codes give or take so many steps
  double steady;  // and its key has rounded its square to a share of it, the square of this - 1

  // All keys at codes farther apart than this are larger than all those at codes that are not
  // farther apart than `key`.
  Key<float> beyond(Key<float> key) const {
    const double steps = (std::sqrt(double(key)) + off) * steady + off;
    return Key<float>(std::min(steps * steps, double(Order<float>::infinity - 2))) + 1;
  }
  // All keys at codes nearer than this are smaller than all those at codes that are not nearer.
  Key<float> short_of(Key<float> key) const {
    const double steps = std::max((std::sqrt(double(key)) - off) / steady - off, 0.0);
    return Key<float>(steps * steps);
  }
};

template <class Real>
class Grid {
  static constexpr int L = W<Real>;
  using Coordinates = Vec<Real, L>;
  // So many steps from the centre at most, so that the square of no distance reaches infinity's
  // key.
  static constexpr double radius = 23000, slack = 100, half_a_step = 0.51;

 public:
  // The finest grid for the points, around the mean of some of them.
  Grid(const Real* points, int n, int d, const Real* some, int m, Scratch& scratch, Team team)
      : d_(std::size_t(d)), padded_((d_ + L - 1) / L * L) {
    Real* centre = scratch.take<Real>(padded_);
    std::fill_n(centre, padded_, Real(0));
    for (int i = 0; i < m; ++i)
      for (std::size_t k = 0; k < d_; ++k)
        centre[k] += some[std::size_t(i) * d_ + k] * (1 / Real(m));
    centre_ = centre;
    Real* squares = scratch.take<Real>(std::size_t(n));
    team.in_parts(n, 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        squares[i] = square_from_centre(points + std::size_t(i) * d_);
    });
    constexpr Real infinity = std::numeric_limits<Real>::infinity();
    Real largest = 0;
    for (int i = 0; i < n; ++i)  // infinity also where it is NaN
      largest = squares[i] < infinity ? std::max(largest, squares[i]) : infinity;
    const double farthest = 1.001 * std::sqrt(double(largest));
    step_ = farthest / radius;
    per_step_ = Real(radius / farthest);
  }

  // Whether squares of steps and of distances stay clear of overflow and of the subnormal numbers.
  bool usable() const {
    const double most = std::is_same_v<Real, float> ? 1e14 : 1e140;
    return step_ > 1 / most && step_ < most && half_a_step * std::sqrt(double(d_)) < slack;
  }

  Margin margin() const {
    const double roundings = 8 + deep + double(d_) / deep;
    return {2 * half_a_step * std::sqrt(double(d_)),
            1 + roundings * double(std::numeric_limits<Real>::epsilon())};
  }

  // Codes of a point; what is left of the row is filled with zeros.
  void encode(const Real* point, std::int16_t* codes, std::size_t row) const {
    std::size_t k = 0;
    for (; k + L <= d_; k += L) write(load<Real, L>(point + k), k, codes);
    if (k < d_) {
      Real rest[L] = {};
      std::copy(point + k, point + d_, rest);
      std::int16_t codes_of_rest[L];
      write(load<Real, L>(rest), load<Real, L>(centre_ + k), codes_of_rest);
      std::copy_n(codes_of_rest, d_ - k, codes + k);
    }
    std::fill(codes + d_, codes + row, std::int16_t(0));
  }

 private:
  Real square_from_centre(const Real* point) const {
    constexpr int together = 4;
    Coordinates sum[together] = {};
    const auto meet = [&](int t, std::size_t k) {
      const Coordinates x = load<Real, L>(point + k) - load<Real, L>(centre_ + k);
      sum[t] = sum[t] + x * x;
    };
    std::size_t k = 0;
    for (; k + together * L <= d_; k += together * L)
      for (int t = 0; t < together; ++t) meet(t, k + std::size_t(t * L));
    for (; k + L <= d_; k += L) meet(0, k);
    const Coordinates whole = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    Real all = 0;
    for (int c = 0; c < L; ++c) all += whole[c];
    for (; k < d_; ++k) all += (point[k] - centre_[k]) * (point[k] - centre_[k]);
    return all;
  }

  void write(Coordinates x, std::size_t k, std::int16_t* codes) const {
    write(x, load<Real, L>(centre_ + k), codes + k);
  }
  void write(Coordinates x, Coordinates centre, std::int16_t* codes) const {
    // Added and taken away, it leaves the nearest whole number.
    const auto whole = broadcast<Real, L>(Real(1.5) / std::numeric_limits<Real>::epsilon());
    const Coordinates places = (x - centre) * broadcast<Real, L>(per_step_) + whole - whole;
    store(codes, convert<std::int16_t, L>(convert<std::int32_t, L>(places)));
  }

  std::size_t d_, padded_;
  const Real* centre_;
  double step_;
  Real per_step_;
};

// The codes of points, two to a word, and the keys of their distances: squares, exact.
class Codes {
  static constexpr int L = dot_pairs_bytes / 4;  // words in a vector
  using Words = Vec<std::int32_t, L>;
  using Pairs = Vec<std::int16_t, 2 * L>;

  // |x|^2 + |y|^2 - 2 xy, exact: nothing here leaves 31 bits, however far a sum has come.
  struct Distance {
    const std::int32_t* squares;

    static Words add(Words sum, Words x, Words y) {
      return add_dot_pairs<L>(sum, bits<Pairs>(x), bits<Pairs>(y));
    }
    static Words join(Words a, Words b) { return a + b; }
    Words keys(Words product, int i, int left) const {
      return broadcast<std::int32_t, L>(squares[i]) + load<std::int32_t, L>(squares + left) -
             product - product;
    }
  };

 public:
  static constexpr int columns = COLUMNS * L;

  template <class Real>
  Codes(const Grid<Real>& grid, const Real* points, int n, int d, Scratch& scratch, Team team)
      : n_(n), words_((d + 2 * L - 1) / (2 * L) * L) {
    const std::size_t row = std::size_t(words_) * 2;
    const int padded = (n + columns - 1) / columns * columns;
    codes_ = scratch.take<std::int32_t>(std::size_t(n) * std::size_t(words_));
    squares_ = scratch.take<std::int32_t>(std::size_t(padded));
    std::fill(squares_ + n, squares_ + padded, 0);
    team.in_parts(n, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        std::int32_t* codes = codes_ + std::size_t(i) * std::size_t(words_);
        grid.encode(points + std::size_t(i) * std::size_t(d),
                    reinterpret_cast<std::int16_t*>(codes), row);
        Words sum = {};
        for (int k = 0; k < words_; k += L) {
          const Words x = load<std::int32_t, L>(codes + k);
          sum = Distance::add(sum, x, x);
        }
        squares_[i] = 0;
        for (int c = 0; c < L; ++c) squares_[i] += sum[c];
      }
    });
  }

  // The matrix of keys.
  void distances(Scratch& scratch, Team team, std::int32_t* keys, std::size_t stride) const {
    distance_tiles<L, ROWS, COLUMNS>(Distance{squares_}, codes_, n_, words_, scratch, team, keys,
                                     stride);
  }

 private:
  int n_, words_;
  std::int32_t *codes_, *squares_;
};

}  // namespace torchtopo::ISA
