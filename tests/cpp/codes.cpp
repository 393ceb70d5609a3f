// What codes tell of lengths holds for every pair of pairs, and the tree and farthest pair found by
// them are those of direct differences, bit for bit; or codes decline. Run under sanitizers (see
// Makefile).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cpu/isa.hpp"
#include "cpu/sort.hpp"
#include "order.hpp"
#include "union_find.hpp"

#define ISA under_test
#define BYTES 32
#define ROWS 6
#define COLUMNS 2
#include "cpu/each_isa/prim_codes.hpp"

using namespace torchtopo;
using namespace torchtopo::under_test;

namespace {

int failures = 0;

void require(bool holds, const std::string& what, int n, int d, std::size_t bytes) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s, %d points in %d dimensions, %zu-byte numbers\n", what.c_str(), n, d,
              bytes);
}

template <class Real>
struct Matrix {
  std::size_t stride;
  std::vector<Real> keys;

  Matrix(const std::vector<Real>& points, int n, int d)
      : stride(std::size_t(n + 31) / 32 * 32), keys(std::size_t(n) * stride) {
    Scratch scratch;
    distance_tiles<W<Real>, ROWS, COLUMNS>(Direct<Euclidean, Real, W<Real>>(), points.data(), n, d,
                                           scratch, Team(1), keys.data(), stride);
  }
  Edge<Real> edge(int i, int j) const {
    return {key_of(keys[std::size_t(i) * stride + std::size_t(j)]),
            endpoints(unsigned(i), unsigned(j))};
  }
};

template <class Real>
std::vector<Edge<Real>> all_edges(const Matrix<Real>& matrix, int n) {
  std::vector<Edge<Real>> edges;
  for (int i = 0; i < n; ++i)
    for (int j = i + 1; j < n; ++j) edges.push_back(matrix.edge(i, j));
  return edges;
}

// Whoever is beyond has a larger key than all who are not, and whoever is short a smaller one.
template <class Real>
void check_margin(const std::string& name, const std::vector<Real>& points, int n, int d) {
  Scratch scratch;
  const Grid<Real> grid(points.data(), n, d, points.data(), 1, scratch, Team(1));
  if (!grid.usable()) return;
  const Codes codes(grid, points.data(), n, d, scratch, Team(1));
  const Matrix<Real> exact(points, n, d);
  std::vector<std::int32_t> keys(exact.keys.size());
  codes.distances(scratch, Team(1), keys.data(), exact.stride);
  std::vector<std::pair<std::int32_t, Key<Real>>> pairs;
  for (const Edge<Real>& edge : all_edges(exact, n))
    pairs.push_back({keys[smaller(edge.ends) * exact.stride + larger(edge.ends)], edge.weight});
  std::sort(pairs.begin(), pairs.end());
  std::vector<Key<Real>> most(pairs.size()), least(pairs.size());  // of all before, of all after
  for (std::size_t k = 0; k < pairs.size(); ++k)
    most[k] = k ? std::max(most[k - 1], pairs[k].second) : pairs[k].second;
  for (std::size_t k = pairs.size(); k-- > 0;)
    least[k] = k + 1 < pairs.size() ? std::min(least[k + 1], pairs[k].second) : pairs[k].second;
  bool right = !pairs.empty() || n < 2;
  for (std::size_t k = 0; k < pairs.size(); ++k) {
    right &= pairs[k].first >= 0 && pairs[k].first < Order<float>::infinity;
    const std::pair<std::int32_t, Key<Real>> beyond = {grid.margin().beyond(pairs[k].first), -1},
                                             here = {grid.margin().short_of(pairs[k].first), -1};
    const auto after = std::lower_bound(pairs.begin(), pairs.end(), beyond) - pairs.begin();
    const auto before = std::lower_bound(pairs.begin(), pairs.end(), here) - pairs.begin();
    if (std::size_t(after) < pairs.size()) right &= least[std::size_t(after)] > most[k];
    if (before > 0) right &= most[std::size_t(before) - 1] < least[k];
  }
  require(right, name + ": margin", n, d, sizeof(Real));
}

enum class Expect { taken, declined, either };

