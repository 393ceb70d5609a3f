// The CUDA kernels in the Python module; every call names the device and the stream.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <sstream>
#include <string>

#include "kernels.hpp"

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

inline void bind_cuda(pybind11::module_& m) {
  using Address = std::uintptr_t;
  using Size = std::int64_t;
  using Unlocked = pybind11::call_guard<pybind11::gil_scoped_release>;
  const auto memory = [](Address a) { return reinterpret_cast<void*>(a); };
  const auto sizes = [](Address a) { return reinterpret_cast<Size*>(a); };

  m.def(
      "cuda_trees_workspace",
      [](int dtype, int metric, Size bags, Size n, Size rows, Size d, int path) {
        const cuda::Batch batch = {nullptr, dtype, Metric(metric), bags,   n,
                                   rows,    d,     nullptr,        nullptr};
        return cuda::trees_workspace(batch, cuda::Path(path));
      },
      Unlocked());
  m.def(
      "cuda_trees",
      [=](int device, Address stream, Address data, int dtype, int metric, Size bags, Size n,
          Size rows, Size d, Address lengths, Address cu_seqlens, int path, Address edges,
          Address weights, Address workspace) {
        cuda::set_device(device);
        const cuda::Batch batch = {
            memory(data),     dtype, Metric(metric), bags, n, rows, d, sizes(lengths),
            sizes(cu_seqlens)};
        cuda::trees(batch, cuda::Path(path), sizes(edges), memory(weights), memory(workspace),
                    memory(stream));
      },
      Unlocked());
  m.def("cuda_diameter_workspace", &cuda::diameter_workspace, Unlocked());
  m.def(
      "cuda_diameter",
      [=](int device, Address stream, Address data, int dtype, int metric, Size bags, Size n,
          Size rows, Size d, Address lengths, Address cu_seqlens, Address pairs,
          Address workspace) {
        cuda::set_device(device);
        const cuda::Batch batch = {
            memory(data),     dtype, Metric(metric), bags, n, rows, d, sizes(lengths),
            sizes(cu_seqlens)};
        cuda::diameter(batch, sizes(pairs), memory(workspace), memory(stream));
      },
      Unlocked());
  m.def("cuda_elder_rule_workspace", &cuda::elder_rule_workspace, Unlocked());
  m.def(
      "cuda_elder_rule",
      [=](int device, Address stream, Address edges, Size bags, Size m, Size n, Address dying,
          Address workspace) {
        cuda::set_device(device);
        cuda::elder_rule(sizes(edges), bags, m, n, sizes(dying), memory(workspace), memory(stream));
      },
      Unlocked());
  m.def(
      "cuda_pair_distances",
      [=](int device, Address stream, Address points, int dtype, int metric, Size bags, Size n,
          Size d, Address pairs, Size m, Address out) {
        cuda::set_device(device);
        cuda::pair_distances(memory(points), dtype, Metric(metric), bags, n, d, sizes(pairs), m,
                             memory(out), memory(stream));
      },
      Unlocked());
  m.def("cuda_pair_pulls_workspace", &cuda::pair_pulls_workspace, Unlocked());
  m.def(
      "cuda_pair_pulls",
      [=](int device, Address stream, Address points, int dtype, int metric, Size bags, Size n,
          Size d, Address pairs, Size m, Address by, Address gradient, Address workspace) {
        cuda::set_device(device);
        cuda::pair_pulls(memory(points), dtype, Metric(metric), bags, n, d, sizes(pairs), m,
                         memory(by), memory(gradient), memory(workspace), memory(stream));
      },
      Unlocked());
}

}  // namespace torchtopo
