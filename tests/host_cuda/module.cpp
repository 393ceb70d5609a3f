// The bindings themselves, over the kernels on the host: what torchtopo/_operators/cuda.py calls.
#include "cuda_on_host.hpp"
#include "../python/cuda.hpp"

PYBIND11_MODULE(cuda_on_host, m) {
  m.def("config", &torchtopo::cuda_config);
  m.def("launches", [] { return cuda_on_host::machine.launches; });
  torchtopo::bind_cuda(m);
}
