// The bindings themselves, over the kernels on the host: what torchtopo/_operators/cuda.py calls.
#include "cuda_on_host.hpp"
#include "../python/cuda.hpp"

PYBIND11_MODULE(cuda_on_host, module) {
  module.def("config", &torchtopo::cuda_config);
  module.def("launches", [] { return cuda_on_host::machine.launches; });
  module.def("blocks", [] { return cuda_on_host::machine.blocks; });
  torchtopo::bind_cuda(module);
}
