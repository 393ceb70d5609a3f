// The Python module torchtopo._C: addresses and sizes in, nothing of torch. See torchtopo/_C.pyi.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "cpu/batch.hpp"
#include "cpu/kernels.hpp"

#if defined(__clang__)
#define TORCHTOPO_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define TORCHTOPO_COMPILER "gcc " __VERSION__
#elif defined(_MSC_VER)
#define TORCHTOPO_COMPILER "msvc"
#else
#define TORCHTOPO_COMPILER "unknown"
#endif
#ifdef TORCHTOPO_CUDA
#include "cuda/bindings.hpp"
#endif

namespace py = pybind11;
using namespace torchtopo;

namespace {

using Address = std::uintptr_t;
using Size = std::int64_t;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

// Calls body with a null pointer of the dtype's type, without the GIL.
template <class Body>
void with_dtype(int dtype, Body body) {
  py::gil_scoped_release other_threads_may_run;
  dtype == 0 ? body(static_cast<float*>(nullptr)) : body(static_cast<double*>(nullptr));
}

Bags padded(Size bags, Size n, Address lengths) {
  if (n > std::numeric_limits<int>::max())
    throw std::invalid_argument("a bag may hold at most 2^31 - 1 points");
  return {bags, n, at<const Size>(lengths), nullptr};
}
Bags packed(Size bags, Address cu_seqlens) {
  return {bags, 0, nullptr, at<const Size>(cu_seqlens)};
}

constexpr int precomputed = 4;

// With an address for `farthest`, also the farthest pair of each bag.
void vietoris_rips(Address data, int dtype, int metric, Size bags, Size n, Size d, Address lengths,
                   Address edges, Address weights, Address farthest, int threads) {
  with_dtype(dtype, [&](auto* real) {
    using Real = std::remove_pointer_t<decltype(real)>;
    const Bags where = padded(bags, n, lengths);
    if (metric != precomputed)
      return trees_of_points(at<const Real>(data), d, Metric(metric), where, at<Size>(edges),
                             at<Real>(weights), threads, at<Size>(farthest));
    trees_of_matrices(at<const Real>(data), where, at<Size>(edges), at<Real>(weights), threads);
    if (farthest) farthest_of_matrices(at<const Real>(data), where, at<Size>(farthest), threads);
  });
}

void vietoris_rips_packed(Address points, int dtype, int metric, Size bags, Size d,
                          Address cu_seqlens, Address edges, Address weights, Address farthest,
                          int threads) {
  with_dtype(dtype, [&](auto* real) {
    using Real = std::remove_pointer_t<decltype(real)>;
    trees_of_points(at<const Real>(points), d, Metric(metric), packed(bags, cu_seqlens),
                    at<Size>(edges), at<Real>(weights), threads, at<Size>(farthest));
  });
}

void diameter(Address data, int dtype, int metric, Size bags, Size n, Size d, Address lengths,
              Address pair, int threads) {
  with_dtype(dtype, [&](auto* real) {
    using Real = std::remove_pointer_t<decltype(real)>;
    const Bags where = padded(bags, n, lengths);
    if (metric == precomputed)
      farthest_of_matrices(at<const Real>(data), where, at<Size>(pair), threads);
    else
      farthest_of_points(at<const Real>(data), d, Metric(metric), where, at<Size>(pair), threads);
  });
}

void diameter_packed(Address points, int dtype, int metric, Size bags, Size d, Address cu_seqlens,
                     Address pair, int threads) {
  with_dtype(dtype, [&](auto* real) {
    using Real = std::remove_pointer_t<decltype(real)>;
    farthest_of_points(at<const Real>(points), d, Metric(metric), packed(bags, cu_seqlens),
                       at<Size>(pair), threads);
  });
}

void pair_distances(Address points, int dtype, int metric, Size bags, Size n, Size d, Address pairs,
                    Size m, Address out, int threads) {
  with_dtype(dtype, [&](auto* real) {
    using Real = std::remove_pointer_t<decltype(real)>;
    pair_lengths(at<const Real>(points), d, Metric(metric), padded(bags, n, 0),
                 at<const Size>(pairs), m, at<Real>(out), threads);
  });
}

void pair_distances_backward(Address points, int dtype, int metric, Size bags, Size n, Size d,
                             Address pairs, Size m, Address grad, Address out, int threads) {
  with_dtype(dtype, [&](auto* real) {
    using Real = std::remove_pointer_t<decltype(real)>;
    pair_pulls(at<const Real>(points), d, Metric(metric), padded(bags, n, 0), at<const Size>(pairs),
               m, at<const Real>(grad), at<Real>(out), threads);
  });
}

py::dict config() {
  py::list sets;
  for (const InstructionSet* set : instruction_sets()) sets.append(set->name);
  py::dict cuda_version_and_archs;
#ifdef TORCHTOPO_CUDA
  cuda_version_and_archs = cuda_config();
#endif
  const auto of = [&](const char* key, py::object otherwise) {
    return cuda_version_and_archs.contains(key) ? py::object(cuda_version_and_archs[key])
                                                : otherwise;
  };
  using namespace py::literals;
  return py::dict("isa"_a = instruction_set().name, "isas"_a = sets,
                  "cuda"_a = py::bool_(py::len(cuda_version_and_archs) > 0),
                  "cuda_version"_a = of("cuda_version", py::none()),
                  "cuda_archs"_a = of("cuda_archs", py::list()), "compiler"_a = TORCHTOPO_COMPILER);
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.def("vietoris_rips", &vietoris_rips);
  m.def("vietoris_rips_packed", &vietoris_rips_packed);
  m.def("diameter", &diameter);
  m.def("diameter_packed", &diameter_packed);
  m.def("pair_distances", &pair_distances);
  m.def("pair_distances_backward", &pair_distances_backward);
  m.def("elder_rule", [](Address edges, Size bags, Size m, Size n, Address dying, int threads) {
    py::gil_scoped_release other_threads_may_run;
    elder_rule(at<const Size>(edges), bags, m, n, at<Size>(dying), threads);
  });
  m.def("config", &config);
  m.def("set_isa", &set_instruction_set);
#ifdef TORCHTOPO_CUDA
  bind_cuda(m);
#endif
}
