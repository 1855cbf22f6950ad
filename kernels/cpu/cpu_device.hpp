#pragma once
// The CPU as a device: threads, aligned host memory, and the names of what is behind it.

#include <clout/kernels/device.hpp>
#include <vector>

namespace clout::cpu {

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(int threads);

  int threads() const { return threads_; }

  DeviceInfo info() const override;
  void* allocate(std::size_t bytes) override;
  void deallocate(void* memory) noexcept override;
  void copy_on_device(void* target, const void* source, std::size_t bytes) override;

 protected:
  void write(void* target, const void* source, std::size_t bytes) override { copy_on_device(target, source, bytes); }
  void read(void* target, const void* source, std::size_t bytes) override { copy_on_device(target, source, bytes); }
  void wait() override {}
  const KernelTable<float>& single_table() const override;
  const KernelTable<double>& double_table() const override;

 private:
  int threads_;
};

/// The device that an entry of this backend's table is called with.
inline const CpuDevice& as_cpu(const Device& device) { return static_cast<const CpuDevice&>(device); }

/// Cores that this process may run on.
int available_cores();

struct Memory {
  std::size_t total = 0, available = 0;  // bytes
};
/// What the machine has, or the process's memory control group where that is less.
Memory memory();

}  // namespace clout::cpu
