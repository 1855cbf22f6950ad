#pragma once
// A solver's loop on the device, which the host looks at ever more rarely.

#include <clout/engine/hessian_operator.hpp>
#include <clout/kernels/recording.hpp>
#include <functional>

namespace clout {

/// `body` as long as one of `count` words of the device is zero: recorded, or, where it cannot be, driven by the host, which
/// reads the words every `every` times. More often makes a GPU wait, less often wastes work.
std::unique_ptr<Loop> make_loop(Device& device, const std::int32_t* words, Index count, std::function<void()> body,
                                bool can_record, Index every);

/// Runs the loop to its end, `most` times at most; how often it ran. The host looks after 16 times, and then after twice as
/// many every time, as long as that takes no more than a second.
Index run_with_looks(Loop& loop, Index most, const std::function<void()>& look);

/// `count` numbers of device memory.
template <class V>
std::vector<V> read(Device& device, const V* data, Index count) {
  std::vector<V> host(static_cast<std::size_t>(count));
  device.copy_to_host(host.data(), data, host.size() * sizeof(V));
  return host;
}

}  // namespace clout
