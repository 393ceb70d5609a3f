// Every kernel of every instruction set against textbook Kruskal, on inputs full of ties, NaN and
// infinities, at sizes around the vectors' widths. Run under sanitizers (see Makefile).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "cpu/batch.hpp"
#include "cpu/isa.hpp"
#include "cpu/plan.hpp"
#include "cpu/sort.hpp"
#include "order.hpp"
#include "union_find.hpp"

using namespace torchtopo;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
int failures = 0;

// Kruskal as in the textbook: sort all edges, take those that join two components.
template <class Real>
std::vector<Edge<Real>> kruskal(const std::vector<Real>& matrix, int stride, int n) {
  std::vector<Edge<Real>> edges, tree;
  for (int i = 0; i < n; ++i)
    for (int j = i + 1; j < n; ++j)
      edges.push_back({key_of(matrix[std::size_t(i * stride + j)]),
                       endpoints(std::uint32_t(i), std::uint32_t(j))});
  std::sort(edges.begin(), edges.end());
  UnionFind components;
  components.reset(n);
  for (const Edge<Real>& edge : edges)
    if (components.merge(smaller(edge.ends), larger(edge.ends)) >= 0) tree.push_back(edge);
  return tree;
}

template <class Real>
void expect(const std::vector<Edge<Real>>& tree, const std::int64_t* pairs, const Real* weights,
            int rows, const char* what, int n, int d) {
  bool same = true;
  for (int k = 0; k < rows; ++k) {
    const bool padding = k >= int(tree.size());
    const std::int64_t i = padding ? -1 : std::int64_t(smaller(tree[std::size_t(k)].ends));
    const std::int64_t j = padding ? -1 : std::int64_t(larger(tree[std::size_t(k)].ends));
    same &= pairs[2 * k] == i && pairs[2 * k + 1] == j;
    same &= key_of(weights[k]) == (padding ? 0 : tree[std::size_t(k)].weight);
  }
  if (same) return;
  ++failures;
  std::printf("FAILED %s: %s, %d points in %d dimensions, %zu-byte numbers\n",
              instruction_set().name, what, n, d, sizeof(Real));
}

// A single bag ends where its memory does, and what is read beyond it is seen.
template <class Real>
void check_matrices(std::mt19937& random, int n, int bags) {
  const auto filled = [&](auto entry) {
    std::vector<Real> values(std::size_t(bags * n * n));
    for (Real& value : values) value = Real(entry());
    return values;
  };
  const auto mirrored = [&](std::vector<Real> values) {
    for (int b = 0; b < bags; ++b)
      for (int i = 0; i < n; ++i)
        for (int j = 0; j < i; ++j)
          values[std::size_t((b * n + i) * n + j)] = values[std::size_t((b * n + j) * n + i)];
    return values;
  };
  std::uniform_real_distribution<double> uniform(0, 1);
  std::uniform_int_distribution<int> few(0, 3), any(0, 9);
  const double special[] = {0.0, -0.0, 1, infinity, nan, -nan, 1e-42, 2, 3, 1};
  const std::vector<std::vector<Real>> cases = {
      mirrored(filled([&] { return uniform(random); })),
      mirrored(filled([&] { return few(random); })),
      filled([&] { return uniform(random); }),  // the lower half must not matter
      filled([&] { return special[any(random)]; }),  //
      filled([&] { return few(random) - 2; }),  // negative weights have no kernel
      mirrored(filled([&] { return infinity; })),
  };
  std::vector<std::int64_t> lengths(std::size_t(bags), n);
  if (bags > 2) lengths[1] = (n + 1) / 2, lengths[2] = 1;
  for (const auto& matrices : cases) {
    std::vector<std::int64_t> pairs(std::size_t(bags * (n - 1) * 2) + 1);
    std::vector<Real> weights(std::size_t(bags * (n - 1)) + 1);
    const Space<Real> space = {matrices.data(), n, Metric::precomputed};
    const Bags batch = {bags, n, lengths.data(), nullptr};
    // With a promise, mostly broken: any tree, but nothing is read or written out of bounds.
    trees(Space<Real>{space.values, n, space.metric, true}, batch, pairs.data(), weights.data(), 2);
    trees(space, batch, pairs.data(), weights.data(), 2);
    for (int b = 0; b < bags; ++b) {
      const std::vector<Real> one(matrices.begin() + b * n * n, matrices.begin() + (b + 1) * n * n);
      expect(kruskal(one, n, int(lengths[std::size_t(b)])), pairs.data() + b * (n - 1) * 2,
             weights.data() + b * (n - 1), n - 1, "matrix", n, 0);
    }
  }
}

