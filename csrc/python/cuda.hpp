// The CUDA kernels in the Python module; every call names the device and the stream.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <sstream>
#include <string>

#include "../cuda/batch.hpp"
#include "arguments.hpp"

namespace torchtopo {

inline pybind11::dict cuda_config() {
  pybind11::list architectures;
  std::istringstream listed(cuda::architectures());
  for (std::string one; std::getline(listed, one, ';');) architectures.append(one);
  const int version = cuda::version();
  pybind11::dict config;
  config["cuda_version"] =
      std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  config["cuda_archs"] = architectures;
  return config;
}

// The device and the stream of a call.
inline cuda::Stream stream_of(const Numbers<2>& where) {
  cuda::set_device(int(where[0]));
  return at<void>(where[1]);
}

inline cuda::Pulling pulling(const Numbers<3>& is) {
  return {at<const Size>(is[0]), is[1], at<const void>(is[2])};
}

inline void bind_cuda(pybind11::module_& module) {
  using namespace pybind11::literals;
  using Unlocked = pybind11::call_guard<pybind11::gil_scoped_release>;
  using Where = Numbers<2>;

  module.def(
      "cuda_trees_workspace",
      [](const AnySpace& space, const Bags& bags, int plan) {
        return cuda::trees_workspace(space, bags, cuda::Plan(plan));
      },
      "space"_a, "bags"_a, "plan"_a, Unlocked());
  module.def(
      "cuda_trees",
      [](const Where& where, const AnySpace& space, const Bags& bags, int plan, Size edges,
         Size weights, Size workspace) {
        cuda::trees(space, bags, cuda::Plan(plan), at<Size>(edges), at<void>(weights),
                    at<void>(workspace), stream_of(where));
      },
      "where"_a, "space"_a, "bags"_a, "plan"_a, "edges"_a, "weights"_a, "workspace"_a, Unlocked());
  module.def(
      "cuda_farthest_pairs_workspace",
      [](const Bags& bags, int spaces) { return cuda::farthest_pairs_workspace(bags, spaces); },
      "bags"_a, "spaces"_a, Unlocked());
  module.def(
      "cuda_farthest_pairs",
      [](const Where& where, const AnySpace& x, const AnySpace& z, const Bags& bags,
         const Numbers<3>& of_x, const Numbers<3>& of_z, Size workspace) {
        cuda::farthest_pairs({x, at<Size>(of_x[0]), at<void>(of_x[1]), int(of_x[2])},
                             {z, at<Size>(of_z[0]), at<void>(of_z[1]), int(of_z[2])}, bags,
                             at<void>(workspace), stream_of(where));
      },
      "where"_a, "x"_a, "z"_a, "bags"_a, "of_x"_a, "of_z"_a, "workspace"_a, Unlocked());
  module.def("cuda_elder_rule_workspace", &cuda::elder_rule_workspace, "bags"_a, "n"_a, Unlocked());
  module.def(
      "cuda_elder_rule",
      [](const Where& where, Size edges, Size bags, Size m, Size n, Size dying, Size workspace) {
        cuda::elder_rule(at<const Size>(edges), bags, m, n, at<Size>(dying), at<void>(workspace),
                         stream_of(where));
      },
      "where"_a, "edges"_a, "bags"_a, "m"_a, "n"_a, "dying"_a, "workspace"_a, Unlocked());
  module.attr("cuda_elder_rule_in_shared") = cuda::elder_rule_in_shared;
  module.def(
      "cuda_elder_rule_packed",
      [](const Where& where, Size edges, const Bags& bags, Size dying) {
        cuda::elder_rule_packed(at<const Size>(edges), bags, at<Size>(dying), stream_of(where));
      },
      "where"_a, "edges"_a, "bags"_a, "dying"_a, Unlocked());
  module.def(
      "cuda_pair_lengths",
      [](const Where& where, const AnySpace& space, const Bags& bags, Size pairs, Size m,
         Size lengths) {
        cuda::pair_lengths(space, bags, at<const Size>(pairs), m, at<void>(lengths),
                           stream_of(where));
      },
      "where"_a, "space"_a, "bags"_a, "pairs"_a, "m"_a, "lengths"_a, Unlocked());
  module.def(
      "cuda_pair_pulls_workspace",
      [](const Bags& bags, Size m) { return cuda::pair_pulls_workspace(bags, m); }, "bags"_a, "m"_a,
      Unlocked());
  module.def(
      "cuda_pair_pulls",
      [](const Where& where, const AnySpace& space, const Bags& bags, const Numbers<3>& pairs,
         const Numbers<3>& further, Size weights, Size gradient, Size workspace) {
        cuda::pair_pulls(space, bags, pulling(pairs), pulling(further), at<const void>(weights),
                         at<void>(gradient), at<void>(workspace), stream_of(where));
      },
      "where"_a, "space"_a, "bags"_a, "pairs"_a, "further"_a, "weights"_a, "gradient"_a,
      "workspace"_a, Unlocked());
  module.def(
      "cuda_signature_edges",
      [](const Where& where, const AnySpace& x, const AnySpace& z, const Bags& bags,
         const Numbers<2>& tree_x, const Numbers<2>& tree_z, const Numbers<3>& out) {
        const auto tree = [](const Numbers<2>& is) {
          return cuda::Tree{at<const Size>(is[0]), at<const void>(is[1])};
        };
        cuda::signature_edges(x, z, bags, tree(tree_x), tree(tree_z), at<Size>(out[0]),
                              at<void>(out[1]), at<void>(out[2]), stream_of(where));
      },
      "where"_a, "x"_a, "z"_a, "bags"_a, "tree_x"_a, "tree_z"_a, "out"_a, Unlocked());
  // Of a space: lengths and their dtype; what divides them, and whether it is a largest length;
  // the slopes of both.
  module.def(
      "cuda_signature_losses",
      [](const Where& where, const Numbers<8>& x, double x_by, const Numbers<8>& z, double z_by,
         Size bags, Size half, const Numbers<3>& shares, double share, Size losses) {
        const auto compared = [](const Numbers<8>& is, double by) {
          return cuda::Compared{
              at<const void>(is[0]), int(is[1]),     each({is[2], is[3], is[4]}, by), is[5] != 0,
              at<void>(is[6]),       at<void>(is[7])};
        };
        cuda::signature_losses(compared(x, x_by), compared(z, z_by), bags, half,
                               {each(shares, share)}, at<void>(losses), stream_of(where));
      },
      "where"_a, "x"_a, "x_by"_a, "z"_a, "z_by"_a, "bags"_a, "half"_a, "shares"_a, "share"_a,
      "losses"_a, Unlocked());
  module.def(
      "cuda_step_fits_a_block",
      [](const AnySpace& x, const AnySpace& z, const Bags& bags, int plan) {
        return cuda::step_fits_a_block(x, z, bags, cuda::Plan(plan));
      },
      "x"_a, "z"_a, "bags"_a, "plan"_a);
  module.def("cuda_signature_step_workspace", &cuda::signature_step_workspace, "z"_a, "bags"_a,
             Unlocked());
  // Of a space: what divides its lengths; its lengths, its gradient and the slope of what divides.
  module.def(
      "cuda_signature_step",
      [](const Where& where, const AnySpace& x, const Numbers<6>& of_x, double x_by,
         const AnySpace& z, const Numbers<6>& of_z, double z_by, const Bags& bags, Size pairs_x,
         const Numbers<3>& shares, double share, const Numbers<2>& out, Size workspace) {
        const auto stepped = [](const AnySpace& space, const Numbers<6>& is, double by) {
          return cuda::Stepped{space, each({is[0], is[1], is[2]}, by), at<void>(is[3]),
                               at<void>(is[4]), at<void>(is[5])};
        };
        cuda::signature_step({stepped(x, of_x, x_by),
                              stepped(z, of_z, z_by),
                              bags,
                              at<const Size>(pairs_x),
                              {each(shares, share)},
                              at<Size>(out[0]),
                              at<void>(out[1])},
                             at<void>(workspace), stream_of(where));
      },
      "where"_a, "x"_a, "of_x"_a, "x_by"_a, "z"_a, "of_z"_a, "z_by"_a, "bags"_a, "pairs_x"_a,
      "shares"_a, "share"_a, "out"_a, "workspace"_a, Unlocked());
}

}  // namespace torchtopo
