// Prim's algorithm over the rows of a symmetric matrix: O(N^2) work, every entry read once.
//
// The frontier holds, for each vertex outside the tree, its smallest edge into the tree. A step
// meets the newest vertex's row: each entry is an edge that may replace a frontier edge, and the
// smallest edge of the whole frontier is the next of the tree. Both minima are those of the strict
// order, so the tree is Kruskal's. What a row holds on the diagonal, for visited vertices and past
// column n is hidden from them and may be anything.

template <class Lanes, class Real>
void prim(const Real* rows, std::size_t stride, int n, Scratch& scratch, Edge<Real>* tree) {
  constexpr int W = Lanes::width;
  using Vertex = typename Lanes::Vertex;
  using Vertices = typename Lanes::Vertices;
  using Weights = typename Lanes::Weights;
  const bool far = std::size_t(n) * stride * sizeof(Real) > fast_cache;
  const int blocks = (n + W - 1) / W;
  Lanes* frontier = scratch.take<Lanes>(blocks);
  Weights* visited = scratch.take<Weights>(blocks);
  for (int b = 0; b < blocks; ++b) {
    frontier[b] = Lanes::absent();
    const auto column = count_up<Key<Real>, W>(Key<Real>(b * W));
    const auto zero = broadcast<Key<Real>, W>(0), ones = broadcast<Key<Real>, W>(-1);
    visited[b] = select(column < broadcast<Key<Real>, W>(Key<Real>(n)), zero, ones);
  }
  // The last row ends where the matrix ends: the one row that is not followed by readable memory.
  Real* last = scratch.take<Real>(std::size_t(blocks) * W);
  std::copy_n(rows + std::size_t(n - 1) * stride, n, last);
  std::fill(last + n, last + std::size_t(blocks) * W, Real(0));

  const auto hidden = [visited](int v) -> Key<Real>& {
    return reinterpret_cast<Key<Real>*>(visited)[v];
  };
  int newest = 0;
  for (int k = 0; k < n - 1; ++k) {
    hidden(newest) = -1;
    frontier[newest / W].erase(newest % W);
    const Real* row = newest == n - 1 ? last : rows + std::size_t(newest) * stride;
    const auto v = broadcast<Vertex, W>(Vertex(newest));
    Lanes best = Lanes::absent();
    const auto meet = [&](auto side, int b, Vertices u) {
      const auto weights = bits<Weights>(load<Real, W>(row + b * W));
      frontier[b] = minimum(Lanes::between(side, u, v, weights, visited[b]), frontier[b]);
      best = minimum(frontier[b], best);
    };
    auto u = count_up<Vertex, W>(0);
    const auto next = broadcast<Vertex, W>(W);
    const int home = newest / W;
    int b = 0;
    for (; b < home; ++b, u = u + next) {
      if (far) prefetch(row + b * W);
      meet(Below(), b, u);
    }
    meet(Either(), b++, u);
    for (u = u + next; b < blocks; ++b, u = u + next) {
      if (far) prefetch(row + b * W);
      meet(Above(), b, u);
    }
    tree[k] = best.smallest();
    newest = int(smaller(tree[k].ends));
    if (hidden(newest)) newest = int(larger(tree[k].ends));
  }
}