// On integer points of few digits every distance is exact, in every kernel and in the textbook.
template <class Real>
void check_points(std::mt19937& random, int n, int d, int most = 2) {
  std::uniform_int_distribution<int> few(-most, most), rare(0, 20);
  for (const bool special : {false, true}) {
    std::vector<Real> points(std::size_t(n * d));
    for (Real& x : points) x = Real(few(random));
    if (special)
      for (Real& x : points)
        x = rare(random) == 0 ? Real(infinity) : rare(random) == 0 ? Real(nan) : x;
    for (const Metric metric : {Metric::euclidean, Metric::manhattan, Metric::chebyshev}) {
      std::vector<Real> matrix(std::size_t(n * n));
      for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j)
          matrix[std::size_t(i * n + j)] = Real(instruction_set().template kernels<Real>().length(
              &points[std::size_t(i * d)], &points[std::size_t(j * d)], std::size_t(d), metric));
      const std::vector<Edge<Real>> tree = kruskal(matrix, n, n);
      std::vector<std::int64_t> pairs(std::size_t(2 * n));
      std::vector<Real> weights(static_cast<std::size_t>(n));
      trees(Space<Real>{points.data(), d, metric}, {1, n, nullptr, nullptr}, pairs.data(),
            weights.data(), 1);
      expect(tree, pairs.data(), weights.data(), n - 1, "points", n, d);
      // The plans that the size did not choose must find the same tree.
      Scratch scratch;
      std::vector<Edge<Real>> found(static_cast<std::size_t>(n));
      const auto& kernels = instruction_set().template kernels<Real>();
      for (const Way<Real>& way : ways<Real>) {
        if (n < 2 || (special && !way.any_coordinates)) continue;
        (kernels.*way.kernel)(points.data(), n, d, metric, scratch, Team(1), found.data());
        for (int k = 0; k < n - 1; ++k) {
          const Endpoints ends = found[std::size_t(k)].ends;
          weights[std::size_t(k)] =
              matrix[std::size_t(smaller(ends)) * std::size_t(n) + larger(ends)];
          found[std::size_t(k)].weight = key_of(weights[std::size_t(k)]);
        }
        std::sort(found.begin(), found.begin() + n - 1);
        for (int k = 0; k < n - 1; ++k) {
          pairs[std::size_t(2 * k)] = smaller(found[std::size_t(k)].ends);
          pairs[std::size_t(2 * k + 1)] = larger(found[std::size_t(k)].ends);
          weights[std::size_t(k)] = weight_of<Real>(found[std::size_t(k)].weight);
        }
        expect(tree, pairs.data(), weights.data(), n - 1, way.name, n, d);
      }
    }
  }
}

