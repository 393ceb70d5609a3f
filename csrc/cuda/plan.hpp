// Whether a block finds a bag's tree or many do, and whether it does the whole step of training:
// which bags one block can hold, and how, and which way should be faster. All give the same bits.
#pragma once

#include <cmath>
#include <stdexcept>
#include <string>

#include "batch.hpp"

namespace torchtopo::cuda {

// A thread holds `vertices` points of at most `dim` coordinates; a block has at most `threads`.
template <int of_a_thread, int of_a_block>
struct Held {
  static constexpr int vertices = of_a_thread, threads = of_a_block, points = vertices * threads;
};
template <class Real, int dim>
struct Registers;
template <>
struct Registers<float, 8> : Held<2, 1024> {};
template <>
struct Registers<float, 32> : Held<1, 1024> {};
template <>
struct Registers<float, 64> : Held<1, 512> {};
template <>
struct Registers<double, 8> : Held<2, 1024> {};
template <>
struct Registers<double, 32> : Held<1, 512> {};

// Points of dimension d that one block holds, 0 if none.
inline int one_block_limit(bool wide, std::int64_t d) {
  if (d <= 8) return wide ? Registers<double, 8>::points : Registers<float, 8>::points;
  if (d <= 32) return wide ? Registers<double, 32>::points : Registers<float, 32>::points;
  return d <= 64 && !wide ? Registers<float, 64>::points : 0;
}
constexpr int matrix_block_limit = 1024;
constexpr int rounds_block_limit = 1024;  // points of a bag whose rounds one block does

// What follows is a model in microseconds of a large GPU, from counted instructions, which nobody
// has compared with measurements yet (benchmarks/gpu.md).
constexpr int multiprocessors = 132;

// What the trees take where a block finds each.
inline double one_block_takes(const AnySpace& space, const Bags& bags) {
  const double n = double(bags.n), d = double(space.d);
  const double waves = std::ceil(double(bags.count) / multiprocessors);  // of a block a bag
  const bool given = space.metric == Metric::precomputed;
  const double order = 0.04 * n;  // measuring and sorting the edges
  const double search = given ? 25 + 1e-3 * n * n : (0.3 + 0.004 * d) * n;
  return 2.5 + waves * (search + order);
}

// Whether one launch is to be taken: the other way must promise more than the model's error.
inline bool one_block_is_faster(const AnySpace& space, const Bags& bags) {
  const double n = double(bags.n), d = double(space.d), half = n * n / 2;
  const double waves = std::ceil(double(bags.count) / multiprocessors);
  const bool given = space.metric == Metric::precomputed;
  const double order = 0.04 * n;
  const double instructions = given ? 45 : 2.9 * d + 36;  // of an edge in the scan
  const double scan = double(bags.count) * half * instructions / 20e6;
  const double again = given ? 0 : 5e-6 * half * d;
  const double rounds =
      bags.n <= rounds_block_limit ? 5 + waves * (40 + 0.08 * n + again) : 15 * std::log2(n);
  const double many_blocks = 7.5 + scan + rounds + waves * order;
  return one_block_takes(space, bags) <= 2 * many_blocks;
}

inline Plan plan_of(const AnySpace& space, const Bags& bags, Plan asked) {
  const bool wide = space.dtype == 1 || space.metric == Metric::cosine;
  const int limit =
      space.metric == Metric::precomputed ? matrix_block_limit : one_block_limit(wide, space.d);
  if (asked == Plan::one_block && bags.n > limit)
    throw std::invalid_argument("a block holds at most " + std::to_string(limit) +
                                " points of such bags, not " + std::to_string(bags.n));
  if (asked != Plan::automatic) return asked;
  return bags.n <= limit && one_block_is_faster(space, bags) ? Plan::one_block : Plan::many_blocks;
}

// What a block holds that does a bag's whole step of training: its threads have 128 registers, to
// measure and to pull with many loads under way.
constexpr int step_block = 512;
template <class Real, int dim>
struct StepRegisters;
template <>
struct StepRegisters<float, 8> : Held<2, step_block> {};
template <>
struct StepRegisters<float, 32> : Held<2, step_block> {};
template <>
struct StepRegisters<float, 64> : Held<1, step_block> {};
template <>
struct StepRegisters<double, 8> : Held<2, step_block> {};
template <>
struct StepRegisters<double, 32> : Held<1, step_block> {};

// Points of a thread of it, 0 if they have too many coordinates.
inline int step_vertices(bool wide, std::int64_t d) {
  if (d <= 8) return StepRegisters<float, 8>::vertices;
  if (d <= 32)
    return wide ? StepRegisters<double, 32>::vertices : StepRegisters<float, 32>::vertices;
  return d <= 64 && !wide ? StepRegisters<float, 64>::vertices : 0;
}

// Its threads: what the tree takes, and more of them for all that comes after, while there are
// multiprocessors for all blocks and four pairs for each warp.
inline int step_threads(const Bags& bags, int vertices) {
  constexpr int warp = 32;
  const int m = int(bags.n - 1);
  int threads = (m + warp * vertices - 1) / (warp * vertices) * warp;
  while (2 * threads <= step_block && bags.count * 2 * threads <= multiprocessors * step_block &&
         threads / warp * 4 < 2 * m)
    threads *= 2;
  return threads;
}

// Whether a block does all of a bag's step, once the pairs of x are known. What comes after the
// tree is else five launches over the whole GPU, so the device loses where bags are few, large or
// of many dimensions. The host gains: it is spared four launches, which outside a graph cost it 10
// to 20 microseconds each. So one launch is taken where the device loses at most the least of that.
inline bool one_launch_is_faster(const AnySpace& x, const AnySpace& z, const Bags& bags,
                                 int vertices) {
  const double n = double(bags.n), pairs = 2 * (n - 1), count = double(bags.count);
  const int threads = step_threads(bags, vertices);
  const double warps = threads / 32;
  const double waves = std::ceil(count * threads / (multiprocessors * step_block));
  // Four lengths by each of a multiprocessor's 16 warps: 280 instructions and 58 for 32
  // coordinates, four fifths of the slots used. Cosine distances are measured one by one.
  const auto four = [](const AnySpace& space) {
    return (0.8 + 0.0051 * double(space.d)) * (space.metric == Metric::cosine ? 4 : 1);
  };
  const double measuring = std::ceil(pairs / (4 * warps)) * (four(x) + four(z));
  const double sorting = 2 + 0.01 * n;
  const double pulling = 0.7 * std::ceil(n * double(z.d) / (64 * warps));  // 64 coordinates a warp
  const double by_one = waves * (measuring + sorting + pulling);
  // The five read this much and take so many instructions of a warp; whichever they wait for.
  const double bytes = count * pairs * 4 * (2 * double(x.d) + 4 * double(z.d));
  const double instructions = count * pairs * (500 + 0.5 * double(x.d) + double(z.d));
  const double by_many = 5 * 2.5 + std::fmax(bytes / 3e6, instructions / 740e3);
  return by_one - by_many <= 4 * 10;
}

inline bool step_in_one_launch(const AnySpace& x, const AnySpace& z, const Bags& bags, Plan asked) {
  constexpr std::int64_t most = 1 << 30;  // coordinates, which a step counts in 32 bits
  if (z.metric == Metric::precomputed || bags.cu_seqlens || bags.n < 2 || bags.count < 1 ||
      x.d < 1 || x.d > most || z.d < 1)
    return false;
  const int vertices = step_vertices(z.dtype == 1 || z.metric == Metric::cosine, z.d);
  if (bags.n > vertices * step_block) return false;
  if (asked != Plan::automatic) return asked == Plan::one_block;
  return plan_of(z, bags, asked) == Plan::one_block && one_launch_is_faster(x, z, bags, vertices);
}

}  // namespace torchtopo::cuda
