#pragma once
// The only place that starts a kernel.

#include <clout/kernels/cuda/cuda_device.hpp>
#include <clout/kernels/cuda/device_code.hpp>

namespace clout::cuda {

/// Threads of a block, where a kernel asks for nothing else.
inline constexpr int kThreads = 256;

constexpr Index divide_up(Index value, Index by) { return (value + by - 1) / by; }
constexpr Index round_up(Index value, Index to) { return divide_up(value, to) * to; }

/// Blocks of a grid along x, y, z. A grid with no blocks is not started.
struct Grid {
  Index x = 1, y = 1, z = 1;
};

/// What a launch is made of, and where in the source it stands.
struct Shape {
  Grid grid;
  int threads;
  std::size_t shared_bytes;
  std::source_location where;

  Shape(Grid blocks, int of_threads = kThreads, std::size_t with_bytes = 0,
        std::source_location here = std::source_location::current())
      : grid(blocks), threads(of_threads), shared_bytes(with_bytes), where(here) {}
};

/// One thread for each of `count` items.
inline Shape one_thread_each(Index count, std::source_location where = std::source_location::current()) {
  return {Grid{divide_up(count, kThreads)}, kThreads, 0, where};
}

/// One thread for each column of a matrix and every gridDim.y-th row: four rows or more each.
inline Shape over_matrix(Index rows, Index columns, std::source_location where = std::source_location::current()) {
  const Index threads = columns < kThreads ? round_up(columns, kWarpSize) : kThreads;
  const Index turns = divide_up(rows, 4);
  return {Grid{divide_up(columns, kThreads), turns < 65535 ? turns : 65535}, static_cast<int>(threads), 0, where};
}

/// Throws InternalError unless the shape is one that this GPU can run.
void check_shape(const CudaDevice& device, const Shape& shape);
/// Throws InternalError naming the launch and its sizes unless it succeeded.
void check_launch(cudaError_t error, const Shape& shape);

/// Starts `kernel` on the device's stream.
template <class... Parameters>
void launch(CudaDevice& device, const Shape& shape, void (*kernel)(Parameters...),
            std::type_identity_t<Parameters>... arguments) {
  const auto& [x, y, z] = shape.grid;
  if (x == 0 || y == 0 || z == 0) return;
  check_shape(device, shape);
  device.activate();
  if (shape.shared_bytes > std::size_t{48} << 10)
    check_launch(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes)),
        shape);
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z));
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = device.stream();
  check_launch(cudaLaunchKernelEx(&config, kernel, arguments...), shape);
  device.count_start();
}

/// Number of the thread in its grid along x.
__device__ __forceinline__ Index thread_in_grid() { return Index{blockIdx.x} * blockDim.x + threadIdx.x; }

}  // namespace clout::cuda