template <class Real>
void check(const std::string& name, const std::vector<Real>& points, int n, int d, Expect expect) {
  check_margin(name, points, n, d);
  const Matrix<Real> exact(points, n, d);
  std::vector<Edge<Real>> edges = all_edges(exact, n), tree;
  Farthest<Real> farthest;
  for (const Edge<Real>& edge : edges) farthest.offer(edge.weight, edge.ends);
  std::sort(edges.begin(), edges.end());
  UnionFind components;
  components.reset(n);
  for (const Edge<Real>& edge : edges)
    if (components.merge(smaller(edge.ends), larger(edge.ends)) >= 0) tree.push_back(edge);
  for (const int threads : {1, 3}) {
    Scratch scratch;
    std::vector<std::int32_t> keys(exact.keys.size());
    std::vector<Edge<Real>> found(static_cast<std::size_t>(n));
    Farthest<Real> far;
    const Found by_codes = prim_codes<EdgeLanes<float, W<float>, true>, Euclidean>(
        points.data(), n, d, scratch, Team(threads), keys.data(), exact.stride, found.data(), &far);
    if (expect != Expect::either)
      require(by_codes.tree == (expect == Expect::taken), name + ": guard", n, d, sizeof(Real));
    bool same = true;
    for (std::size_t k = 0; k < tree.size() && by_codes.tree; ++k)
      same &= found[k].weight == tree[k].weight && found[k].ends == tree[k].ends;
    require(same, name + ": tree", n, d, sizeof(Real));
    if (by_codes.farthest)
      require(far.key == farthest.key && far.ends == farthest.ends, name + ": farthest", n, d,
              sizeof(Real));
  }
}

template <class Real>
void check_clouds(int n, int d) {
  std::mt19937 random(unsigned(n * 1000 + d));
  std::normal_distribution<double> normal;
  std::student_t_distribution<double> student(3);
  std::uniform_int_distribution<int> few(0, 4), row(0, n - 1);
  const auto at = [=](int i, int k) { return std::size_t(i) * std::size_t(d) + std::size_t(k); };
  const auto made = [&](auto coordinate) {
    std::vector<Real> points(std::size_t(n) * std::size_t(d));
    for (int i = 0; i < n; ++i)
      for (int k = 0; k < d; ++k) points[at(i, k)] = Real(coordinate(i, k));
    return points;
  };
  const auto gaussian = made([&](int, int) { return normal(random); });
  const auto changed = [&](auto change) {
    return made([&](int i, int k) { return change(i, k, double(gaussian[at(i, k)])); });
  };
  const auto clusters = [&](double width) {
    return changed([&](int i, int k, double x) { return gaussian[at(i % 10, k)] + width * x; });
  };
  using E = Expect;
  const bool large = n >= 200 && d >= 64;  // a trial of few points is a lottery
  const E yes = large ? E::taken : E::either, no = large ? E::declined : E::either;
  const double infinity = std::numeric_limits<double>::infinity(),
               most = double(std::numeric_limits<Real>::max());
  check("gaussian", gaussian, n, d, yes);
  check("heavy tails", made([&](int, int) { return student(random); }), n, d, yes);
  check("after a ReLU", changed([](int, int, double x) { return x > 0 ? x : 0; }), n, d, yes);
  check("offset", changed([](int, int, double x) { return 1000 + x; }), n, d, yes);
  check("far offset", changed([](int, int, double x) { return 1e6 + x / 64; }), n, d, E::either);
  check("clusters", clusters(0.2), n, d, E::either);
  check("tight clusters", clusters(1e-4), n, d, no);
  check("each twice", changed([&](int i, int k, double) { return gaussian[at(i / 2, k)]; }), n, d,
        E::either);
  check("twins", changed([&](int i, int k, double x) { return gaussian[at(i / 2, k)] + 1e-6 * x; }),
        n, d, E::either);
  check("integers", made([&](int, int) { return few(random); }), n, d, E::either);
  check("bits", made([&](int, int) { return few(random) / 3; }), n, d, E::either);
  check("a simplex", made([&](int i, int k) { return i == k; }), n, d, E::either);
  check("nearly a simplex", changed([&](int i, int k, double x) { return (i == k) + 1e-7 * x; }), n,
        d, E::either);
  check("a shell", changed([&](int i, int, double x) {
          double size = 0;
          for (int c = 0; c < d; ++c) size += double(gaussian[at(i, c)]) * gaussian[at(i, c)];
          return x / std::sqrt(size);
        }),
        n, d, yes);
  check("constant", made([](int, int) { return 3; }), n, d, E::declined);
  check("zero", made([](int, int) { return 0; }), n, d, E::declined);
  const int chosen = row(random);
  const auto with = [&](double x) {
    return changed([=](int i, int k, double y) { return i == chosen && k == d / 2 ? x : y; });
  };
  check("one far away", with(1e6), n, d, no);
  check("one at infinity", with(infinity), n, d, E::declined);
  check("one at NaN", with(infinity - infinity), n, d, E::declined);
  check("one at the end of the range", with(most), n, d, E::declined);
  const double large_scale = std::sqrt(most) / 8, small_scale = 1 / std::sqrt(most);
  for (const double scale : {large_scale, small_scale, small_scale * 1e-3, 1 / most})
    check("scaled by " + std::to_string(std::log2(scale)),
          changed([=](int, int, double x) { return scale * x; }), n, d, no);
}

}  // namespace

int main() {
  for (const int n : {1, 2, 17, 64, 130, 210})
    for (const int d : {1, 2, 16, 65, 300}) {
      check_clouds<float>(n, d);
      check_clouds<double>(n, d);
    }
  check_clouds<float>(200, 1030);
  std::printf("%d failures of codes\n", failures);
  return failures != 0;
}
