// Whether a block finds a bag's tree or many do: which bags one block can hold, and how, and which
// way should be faster. Both find the same edges.
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

// Whether one launch is to be taken, by a model in microseconds of a large GPU from counted
// instructions, which nobody has compared with measurements yet (benchmarks/gpu.md): the other way
// must promise more than the model's error.
inline bool one_block_is_faster(const AnySpace& space, const Bags& bags) {
  const double n = double(bags.n), d = double(space.d), half = n * n / 2;
  const double waves = std::ceil(double(bags.count) / 132);  // of a block a bag
  const bool given = space.metric == Metric::precomputed;
  const double order = 0.04 * n;  // measuring and sorting the edges
  const double search = given ? 25 + 2e-3 * half : (0.3 + 0.004 * d) * n;
  const double one_block = 2.5 + waves * (search + order);

  const double instructions = given ? 45 : 2.9 * d + 36;  // of an edge in the scan
  const double scan = double(bags.count) * half * instructions / 20e6;
  const double again = given ? 0 : 5e-6 * half * d;
  const double rounds =
      bags.n <= rounds_block_limit ? 5 + waves * (40 + 0.08 * n + again) : 15 * std::log2(n);
  const double many_blocks = 7.5 + scan + rounds + waves * order;
  return one_block <= 2 * many_blocks;
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

}  // namespace torchtopo::cuda
