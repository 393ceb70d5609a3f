// A team finds what one thread finds, bit for bit, in every kernel and from bags within batches.
// Run under ThreadSanitizer (see Makefile).
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "cpu/batch.hpp"
#include "cpu/isa.hpp"
#include "cpu/plan.hpp"

using namespace torchtopo;

namespace {

int failures = 0;

void require(bool holds, const char* what, int n, int d, int threads) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s, %d points in %d dimensions, %d threads\n", what, n, d, threads);
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Normal points, or points of a grid, most of whose distances tie.
template <class Real>
std::vector<Real> cloud(std::mt19937& random, int n, int d, bool tied) {
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> few(0, 5);
  std::vector<Real> points(std::size_t(n) * std::size_t(d));
  for (Real& x : points) x = Real(tied ? few(random) : normal(random));
  return points;
}

template <class Real>
std::vector<std::uint64_t> words(std::vector<Edge<Real>> tree, Farthest<Real> far = {}) {
  std::sort(tree.begin(), tree.end());
  std::vector<std::uint64_t> all = {std::uint64_t(far.key), far.ends, far.infinite};
  for (const Edge<Real>& edge : tree) {
    all.push_back(std::uint64_t(edge.weight));
    all.push_back(edge.ends);
  }
  return all;
}

// Calls find(threads) and expects the words of one thread from all.
template <class Find>
void check(const char* what, int n, int d, Find find) {
  const auto alone = find(1);
  for (const int threads : {2, 3, 7}) require(same(find(threads), alone), what, n, d, threads);
}

template <class Real>
void check_kernels(std::mt19937& random, int n, int d, bool tied) {
  const std::vector<Real> points = cloud<Real>(random, n, d, tied);
  const Kernels<Real>& kernels = instruction_set().kernels<Real>();
  const Metric metric = Metric::euclidean;
  const auto tree = [&] { return std::vector<Edge<Real>>(std::size_t(n) - 1); };
  for (const Way<Real>& way : ways<Real>)
    check(way.name, n, d, [&](int threads) {
      Scratch scratch;
      auto found = tree();
      (kernels.*way.kernel)(points.data(), n, d, metric, scratch, Team(threads), found.data());
      return words(found);
    });
  check("tiled and farthest", n, d, [&](int threads) {
    Scratch scratch;
    auto found = tree();
    Farthest<Real> far;
    const Rows<Real> rows = kernels.rows_of_points(points.data(), n, d, metric, scratch,
                                                   Team(threads), found.data(), &far);
    kernels.prims_abreast(&rows, 1, true, {}, scratch);
    return words(found, far);
  });
  check("farthest", n, d, [&](int threads) {
    Scratch scratch;
    return words<Real>({}, kernels.farthest(points.data(), n, d, metric, scratch, Team(threads)));
  });
}

// A matrix beyond the cache: its own mirror image, or not, or with a negative entry.
template <class Real>
void check_matrices(std::mt19937& random, int n) {
  std::vector<Real> matrix = cloud<Real>(random, n, n, true);
  const auto at = [n](int i, int j) { return std::size_t(i) * std::size_t(n) + std::size_t(j); };
  const auto check_matrix = [&](const char* what) {
    check(what, n, n, [&](int threads) {
      Scratch scratch;
      std::vector<Edge<Real>> found(std::size_t(n) - 1);
      const Kernels<Real>& kernels = instruction_set().kernels<Real>();
      const Rows<Real> rows = kernels.rows_of_matrix(matrix.data(), std::size_t(n), n, scratch,
                                                     Team(threads), found.data());
      const bool taken = rows.keys && kernels.prims_abreast(&rows, 1, true, {}, scratch);
      auto all = words(taken ? found : std::vector<Edge<Real>>());
      all.push_back(taken);
      return all;
    });
  };
  check_matrix("matrix");
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < i; ++j) matrix[at(i, j)] = matrix[at(j, i)];
  check_matrix("symmetric matrix");
  matrix[at(n - 1, n / 2)] += 1;
  check_matrix("matrix with one entry unlike its mirror image");
  matrix[at(1, n - 2)] = Real(-1);
  check_matrix("matrix with a negative entry");
}

// Teams within the tasks of a batch.
void check_batches(std::mt19937& random, int bags, int n, int d) {
  const std::vector<float> x = cloud<float>(random, bags * n, d, false);
  const std::vector<double> z = cloud<double>(random, bags * n, 2, true);
  const std::size_t rows = std::size_t(bags) * std::size_t(2 * (n - 1));
  check("batch", n, d, [&](int threads) {
    std::vector<std::int64_t> pairs(2 * rows), far(std::size_t(4 * bags));
    std::vector<float> in_x(rows), pulled_x(x.size());
    std::vector<double> in_z(rows), pulled_z(z.size()), largest(std::size_t(2 * bags)),
        losses(static_cast<std::size_t>(bags));
    const Stepped of_x = {{x.data(), 0, d, Metric::cosine},
                          {},
                          far.data(),
                          largest.data(),
                          in_x.data(),
                          pulled_x.data(),
                          nullptr};
    const Stepped of_z = {{z.data(), 1, 2, Metric::manhattan},
                          {},
                          far.data() + 2 * bags,
                          largest.data() + bags,
                          in_z.data(),
                          pulled_z.data(),
                          nullptr};
    signature_step({of_x, of_z, Bags{bags, n}, nullptr, {}, pairs.data(), losses.data()}, threads);
    std::vector<double> all(in_z);
    all.insert(all.end(), losses.begin(), losses.end());
    for (const auto& reals : {pulled_z, largest}) all.insert(all.end(), reals.begin(), reals.end());
    for (const auto& reals : {in_x, pulled_x}) all.insert(all.end(), reals.begin(), reals.end());
    for (const auto& whole : {pairs, far}) all.insert(all.end(), whole.begin(), whole.end());
    return all;
  });
}

}  // namespace

int main() {
  std::mt19937 random(0);
  for (const InstructionSet* set : instruction_sets()) {
    set_instruction_set(set->name);
    for (const bool tied : {false, true}) {
      check_kernels<float>(random, 700, 3, tied);
      check_kernels<float>(random, 517, 270, tied);
      check_kernels<double>(random, 300, 9, tied);
    }
    check_kernels<float>(random, 3, 2, true);
    check_kernels<float>(random, 4000, 2, true);
    check_matrices<float>(random, 515);
    check_matrices<double>(random, 403);
    for (const int bags : {1, 2, 3}) check_batches(random, bags, 300, 20);
  }
  std::printf("%d failures of teams over %zu instruction sets\n", failures,
              instruction_sets().size());
  return failures != 0;
}
