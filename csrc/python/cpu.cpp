// The kernels of the CPU in the Python module; they run without the GIL.
#include "cpu.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "../cpu/batch.hpp"
#include "../cpu/plan.hpp"
#include "arguments.hpp"

namespace torchtopo {
namespace {

namespace py = pybind11;
using Unlocked = py::call_guard<py::gil_scoped_release>;

// Within a bag the kernels count in int.
void check_countable(Size count, const char* what) {
  if (count > std::numeric_limits<int>::max())
    throw std::invalid_argument(std::string("a bag may hold at most 2^31 - 1 ") + what);
}

// Whether every bag has at least one row, and none but those that there are.
bool well_formed(const Bags& bags) {
  if (const Size* ends = bags.cu_seqlens)
    return ends[0] == 0 && ends[bags.count] == bags.rows &&
           std::adjacent_find(ends, ends + bags.count + 1, std::greater_equal<Size>()) ==
               ends + bags.count + 1;
  return !bags.lengths || std::all_of(bags.lengths, bags.lengths + bags.count,
                                      [&](Size size) { return 1 <= size && size <= bags.n; });
}

const Bags& checked(const Bags& bags) {
  if (!bags.cu_seqlens) check_countable(bags.n, "points");
  for (Size b = 0; bags.cu_seqlens && b < bags.count; ++b) check_countable(bags.size(b), "points");
  return bags;
}

// Calls body with the space in its own type.
template <class Body>
void with_type(const AnySpace& space, Body body) {
  check_countable(space.d, "coordinates");
  with_real(space.dtype, [&](auto real) { body(space.as<decltype(real)>()); });
}

template <class Space>
using RealOf = std::remove_const_t<std::remove_pointer_t<decltype(Space::values)>>;

void trees_of(const AnySpace& any, const Bags& bags, Size edges, Size weights, int threads) {
  with_type(any, [&](const auto& space) {
    using Real = RealOf<std::decay_t<decltype(space)>>;
    trees(space, checked(bags), at<Size>(edges), at<Real>(weights), threads);
  });
}

void farthest_pairs_of(const AnySpace& any, const Bags& bags, Size pairs, int threads) {
  with_type(any, [&](const auto& space) {
    farthest_pairs(space, checked(bags), at<Size>(pairs), threads);
  });
}

// Out: pairs and their lengths in x and in z; the farthest pairs of x and z, where not null.
void signature_edges_of(const AnySpace& any_x, const AnySpace& any_z, const Bags& bags,
                        Size pairs_x, const Numbers<3>& out, const Numbers<2>& farthest,
                        int threads) {
  const SignatureEdges edges = {at<const Size>(pairs_x), at<Size>(out[0]), at<Size>(farthest[0]),
                                at<Size>(farthest[1])};
  with_type(any_x, [&](const auto& x) {
    using X = RealOf<std::decay_t<decltype(x)>>;
    with_type(any_z, [&](const auto& z) {
      using Z = RealOf<std::decay_t<decltype(z)>>;
      signature_edges(x, z, checked(bags), edges, at<X>(out[1]), at<Z>(out[2]), threads);
    });
  });
}

void pair_lengths_of(const AnySpace& any, const Bags& bags, Size pairs, Size m, Size lengths,
                     int threads) {
  with_type(any, [&](const auto& space) {
    using Real = RealOf<std::decay_t<decltype(space)>>;
    pair_lengths(space, checked(bags), at<const Size>(pairs), m, at<Real>(lengths), threads);
  });
}

void pair_pulls_of(const AnySpace& any, const Bags& bags, Size pairs, Size m, Size pulls,
                   Size gradient, int threads) {
  with_type(any, [&](const auto& space) {
    using Real = RealOf<std::decay_t<decltype(space)>>;
    pair_pulls(space, checked(bags), at<const Size>(pairs), m, at<const Real>(pulls),
               at<Real>(gradient), threads);
  });
}

void elder_rule_of(Size edges, Size bags, Size m, Size n, Size dying, int threads) {
  elder_rule(at<const Size>(edges), bags, m, n, at<Size>(dying), threads);
}

}  // namespace

void bind_cpu(py::module_& module) {
  using namespace py::literals;
  module.def(
      "plan",
      [](int n, int d, bool doubles) {
        return doubles ? way_of<double>(plan_of<double>(n, d)).name
                       : way_of<float>(plan_of<float>(n, d)).name;
      },
      "n"_a, "d"_a, "doubles"_a = false);
  module.def("well_formed", &well_formed, "bags"_a);
  module.def("trees", &trees_of, "space"_a, "bags"_a, "edges"_a, "weights"_a, "threads"_a,
             Unlocked());
  module.def("farthest_pairs", &farthest_pairs_of, "space"_a, "bags"_a, "pairs"_a, "threads"_a,
             Unlocked());
  module.def("signature_edges", &signature_edges_of, "x"_a, "z"_a, "bags"_a, "pairs_x"_a, "out"_a,
             "farthest"_a, "threads"_a, Unlocked());
  module.def("pair_lengths", &pair_lengths_of, "space"_a, "bags"_a, "pairs"_a, "m"_a, "lengths"_a,
             "threads"_a, Unlocked());
  module.def("pair_pulls", &pair_pulls_of, "space"_a, "bags"_a, "pairs"_a, "m"_a, "pulls"_a,
             "gradient"_a, "threads"_a, Unlocked());
  module.def("elder_rule", &elder_rule_of, "edges"_a, "bags"_a, "m"_a, "n"_a, "dying"_a,
             "threads"_a, Unlocked());
}

}  // namespace torchtopo
