#pragma once

#include <pybind11/pybind11.h>

namespace torchtopo {

void bind_measures(pybind11::module_& m);

}  // namespace torchtopo
