// What this processor needs at the least for what no exact tree can do without, one thread, the
// fastest of several rounds: `make -C tests/cpp floors`. docs/benchmarks.md sets the promises that
// are missed beside it.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <numeric>
#include <random>
#include <vector>

#include "cpu/each_isa/simd.hpp"

namespace {

namespace simd = torchtopo::ISA;
using Floats = simd::Vec<float, 8>;

volatile float sink;  // what is written here was computed

template <class Call>
double seconds(int rounds, Call call) {
  double least = 1e9;
  for (int k = 0; k < rounds; ++k) {
    const auto start = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    least = std::min(least, taken.count());
  }
  return least;
}

// Coordinates a second of squared differences of 6 points from 16, all in the first-level cache:
// 12 sums, as many as hide what an addition takes and leave registers for the points.
double direct_differences() {
  constexpr int rows = 6, depth = 512, repeats = 200;
  std::vector<float> points(rows * depth, 1), columns(16 * depth, 2);
  const double taken = seconds(20, [&] {
    for (int repeat = 0; repeat < repeats; ++repeat) {
      Floats sum[rows][2] = {};
      for (int k = 0; k < depth; ++k) {
        const auto a = simd::load<float, 8>(&columns[std::size_t(16 * k)]);
        const auto b = simd::load<float, 8>(&columns[std::size_t(16 * k + 8)]);
        for (int i = 0; i < rows; ++i) {
          const auto x = simd::broadcast<float, 8>(points[std::size_t(rows * k + i)]);
          sum[i][0] += (x - a) * (x - a);
          sum[i][1] += (x - b) * (x - b);
        }
      }
      for (const auto& row : sum)
        for (const Floats& v : row) sink = v[0];
    }
  });
  return double(repeats) * depth * rows * 16 / taken;
}

// Seconds to read square matrices, row after row in the order given.
double reading(const std::vector<float>& matrices, std::size_t n, const std::vector<int>& order) {
  return seconds(40, [&] {
    Floats least[8] = {};
    for (std::size_t bag = 0; bag < matrices.size(); bag += n * n)
      for (const int row : order)
        for (std::size_t j = 0; j < n; j += 64)
          for (std::size_t k = 0; k < 8; ++k) {
            const float* at = &matrices[bag + std::size_t(row) * n + j + 8 * k];
            least[k] = simd::minimum(least[k], simd::load<float, 8>(at));
          }
    for (const Floats& v : least) sink = v[0];
  });
}

// Seconds of a step of Prim and no more: n keys, already in the first-level cache, are lowered by a
// row whose address the step before has found, and their smallest is looked for. The steps of
// several bags are taken in turn, so that one is taken while another's is waited for.
double step(std::size_t n, std::size_t bags) {
  std::vector<float> row(n, 1), keys(n * bags, 2);
  std::vector<std::size_t> next(bags, 0);
  constexpr int steps = 1000;
  return seconds(200,
                 [&] {
                   for (int k = 0; k < steps; ++k)
                     for (std::size_t b = 0; b < bags; ++b) {
                       float* mine = &keys[n * b];
                       Floats least = simd::broadcast<float, 8>(3);
                       for (std::size_t j = 0; j < n; j += 8) {
                         const auto key = simd::minimum(simd::load<float, 8>(mine + j),
                                                        simd::load<float, 8>(&row[next[b]] + j));
                         simd::store(mine + j, key);
                         least = simd::minimum(least, key);
                       }
                       float smallest = least[0];
                       for (int lane = 1; lane < 8; ++lane)
                         smallest = std::min(smallest, least[lane]);
                       next[b] = smallest > 2 ? 1 : 0;  // never, but the next address waits for it
                     }
                   sink = keys[0];
                 }) /
         (steps * double(bags));
}

}  // namespace

int main() {
  std::printf("differences, squared and added: %.1f coordinates a nanosecond\n",
              direct_differences() / 1e9);
  const std::size_t sizes[][2] = {{16, 64}, {16, 256}, {1, 4096}};
  for (const auto& [bags, n] : sizes) {
    const std::vector<float> matrices(bags * n * n, 1);
    std::vector<int> order(n);
    std::iota(order.begin(), order.end(), 0);
    const double in_order = reading(matrices, n, order);
    std::shuffle(order.begin(), order.end(), std::mt19937(0));
    std::printf("%zu matrices of %zu: read in order %.1f us, by rows in any order %.1f us\n", bags,
                n, in_order * 1e6, reading(matrices, n, order) * 1e6);
  }
  const std::size_t steps[][2] = {{64, 1}, {64, 4}, {256, 1}, {256, 2}, {4096, 1}};
  for (const auto& [n, bags] : steps)
    std::printf("a step of Prim over %zu keys in the cache, %zu bags in turn: %.1f ns\n", n, bags,
                step(n, bags) * 1e9);
}
