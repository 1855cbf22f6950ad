#include <clout/kernels/cuda/backend.hpp>
#include <clout/kernels/cuda/cuda_device.hpp>
#include <clout/kernels/cuda/launch.hpp>

namespace clout::cuda {
namespace {

// Fixed, so that cuBLAS chooses and splits the same way on every run.
constexpr std::size_t kBlasWorkspace = std::size_t{32} << 20;

std::string place(std::source_location where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

std::string version(int number) {  // 13000 → "13.0"
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

std::string free_memory() {
  std::size_t available = 0, total = 0;
  if (cudaMemGetInfo(&available, &total) != cudaSuccess) return "an unknown number of";
  return std::to_string(available);
}

/// Why there is no GPU to work on; cudaGetDeviceCount has said `error`.
std::string reason_for(cudaError_t error) {
  int driver = 0, runtime = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) runtime = CUDART_VERSION;
  if (driver == 0) return "no NVIDIA driver on this machine";
  if (error == cudaErrorInsufficientDriver)
    return "the NVIDIA driver is too old: it knows CUDA " + version(driver) + ", this build needs " + version(runtime);
  if (error == cudaErrorNoDevice || error == cudaSuccess) return "the NVIDIA driver finds no GPU on this machine";
  return std::string("the NVIDIA driver answers: ") + cudaGetErrorString(error);
}

}  // namespace

void check(cudaError_t error, std::source_location where) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // an error that has been reported is not reported again
  const std::string message = std::string("CUDA: ") + cudaGetErrorString(error);
  if (error == cudaErrorMemoryAllocation) throw OutOfMemory(place(where) + ": " + message);
  if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice || error == cudaErrorInvalidDevice)
    throw DeviceUnavailable(message);
  throw InternalError(message, where);
}

void check(cublasStatus_t status, std::source_location where) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string message = std::string("cuBLAS: ") + cublasGetStatusString(status);
  if (status == CUBLAS_STATUS_ALLOC_FAILED)
    throw OutOfMemory(place(where) + ": " + message + " (out of memory; " + free_memory() + " bytes are free)");
  throw InternalError(message, where);
}

void check(cusolverStatus_t status, std::source_location where) {
  if (status == CUSOLVER_STATUS_SUCCESS) return;
  const std::string message = "cuSOLVER status " + std::to_string(static_cast<int>(status));
  if (status == CUSOLVER_STATUS_ALLOC_FAILED)
    throw OutOfMemory(place(where) + ": " + message + " (out of memory; " + free_memory() + " bytes are free)");
  throw InternalError(message, where);
}

namespace {

std::string in_words(const Shape& shape) {
  const auto& [x, y, z] = shape.grid;
  return std::string("the launch in ") + shape.where.function_name() + " of " + std::to_string(x) + " x " +
         std::to_string(y) + " x " + std::to_string(z) + " blocks of " + std::to_string(shape.threads) +
         " threads with " + std::to_string(shape.shared_bytes) + " bytes of shared memory";
}

}  // namespace

void check_shape(const CudaDevice& device, const Shape& shape) {
  const auto& [x, y, z] = shape.grid;
  const Index longest = std::numeric_limits<int>::max(), wide = 65535;
  if (x < 0 || x > longest || y < 0 || y > wide || z < 0 || z > wide)
    throw InternalError(in_words(shape) + " is beyond the limits of a grid", shape.where);
  if (shape.threads <= 0 || shape.threads > 1024 || shape.threads % kWarpSize != 0)
    throw InternalError(in_words(shape) + ": a block has 1 to 32 whole warps", shape.where);
  if (shape.shared_bytes > device.block_memory())
    throw InternalError(in_words(shape) + ": a block has " + std::to_string(device.block_memory()) + " at most",
                        shape.where);
}

void check_launch(cudaError_t error, const Shape& shape) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  throw InternalError(in_words(shape) + " failed: " + cudaGetErrorString(error), shape.where);
}

