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

// Of a space: what divides its lengths; room for its farthest pairs, their lengths, the lengths of
// all pairs, the gradient and the slope of what divides. Out: pairs and losses.
void signature_step_of(const AnySpace& x, const Numbers<8>& of_x, double x_by, const AnySpace& z,
                       const Numbers<8>& of_z, double z_by, const Bags& bags, Size pairs_x,
                       const Numbers<3>& shares, double share, const Numbers<2>& out, int threads) {
  check_countable(x.d, "coordinates");
  check_countable(z.d, "coordinates");
  const auto stepped = [](const AnySpace& space, const Numbers<8>& is, double by) {
    return Stepped{space,           each({is[0], is[1], is[2]}, by),
                   at<Size>(is[3]), at<void>(is[4]),
                   at<void>(is[5]), at<void>(is[6]),
                   at<void>(is[7])};
  };
  signature_step({stepped(x, of_x, x_by),
                  stepped(z, of_z, z_by),
                  checked(bags),
                  at<const Size>(pairs_x),
                  {each(shares, share)},
                  at<Size>(out[0]),
                  at<void>(out[1])},
                 threads);
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
  module.def("signature_step", &signature_step_of, "x"_a, "of_x"_a, "x_by"_a, "z"_a, "of_z"_a,
             "z_by"_a, "bags"_a, "pairs_x"_a, "shares"_a, "share"_a, "out"_a, "threads"_a,
             Unlocked());
  module.def("pair_lengths", &pair_lengths_of, "space"_a, "bags"_a, "pairs"_a, "m"_a, "lengths"_a,
             "threads"_a, Unlocked());
  module.def("pair_pulls", &pair_pulls_of, "space"_a, "bags"_a, "pairs"_a, "m"_a, "pulls"_a,
             "gradient"_a, "threads"_a, Unlocked());
  module.def("elder_rule", &elder_rule_of, "edges"_a, "bags"_a, "m"_a, "n"_a, "dying"_a,
             "threads"_a, Unlocked());
}

}  // namespace torchtopo