template <class Real>
void check_packed(std::mt19937& random) {
  std::normal_distribution<double> normal;
  const std::vector<std::int64_t> ends = {0, 5, 6, 23, 56};
  const int d = 7;
  std::vector<Real> points(56 * 7);
  for (Real& x : points) x = Real(normal(random));
  std::vector<std::int64_t> pairs(2 * 52), alone(2 * 56);
  std::vector<Real> weights(52), alone_weights(56);
  const Bags bags = {4, 0, nullptr, ends.data()};
  trees(Space<Real>{points.data(), d, Metric::cosine}, bags, pairs.data(), weights.data(), 2);
  for (std::size_t b = 0; b < 4; ++b) {
    const std::int64_t n = ends[b + 1] - ends[b], first = ends[b] - std::int64_t(b);
    trees(Space<Real>{points.data() + ends[b] * d, d, Metric::cosine}, {1, n, nullptr, nullptr},
          alone.data(), alone_weights.data(), 1);
    for (std::int64_t k = 0; k < n - 1; ++k) {
      const bool same =
          pairs[std::size_t(2 * (first + k))] == ends[b] + alone[std::size_t(2 * k)] &&
          weights[std::size_t(first + k)] == alone_weights[std::size_t(k)];
      if (!same && ++failures) std::printf("FAILED packed bag %zu, edge %d\n", b, int(k));
    }
  }
  const Space<Real> space = {points.data(), d, Metric::euclidean};
  const Bags whole = {1, 56, nullptr, nullptr};
  std::vector<Real> pulls(52, Real(1)), gradient(56 * 7), lengths(52);
  pair_lengths(space, whole, pairs.data(), 52, lengths.data(), 1);
  pair_pulls(space, whole, pairs.data(), 52, pulls.data(), gradient.data(), 1);
  farthest_pairs(space, bags, alone.data(), 2);

  // A step in one call, with a space of the other type, against its parts: losses of halved norms,
  // and gradients in both spaces, which their largest lengths divide.
  const std::vector<double> wide(points.begin(), points.end());
  const int of_real = sizeof(Real) == 4 ? 0 : 1;
  std::vector<std::int64_t> both(2 * 104), far_x(8), far_z(8);
  std::vector<Real> in_x(104), pulled_x(56 * 7);
  std::vector<double> in_z(104), pulled_z(56 * 7), largest_x(4), largest_z(4), losses(4);
  const AnySpace any_x = {points.data(), of_real, d, Metric::euclidean};
  const AnySpace any_z = {wide.data(), 1, d, Metric::chebyshev};
  Step step = {{any_x, {}, far_x.data(), largest_x.data(), in_x.data(), pulled_x.data(), nullptr},
               {any_z, {}, far_z.data(), largest_z.data(), in_z.data(), pulled_z.data(), nullptr},
               bags,
               nullptr,
               {},
               both.data(),
               losses.data()};
  signature_step(step, 2);
  trees(space, bags, pairs.data(), weights.data(), 1);
  bool same = std::equal(pairs.begin(), pairs.end(), both.begin()) &&
              std::equal(weights.begin(), weights.end(), in_x.begin()) && far_x[0] < 5;
  for (std::size_t b = 0; b < 4; ++b) {
    const std::int64_t first = ends[b] - std::int64_t(b), last = ends[b + 1] - std::int64_t(b) - 1;
    double loss = 0;
    for (const std::int64_t tree : {0, 52}) {
      double squares = 0;
      for (std::size_t k = std::size_t(tree + first); k < std::size_t(tree + last); ++k) {
        const double apart = double(in_x[k]) / (largest_x[b] == 0 ? 1 : largest_x[b]) -
                             in_z[k] / (largest_z[b] == 0 ? 1 : largest_z[b]);
        squares += apart * apart;
      }
      loss += std::sqrt(squares) / 2;
    }
    same &= std::abs(loss - losses[b]) <= 1e-12 * (1 + loss);
  }
  // What is compared does not change where all points move alike, or grow about one of them.
  for (std::size_t k = 0; k < std::size_t(d); ++k) {
    double moved = 0;
    for (std::size_t row = 0; row < 56; ++row) moved += double(pulled_x[row * 7 + k]);
    same &= std::abs(moved) < 1e-4;
  }
  double grown = 0;
  for (std::size_t k = 0; k < 56 * 7; ++k) grown += wide[k] * pulled_z[k];
  same &= std::abs(grown) < 1e-9;
  if (!same && ++failures) std::printf("FAILED a step\n");

  // Of known pairs, with a scale and a share of each bag, nothing but the slopes in the scales.
  std::vector<float> scale = {1, 2, 3, 4};
  std::vector<Real> of_scale_x(4);
  std::vector<double> of_scale_z(4), shares = {5, 6, 7, 8};
  const Each each = {scale.data(), 0, 1, 1.0};
  step.x = {any_x, each, nullptr, nullptr, in_x.data(), nullptr, of_scale_x.data()};
  step.z = {any_z, each, nullptr, nullptr, in_z.data(), nullptr, of_scale_z.data()};
  step.shares = {{shares.data(), 1, 1, 0.0}};
  step.pairs_x = pairs.data();
  signature_step(step, 1);
  // A scale of both divides the squares, and so the loss, by its own square.
  for (std::size_t b = 0; b < 4; ++b) {
    const double slope = double(of_scale_x[b]) + of_scale_z[b];
    if (std::abs(slope * double(scale[b]) + 2 * losses[b]) <= 1e-5 * (1 + losses[b])) continue;
    ++failures;
    std::printf("FAILED slopes of a step in its scales, bag %zu\n", b);
  }
}

