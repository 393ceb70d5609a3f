// W edges at a time, compared by the strict total order (weight, i, j). Weights here are keys that
// are not negative: lengths, or entries of a matrix that was checked for it.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "../../order.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

template <class Real, int W, bool small>
struct EdgeLanes;

// Where all the lanes' vertices u are known to be, seen from v: which of the two comes first then
// need not be asked.
struct Below {};
struct Above {};
struct Either {};

template <int bits_of_a_vertex, class V>
inline V ends_of(Below, V u, V v) {
  return (u << bits_of_a_vertex) | v;
}
template <int bits_of_a_vertex, class V>
inline V ends_of(Above, V u, V v) {
  return (v << bits_of_a_vertex) | u;
}
template <int bits_of_a_vertex, class V>
inline V ends_of(Either, V u, V v) {
  return minimum(ends_of<bits_of_a_vertex>(Below(), u, v),
                 ends_of<bits_of_a_vertex>(Above(), u, v));
}

// float32 weights between fewer than 2^16 vertices: a whole edge fits one 64-bit word, its weight's
// bits above its endpoints', and the order of edges is the order of words. As no weight is
// negative, that is also the order of the words read as doubles, for which every processor has a
// vector minimum: ties cost nothing. (The weight is raised by one step of a double's exponent, so
// that no word is subnormal, which a flush-to-zero mode would take for 0, and none is NaN.)
//
// A lane that is gone holds NaN. Of minimum(a, b), which is a < b ? a : b, the result is b if one
// of them is NaN: as b, a lane that is gone stays so whatever it is offered; as a, it is passed
// over.
template <int W>
struct EdgeLanes<float, W, true> {
  static constexpr int width = W;
  static constexpr std::uint32_t raise = 0x00100000;
  using Weights = Vec<std::int32_t, W>;
  using Vertex = std::uint32_t;
  using Vertices = Vec<Vertex, W>;
  using Words = Vec<double, W / 2>;

  Words low, high;

  // Longer than every edge.
  static EdgeLanes absent() {
    const Words none = broadcast<double, W / 2>(std::numeric_limits<double>::infinity());
    return {none, none};
  }

  // The edges {u, v}.
  template <class Side>
  static EdgeLanes between(Side side, Vertices u, Vertices v, Weights weights) {
    const Vertices ends = ends_of<16>(side, u, v);
    const Vertices top = bits<Vertices>(weights) + broadcast<Vertex, W>(raise);
    return {words<0>(ends, top), words<2>(ends, top)};
  }

  // The lanes u = v are gone.
  void erase(Vertices u, Vertices v) {
    const Vertices equal = select(u == v, broadcast<Vertex, W>(~0u), broadcast<Vertex, W>(0));
    low = either(low, words<0>(equal, equal));
    high = either(high, words<2>(equal, equal));
  }

  void erase(int lane) { word(lane) = std::numeric_limits<double>::quiet_NaN(); }
  void move(int lane, EdgeLanes& other, int other_lane) { word(lane) = other.word(other_lane); }

  Edge<float> smallest() const {
    const auto least = bits<Vec<std::uint64_t, W / 2>>(folded<W / 4>(minimum(low, high)))[0];
    return {std::int32_t(std::uint32_t(least >> 32) - raise),
            endpoints(least >> 16 & 0xffff, least & 0xffff)};
  }

  // The ends of the next edge after it, or of one that is nearly next: it is sought in other lanes.
  Endpoints runner_up() const {
    double least[W / 2], next[W / 2];
    const Words smaller_words = minimum(low, high), larger_words = maximum(low, high);
    std::memcpy(least, &smaller_words, sizeof least);
    std::memcpy(next, &larger_words, sizeof next);
    for (int half = W / 4; half > 0; half /= 2)
      for (int k = 0; k < half; ++k) {
        const bool first = least[k] < least[k + half];
        const double behind = first ? least[k + half] : least[k];
        const double other = next[k] < next[k + half] ? next[k] : next[k + half];
        least[k] = first ? least[k] : least[k + half];
        next[k] = behind < other ? behind : other;
      }
    std::uint64_t word;
    std::memcpy(&word, next, sizeof word);
    return endpoints(word >> 16 & 0xffff, word & 0xffff);
  }

  // Weights in lane order.
  Weights weights() const {
    return bits<Weights>(tops(std::make_integer_sequence<int, W>()) - broadcast<Vertex, W>(raise));
  }

 private:
  // Where a lane's word is, given how words() interleaves.
  double& word(int lane) {
    return reinterpret_cast<double*>(lane % 4 < 2 ? &low : &high)[lane / 4 * 2 + lane % 2];
  }

  template <int... I>
  Vertices tops(std::integer_sequence<int, I...>) const {
    return shuffle(bits<Vertices>(low), bits<Vertices>(high),
                   std::integer_sequence<int, (I / 4 * 4 + I % 2 * 2 + 1 + (I % 4 / 2) * W)...>());
  }

  static Words either(Words a, Words b) {
    using Bits = Vec<std::uint64_t, W / 2>;
    return bits<Words>(bits<Bits>(a) | bits<Bits>(b));
  }