CudaAvailability availability() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return {count, ""};
  CudaAvailability none{0, reason_for(error)};
  static_cast<void>(cudaGetLastError());  // no GPU is a normal state, not an error to trip over later
  return none;
}

std::unique_ptr<Device> make_device(int ordinal) { return std::make_unique<CudaDevice>(ordinal); }

CudaDevice::CudaDevice(int ordinal) : ordinal_(ordinal) {
  try {
    check(cudaGetDeviceProperties(&properties_, ordinal));
    activate();
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    check(cublasCreate(&blas_));
    check(cublasSetStream(blas_, stream_));
    check(cublasSetMathMode(blas_, CUBLAS_DEFAULT_MATH));  // float products in float: no TF32
    blas_workspace_ = Buffer<std::byte>(*this, Index{kBlasWorkspace});
    check(cublasSetWorkspace(blas_, blas_workspace_.data(), kBlasWorkspace));
    check(cusolverDnCreate(&solver_));
    check(cusolverDnSetStream(solver_, stream_));
  } catch (...) {
    release();
    throw;
  }
}

CudaDevice::~CudaDevice() { release(); }

void CudaDevice::release() noexcept {
  static_cast<void>(cudaSetDevice(ordinal_));
  if (stream_) static_cast<void>(cudaStreamSynchronize(stream_));
  if (solver_) static_cast<void>(cusolverDnDestroy(solver_));
  if (blas_) static_cast<void>(cublasDestroy(blas_));
  if (stream_) static_cast<void>(cudaStreamDestroy(stream_));
}

DeviceInfo CudaDevice::info() const {
  activate();
  std::size_t available = 0, total = 0;
  int driver = 0, runtime = 0, blas = 0;
  check(cudaMemGetInfo(&available, &total));
  check(cudaDriverGetVersion(&driver));
  check(cudaRuntimeGetVersion(&runtime));
  check(cublasGetVersion(blas_, &blas));
  return {.name = "cuda:" + std::to_string(ordinal_),
          .model = std::string(properties_.name) + ", compute capability " + std::to_string(properties_.major) + "." +
                   std::to_string(properties_.minor),
          .libraries = "CUDA " + version(runtime) + " (driver " + version(driver) + "), cuBLAS " +
                       std::to_string(blas / 10000) + "." + std::to_string(blas / 100 % 100) + "." +
                       std::to_string(blas % 100) + ", cuSOLVER",
          .threads = properties_.multiProcessorCount,
          .memory_total = total,
          .memory_available = available,
          .is_host = false};
}

void* CudaDevice::allocate(std::size_t bytes) {
  activate();
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    throw OutOfMemory("cuda:" + std::to_string(ordinal_) + " (" + properties_.name + ") has no room for " +
                      std::to_string(bytes) + " bytes: " + free_memory() + " bytes are free");
  }
  check(error);
  return memory;
}

void CudaDevice::deallocate(void* memory) noexcept {
  static_cast<void>(cudaSetDevice(ordinal_));
  static_cast<void>(cudaFree(memory));
}

void CudaDevice::write(void* target, const void* source, std::size_t bytes) {
  activate();
  check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyHostToDevice, stream_));
  check(cudaStreamSynchronize(stream_));
}

void CudaDevice::read(void* target, const void* source, std::size_t bytes) {
  activate();
  check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToHost, stream_));
  check(cudaStreamSynchronize(stream_));
}

void CudaDevice::copy_on_device(void* target, const void* source, std::size_t bytes) {
  activate();
  check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, stream_));
}

void CudaDevice::wait() {
  activate();
  check(cudaStreamSynchronize(stream_));
}

std::byte* CudaDevice::staging(std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(staging_.size())) {
    staging_ = {};
    staging_ = Buffer<std::byte>(*this, static_cast<Index>(bytes));
  }
  return staging_.data();
}

const KernelTable<float>& CudaDevice::single_table() const { return kernel_table<float>(); }
const KernelTable<double>& CudaDevice::double_table() const { return kernel_table<double>(); }

}  // namespace clout::cuda
