// How one coordinate's difference enters a distance. Euclidean lengths stay squared in the kernels:
// squaring keeps their order, and the few that are returned are measured again, in double.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>

#include "../../metric.hpp"
#include "../../order.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

template <class V, class Bits>
inline V magnitude(V x, Bits sign_cleared) {
  return bits<V>(bits<Bits>(x) & sign_cleared);
}

// join adds up two partial distances, add_places those of coarse coordinates; length is what a
// whole sum stands for, and sum its inverse.
struct Sum {
  template <class Real, int W>
  static Vec<Real, W> join(Vec<Real, W> a, Vec<Real, W> b) {
    return a + b;
  }
};

struct Plain {
  template <class Real>
  static Real length(Real sum) {
    return sum;
  }
  template <class Real>
  static Real sum(Real length) {
    return length;
  }
};

struct Euclidean : Sum {
  template <class Real, int W>
  static Vec<Real, W> add(Vec<Real, W> sum, Vec<Real, W> difference) {
    return sum + difference * difference;
  }
  template <int W>
  static Vec<std::uint16_t, W> add_places(Vec<std::uint16_t, W> sum, Vec<std::uint16_t, W> x) {
    return sum + x * x;
  }
  static double add(double sum, double difference) { return sum + difference * difference; }
  template <class Real>
  static Real length(Real sum) {
    return std::sqrt(sum);
  }
  template <class Real>
  static Real sum(Real length) {
    return length * length;
  }
};

struct Manhattan : Sum, Plain {
  template <class Real, int W>
  static Vec<Real, W> add(Vec<Real, W> sum, Vec<Real, W> difference) {
    return sum +
           magnitude(difference, broadcast<Key<Real>, W>(std::numeric_limits<Key<Real>>::max()));
  }
  template <int W>
  static Vec<std::uint16_t, W> add_places(Vec<std::uint16_t, W> sum, Vec<std::uint16_t, W> x) {
    return sum + minimum(x, Vec<std::uint16_t, W>{} - x);
  }
  static double add(double sum, double difference) { return sum + difference; }
};

// The maximum is taken of the bits, as integers: there NaN is the largest of all and is kept.
struct Chebyshev : Plain {
  template <class Real, int W>
  static Vec<Real, W> add(Vec<Real, W> largest, Vec<Real, W> difference) {
    using Bits = Vec<Key<Real>, W>;
    const auto sign_cleared = broadcast<Key<Real>, W>(std::numeric_limits<Key<Real>>::max());
    const Bits size = bits<Bits>(difference) & sign_cleared;
    return bits<Vec<Real, W>>(maximum(bits<Bits>(largest), size));
  }
  template <class Real, int W>
  static Vec<Real, W> join(Vec<Real, W> a, Vec<Real, W> b) {
    return add<Real, W>(a, b);
  }
  template <int W>
  static Vec<std::uint16_t, W> add_places(Vec<std::uint16_t, W> largest, Vec<std::uint16_t, W> x) {
    return maximum(largest, minimum(x, Vec<std::uint16_t, W>{} - x));
  }
  static double add(double largest, double difference) { return std::max(largest, difference); }
};

// The rule by which the kernels measure a metric: the cosine between unit vectors, where it is half
// the square of their distance. Distances that are given are measured by none.
inline Euclidean rule_of(Named<Metric::euclidean>) { return {}; }
inline Manhattan rule_of(Named<Metric::manhattan>) { return {}; }
inline Chebyshev rule_of(Named<Metric::chebyshev>) { return {}; }
inline Euclidean rule_of(Named<Metric::cosine>) { return {}; }

template <class Result>
[[noreturn]] inline Result refused() {
  throw std::invalid_argument("distances that are given are looked up, not measured");
}

// Calls with the rule of a metric of points.
template <class Call>
inline auto with_rule(Metric metric, Call call) {
  return visit(metric, [&](auto named) {
    if constexpr (named == Metric::precomputed)
      return refused<decltype(call(Euclidean()))>();
    else
      return call(rule_of(named));
  });
}

// The key of a length (see order.hpp): it has no sign, and all NaN are one.
template <class Real, int W>
inline Vec<Key<Real>, W> length_keys(Vec<Real, W> lengths) {
  const auto sign_cleared = broadcast<Key<Real>, W>(std::numeric_limits<Key<Real>>::max());
  return minimum(bits<Vec<Key<Real>, W>>(lengths) & sign_cleared,
                 broadcast<Key<Real>, W>(Order<Real>::not_a_number));
}

}  // namespace torchtopo::ISA
