// Two launches of one kernel, the smaller amid the larger: no order of the runtime's calls may
// leave a limit below what a launch takes, for the limit belongs to the kernel and not to the
// launch.
#include <cstdio>

#include "platform.cuh"

namespace {

int limit = 48 * 1024, refused = 0;
bool within = false;
void kernel(int) {}

void launch_with(std::size_t shared) { torchtopo::cuda::launch(kernel, 1, 32, shared, nullptr, 0); }

}  // namespace

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int value) {
  limit = value;
  if (!within) {  // another thread, before this one gets to launch
    within = true;
    launch_with(50 * 1024);
  }
  return cudaSuccess;
}

cudaError_t cudaLaunchKernel(const void*, dim3, dim3, void**, std::size_t shared, cudaStream_t) {
  refused += int(shared) > limit;
  return cudaSuccess;
}

void torchtopo::cuda::check(cudaError_t, const char*) {}

int main() {
  launch_with(60 * 1024);
  std::printf("refused %d\n", refused);
  return refused;
}
