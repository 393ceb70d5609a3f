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

// A model in microseconds that assumes a large GPU: 0.3 for a step of Prim, 2.5 for a launch, three
// launches and 14e6 arithmetic operations a microsecond for a round of Boruvka, five rounds that
// work. Not yet compared with measurements (benchmarks/gpu.md).
inline bool one_block_is_faster(const AnySpace& space, const Bags& bags) {
  const double n = double(bags.n), count = double(bags.count), rounds = std::log2(n + 1);
  const double waves = std::ceil(count / 128);
  if (space.metric == Metric::precomputed) {  // read by one multiprocessor, or by all
    const double one_block = 5 * n * n * 3.6e-5 * waves;
    return one_block <= 7.5 * rounds + 5 * count * n * n * 1.6e-6;
  }
  const double operations = count * n * n * (2 * double(space.d) + 10);
  return 0.3 * n * waves <= 7.5 * rounds + 5 * operations / 14e6;
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
