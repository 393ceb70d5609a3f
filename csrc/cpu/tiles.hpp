// All distances of a bag by direct differences, tile by tile in registers: the upper half of the
// matrix, and some of the lower that will be overwritten by its mirror image.
//
// (x - y)^2 costs a subtraction where a matrix product would not, but the subtraction runs beside
// the multiply-add on a port of its own, half the matrix suffices, and nothing cancels: |x|^2 +
// |y|^2 - 2xy loses every digit for a cloud far from the origin.

template <class Metric, class Real, int W, int R, int V>
inline void add_tile(const Real* const (&rows)[R], const Real* panel, int from, int to,
                     Vec<Real, W> (&sum)[R][V]) {
  for (int k = from; k < to; ++k) {
    Vec<Real, W> column[V];
    for (int c = 0; c < V; ++c) column[c] = load<Real, W>(panel + (std::size_t(k) * V + c) * W);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const auto x = broadcast<Real, W>(rows[r][k]);
#pragma GCC unroll 4
      for (int c = 0; c < V; ++c)
        sum[r][c] = Metric::template add<Real, W>(sum[r][c], x - column[c]);
    }
  }
}

// out[i * stride + c] = key of the distance of points i and left + c, for i <= left + c and more,
// c < V * W. The depth is summed in blocks that, with a panel of V * W points, stay in the
// first-level cache; the blocks also keep the rounding error of a float32 sum that of `deep` terms,
// whatever D is.
template <class Metric, class Real, int W, int R, int V>
void distance_strip(const Real* points, int n, int d, int left, Real* panel, Real* out,
                    std::size_t stride) {
  constexpr int C = V * W, deep = 256;
  const auto point = [&](int i) {
    return points + std::size_t(i < n ? i : n - 1) * std::size_t(d);
  };
  for (int c = 0; c < C; ++c) {
    const Real* x = point(left + c);
    for (int k = 0; k < d; ++k) panel[std::size_t(k) * C + std::size_t(c)] = x[k];
  }
  const int bottom = left + C < n ? left + C : n;
  for (int from = 0; from < d; from += deep) {
    const int to = from + deep < d ? from + deep : d;
    for (int top = 0; top < bottom; top += R) {
      const Real* x[R];
      for (int r = 0; r < R; ++r) x[r] = point(top + r);
      Vec<Real, W> sum[R][V] = {};
      add_tile<Metric, Real, W, R, V>(x, panel, from, to, sum);
      for (int r = 0; r < R && top + r < n; ++r) {
        Real* row = out + std::size_t(top + r) * stride;
        for (int c = 0; c < V; ++c) {
          Vec<Real, W> total = sum[r][c];
          if (from > 0) total = Metric::template join<Real, W>(load<Real, W>(row + c * W), total);
          if (to == d) total = bits<Vec<Real, W>>(length_keys<Real, W>(total));
          store(row + c * W, total);
        }
      }
    }
  }
}

// The whole matrix of keys: rows[i * stride + j] for i <= j and more.
template <class Metric, class Real, int W, int R, int V>
void distance_tiles(const Real* points, int n, int d, Scratch& scratch, Real* rows,
                    std::size_t stride) {
  Real* panel = scratch.take<Real>(std::size_t(d) * V * W);
  for (int left = 0; left < n; left += V * W)
    distance_strip<Metric, Real, W, R, V>(points, n, d, left, panel, rows + left, stride);
}

// Offers the keys of row i in the C columns from left on, those right of the diagonal.
template <int C, class Real>
inline void offer_keys(const Real* keys, int i, int left, int n, Farthest<Real>& best) {
  constexpr Key<Real> infinity = Order<Real>::infinity;
  Key<Real> key[C], row_largest = -1;
  std::memcpy(key, keys, sizeof key);
  const int first = i < left ? 0 : i + 1 - left, last = left + C < n ? C : n - left;
  for (int c = first; c < last; ++c) row_largest = row_largest < key[c] ? key[c] : row_largest;
  if (row_largest < best.key) return;
  best.infinite |= row_largest >= infinity;
  for (int c = first; c < last; ++c)
    if (key[c] != infinity) best.offer(key[c], endpoints(unsigned(i), unsigned(left + c)));
}

// The farthest pair of a whole matrix of keys, whose rows are padded to C columns.
template <int C, class Real>
Farthest<Real> farthest_of_keys(const Real* rows, std::size_t stride, int n) {
  Farthest<Real> best;
  for (int i = 0; i < n; ++i)
    for (int left = i / C * C; left < n; left += C)
      offer_keys<C>(rows + std::size_t(i) * stride + left, i, left, n, best);
  return best;
}

// The largest distance below infinity, the first in the order (i, j) of its equals; NaN before all.
template <class Metric, class Real, int W, int R, int V>
Farthest<Real> farthest(const Real* points, int n, int d, Scratch& scratch) {
  constexpr int C = V * W;
  Real* panel = scratch.take<Real>(std::size_t(d) * C);
  Real* strip = scratch.take<Real>(std::size_t(n) * C);
  Farthest<Real> best;
  for (int left = 0; left < n; left += C) {
    distance_strip<Metric, Real, W, R, V>(points, n, d, left, panel, strip, std::size_t(C));
    const int bottom = left + C < n ? left + C : n;
    for (int i = 0; i < bottom; ++i) offer_keys<C>(strip + std::size_t(i) * C, i, left, n, best);
  }
  return best;
}
