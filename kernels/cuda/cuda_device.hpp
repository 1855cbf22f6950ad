#pragma once
// One GPU: its stream, library handles and staging memory.

#include <clout/kernels/cuda/libraries.hpp>
#include <clout/kernels/kernel_table.hpp>

namespace clout::cuda {

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int ordinal);
  ~CudaDevice() override;

  DeviceInfo info() const override;
  void* allocate(std::size_t bytes) override;
  void deallocate(void* memory) noexcept override;
  void copy_on_device(void* target, const void* source, std::size_t bytes) override;
  std::unique_ptr<Recording> record(std::function<void()> work) override;
  std::unique_ptr<Loop> record_loop(const std::int32_t* words, Index count, std::function<void()> body) override;

  /// Makes this GPU the calling thread's current one; every start of work does so first.
  void activate() const { check(cudaSetDevice(ordinal_)); }
  cudaStream_t stream() const { return stream_; }
  cublasHandle_t blas() const {
    activate();
    return blas_;
  }
  cusolverDnHandle_t solver() const {
    activate();
    return solver_;
  }
  /// Shared memory that one block may have, in bytes.
  std::size_t block_memory() const { return properties_.sharedMemPerBlockOptin; }

  /// At least `bytes` of memory for the operation under way, for those that are given no scratch of their own. Grows
  /// on first use and is kept; its contents do not outlive the operation.
  std::byte* staging(std::size_t bytes);

 protected:
  void write(void* target, const void* source, std::size_t bytes) override;
  void read(void* target, const void* source, std::size_t bytes) override;
  void wait() override;
  const KernelTable<float>& single_table() const override;
  const KernelTable<double>& double_table() const override;

 private:
  void release() noexcept;

  int ordinal_;
  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  cublasHandle_t blas_ = nullptr;
  cusolverDnHandle_t solver_ = nullptr;
  Buffer<std::byte> blas_workspace_, staging_;
};

/// Operations take any device; those in the CUDA table are only ever given this one.
inline CudaDevice& on_cuda(Device& device) { return static_cast<CudaDevice&>(device); }

/// The table's filling for T = float, double (table.cu).
template <class T>
const KernelTable<T>& kernel_table();

}  // namespace clout::cuda
