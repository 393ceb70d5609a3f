// The CUDA runtime: which device, and what its errors mean to a user.
#include "platform.cuh"

#ifndef TORCHTOPO_CUDA_ARCHS
#define TORCHTOPO_CUDA_ARCHS ""
#endif

namespace torchtopo::cuda {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error that was reported is not reported again
  std::string remedy;
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      remedy = std::string("this build has code for the architectures ") + architectures() +
               "; rebuild it with TORCHTOPO_CUDA_ARCHS set to your device's";
      break;
    case cudaErrorInsufficientDriver:
      remedy = "the driver is older than CUDA " + std::to_string(version() / 1000) +
               " needs; update it, or rebuild with an older nvcc";
      break;
    case cudaErrorMemoryAllocation:
      remedy = "the device is out of memory; pass fewer or smaller bags";
      break;
    case cudaErrorLaunchOutOfResources:
    case cudaErrorInvalidConfiguration:
    case cudaErrorInvalidValue:
      remedy =
          "the device cannot run a block of this size; please report it with your device's name";
      break;
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
      remedy = "no such device; see torch.cuda.device_count()";
      break;
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureUnjoined:
    case cudaErrorStreamCaptureIsolation:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorStreamCaptureWrongThread:
      remedy =
          "a CUDA graph is being captured, and something before this call has ended the capture, "
          "such as a synchronisation; warm up before it, and capture torch's current stream";
      break;
    default:
      remedy = "an earlier kernel may have failed; CUDA_LAUNCH_BLOCKING=1 shows which";
  }
  throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(error) + " (" +
                           cudaGetErrorName(error) + ") while " + what + ": " + remedy);
}

void set_device(int device) { check(cudaSetDevice(device), "choosing the device"); }
int version() { return CUDART_VERSION; }
const char* architectures() { return TORCHTOPO_CUDA_ARCHS; }

}  // namespace torchtopo::cuda
