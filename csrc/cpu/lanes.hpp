// W edges at a time, compared by the strict total order (weight, i, j). Weights here are keys that
// are not negative: lengths, or entries of a matrix that was checked for it.

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
// that no word is subnormal, which a flush-to-zero mode would take for 0. A hidden word is NaN, and
// NaN loses every comparison below.)
template <int W>
struct EdgeLanes<float, W, true> {
  static constexpr int width = W;
  static constexpr std::uint32_t raise = 0x00100000;
  using Weights = Vec<std::int32_t, W>;
  using Vertex = std::uint32_t;
  using Vertices = Vec<Vertex, W>;
  using Words = Vec<double, W / 2>;

  Words low, high;

  static EdgeLanes absent() {
    const Words none = broadcast<double, W / 2>(std::numeric_limits<double>::infinity());
    return {none, none};
  }

  // Edges {u, v}; hidden is all ones where there must be none, otherwise 0.
  template <class Side>
  static EdgeLanes between(Side side, Vertices u, Vertices v, Weights weights, Weights hidden) {
    const Vertices ends = ends_of<16>(side, u, v);
    const Vertices raised = bits<Vertices>(weights) + broadcast<Vertex, W>(raise);
    const Vertices top = raised | bits<Vertices>(hidden);
    const auto lanes = std::make_integer_sequence<int, W>();
    return {bits<Words>(interleave<0>(ends, top, lanes)),
            bits<Words>(interleave<2>(ends, top, lanes))};
  }

  void erase(int lane) { put(lane, absent(), 0); }

  void put(int lane, const EdgeLanes& other, int other_lane) {
    const double word = (other_lane % 4 < 2 ? other.low : other.high)[word_of(other_lane)];
    (lane % 4 < 2 ? low : high)[word_of(lane)] = word;
  }

  Edge<float> smallest() const {
    const Words both = minimum(low, high);
    double least = both[0];
    for (int k = 1; k < W / 2; ++k) least = both[k] < least ? both[k] : least;
    std::uint64_t word;
    std::memcpy(&word, &least, sizeof word);
    return {std::int32_t(std::uint32_t(word >> 32) - raise),
            endpoints(word >> 16 & 0xffff, word & 0xffff)};
  }

 private:
  static constexpr int word_of(int lane) { return lane / 4 * 2 + lane % 2; }

  // Words from 32-bit halves, within each 128 bits, where interleaving is one cheap instruction.
  template <int from, int... I>
  static Vertices interleave(Vertices ends, Vertices top, std::integer_sequence<int, I...>) {
    return shuffle(ends, top,
                   std::integer_sequence<int, (I / 4 * 4 + from + I % 4 / 2 + (I % 2) * W)...>());
  }
};

template <int W>
inline EdgeLanes<float, W, true> minimum(EdgeLanes<float, W, true> a, EdgeLanes<float, W, true> b) {
  return {minimum(a.low, b.low), minimum(a.high, b.high)};
}

// Everything else: weight and endpoints side by side.
template <class Real, int W>
struct EdgeLanes<Real, W, false> {
  static constexpr int width = W;
  using Weights = Vec<Key<Real>, W>;
  using Vertex = std::int64_t;
  using Vertices = Vec<Vertex, W>;

  Vertices weight, ends;

  static EdgeLanes absent() {
    const auto none = broadcast<Vertex, W>(std::numeric_limits<Vertex>::max());
    return {none, none};
  }

  template <class Side>
  static EdgeLanes between(Side side, Vertices u, Vertices v, Weights weights, Weights hidden) {
    const auto positive = broadcast<Vertex, W>(std::numeric_limits<Vertex>::max());
    return {convert<Vertex, W>(weights | hidden) & positive, ends_of<32>(side, u, v)};
  }

  void erase(int lane) { put(lane, absent(), 0); }

  void put(int lane, const EdgeLanes& other, int other_lane) {
    weight[lane] = other.weight[other_lane];
    ends[lane] = other.ends[other_lane];
  }

  Edge<Real> smallest() const {
    int least = 0;
    for (int k = 1; k < W; ++k) {
      const bool before =
          weight[k] != weight[least] ? weight[k] < weight[least] : ends[k] < ends[least];
      if (before) least = k;
    }
    return {Key<Real>(weight[least]), Endpoints(ends[least])};
  }
};

template <class Real, int W>
inline EdgeLanes<Real, W, false> minimum(EdgeLanes<Real, W, false> a, EdgeLanes<Real, W, false> b) {
  const auto less = (a.weight < b.weight) | ((a.weight == b.weight) & (a.ends < b.ends));
  return {select(less, a.weight, b.weight), select(less, a.ends, b.ends)};
}
