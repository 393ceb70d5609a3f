// Which clouds one block can hold in its registers, and how.
#pragma once

#include "kernels.hpp"

namespace torchtopo::cuda {

// A thread holds `vertices` points of at most `dim` coordinates; a block has at most `threads`.
template <class Real, int dim>
struct Registers;
template <>
struct Registers<float, 8> {
  static constexpr int vertices = 2, threads = 1024;
};
template <>
struct Registers<float, 32> {
  static constexpr int vertices = 1, threads = 1024;
};
template <>
struct Registers<float, 64> {
  static constexpr int vertices = 1, threads = 512;
};
template <>
struct Registers<double, 8> {
  static constexpr int vertices = 2, threads = 1024;
};
template <>
struct Registers<double, 32> {
  static constexpr int vertices = 1, threads = 512;
};

// Points of dimension d that one block holds, 0 if none.
inline int one_block_limit(bool wide, std::int64_t d) {
  if (d <= 8) return 2048;
  if (d <= 32) return wide ? 512 : 1024;
  return d <= 64 && !wide ? 512 : 0;
}

}  // namespace torchtopo::cuda
