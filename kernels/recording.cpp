#include <algorithm>
#include <clout/kernels/recording.hpp>

namespace clout {
namespace {

/// Calls `work`; from the second time on by the rules of recorded work.
void call(Device& device, const std::function<void()>& work, bool& has_run) {
  if (!has_run) {
    work();
    has_run = true;
    return;
  }
  std::vector<std::shared_ptr<const void>> kept;
  const RecordingScope scope(device, kept);
  work();
}

class CalledRecording final : public Recording {
 public:
  CalledRecording(Device& device, std::function<void()> work) : device_(device), work_(std::move(work)) {}
  void replay() override { call(device_, work_, has_run_); }

 private:
  Device& device_;
  std::function<void()> work_;
  bool has_run_ = false;
};

}  // namespace

std::unique_ptr<Recording> Device::record(std::function<void()> work) {
  return std::make_unique<CalledRecording>(*this, std::move(work));
}

std::unique_ptr<Loop> Device::record_loop(const std::int32_t* words, Index count, std::function<void()> body) {
  return std::make_unique<HostLoop>(*this, words, count, std::move(body), 1, true);
}

bool any_is_zero(Device& device, const std::int32_t* words, Index count) {
  std::vector<std::int32_t> host(static_cast<std::size_t>(count));
  device.copy_to_host(host.data(), words, host.size() * sizeof(std::int32_t));
  return std::find(host.begin(), host.end(), 0) != host.end();
}

HostLoop::HostLoop(Device& device, const std::int32_t* words, Index count, std::function<void()> body, Index every,
                   bool is_recorded)
    : device_(device), words_(words), count_(count), body_(std::move(body)), every_(every), is_recorded_(is_recorded) {}

void HostLoop::run_once() {
  if (is_recorded_) call(device_, body_, has_run_);
  else body_();
}

Index HostLoop::run(Index most) {
  Index done = 0;
  while (done < most && any_is_zero(device_, words_, count_))
    for (const Index end = std::min(done + every_, most); done < end; ++done) run_once();
  return done;
}

std::span<std::byte> GrowingScratch::take(Device& device, std::size_t bytes) {
  if (bytes == 0) return {};
  if (missing(bytes) > 0) {
    device.expect_no_recording("more scratch was asked for");
    memory_.reset();  // given back first, so that the two are never held together
    memory_ = std::make_shared<Buffer<std::byte>>(device, static_cast<Index>(bytes));
  }
  device.keep(memory_);
  return {memory_->data(), bytes};
}

}  // namespace clout
