// Tuples of numbers in, as torchtopo/_operators/arguments.py makes them: the nouns of a call, and
// several addresses that belong together. A tuple costs a call of ten points less than an object.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "../bags.hpp"

namespace torchtopo {

using Address = std::uintptr_t;
using Size = std::int64_t;

template <class T>
T* at(Size address) {
  return reinterpret_cast<T*>(address);
}

// Some addresses, or an address and a size.
template <int n>
struct Numbers {
  Size of[n];
  Size operator[](int k) const { return of[k]; }
};

// The address, the dtype and the step of a number for each bag; without an address one for all.
inline Each each(const Numbers<3>& is, double all) {
  return {at<const void>(is[0]), int(is[1]), is[2], all};
}

}  // namespace torchtopo

namespace pybind11::detail {

inline bool load_numbers(handle source, std::int64_t* numbers, Py_ssize_t count) {
  if (!PyTuple_Check(source.ptr()) || PyTuple_GET_SIZE(source.ptr()) != count) return false;
  for (Py_ssize_t k = 0; k < count; ++k) {
    numbers[k] = PyLong_AsLongLong(PyTuple_GET_ITEM(source.ptr(), k));
    if (numbers[k] == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
  }
  return true;
}

template <int n>
struct type_caster<torchtopo::Numbers<n>> {
  PYBIND11_TYPE_CASTER(torchtopo::Numbers<n>, const_name("tuple[int, ...]"));
  bool load(handle source, bool) { return load_numbers(source, value.of, n); }
};

template <>
struct type_caster<torchtopo::AnySpace> {
  PYBIND11_TYPE_CASTER(torchtopo::AnySpace, const_name("Space"));
  bool load(handle source, bool) {
    std::int64_t is[5];
    if (!load_numbers(source, is, 5)) return false;
    value = {torchtopo::at<const void>(is[0]), int(is[1]), is[2], torchtopo::Metric(is[3]),
             is[4] != 0};
    return true;
  }
};

template <>
struct type_caster<torchtopo::Bags> {
  PYBIND11_TYPE_CASTER(torchtopo::Bags, const_name("Bags"));
  bool load(handle source, bool) {
    std::int64_t is[5];
    if (!load_numbers(source, is, 5)) return false;
    using torchtopo::at;
    value = {is[0], is[1], at<const std::int64_t>(is[3]), at<const std::int64_t>(is[4]), is[2]};
    return true;
  }
};

}  // namespace pybind11::detail
