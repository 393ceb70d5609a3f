// Vectors of W lanes, as GCC and Clang spell them; plain arrays for other compilers.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "width.hpp"

namespace torchtopo::ISA {

#if defined(__GNUC__) && !defined(TORCHTOPO_PLAIN_VECTORS)

template <class T, int W>
struct VecOf {
  typedef T type __attribute__((vector_size(W * sizeof(T))));
};
template <class T, int W>
using Vec = typename VecOf<T, W>::type;

template <int... I, class V>
inline V shuffle(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, I...);
}
template <class V, int... I>
inline auto joined(V lower, V upper, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(lower, upper, I...);
}
template <class V, class Mask>
inline V select(Mask mask, V yes, V no) {
  return mask ? yes : no;
}
template <class To, class From>
inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "same number of bits");
  return (To)from;
}
#if SIGNS_AT_ONCE
// The signs of a vector's numbers of 1, 4 or 8 bytes, a bit each. Written by name, for GCC gathers
// them one by one.
template <int bytes, class V>
inline std::uint64_t signs(V v) {
#if SIGNS_AT_ONCE == 64
  const auto numbers = bits<__m512i>(v);
  if constexpr (bytes == 1) return _mm512_movepi8_mask(numbers);
  if constexpr (bytes == 4) return _mm512_movepi32_mask(numbers);
  if constexpr (bytes == 8) return _mm512_movepi64_mask(numbers);
#else
  if constexpr (bytes == 1) return std::uint32_t(_mm256_movemask_epi8(bits<__m256i>(v)));
  if constexpr (bytes == 4) return std::uint32_t(_mm256_movemask_ps(bits<__m256>(v)));
  if constexpr (bytes == 8) return std::uint32_t(_mm256_movemask_pd(bits<__m256d>(v)));
#endif
}
#endif
// Whether a mask holds in every lane.
template <class Mask>
inline bool every(Mask mask) {
#if SIGNS_AT_ONCE
  if constexpr (sizeof(Mask) == SIGNS_AT_ONCE)
    return signs<1>(mask) == ~std::uint64_t(0) >> (64 - sizeof(Mask));
#endif
  constexpr int words = int(sizeof(Mask) / sizeof(std::uint64_t));
  const auto word = bits<Vec<std::uint64_t, words>>(mask);
  std::uint64_t all = word[0];
  for (int k = 1; k < words; ++k) all &= word[k];
  return all == ~std::uint64_t(0);
}
// Whether it holds in some lane.
template <class Mask>
inline bool some(Mask mask) {
#if SIGNS_AT_ONCE
  if constexpr (sizeof(Mask) == SIGNS_AT_ONCE) return signs<1>(mask) != 0;
#endif
  constexpr int words = int(sizeof(Mask) / sizeof(std::uint64_t));
  const auto word = bits<Vec<std::uint64_t, words>>(mask);
  std::uint64_t any = word[0];
  for (int k = 1; k < words; ++k) any |= word[k];
  return any != 0;
}
// Written out, for only then does GCC see the one instruction that they are.
template <class V>
inline V minimum(V a, V b) {
  return a < b ? a : b;
}
template <class V>
inline V maximum(V a, V b) {
  return a < b ? b : a;
}

#else

template <class T, int W>
struct Vec {
  T lane[W];
  T operator[](int k) const { return lane[k]; }
  T& operator[](int k) { return lane[k]; }
};
// A short unsigned would be promoted to a signed int, whose overflow is undefined.
template <class T>
inline T promoted(T x) {
  return x;
}
inline std::uint32_t promoted(std::uint16_t x) { return x; }
#define TORCHTOPO_LANEWISE(op)                                                             \
  template <class T, int W>                                                                \
  inline Vec<T, W> operator op(Vec<T, W> a, Vec<T, W> b) {                                 \
    for (int k = 0; k < W; ++k) a.lane[k] = T(promoted(a.lane[k]) op promoted(b.lane[k])); \
    return a;                                                                              \
  }
