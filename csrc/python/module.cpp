// The Python module torchtopo._C: numbers in, nothing of torch. See torchtopo/_C.pyi.
#include <pybind11/pybind11.h>

#include "../cpu/isa.hpp"
#include "cpu.hpp"
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
#include "cuda.hpp"
#endif

namespace py = pybind11;
using namespace torchtopo;

namespace {

py::dict config() {
  py::list sets;
  for (const InstructionSet* set : instruction_sets()) sets.append(set->name);
  py::dict times;
  for (const IsaTime& time : isa_times()) times[time.set->name] = time.seconds;
  py::dict cuda_version_and_archs;
#ifdef TORCHTOPO_CUDA
  cuda_version_and_archs = cuda_config();
#endif
  const auto of = [&](const char* key, py::object otherwise) {
    return cuda_version_and_archs.contains(key) ? py::object(cuda_version_and_archs[key])
                                                : otherwise;
  };
  using namespace py::literals;
  return py::dict("isa"_a = instruction_set().name, "isas"_a = sets, "isa_times"_a = times,
                  "cuda"_a = py::bool_(py::len(cuda_version_and_archs) > 0),
                  "cuda_version"_a = of("cuda_version", py::none()),
                  "cuda_archs"_a = of("cuda_archs", py::list()), "compiler"_a = TORCHTOPO_COMPILER);
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  bind_cpu(m);
  bind_measures(m);
  m.def("config", &config);
  m.def("set_isa", &set_instruction_set, py::arg("name"));
#ifdef TORCHTOPO_CUDA
  bind_cuda(m);
#endif
}
