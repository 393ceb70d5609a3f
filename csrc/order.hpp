// The strict total order (weight, i, j) on edges, as integers.
//
// Ripser breaks ties between equal diameters by index; so do we, and with a *strict* order the
// minimum spanning tree is unique. Prim, Boruvka and Kruskal then all return the same edges, which
// is what allows a kernel to choose whichever of them is fastest.
//
// A float becomes an integer that compares as the contract wants floats to compare: -0.0 equals
// 0.0, every NaN is one value above +inf. An edge then is a pair of integers (weight, endpoints).
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

namespace torchtopo {

template <class Real>
struct Order;

template <>
struct Order<float> {
  using Key = std::int32_t;
  static constexpr Key infinity = 0x7f800000;
  static constexpr Key not_a_number = 0x7fc00000;
};

template <>
struct Order<double> {
  using Key = std::int64_t;
  static constexpr Key infinity = 0x7ff0000000000000;
  static constexpr Key not_a_number = 0x7ff8000000000000;
};

template <class Real>
using Key = typename Order<Real>::Key;

// No arithmetic here: a processor that flushes subnormal numbers to zero would change them.
template <class Real>
inline Key<Real> key_of(Real weight) {
  constexpr Key<Real> sign_cleared = std::numeric_limits<Key<Real>>::max();
  Key<Real> key;
  std::memcpy(&key, &weight, sizeof key);
  const Key<Real> size = key & sign_cleared;
  if (size > Order<Real>::infinity) return Order<Real>::not_a_number;
  // Negative floats grow downwards in their bits; flipping them makes the integers ascend.
  return key >= 0 ? key : size == 0 ? 0 : key ^ sign_cleared;
}

template <class Real>
inline Real weight_of(Key<Real> key) {
  if (key < 0) key ^= std::numeric_limits<Key<Real>>::max();
  Real weight;
  std::memcpy(&weight, &key, sizeof weight);
  return weight;
}

// The endpoints i < j in one word that compares as (i, j) does.
using Endpoints = std::uint64_t;

inline Endpoints endpoints(std::uint32_t u, std::uint32_t v) {
  return u < v ? (Endpoints(u) << 32) | v : (Endpoints(v) << 32) | u;
}
inline std::uint32_t smaller(Endpoints e) { return std::uint32_t(e >> 32); }
inline std::uint32_t larger(Endpoints e) { return std::uint32_t(e); }

template <class Real>
struct Edge {
  Key<Real> weight;
  Endpoints ends;
};

template <class Real>
inline bool operator<(const Edge<Real>& a, const Edge<Real>& b) {
  return a.weight != b.weight ? a.weight < b.weight : a.ends < b.ends;
}

}  // namespace torchtopo