TORCHTOPO_LANEWISE(+)
TORCHTOPO_LANEWISE(-)
TORCHTOPO_LANEWISE(*)
TORCHTOPO_LANEWISE(/)
TORCHTOPO_LANEWISE(&)
TORCHTOPO_LANEWISE(|)
TORCHTOPO_LANEWISE(^)
#undef TORCHTOPO_LANEWISE
template <class T, int W>
inline Vec<T, W> operator<<(Vec<T, W> a, int by) {
  for (int k = 0; k < W; ++k) a.lane[k] = T(a.lane[k] << by);
  return a;
}
template <class T, int W>
struct MaskOf {
  bool lane[W];
};
template <class T, int W>
inline MaskOf<T, W> operator&(MaskOf<T, W> a, MaskOf<T, W> b) {
  for (int k = 0; k < W; ++k) a.lane[k] = a.lane[k] & b.lane[k];
  return a;
}
template <class T, int W>
inline MaskOf<T, W> operator|(MaskOf<T, W> a, MaskOf<T, W> b) {
  for (int k = 0; k < W; ++k) a.lane[k] = a.lane[k] | b.lane[k];
  return a;
}
#define TORCHTOPO_COMPARE(op)                                          \
  template <class T, int W>                                            \
  inline MaskOf<T, W> operator op(Vec<T, W> a, Vec<T, W> b) {          \
    MaskOf<T, W> mask;                                                 \
    for (int k = 0; k < W; ++k) mask.lane[k] = a.lane[k] op b.lane[k]; \
    return mask;                                                       \
  }
TORCHTOPO_COMPARE(<)
TORCHTOPO_COMPARE(==)
#undef TORCHTOPO_COMPARE
template <class T, int W>
inline bool every(MaskOf<T, W> mask) {
  bool all = true;
  for (int k = 0; k < W; ++k) all = all && mask.lane[k];
  return all;
}
template <class T, int W>
inline bool some(MaskOf<T, W> mask) {
  bool any = false;
  for (int k = 0; k < W; ++k) any = any || mask.lane[k];
  return any;
}
template <class T, int W, class M>
inline Vec<T, W> select(M mask, Vec<T, W> yes, Vec<T, W> no) {
  for (int k = 0; k < W; ++k) yes.lane[k] = mask.lane[k] ? yes.lane[k] : no.lane[k];
  return yes;
}
template <int... I, class T, int W>
inline Vec<T, W> shuffle(Vec<T, W> a, Vec<T, W> b, std::integer_sequence<int, I...>) {
  return {{(I < W ? a.lane[I % W] : b.lane[I % W])...}};
}
template <class To, class From>
inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "same number of bits");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
template <class V>
inline V minimum(V a, V b) {
  return select(a < b, a, b);
}
template <class V>
inline V maximum(V a, V b) {
  return select(a < b, b, a);
}

#endif

