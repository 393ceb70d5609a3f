// How one coordinate's difference enters a distance. Euclidean lengths stay squared in the kernels:
// squaring keeps their order, and the few that are returned are measured again, in double.

template <class V, class Bits>
inline V magnitude(V x, Bits sign_cleared) {
  return bits<V>(bits<Bits>(x) & sign_cleared);
}

// join adds up two partial distances, add_places those of coarse coordinates; length is what a
// whole sum stands for.
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

// The key of a length (see order.hpp): it has no sign, and all NaN are one.
template <class Real, int W>
inline Vec<Key<Real>, W> length_keys(Vec<Real, W> lengths) {
  const auto sign_cleared = broadcast<Key<Real>, W>(std::numeric_limits<Key<Real>>::max());
  return minimum(bits<Vec<Key<Real>, W>>(lengths) & sign_cleared,
                 broadcast<Key<Real>, W>(Order<Real>::not_a_number));
}
