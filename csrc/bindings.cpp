// The Python module torchtopo._C: addresses and sizes in, nothing of torch. See torchtopo/_C.pyi.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "cpu/batch.hpp"
#include "cpu/kernels.hpp"
#include "measures.hpp"

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

// Calls body with a null pointer of the dtype's type.
template <class Body>
void with_type(int dtype, Body body) {
  dtype == 0 ? body(static_cast<float*>(nullptr)) : body(static_cast<double*>(nullptr));
}

// The same without the GIL.
template <class Body>
void with_dtype(int dtype, Body body) {
  py::gil_scoped_release other_threads_may_run;
  with_type(dtype, body);
}

// Within a bag the kernels count in int.
void check_countable(Size count, const char* what) {
  if (count > std::numeric_limits<int>::max())
    throw std::invalid_argument(std::string("a bag may hold at most 2^31 - 1 ") + what);
}

// Padded to n points a bag with or without `lengths`, or packed by `cu_seqlens`.
Bags batch(Size bags, Size n, Address lengths, Address cu_seqlens) {
  const Bags made = {bags, n, at<const Size>(lengths), at<const Size>(cu_seqlens)};
  if (!cu_seqlens) check_countable(n, "points");
  for (Size b = 0; cu_seqlens && b < bags; ++b) check_countable(made.size(b), "points");
  return made;
}

template <class Real>
Space<Real> space(Address values, Size d, int metric) {
  check_countable(d, "coordinates");
  return {at<const Real>(values), d, Metric(metric)};
}

void vietoris_rips(Address values, int dtype, Size d, int metric, Size bags, Size n,
                   Address lengths, Address cu_seqlens, Address edges, Address weights,
                   int threads) {
  with_dtype(dtype, [&](auto* real) {
    using Real = std::remove_pointer_t<decltype(real)>;
    trees(space<Real>(values, d, metric), batch(bags, n, lengths, cu_seqlens), at<Size>(edges),
          at<Real>(weights), threads);
  });
}

void diameter(Address values, int dtype, Size d, int metric, Size bags, Size n, Address lengths,
              Address cu_seqlens, Address pairs, int threads) {
  with_dtype(dtype, [&](auto* real) {
    using Real = std::remove_pointer_t<decltype(real)>;
    farthest_pairs(space<Real>(values, d, metric), batch(bags, n, lengths, cu_seqlens),
                   at<Size>(pairs), threads);
  });
}

void edges_of_signature(Address x, int dtype_x, Size d_x, int metric_x, Address z, int dtype_z,
                        Size d_z, int metric_z, Size bags, Size n, Address lengths,
                        Address cu_seqlens, Address pairs_x, Address pairs, Address lengths_x,
                        Address lengths_z, Address farthest_x, Address farthest_z, int threads) {
  const SignatureEdges edges = {at<const Size>(pairs_x), at<Size>(pairs), at<Size>(farthest_x),
                                at<Size>(farthest_z)};
  with_dtype(dtype_x, [&](auto* real_x) {
    using X = std::remove_pointer_t<decltype(real_x)>;
    with_type(dtype_z, [&](auto* real_z) {
      using Z = std::remove_pointer_t<decltype(real_z)>;
      signature_edges(space<X>(x, d_x, metric_x), space<Z>(z, d_z, metric_z),
                      batch(bags, n, lengths, cu_seqlens), edges, at<X>(lengths_x),
                      at<Z>(lengths_z), threads);
    });
  });
}

void pair_distances(Address points, int dtype, Size d, int metric, Size bags, Size n, Address pairs,
                    Size m, Address out, int threads) {
  with_dtype(dtype, [&](auto* real) {
    using Real = std::remove_pointer_t<decltype(real)>;
    pair_lengths(space<Real>(points, d, metric), batch(bags, n, 0, 0), at<const Size>(pairs), m,
                 at<Real>(out), threads);
  });
}

void pair_distances_backward(Address points, int dtype, Size d, int metric, Size bags, Size n,
                             Address pairs, Size m, Address grad, Address out, int threads) {
  with_dtype(dtype, [&](auto* real) {
    using Real = std::remove_pointer_t<decltype(real)>;
    pair_pulls(space<Real>(points, d, metric), batch(bags, n, 0, 0), at<const Size>(pairs), m,
               at<const Real>(grad), at<Real>(out), threads);
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
  m.def("diameter", &diameter);
  m.def("signature_edges", &edges_of_signature);
  m.def("pair_distances", &pair_distances);
  m.def("pair_distances_backward", &pair_distances_backward);
  m.def("elder_rule", [](Address edges, Size bags, Size m, Size n, Address dying, int threads) {
    py::gil_scoped_release other_threads_may_run;
    elder_rule(at<const Size>(edges), bags, m, n, at<Size>(dying), threads);
  });
  bind_measures(m);
  m.def("config", &config);
  m.def("set_isa", &set_instruction_set);
#ifdef TORCHTOPO_CUDA
  bind_cuda(m);
#endif
}
