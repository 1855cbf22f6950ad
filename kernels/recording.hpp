#pragma once
// Work that a device is shown once and then does again without the host. On a GPU it is a CUDA graph; the CPU does it
// by calling it. Both give the same bits as the calls themselves.
//
// What is recorded starts kernels and nothing else: it takes no memory, copies nothing to or from the host and waits
// for nothing (InternalError, on every device), and it starts the same kernels on the same memory every time. Its first
// run is a plain call, in which it may take the memory that it goes on using.

#include <clout/kernels/device.hpp>
#include <functional>
#include <memory>
#include <vector>

namespace clout {

/// While it lives, work on the device is being recorded. What the work keeps alive is added to `kept`.
class RecordingScope {
 public:
  RecordingScope(Device& device, std::vector<std::shared_ptr<const void>>& kept) : device_(device) {
    device.expect_no_recording("a recording was begun");
    device.kept_ = &kept;
  }
  ~RecordingScope() { device_.kept_ = nullptr; }
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;

 private:
  Device& device_;
};

/// Made by Device::record. Must not outlive the device, nor the memory that the work uses (but for what it keeps).
class Recording {
 public:
  virtual ~Recording() = default;
  /// Does the work once more, in order with everything else that the device is asked for.
  virtual void replay() = 0;
};

/// Made by Device::record_loop; otherwise as Recording.
class Loop {
 public:
  virtual ~Loop() = default;
  /// Runs the body as long as a word is zero, `most` times at most; how often it ran. Less than `most`: no word is zero
  /// any more. The host waits for the end and no more than that.
  virtual Index run(Index most) = 0;
};

/// Whether one of `count` words of the device is zero. The host waits.
bool any_is_zero(Device& device, const std::int32_t* words, Index count);

/// A loop whose words the host looks at before every `every` runs of the body: for bodies that cannot be recorded, and,
/// with `is_recorded`, what the CPU makes of one that can.
class HostLoop final : public Loop {
 public:
  HostLoop(Device& device, const std::int32_t* words, Index count, std::function<void()> body, Index every,
           bool is_recorded = false);
  Index run(Index most) override;

 private:
  void run_once();

  Device& device_;
  const std::int32_t* words_;  // [count]
  Index count_;
  std::function<void()> body_;
  Index every_;
  bool is_recorded_, has_run_ = false;
};

/// Scratch that grows to the largest call, so that loops of equal calls allocate nothing. A recording that has used it
/// keeps what it has used.
class GrowingScratch {
 public:
  std::span<std::byte> take(Device& device, std::size_t bytes);
  /// Bytes that take() would have to ask for beyond what is held.
  std::size_t missing(std::size_t bytes) const {
    const std::size_t held = memory_ ? static_cast<std::size_t>(memory_->size()) : 0;
    return bytes > held ? bytes - held : 0;
  }

 private:
  std::shared_ptr<Buffer<std::byte>> memory_;
};

}  // namespace clout
