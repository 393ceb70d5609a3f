// The two halves of a square matrix, tile by tile: is one the mirror image of the other, and if
// not, make it so. Prim reads whole rows; the contract knows only the entries i < j.

template <class Real>
struct Tile {
  static constexpr int T = 32 / int(sizeof(Real));  // one vector of 32 bytes per row
  using Row = Vec<Key<Real>, T>;
  Row row[T];

  void load_from(const Real* corner, std::size_t stride) {
    for (int i = 0; i < T; ++i) row[i] = bits<Row>(load<Real, T>(corner + std::size_t(i) * stride));
  }

  // Swaps the off-diagonal halves of blocks of 2, 4, ... lanes.
  void transpose() { swap_halves<1>(); }

 private:
  template <int s>
  void swap_halves() {
    if constexpr (s < T) {
      const auto lanes = std::make_integer_sequence<int, T>();
      for (int i = 0; i < T; ++i)
        if (!(i & s)) exchange<s>(row[i], row[i | s], lanes);
      swap_halves<2 * s>();
    }
  }
  template <int s, int... I>
  static void exchange(Row& a, Row& b, std::integer_sequence<int, I...>) {
    const Row upper = shuffle(a, b, std::integer_sequence<int, (I & s ? T + (I ^ s) : I)...>());
    b = shuffle(a, b, std::integer_sequence<int, (I & s ? T + I : I | s)...>());
    a = upper;
  }
};

// Calls visit(i, j) for the tiles of the lower half and its diagonal, in an order that keeps a tile
// and its mirror image in the cache, until it returns false; whether it never did.
template <int T, class Visit>
inline bool every_lower_tile(int whole, Visit visit) {
  constexpr int block = 64;
  for (int top = 0; top < whole; top += block)
    for (int left = 0; left <= top; left += block)
      for (int i = top; i < top + block && i < whole; i += T)
        for (int j = left; j < left + block && j <= i; j += T)
          if (!visit(i, j)) return false;
  return true;
}

// Whether the matrix is its own matrix of keys, entries (i, j) and (j, i) alike: nothing negative
// (-0.0 included) and no NaN. The diagonal does not matter.
template <class Real>
bool is_symmetric_and_plain(const Real* matrix, std::size_t stride, int n) {
  constexpr int T = Tile<Real>::T;
  using Unsigned = std::make_unsigned_t<Key<Real>>;
  using Row = Vec<Unsigned, T>;
  constexpr Key<Real> infinity = Order<Real>::infinity;
  // Added to a key, this reaches the sign bit if the key is above infinity.
  constexpr Unsigned to_sign = Unsigned(std::numeric_limits<Key<Real>>::max() - infinity);
  const Row past_infinity = broadcast<Unsigned, T>(to_sign);
  Row differs = broadcast<Unsigned, T>(0), negative = differs;
  const int whole = n / T * T;
  const bool tiles = every_lower_tile<T>(whole, [&](int i, int j) {
    Tile<Real> lower, upper;
    lower.load_from(matrix + std::size_t(i) * stride + j, stride);
    upper.load_from(matrix + std::size_t(j) * stride + i, stride);
    if (i == j)
      for (int k = 0; k < T; ++k) lower.row[k][k] = upper.row[k][k] = 0;
    upper.transpose();
    for (int k = 0; k < T; ++k) {
      const Row key = bits<Row>(lower.row[k]);
      differs = differs | (key ^ bits<Row>(upper.row[k]));
      negative = negative | key | (key + past_infinity);
    }
    if (i != j) return true;
    bool fault = false;  // looked for once in a row of tiles
    for (int k = 0; k < T; ++k) fault |= differs[k] != 0 || Key<Real>(negative[k]) < 0;
    return !fault;
  });
  if (!tiles) return false;
  for (int i = whole; i < n; ++i)
    for (int j = 0; j < i; ++j) {
      Key<Real> lower, upper;
      std::memcpy(&lower, matrix + std::size_t(i) * stride + j, sizeof lower);
      std::memcpy(&upper, matrix + std::size_t(j) * stride + i, sizeof upper);
      if (lower != upper || lower < 0 || lower > infinity) return false;
    }
  return true;
}

// Makes the lower half of a matrix of keys the mirror image of the upper.
template <class Real>
void mirror(Real* keys, std::size_t stride, int n) {
  constexpr int T = Tile<Real>::T;
  const int whole = n / T * T;
  const auto one = [&](int i, int j) {
    std::memcpy(keys + std::size_t(i) * stride + j, keys + std::size_t(j) * stride + i,
                sizeof(Real));
  };
  every_lower_tile<T>(whole, [&](int i, int j) {
    if (i == j) {
      for (int k = 1; k < T; ++k)
        for (int l = 0; l < k; ++l) one(i + k, i + l);
    } else {
      Tile<Real> tile;
      tile.load_from(keys + std::size_t(j) * stride + i, stride);
      tile.transpose();
      for (int k = 0; k < T; ++k) store(keys + std::size_t(i + k) * stride + j, tile.row[k]);
    }
    return true;
  });
  for (int i = whole; i < n; ++i)
    for (int j = 0; j < i; ++j) one(i, j);
}

// Copies the entries i < j as keys, and their mirror image; false if one is negative, for then the
// keys do not compare as unsigned ones do and Prim's kernel cannot take them.
template <class Real>
bool copy_symmetric(const Real* matrix, std::size_t matrix_stride, int n, Real* keys,
                    std::size_t stride) {
  Key<Real> negative = 0;
  for (int i = 0; i < n; ++i) {
    const Real* from = matrix + std::size_t(i) * matrix_stride;
    Real* to = keys + std::size_t(i) * stride;
    for (int j = i + 1; j < n; ++j) {
      const Key<Real> key = key_of<Real>(from[j]);
      negative |= key;
      std::memcpy(to + j, &key, sizeof key);
    }
  }
  if (negative < 0) return false;
  mirror(keys, stride, n);
  return true;
}
