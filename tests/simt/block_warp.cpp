// Shuffles, votes and warp barriers.

#include <bit>

#include "block.hpp"
#include "sanitizers.hpp"

namespace simt::detail {

std::uint64_t Block::exchange(WarpOperation operation, unsigned mask, std::uint64_t value, unsigned argument, int width,
                              std::source_location where) {
  Thread& self = *running_;
  const auto number = static_cast<unsigned>(number_of(self));
  const unsigned lane = number % kWarpLanes, first = number - lane;
  Warp& warp = warps_[number / kWarpLanes];
  if (!(mask >> lane & 1u)) fail({FaultKind::absent_lane, "the mask leaves out the calling lane itself", where});
  if (width < 1 || width > int{kWarpLanes} || (width & (width - 1)))
    fail({FaultKind::source_lane, "the width of a shuffle is a power of two up to 32", where});
  if (mask & ~warp.present) fail({FaultKind::absent_lane, "the mask names lanes that the block does not have", where});
  if (const unsigned gone = mask & warp.returned)
    fail({FaultKind::absent_lane,
          "the mask names a lane that has returned",
          where,
          -1,
          static_cast<long>(first) + std::countr_zero(gone),
          std::source_location{},
          {}});
  self.operation = operation;
  self.mask = mask;
  self.value = value;
  self.argument = argument;
  self.width = width;
  self.where = where;
  self.state = State::at_warp_operation;
  warp.waiting |= 1u << lane;
  // Shuffles and votes order no memory, on the device either: only __syncwarp() does.
  char* edge = nullptr;
  if constexpr (kThreadSanitizer) {
    if (operation == WarpOperation::barrier) {
      self.parity ^= 1u;
      edge =
          &edges_.back()[kWarpEdge + 64 * (number / kWarpLanes) + 32 * self.parity + unsigned(std::countr_zero(mask))];
      release(edge);
    }
  }
  if ((warp.waiting & mask) == mask) complete(self, warp, first);
  suspend();
  if (edge) acquire(edge);
  return self.result;
}

/// All lanes of the mask wait: if at the same operation, gives each its result and wakes them.
void Block::complete(Thread& self, Warp& warp, unsigned first) {
  const unsigned mask = self.mask;
  std::uint64_t ballot = 0;
  for (unsigned left = mask; left; left &= left - 1) {
    const auto lane = static_cast<unsigned>(std::countr_zero(left));
    const Thread& thread = threads_[first + lane];
    if (thread.mask != mask || thread.operation != self.operation || !same_place(thread.where, self.where) ||
        (self.operation == WarpOperation::gather && thread.argument != self.argument))
      fail({FaultKind::absent_lane,
            "a lane of the mask waits at another warp operation or with another mask",
            self.where,
            -1,
            static_cast<long>(first + lane),
            thread.where,
            {}});
    if (thread.value) ballot |= 1u << lane;
  }
  unsigned lanes[kWarpLanes], count = 0;
  for (unsigned left = mask; left;) {
    const auto lane = kWarpLanes - 1 - static_cast<unsigned>(std::countl_zero(left));
    left &= ~(1u << lane);
    Thread& thread = threads_[first + lane];
    if (self.operation == WarpOperation::gather) gather(thread, first);
    else thread.result = self.operation == WarpOperation::ballot ? ballot : threads_[first + source_of(thread, lane)].value;
    // Insertion by place in order_, where the forward schedule has the highest lane first.
    unsigned place = count++;
    for (; place > 0 && turn_[lanes[place - 1]] > turn_[first + lane]; --place) lanes[place] = lanes[place - 1];
    lanes[place] = first + lane;
  }
  warp.waiting &= ~mask;
  count_warp_operation();
  wake(count, lanes);
}

/// All lanes' words for one of them, in the places that each has named.
void Block::gather(const Thread& thread, unsigned first) {
  const auto places = [](const Thread& of) { return reinterpret_cast<const GatherPlaces*>(of.value); };
  std::uint32_t* to = places(thread)->to;
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    for (unsigned word = 0; word < thread.argument; ++word) *to++ = places(threads_[first + lane])->from[word];
}

/// The lane that a waiting lane reads from; its own where the hardware would give it its own value back.
unsigned Block::source_of(const Thread& thread, unsigned lane) {
  const auto width = static_cast<unsigned>(thread.width);
  const unsigned begin = lane & ~(width - 1), end = begin + width;
  unsigned source = lane;
  switch (thread.operation) {
    case WarpOperation::shuffle:
      source = begin + (thread.argument & (width - 1));
      break;
    case WarpOperation::shuffle_up:
      source = thread.argument <= lane - begin ? lane - thread.argument : lane;
      break;
    case WarpOperation::shuffle_down:
      source = thread.argument < end - lane ? lane + thread.argument : lane;
      break;
    case WarpOperation::shuffle_xor:
      source = (lane ^ thread.argument) < end ? lane ^ thread.argument : lane;
      break;
    case WarpOperation::barrier:
    case WarpOperation::ballot:
    case WarpOperation::gather:
      break;
  }
  if (!(thread.mask >> source & 1u)) {
    const long first = number_of(thread) - static_cast<long>(lane);
    fail({FaultKind::source_lane,
          "a lane reads from a lane outside the mask",
          thread.where,
          number_of(thread),
          first + static_cast<long>(source),
          std::source_location{},
          {}});
  }
  return source;
}

}  // namespace simt::detail
