#pragma once
// The seam between the house and its CUDA backend: resolved at link time, so the simt executor can stand in for a GPU.

#include <clout/kernels/device.hpp>

namespace clout::cuda {

/// How many GPUs this process can use; where none, why.
CudaAvailability availability();

/// GPU number `ordinal`, which availability() has said to exist.
std::unique_ptr<Device> make_device(int ordinal);

}  // namespace clout::cuda
