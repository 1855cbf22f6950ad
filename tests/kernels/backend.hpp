#pragma once
// Which backends a program tests, in which precisions, and device memory that knows when somebody wrote beside it.

#include <gtest/gtest.h>

#include <clout/kernels/kernel_table.hpp>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace clout::test {

struct Cpu {
  static constexpr const char* kName = "cpu";
  static std::string absent() { return ""; }
};
struct Cuda {
  static constexpr const char* kName = "cuda";
  static std::string absent() { return cuda_availability().count > 0 ? "" : cuda_availability().reason; }
};

template <class BackendType, class NumberType>
struct Case {
  using Backend = BackendType;
  using Number = NumberType;
};

// Under simt every CUDA thread is a fiber on one core: small sizes, and no CPU backend a second time.
#ifdef CLOUT_TEST_SMALL
inline constexpr bool kSmall = true;
using Cases = ::testing::Types<Case<Cuda, float>, Case<Cuda, double>>;
using DoubleCases = ::testing::Types<Case<Cuda, double>>;
#else
inline constexpr bool kSmall = false;
using Cases = ::testing::Types<Case<Cpu, float>, Case<Cpu, double>, Case<Cuda, float>, Case<Cuda, double>>;
using DoubleCases = ::testing::Types<Case<Cpu, double>, Case<Cuda, double>>;
#endif

struct CaseName {
  template <class C>
  static std::string GetName(int) {
    return std::string(C::Backend::kName) + (sizeof(typename C::Number) == 4 ? "_float" : "_double");
  }
};

template <class C>
class KernelTest : public ::testing::Test {
 protected:
  using Number = typename C::Number;

  void SetUp() override {
    if (const std::string reason = C::Backend::absent(); !reason.empty()) GTEST_SKIP() << reason;
    device_ = make_device(C::Backend::kName);
  }
  Device& device() { return *device_; }
  const KernelTable<Number>& kernels() { return device_->template kernels<Number>(); }

  template <class U>
  Buffer<U> upload(const std::vector<U>& host) {
    return Buffer<U>(*device_, std::span<const U>(host));
  }

 private:
  std::unique_ptr<Device> device_;
};

/// Device memory for a result: poisoned with NaN (integers: a marker), guard values on both sides.
template <class T>
class Guarded {
 public:
  Guarded(Device& device, Index size) : size_(size), buffer_(device, size + 2 * kGuard) {
    std::vector<T> host(static_cast<std::size_t>(size + 2 * kGuard), kGuardValue);
    std::fill_n(host.begin() + kGuard, size, poison());
    buffer_.upload(host);
  }
  Guarded(Device& device, const std::vector<T>& content) : Guarded(device, static_cast<Index>(content.size())) {
    device.copy_to_device(data(), content.data(), content.size() * sizeof(T));
  }

  T* data() { return buffer_.data() + kGuard; }
  MatrixView<T> view(Index rows, Index columns) {
    EXPECT_EQ(rows * columns, size_);
    return {data(), rows, columns};
  }
  /// The content; fails the test if a guard has changed.
  std::vector<T> to_host() const {
    std::vector<T> host = buffer_.to_host();
    bool whole = true;
    for (Index i = 0; i < kGuard; ++i)
      whole = whole && host[i] == kGuardValue && host[host.size() - 1 - static_cast<std::size_t>(i)] == kGuardValue;
    EXPECT_TRUE(whole) << "a value before or after the result was overwritten";
    return {host.begin() + kGuard, host.end() - kGuard};
  }

 private:
  static constexpr Index kGuard = 64;
  static constexpr T kGuardValue = static_cast<T>(123);
  static constexpr T poison() {
    if constexpr (std::numeric_limits<T>::has_quiet_NaN) return std::numeric_limits<T>::quiet_NaN();
    else return static_cast<T>(-77);
  }
  Index size_;
  Buffer<T> buffer_;
};

/// Scratch as an operation asked for it, with guards, every bit of it set: NaN for whoever reads before writing.
class Scratch {
 public:
  Scratch(Device& device, std::size_t bytes)
      : size_(bytes), memory_(device, std::vector<std::uint8_t>(bytes, std::uint8_t{255})) {}
  std::span<std::byte> bytes() { return {reinterpret_cast<std::byte*>(memory_.data()), size_}; }
  void check() const { memory_.to_host(); }

 private:
  std::size_t size_;
  Guarded<std::uint8_t> memory_;
};

}  // namespace clout::test
