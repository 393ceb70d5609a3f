// Prim's algorithm over the rows of a symmetric matrix: O(N^2) work, every entry read once.
//
// The frontier holds, for each vertex outside the tree, its smallest edge into the tree. A step
// meets the newest vertex's row: each entry is an edge that may replace a frontier edge, and the
// smallest edge of the whole frontier is the next of the tree. Both minima are those of the strict
// order, so the tree is Kruskal's. What a row holds on the diagonal, for vertices of the tree and
// past column n is offered to lanes that are gone, and may be anything.

template <class Lanes, class Real>
class Prim {
  static constexpr int W = Lanes::width;
  using Vertex = typename Lanes::Vertex;
  using Vertices = typename Lanes::Vertices;
  using Weights = typename Lanes::Weights;

 public:
  Prim(const Rows<Real>& rows, Scratch& scratch)
      : rows_(rows),
        far_(std::size_t(rows.n) * rows.stride * sizeof(Real) > fast_cache),
        blocks_((rows.n + W - 1) / W),
        frontier_(scratch.take<Lanes>(std::size_t(blocks_))),
        in_tree_(scratch.take<unsigned char>(std::size_t(rows.n))),
        last_row_(scratch.take<Real>(std::size_t(blocks_) * W)) {
    std::fill_n(frontier_, blocks_, Lanes::absent());
    for (int v = rows.n; v < blocks_ * W; ++v) frontier_[v / W].erase(v % W);
    std::fill_n(in_tree_, rows.n, 0);
    // It ends where the matrix ends: the one row that is not followed by readable memory.
    std::copy_n(rows.keys + std::size_t(rows.n - 1) * rows.stride, rows.n, last_row_);
    std::fill(last_row_ + rows.n, last_row_ + blocks_ * W, Real(0));
  }

  bool complete() const { return found_ >= rows_.n - 1; }

  // Finds the tree's next edge.
  void grow() {
    in_tree_[newest_] = 1;
    const bool last = newest_ == rows_.n - 1;
    const Real* row = last ? last_row_ : rows_.keys + std::size_t(newest_) * rows_.stride;
    const auto v = broadcast<Vertex, W>(Vertex(newest_)), next = broadcast<Vertex, W>(W);
    Lanes* const frontier = frontier_;
    const bool far = far_;
    Lanes best = Lanes::absent();
    const auto meet = [=, &best](auto side, int b, Vertices u) {
      if (far) prefetch(row + b * W);
      const auto weights = bits<Weights>(load<Real, W>(row + b * W));
      Lanes mine = minimum(Lanes::between(side, u, v, weights), frontier[b]);
      if (std::is_same_v<decltype(side), Either>) mine.erase(u, v);
      best = minimum(mine, best);
      frontier[b] = mine;
    };
    const int home = newest_ / W, blocks = blocks_;
    int b = 0;
    auto u = count_up<Vertex, W>(0);
    for (; b < home; ++b, u = u + next) meet(Below(), b, u);
    meet(Either(), b++, u);
    for (u = u + next; b < blocks; ++b, u = u + next) meet(Above(), b, u);

    const Edge<Real> edge = rows_.tree[found_++] = best.smallest();
    // Without a branch, which would be guessed wrong half the time.
    const int i = int(smaller(edge.ends)), j = int(larger(edge.ends));
    newest_ = i ^ ((i ^ j) & -int(in_tree_[i]));
  }

 private:
  const Rows<Real> rows_;
  const bool far_;
  const int blocks_;
  Lanes* const frontier_;
  unsigned char* const in_tree_;
  Real* const last_row_;
  int newest_ = 0, found_ = 0;
};

template <class Lanes, class Real>
void prim(const Rows<Real>& rows, Scratch& scratch) {
  for (Prim<Lanes, Real> tree(rows, scratch); !tree.complete();) tree.grow();
}
