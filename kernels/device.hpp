#pragma once
// Where work runs, and the memory there.

#include <clout/kernels/error.hpp>
#include <clout/kernels/matrix_view.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace clout {

template <class T>
struct KernelTable;
class Recording;
class RecordingScope;
class Loop;

/// "7 MiB", rounded down; below 1 MiB "7 KiB", rounded up.
inline std::string memory_in_words(std::size_t bytes) {
  return bytes >> 20 ? std::to_string(bytes >> 20) + " MiB" : std::to_string((bytes + 1023) >> 10) + " KiB";
}

/// What a device is and can do, in words and numbers for `clout info` and for plans of memory.
struct DeviceInfo {
  std::string name;       ///< "cpu", "cuda:0"
  std::string model;      ///< the processor's own name; of a CPU, also how wide its kernels' vectors are
  std::string libraries;  ///< linear-algebra libraries behind it, with versions
  int threads = 0;        ///< CPU threads, or multiprocessors
  std::size_t memory_total = 0, memory_available = 0;  ///< bytes
  bool is_host = false;   ///< device memory can be read by the host directly
};

/// How often the host has had a hand in a device's work, since the device was made.
struct DeviceActivity {
  std::uint64_t allocations = 0;  ///< of device memory
  std::uint64_t waits = 0;        ///< copies to or from the host, and synchronize(): the host waited for the device
  std::uint64_t starts = 0;       ///< kernels, and recordings of them, that the host started; 0 on the CPU
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
    expect_no_recording("device memory was asked for");
    if (bytes > limit_ || used_ > limit_ - bytes)
      throw OutOfMemory("device memory: " + memory_in_words(bytes) + " more are needed beside " +
                        memory_in_words(used_) + " in use; the memory limit is " + memory_in_words(limit_));
    void* memory = allocate(bytes);
    ++activity_.allocations;
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
  void copy_to_device(void* target, const void* source, std::size_t bytes) {
    count_wait("a copy to the device was asked for");
    write(target, source, bytes);
  }
  void copy_to_host(void* target, const void* source, std::size_t bytes) {
    count_wait("a copy to the host was asked for");
    read(target, source, bytes);
  }
  virtual void copy_on_device(void* target, const void* source, std::size_t bytes) = 0;
  /// Waits for all work; an error that a kernel raised earlier is thrown here.
  void synchronize() {
    count_wait("the host was to wait");
    wait();
  }

  /// Work that is shown once and done again without the host (recording.hpp).
  virtual std::unique_ptr<Recording> record(std::function<void()> work);
  /// `body` again and again, as long as one of the `count` words is zero (recording.hpp).
  virtual std::unique_ptr<Loop> record_loop(const std::int32_t* words, Index count, std::function<void()> body);
  /// What is recorded just now uses `memory`, which so stays alive as long as the recording.
  void keep(std::shared_ptr<const void> memory) {
    if (kept_) kept_->push_back(std::move(memory));
  }
  bool is_recording() const { return kept_ != nullptr; }
  /// Throws InternalError saying that `what` happened while work was being recorded, where it is.
  void expect_no_recording(std::string_view what) const {
    ensure(!is_recording(), std::string(what) + " by work that is recorded; it may start kernels only");
  }
  DeviceActivity activity() const { return activity_; }
  /// The backend has started a kernel or a recording.
  void count_start() { activity_.starts += is_recording() ? 0 : 1; }

 protected:
  virtual void write(void* target, const void* source, std::size_t bytes) = 0;
  virtual void read(void* target, const void* source, std::size_t bytes) = 0;
  virtual void wait() = 0;
  virtual const KernelTable<float>& single_table() const = 0;
  virtual const KernelTable<double>& double_table() const = 0;

 private:
  friend class RecordingScope;
  void count_wait(std::string_view what) {
    expect_no_recording(what);
    ++activity_.waits;
  }
  std::size_t used_ = 0, peak_ = 0, limit_ = static_cast<std::size_t>(-1);
  DeviceActivity activity_;
  std::vector<std::shared_ptr<const void>>* kept_ = nullptr;  // of the recording under way
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
