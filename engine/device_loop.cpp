#include <algorithm>
#include <chrono>
#include <clout/engine/device_loop.hpp>

namespace clout {
namespace {

constexpr Index kFirstStretch = 16;
constexpr std::chrono::seconds kLongStretch{1};

}  // namespace

std::unique_ptr<Loop> make_loop(Device& device, const std::int32_t* words, Index count, std::function<void()> body,
                                bool can_record, Index every) {
  static_assert(static_cast<std::int32_t>(ColumnStatus::running) == 0, "a loop goes on while a word is zero");
  if (can_record) return device.record_loop(words, count, std::move(body));
  return std::make_unique<HostLoop>(device, words, count, std::move(body), every);
}

Index run_with_looks(Loop& loop, Index most, const std::function<void()>& look) {
  Index stretch = kFirstStretch, done = 0;
  while (done < most) {
    const auto start = std::chrono::steady_clock::now();
    const Index asked = std::min(stretch, most - done), ran = loop.run(asked);
    done += ran;
    if (ran < asked) break;
    look();
    if (std::chrono::steady_clock::now() - start < kLongStretch) stretch *= 2;
  }
  return done;
}

}  // namespace clout