template <class To, int W, class V>
inline Vec<To, W> convert(V from) {
#if defined(__GNUC__) && !defined(TORCHTOPO_PLAIN_VECTORS)
  return __builtin_convertvector(from, Vec<To, W>);
#else
  Vec<To, W> to;
  for (int k = 0; k < W; ++k) to[k] = To(from[k]);
  return to;
#endif
}
template <class T, int W>
inline Vec<T, W> load(const T* from) {
  Vec<T, W> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
// The lower half from one place, the upper from another.
template <class T, int W>
inline Vec<T, W> load_halves(const T* lower, const T* upper) {
#if defined(__GNUC__) && !defined(TORCHTOPO_PLAIN_VECTORS)
  return joined(load<T, W / 2>(lower), load<T, W / 2>(upper), std::make_integer_sequence<int, W>());
#else
  Vec<T, W> v;
  std::memcpy(v.lane, lower, sizeof v / 2);
  std::memcpy(v.lane + W / 2, upper, sizeof v / 2);
  return v;
#endif
}
template <class T, class V>
inline void store(T* to, V v) {
  std::memcpy(to, &v, sizeof v);
}
template <class T, int W, int... I>
inline Vec<T, W> broadcast(T x, std::integer_sequence<int, I...>) {
  return Vec<T, W>{((void)I, x)...};
}
template <class T, int W>
inline Vec<T, W> broadcast(T x) {
  return broadcast<T, W>(x, std::make_integer_sequence<int, W>());
}
template <class T, int W, int... I>
inline Vec<T, W> count_up(T from, std::integer_sequence<int, I...>) {
  return Vec<T, W>{T(from + T(I))...};
}
template <class T, int W>
inline Vec<T, W> count_up(T from) {
  return count_up<T, W>(from, std::make_integer_sequence<int, W>());
}
// Written out, for GCC makes one instruction of it, but several of __builtin_convertvector.
template <class To, class From, int... I>
inline Vec<To, int(sizeof...(I))> widen(const From* from, std::integer_sequence<int, I...>) {
  return Vec<To, int(sizeof...(I))>{To(from[I])...};
}
template <class To, int W, class From>
inline Vec<To, W> widen(const From* from) {
  return widen<To>(from, std::make_integer_sequence<int, W>());
}

// Bytes of the widest vectors that `add_dot_pairs` has an instruction for.
#if ADDS_DOT_PAIRS
constexpr int dot_pairs_bytes = BYTES;
#else
constexpr int dot_pairs_bytes = BYTES < 32 ? BYTES : 32;
#endif

// Adds to a sum the products of neighbours, added up in pairs: a[0] b[0] + a[1] b[1], ... Written
// by name, for GCC finds those instructions in loops over plain numbers only.
template <int W>
inline Vec<std::int32_t, W> add_dot_pairs(Vec<std::int32_t, W> sum, Vec<std::int16_t, 2 * W> a,
                                          Vec<std::int16_t, 2 * W> b) {
#if ADDS_DOT_PAIRS
  if constexpr (W == 16)
    return bits<decltype(sum)>(
        _mm512_dpwssd_epi32(bits<__m512i>(sum), bits<__m512i>(a), bits<__m512i>(b)));
  else
    return bits<decltype(sum)>(
        _mm256_dpwssd_epi32(bits<__m256i>(sum), bits<__m256i>(a), bits<__m256i>(b)));
#elif defined(TORCHTOPO_MULTIPLIES_PAIRS)
  if constexpr (W == 4)
    return sum + __builtin_ia32_pmaddwd128(a, b);
  else
    return sum + __builtin_ia32_pmaddwd256(a, b);
#else
  for (int k = 0; k < W; ++k) sum[k] = sum[k] + (a[2 * k] * b[2 * k] + a[2 * k + 1] * b[2 * k + 1]);
  return sum;
#endif
}

template <class T, int... I>
inline Vec<T, int(sizeof...(I))> powers_of_two(std::integer_sequence<int, I...>) {
  return Vec<T, int(sizeof...(I))>{T(T(1) << I)...};
}
// In which lanes, of numbers T, a mask holds: a bit a lane.
template <class T, int W, class Mask>
inline std::uint32_t which(Mask mask) {
#if SIGNS_AT_ONCE
  if constexpr (sizeof(Mask) == SIGNS_AT_ONCE) return std::uint32_t(signs<int(sizeof(T))>(mask));
#endif
  const auto set =
      select(mask, powers_of_two<T>(std::make_integer_sequence<int, W>()), Vec<T, W>{});
  constexpr int words = int(sizeof(set) / sizeof(std::uint64_t));
  const auto word = bits<Vec<std::uint64_t, words>>(set);
  std::uint64_t any = word[0];
  for (int k = 1; k < words; ++k) any |= word[k];
  return std::uint32_t(any) | std::uint32_t(any >> 32);
}

// The number of the lowest bit that is set.
inline int trailing_zeros(std::uint32_t word) {
#if defined(__GNUC__)
  return __builtin_ctz(word);
#else
  int zeros = 0;
  for (; !(word & 1); word >>= 1) ++zeros;
  return zeros;
#endif
}

}  // namespace torchtopo::ISA
