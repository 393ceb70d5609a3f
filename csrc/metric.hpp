// What a space is measured by, under the numbers by which Python passes it: a metric of points, or
// distances as they are given.
#pragma once

#include <stdexcept>
#include <string>

namespace torchtopo {

enum class Metric { euclidean, manhattan, chebyshev, cosine, precomputed };

#ifdef __CUDACC__
#define TORCHTOPO_HOST_DEVICE __host__ __device__
#else
#define TORCHTOPO_HOST_DEVICE
#endif

// A metric as a type, so that code can be chosen by it when it is compiled.
template <Metric metric>
struct Named {
  TORCHTOPO_HOST_DEVICE constexpr operator Metric() const { return metric; }
};

// Calls with the metric's type. This is the only switch over metrics: without a default, so that
// one that is forgotten does not compile (-Werror=switch), and no number is taken for a metric it
// is not. What is called may be code of the host or of a CUDA device.
#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
template <class Call>
TORCHTOPO_HOST_DEVICE auto visit(Metric metric, Call call) {
  switch (metric) {
    case Metric::euclidean:
      return call(Named<Metric::euclidean>());
    case Metric::manhattan:
      return call(Named<Metric::manhattan>());
    case Metric::chebyshev:
      return call(Named<Metric::chebyshev>());
    case Metric::cosine:
      return call(Named<Metric::cosine>());
    case Metric::precomputed:
      return call(Named<Metric::precomputed>());
  }
#ifdef __CUDA_ARCH__
  __builtin_unreachable();  // Python names no other, and a trap here costs registers
#else
  throw std::invalid_argument("no metric has the number " + std::to_string(int(metric)));
#endif
}

// Whether the kernels sum squares, which leave their range before a length does. Those of the
// cosine are squares of unit vectors' differences and keep theirs.
constexpr bool sums_squares(Named<Metric::euclidean>) { return true; }
constexpr bool sums_squares(Named<Metric::manhattan>) { return false; }
constexpr bool sums_squares(Named<Metric::chebyshev>) { return false; }
constexpr bool sums_squares(Named<Metric::cosine>) { return false; }
constexpr bool sums_squares(Named<Metric::precomputed>) { return false; }

inline bool squares(Metric metric) {
  return visit(metric, [](auto named) { return sums_squares(named); });
}

}  // namespace torchtopo
