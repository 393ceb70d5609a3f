#pragma once

#include <pybind11/pybind11.h>

namespace torchtopo {

void bind_cpu(pybind11::module_& m);

}  // namespace torchtopo
