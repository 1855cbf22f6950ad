#pragma once
// Scratch memory, planned before it is taken.

#include <clout/kernels/device.hpp>

namespace clout {

/// One allocation, carved by one function that runs twice: first to plan (no memory yet: every view is null and only
/// sizes are added up), then to hand out the memory. The plan so is a pure function of the sizes and cannot drift from
/// the carving.
///
///   Workspace workspace(device, [&](Workspace& w) { r = w.matrix<T>(k, p); q = w.matrix<T>(k, p); });
class Workspace {
 public:
  static constexpr std::size_t kAlignment = 256;

  Workspace() = default;

  template <class Carve>
  Workspace(Device& device, Carve&& carve) {
    carve(*this);
    memory_ = Buffer<std::byte>(device, static_cast<Index>(used_));
    used_ = 0;
    carve(*this);
  }

  /// Bytes that `carve` would take, without taking them.
  template <class Carve>
  static std::size_t plan(Carve&& carve) {
    Workspace planned;
    carve(planned);
    return planned.used_;
  }

  template <class T>
  MatrixView<T> matrix(Index rows, Index columns) {
    return {reinterpret_cast<T*>(take(static_cast<std::size_t>(rows * columns) * sizeof(T))), rows, columns};
  }
  std::span<std::byte> bytes(std::size_t count) {
    std::byte* memory = take(count);
    return {memory, memory ? count : 0};
  }
  std::size_t size() const { return used_; }

 private:
  std::byte* take(std::size_t bytes) {
    const std::size_t offset = used_;
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (memory_.is_empty()) return nullptr;
    ensure(used_ <= static_cast<std::size_t>(memory_.size()), "workspace carved beyond its plan");
    return memory_.data() + offset;
  }
  Buffer<std::byte> memory_;
  std::size_t used_ = 0;
};

}  // namespace clout