// Edges full of ties, few enough to be ranked and more.
template <class Real>
void check_sort(std::mt19937& random) {
  std::uniform_int_distribution<int> few(-3, 3);
  std::normal_distribution<double> normal;
  for (const int count : {0, 1, 2, 5, 31, 32, 33, 64, 127, 128, 129, 300})
    for (const bool tied : {false, true}) {
      std::vector<Edge<Real>> edges(std::size_t(count) + 1);
      for (Edge<Real>& edge : edges)
        edge = {key_of<Real>(tied ? Real(few(random)) : Real(normal(random))),
                endpoints(random() % 50, 50 + random() % 50)};
      std::vector<Edge<Real>> sorted(edges.begin(), edges.end() - 1);
      std::sort(sorted.begin(), sorted.end());
      Scratch scratch;
      sort_edges(edges.data(), count, scratch);
      const bool same = std::equal(sorted.begin(), sorted.end(), edges.begin(), [](auto a, auto b) {
        return a.weight == b.weight && a.ends == b.ends;
      });
      if (!same && ++failures) std::printf("FAILED order of %d edges\n", count);
    }
}

// By times that are made up: the last set stays unless another is quicker by a tenth.
void check_choice() {
  InstructionSet sets[3] = {};
  const auto chosen = [&](double first, double second, double last) {
    return quickest({{&sets[0], first}, {&sets[1], second}, {&sets[2], last}}) - sets;
  };
  const bool right = chosen(9, 8, 7) == 2 && chosen(9, 5, 7) == 1 && chosen(9, 6.5, 7) == 2 &&
                     chosen(2, 5, 7) == 0 && chosen(4.9, 5, 7) == 1 && chosen(7, 7, 7) == 2;
  if (!right && ++failures) std::printf("FAILED choice of an instruction set\n");
}

}  // namespace

int main() {
  std::mt19937 random(0);
  check_choice();
  for (const InstructionSet* set : instruction_sets()) {
    set_instruction_set(set->name);
    for (int n = 1; n <= 40; ++n) {
      check_matrices<float>(random, n, 1);
      check_matrices<double>(random, n, 1);
    }
    for (const int n : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 70}) {
      check_matrices<float>(random, n, 3);
      check_matrices<double>(random, n, 3);
      for (const int d : {1, 3, 8, 9, 300}) {
        check_points<float>(random, n, d);
        check_points<double>(random, n, d);
      }
    }
    check_matrices<float>(random, 256, 9);  // abreast, in groups that are fetched ahead
    check_matrices<double>(random, 128, 10);
    // As many points as make several levels of boxes, most of them tied, at no distance or at some;
    // searched for abreast and, in many dimensions, alone.
    check_points<float>(random, 1100, 2);
    check_points<float>(random, 1100, 2, 20);
    check_points<double>(random, 600, 3);
    check_points<double>(random, 600, 3, 5);
    check_points<float>(random, 700, 4);
    check_points<double>(random, 600, 5);
    check_points<float>(random, 700, 9);
    check_points<float>(random, 300, 260);  // several segments, and deeper than a block
    check_packed<float>(random);
    check_packed<double>(random);
    check_sort<float>(random);
    check_sort<double>(random);
  }
  std::printf("%d failures over %zu instruction sets\n", failures, instruction_sets().size());
  return failures != 0;
}
