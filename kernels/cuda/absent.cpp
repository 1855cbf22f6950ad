// Stands in for the CUDA backend in builds without it.
#include <clout/kernels/cuda/backend.hpp>

namespace clout::cuda {

CudaAvailability availability() { return {0, CLOUT_CUDA_STATE}; }

std::unique_ptr<Device> make_device(int) { throw DeviceUnavailable(CLOUT_CUDA_STATE); }

}  // namespace clout::cuda
