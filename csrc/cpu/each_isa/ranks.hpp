// The ranks of a few keys: of each, how many are smaller. All are compared with all, which has no
// branch to be guessed wrong, as half of those of a sort are.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include "../../order.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

// There is room for whole pairs of vectors.
template <class Real>
void ranks(const Key<Real>* keys, int count, Key<Real>* rank) {
  constexpr int lanes = W<Real>;
  using Keys = Vec<Key<Real>, lanes>;
  const Keys one = broadcast<Key<Real>, lanes>(1), none = broadcast<Key<Real>, lanes>(0);
  for (int i = 0; i < count; i += 2 * lanes) {
    const auto a = load<Key<Real>, lanes>(keys + i), b = load<Key<Real>, lanes>(keys + i + lanes);
    Keys below_a = none, below_b = none;
    for (int j = 0; j < count; ++j) {
      const Keys other = broadcast<Key<Real>, lanes>(keys[j]);
      below_a = below_a + select(other < a, one, none);
      below_b = below_b + select(other < b, one, none);
    }
    store(rank + i, below_a);
    store(rank + i + lanes, below_b);
  }
}

}  // namespace torchtopo::ISA
