// The nouns that Python passes to the kernels of the CPU and of CUDA.
#pragma once

#include <cstdint>

#include "metric.hpp"

namespace torchtopo {

// Where the bags of a batch lie: padded to n rows each, of which the first lengths[b] count (all,
// without lengths); or packed, bag b in the rows from cu_seqlens[b] to cu_seqlens[b + 1], and n the
// most rows that one can have.
struct Bags {
  std::int64_t count;
  std::int64_t n = 0;
  const std::int64_t* lengths = nullptr;
  const std::int64_t* cu_seqlens = nullptr;
  std::int64_t rows = 0;  // of all bags; the kernels of the CPU don't ask

  std::int64_t first_row(std::int64_t b) const { return cu_seqlens ? cu_seqlens[b] : b * n; }
  std::int64_t size(std::int64_t b) const {
    return cu_seqlens ? cu_seqlens[b + 1] - cu_seqlens[b] : lengths ? lengths[b] : n;
  }
  // A tree has one row less than its bag.
  std::int64_t first_edge(std::int64_t b) const {
    return cu_seqlens ? cu_seqlens[b] - b : b * (n - 1);
  }
  std::int64_t edge_rows(std::int64_t b) const { return (cu_seqlens ? size(b) : n) - 1; }
  // Vertices are named by their row in the bag, in a packed batch by their row in the batch.
  std::int64_t first_name(std::int64_t b) const { return cu_seqlens ? cu_seqlens[b] : 0; }
};

// Points (rows, d) and their metric; or, precomputed, a matrix (d, d) of distances for each bag,
// whose halves the caller may promise to be alike; the kernels of CUDA never read the lower one.
template <class Real>
struct Space {
  const Real* values;
  std::int64_t d;
  Metric metric;
  bool symmetric = false;
};

// The same while its dtype is a number: 0 is float32, 1 float64.
struct AnySpace {
  const void* values;
  int dtype;
  std::int64_t d;
  Metric metric;
  bool symmetric = false;

  template <class Real>
  TORCHTOPO_HOST_DEVICE Space<Real> as() const {
    return {static_cast<const Real*>(values), d, metric, symmetric};
  }
};

// A number for each bag, for all bags one of a tensor (`step` 0), or without a tensor `all`.
struct Each {
  const void* values;
  int dtype;
  std::int64_t step;
  double all;

  TORCHTOPO_HOST_DEVICE double of(std::int64_t bag) const {
    if (!values) return all;
    return dtype == 0 ? double(static_cast<const float*>(values)[bag * step])
                      : static_cast<const double*>(values)[bag * step];
  }
};

// What the sum of a bag's squares is divided by; 0 for all: half the norm of either tree instead.
struct Shares : Each {
  TORCHTOPO_HOST_DEVICE bool halves_of_norms() const { return !values && all == 0; }
};

// Calls with a number of the type that a dtype stands for.
template <class Call>
void with_real(int dtype, Call call) {
  if (dtype == 0)
    call(float());
  else
    call(double());
}

}  // namespace torchtopo
