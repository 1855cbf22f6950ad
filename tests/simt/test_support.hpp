#pragma once
// Small helpers of the executor's tests.

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace simt::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

/// The part of a name after the last slash.
inline std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// Device memory with the values of a host vector.
template <class T>
class DeviceVector {
 public:
  explicit DeviceVector(const std::vector<T>& values) : DeviceVector(values.size()) {
    cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice);
  }
  explicit DeviceVector(std::size_t size) : size_(size) {
    EXPECT_EQ(cudaMalloc(reinterpret_cast<void**>(&data_), size * sizeof(T)), cudaSuccess);
  }
  ~DeviceVector() { cudaFree(data_); }
  DeviceVector(const DeviceVector&) = delete;
  DeviceVector& operator=(const DeviceVector&) = delete;

  T* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> result(size_);
    EXPECT_EQ(cudaMemcpy(result.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return result;
  }

 private:
  std::size_t size_;
  T* data_ = nullptr;
};

template <class... Parameters>
cudaError_t run(dim3 grid, dim3 block, std::size_t shared_bytes, void (*kernel)(Parameters...),
                std::type_identity_t<Parameters>... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

/// Whether two results have the same bits.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Dynamic shared memory of a test kernel.
template <class S>
S& shared(std::source_location where = std::source_location::current()) {
  return *static_cast<S*>(simt::detail::shared_memory(sizeof(S), alignof(S), where));
}

}  // namespace simt::test
