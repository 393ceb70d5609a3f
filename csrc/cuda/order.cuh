// order.hpp on the device: weights as integers that compare as the contract wants weights to.
#pragma once

#include "../order.hpp"
#include "platform.cuh"

namespace torchtopo::cuda {

template <class Real>
inline constexpr Key<Real> absent = largest<Key<Real>>;  // above every weight

__device__ inline std::int32_t bits_of(float x) { return __float_as_int(x); }
__device__ inline std::int64_t bits_of(double x) { return __double_as_longlong(x); }
__device__ inline float real_of(std::int32_t bits) { return __int_as_float(bits); }
__device__ inline double real_of(std::int64_t bits) { return __longlong_as_double(bits); }

// The key of any weight.
template <class Real>
__device__ inline Key<Real> order_key(Real weight) {
  if (weight != weight) return Order<Real>::not_a_number;
  const Key<Real> key = bits_of(weight + Real(0));
  return key < 0 ? key ^ largest<Key<Real>> : key;
}

template <class Real>
__device__ inline Real order_weight(Key<Real> key) {
  return real_of(key < 0 ? key ^ largest<Key<Real>> : key);
}

// The key of a length: it has no sign, and all NaN are one.
template <class Real>
__device__ inline Key<Real> length_key(Real length) {
  const Key<Real> key = bits_of(length) & largest<Key<Real>>;
  return key < Order<Real>::not_a_number ? key : Order<Real>::not_a_number;
}

// Both endpoints in one word that compares as (i, j) does; its last bit says which of them is the
// newer, the one outside the tree. Short codes are for bags of one block, long codes for any.
template <class Code>
struct Ends {
  static constexpr int width = sizeof(Code) * 4;

  __device__ static Code code(Code newer, Code older) {
    return newer < older ? newer << width | older << 1 : older << width | newer << 1 | 1;
  }
  __device__ static int smaller(Code code) { return int(code >> width); }
  __device__ static int larger(Code code) {
    return int(code >> 1 & ((Code(1) << (width - 1)) - 1));
  }
  __device__ static int newer(Code code) { return code & 1 ? larger(code) : smaller(code); }
};
using Short = std::uint32_t;
using Long = std::uint64_t;
constexpr int short_limit = 1 << 15;  // vertices that a short code can name

}  // namespace torchtopo::cuda