  // The smallest of all lanes in the first: both halves are compared, then those of the first half.
  template <int half>
  static Words folded(Words words) {
    return folded<half>(words, std::make_integer_sequence<int, W / 2>());
  }
  template <int half, int... I>
  static Words folded(Words words, std::integer_sequence<int, I...> lanes) {
    const Words both =
        minimum(words, shuffle(words, words, std::integer_sequence<int, (I ^ half)...>()));
    if constexpr (half > 1)
      return folded<half / 2>(both, lanes);
    else
      return both;
  }

  // Words from 32-bit halves, within each 128 bits, where interleaving is one cheap instruction.
  template <int from>
  static Words words(Vertices ends, Vertices top) {
    return words<from>(ends, top, std::make_integer_sequence<int, W>());
  }
  template <int from, int... I>
  static Words words(Vertices ends, Vertices top, std::integer_sequence<int, I...>) {
    return bits<Words>(shuffle(
        ends, top, std::integer_sequence<int, (I / 4 * 4 + from + I % 4 / 2 + (I % 2) * W)...>()));
  }
};

// What is left in lanes that are offered edges: the smaller of two; one that is gone stays so.
template <int W>
inline EdgeLanes<float, W, true> offered(EdgeLanes<float, W, true> edges,
                                         EdgeLanes<float, W, true> lanes) {
  return {minimum(edges.low, lanes.low), minimum(edges.high, lanes.high)};
}
// The smaller of two, where lanes that are gone are passed over.
template <int W>
inline EdgeLanes<float, W, true> smaller_of(EdgeLanes<float, W, true> lanes,
                                            EdgeLanes<float, W, true> edges) {
  return offered(lanes, edges);
}

// Everything else: weight and endpoints side by side. The weight of a lane that is gone is the
// least signed number, so that no edge is smaller, and, as unsigned, larger than all weights.
template <class Real, int W>
struct EdgeLanes<Real, W, false> {
  static constexpr int width = W;
  using Weights = Vec<Key<Real>, W>;
  using Vertex = std::int64_t;
  using Vertices = Vec<Vertex, W>;

  Vertices weight, ends;

  static constexpr Vertex absent_weight = std::numeric_limits<Key<Real>>::max();
  static constexpr Vertex gone = std::numeric_limits<Vertex>::min();

  static EdgeLanes absent() {
    return {broadcast<Vertex, W>(absent_weight),
            broadcast<Vertex, W>(std::numeric_limits<Vertex>::max())};
  }

  template <class Side>
  static EdgeLanes between(Side side, Vertices u, Vertices v, Weights weights) {
    return {convert<Vertex, W>(weights), ends_of<32>(side, u, v)};
  }

  void erase(Vertices u, Vertices v) {
    weight = select(u == v, broadcast<Vertex, W>(gone), weight);
  }

  void erase(int lane) { weight[lane] = gone; }

  void move(int lane, const EdgeLanes& other, int other_lane) {
    weight[lane] = other.weight[other_lane];
    ends[lane] = other.ends[other_lane];
  }

  Edge<Real> smallest() const {
    int least = 0;
    for (int k = 1; k < W; ++k)
      if (before(k, least)) least = k;
    return {Key<Real>(weight[least]), Endpoints(ends[least])};
  }

  Endpoints runner_up() const {
    int least = 0, next = 1;
    for (int k = 1; k < W; ++k) {
      if (before(k, least))
        next = least, least = k;
      else if (k == 1 || before(k, next))
        next = k;
    }
    return weight[next] == absent_weight ? endpoints(0, 0) : Endpoints(ends[next]);
  }

  Weights weights() const { return convert<Key<Real>, W>(weight); }

 private:
  bool before(int k, int other) const {
    return weight[k] != weight[other] ? weight[k] < weight[other] : ends[k] < ends[other];
  }
};

template <class V, class Weights>
inline V ends_of_smaller(Weights a, Weights b, V ends_of_a, V ends_of_b) {
  const V of_equals = select(a == b, minimum(ends_of_a, ends_of_b), ends_of_b);
  return select(a < b, ends_of_a, of_equals);
}
template <class Real, int W>
inline EdgeLanes<Real, W, false> offered(EdgeLanes<Real, W, false> edges,
                                         EdgeLanes<Real, W, false> lanes) {
  return {minimum(edges.weight, lanes.weight),
          ends_of_smaller(edges.weight, lanes.weight, edges.ends, lanes.ends)};
}
template <class Real, int W>
inline EdgeLanes<Real, W, false> smaller_of(EdgeLanes<Real, W, false> lanes,
                                            EdgeLanes<Real, W, false> edges) {
  using Unsigned = Vec<std::uint64_t, W>;
  const auto a = bits<Unsigned>(lanes.weight), b = bits<Unsigned>(edges.weight);
  return {bits<decltype(lanes.weight)>(minimum(a, b)),
          ends_of_smaller(a, b, lanes.ends, edges.ends)};
}

}  // namespace torchtopo::ISA
