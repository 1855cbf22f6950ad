#pragma once
// Where work runs, and the memory there.

#include <clout/kernels/error.hpp>
#include <clout/kernels/matrix_view.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace clout {

template <class T>
struct KernelTable;

/// What a device is and can do, in words and numbers for `clout info` and for plans of memory.
struct DeviceInfo {
  std::string name;       ///< "cpu", "cuda:0"
  std::string model;      ///< the processor's own name
  std::string libraries;  ///< linear-algebra libraries behind it, with versions
  int threads = 0;        ///< CPU threads, or multiprocessors
  std::size_t memory_total = 0, memory_available = 0;  ///< bytes
  bool is_host = false;   ///< device memory can be read by the host directly
};

/// Where work runs: the CPU or one GPU. Owns whatever its backend needs (thread count, stream, library handles).
/// One caller at a time; several devices may exist. Work is ordered: every call sees the effects of the calls before it.
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  virtual DeviceInfo info() const = 0;

  /// The complete list of what this device can compute in precision T (float or double).
  template <class T>
  const KernelTable<T>& kernels() const;

  /// Device memory for a Buffer, within the limit. Throws OutOfMemory saying how much was asked for and what fits.
  void* acquire(std::size_t bytes) {
    if (bytes > limit_ || used_ > limit_ - bytes)
      throw OutOfMemory("device memory: " + std::to_string(bytes >> 20) + " MiB more are needed beside " +
                        std::to_string(used_ >> 20) + " MiB in use; the memory limit is " +
                        std::to_string(limit_ >> 20) + " MiB");
    void* memory = allocate(bytes);
    used_ += bytes;
    peak_ = used_ > peak_ ? used_ : peak_;
    return memory;
  }
  void release(void* memory, std::size_t bytes) noexcept {
    deallocate(memory);
    used_ -= bytes;
  }
  /// No more than `bytes` are given out at a time from now on.
  void set_memory_limit(std::size_t bytes) { limit_ = bytes; }
  std::size_t memory_limit() const { return limit_; }
  /// What is in use now, and the most that was at a time, in bytes.
  std::size_t used_memory() const { return used_; }
  std::size_t peak_memory() const { return peak_; }

  /// `bytes` of device memory aligned to 64 bytes; throws OutOfMemory saying how much was asked for and what is free.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void deallocate(void* memory) noexcept = 0;
  /// Copies are synchronous for the caller: when they return, the host memory may be reused.
  virtual void copy_to_device(void* target, const void* source, std::size_t bytes) = 0;
  virtual void copy_to_host(void* target, const void* source, std::size_t bytes) = 0;
  virtual void copy_on_device(void* target, const void* source, std::size_t bytes) = 0;
  /// Waits for all work; an error that a kernel raised earlier is thrown here.
  virtual void synchronize() = 0;

 protected:
  virtual const KernelTable<float>& single_table() const = 0;
  virtual const KernelTable<double>& double_table() const = 0;

 private:
  std::size_t used_ = 0, peak_ = 0, limit_ = static_cast<std::size_t>(-1);
};

template <>
inline const KernelTable<float>& Device::kernels<float>() const {
  return single_table();
}
template <>
inline const KernelTable<double>& Device::kernels<double>() const {
  return double_table();
}

/// The CPU with `threads` threads (0: as many as there are cores given to this process).
std::unique_ptr<Device> make_cpu_device(int threads = 0);

/// GPU number `ordinal`. Throws DeviceUnavailable with the reason in words.
std::unique_ptr<Device> make_cuda_device(int ordinal = 0);

/// How many GPUs there are; where none, `reason` says why: not built, no driver, no device.
struct CudaAvailability {
  int count = 0;
  std::string reason;
};
CudaAvailability cuda_availability();

/// "auto", "cpu", "cuda" or "cuda:N" (cli.md); auto takes the first GPU where there is one, else the CPU.
std::unique_ptr<Device> make_device(const std::string& name, int threads = 0);

/// Move-only owner of `size` elements of device memory, uninitialised.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, Index size)
      : device_(&device),
        data_(size > 0 ? static_cast<T*>(device.acquire(static_cast<std::size_t>(size) * sizeof(T))) : nullptr),
        size_(size) {}
  Buffer(Device& device, std::span<const T> host) : Buffer(device, static_cast<Index>(host.size())) { upload(host); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }
  ~Buffer() {
    if (data_) device_->release(data_, static_cast<std::size_t>(size_) * sizeof(T));
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  Index size() const { return size_; }
  bool is_empty() const { return size_ == 0; }
  MatrixView<T> view(Index rows, Index columns) {
    ensure(rows * columns <= size_, "view larger than its buffer");
    return {data_, rows, columns};
  }
  MatrixView<const T> view(Index rows, Index columns) const {
    ensure(rows * columns <= size_, "view larger than its buffer");
    return {data_, rows, columns};
  }

  void upload(std::span<const T> host) {
    ensure(static_cast<Index>(host.size()) <= size_, "upload larger than its buffer");
    if (!host.empty()) device_->copy_to_device(data_, host.data(), host.size_bytes());
  }
  void download(std::span<T> host) const {
    ensure(static_cast<Index>(host.size()) <= size_, "download larger than its buffer");
    if (!host.empty()) device_->copy_to_host(host.data(), data_, host.size_bytes());
  }
  std::vector<T> to_host() const {
    std::vector<T> host(static_cast<std::size_t>(size_));
    download(host);
    return host;
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  Device* device_ = nullptr;
  T* data_ = nullptr;
  Index size_ = 0;
};

/// A view's elements on the host, row by row.
template <class T>
std::vector<std::remove_const_t<T>> to_host(Device& device, MatrixView<T> view) {
  std::vector<std::remove_const_t<T>> host(static_cast<std::size_t>(view.size()));
  for (Index row = 0; row < view.rows; ++row)
    device.copy_to_host(host.data() + row * view.columns, view.row(row),
                        static_cast<std::size_t>(view.columns) * sizeof(T));
  return host;
}

}  // namespace clout
