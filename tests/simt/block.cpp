#include "block.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <numeric>
#include <utility>

#include "sanitizers.hpp"

constinit thread_local uint3 threadIdx{0, 0, 0};
constinit thread_local uint3 blockIdx{0, 0, 0};
constinit thread_local dim3 blockDim{};
constinit thread_local dim3 gridDim{};

namespace simt::detail {

namespace {

constexpr unsigned char kNanByte = 0xFF, kGuardByte = 0xA5;
constexpr std::size_t kGuardBytes = 64;
constexpr std::size_t kRaceFibers = 768;

}  // namespace

bool same_place(const std::source_location& a, const std::source_location& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

void fill_order(std::vector<unsigned>& order, std::size_t count, Schedule schedule, std::uint64_t seed) {
  order.resize(count);
  std::iota(order.begin(), order.end(), 0u);
  if (schedule == Schedule::reversed)
    for (std::size_t i = 0; i < count; ++i) order[i] = static_cast<unsigned>(count - 1 - i);
  if (schedule != Schedule::shuffled) return;
  auto random = [state = seed * 0x9E3779B97F4A7C15u]() mutable {  // splitmix64
    std::uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  };
  for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
}

// AddressSanitizer fences a heap block of the exact size better than guard bytes could.
SharedMemory::SharedMemory(std::size_t bytes)
    : bytes_(bytes),
      guard_(kAddressSanitizer ? 0 : kGuardBytes),
      memory_(static_cast<char*>(std::malloc(bytes + 2 * guard_))) {
  if (guard_) std::memset(memory_, kGuardByte, bytes + 2 * guard_);
  std::memset(data(), kNanByte, bytes);
}

SharedMemory::~SharedMemory() { std::free(memory_); }

bool SharedMemory::is_whole() const {
  for (std::size_t i = 0; i < guard_; ++i)
    if (static_cast<unsigned char>(memory_[i]) != kGuardByte ||
        static_cast<unsigned char>(memory_[guard_ + bytes_ + i]) != kGuardByte)
      return false;
  return true;
}

bool SharedMemory::holds(const void* address, std::size_t bytes) const {
  const auto begin = reinterpret_cast<std::uintptr_t>(data()), at = reinterpret_cast<std::uintptr_t>(address);
  return at >= begin && at + bytes <= begin + bytes_;
}

void Block::begin(const Launch& launch) {
  const auto& size = launch.block_size;
  const std::size_t count = std::size_t{size.x} * size.y * size.z;
  stacks_.reserve(count);
  threads_.resize(count);
  warps_.resize((count + kWarpLanes - 1) / kWarpLanes);
  ready_.resize(count);
  turn_.resize(count);
  launch_ = &launch;
  blockDim = launch.block_size;
  gridDim = launch.grid_size;
}

void Block::start(const Launch& launch, uint3 index, std::uint64_t number) {
  blockIdx = index;
  const std::size_t count = threads_.size();
  fill_order(order_, count, launch.schedule, launch.seed + number);
  for (std::size_t i = 0; i < count / 2; ++i) std::swap(order_[i], order_[count - 1 - i]);
  for (std::size_t i = 0; i < count; ++i) turn_[order_[i]] = static_cast<unsigned>(i);
  for (auto& warp : warps_) warp = {};
  stacks_.renew(count);
  // Before the fibers, which come after all that the host has done until their creation. With ThreadSanitizer the
  // memory is kept until the launch ends: reuse would look like a race between blocks.
  if (!kThreadSanitizer) shared_.clear();
  if constexpr (kThreadSanitizer) edges_.push_back(std::make_unique<char[]>(kWarpEdge + 64 * warps_.size()));
  shared_.push_back(std::make_unique<SharedMemory>(launch.shared_bytes));
  for (std::size_t i = 0; i < count; ++i) {
    const auto& size = launch.block_size;
    auto& thread = threads_[i] = Thread{};
    const auto linear = static_cast<unsigned>(i);
    thread.index = {linear % size.x, linear / size.x % size.y, linear / size.x / size.y};
    warps_[i / kWarpLanes].present |= 1u << i % kWarpLanes;
    stacks_.prepare(thread, i, &Block::entry);
    if constexpr (kThreadSanitizer) thread.race_fiber = next_race_fiber(thread.index);
  }
  host_.race_fiber = race_fiber_here();
  if constexpr (kThreadSanitizer) release(&edges_.back()[kStartEdge]);
  arrived_ = returned_ = 0;
  phase_ = 0;
  failed_ = disposing_ = false;
  ready_count_ = 0;
  wake(static_cast<unsigned>(count), order_.data());
}

void Block::run(const Launch& launch, uint3 index, std::uint64_t number) {
  start(launch, index, number);
  Thread& first = threads_[ready_[--ready_count_]];
  running_ = &first;
  threadIdx = first.index;
  switch_context(host_, first);
  if (!failed_ && returned_ < threads_.size()) {
    failed_ = true;
    mistake_ = stuck();
  }
  if (failed_) dispose();
  if (!failed_ && !shared_.back()->is_whole()) {
    failed_ = true;
    mistake_ = {FaultKind::shared_overrun, "the block wrote outside the shared memory taken here", shared_where_};
  }
  if (failed_) {
    acquire(launch.end);
    const Mistake mistake = std::exchange(mistake_, Mistake{});
    throw Fault(mistake.kind, describe(mistake), mistake.where);
  }
}

/// A fiber of ThreadSanitizer's takes a millisecond to make and almost a megabyte to keep, so they go round. Within a
/// launch they do so only after kRaceFibers threads: the same fiber in two blocks would make these seem ordered.
void* Block::next_race_fiber(const uint3& thread) {
  const std::size_t most = std::max(kRaceFibers, 2 * threads_.size());
  const std::size_t i = race_fibers_used_++ % most;
  char name[96];
  std::snprintf(name, sizeof name, "block (%u,%u,%u) thread (%u,%u,%u)", blockIdx.x, blockIdx.y, blockIdx.z, thread.x,
                thread.y, thread.z);
  if (i == race_fibers_.size()) race_fibers_.push_back(create_race_fiber());
  name_race_fiber(race_fibers_[i], name);
  return race_fibers_[i];
}

void Block::destroy_race_fibers() {
  for (void* fiber : race_fibers_) destroy_race_fiber(fiber);
  race_fibers_.clear();
}

Block::~Block() { destroy_race_fibers(); }

void Block::end() {
  race_fibers_used_ = 0;
  if (failed_) destroy_race_fibers();  // their call stacks were abandoned
  shared_.clear();
  edges_.clear();
}

/// Ends every fiber that is still under way, without running its destructors.
void Block::dispose() {
  disposing_ = true;
  for (auto& thread : threads_) {
    const bool under_way = thread.state == State::at_barrier || thread.state == State::at_warp_operation;
    if (under_way) switch_context(host_, thread);  // a woken thread keeps its state until it runs
  }
  stacks_.forget_frames();
}

void Block::entry(boost::context::detail::transfer_t transfer) {
  Block& block = current_block();
  Thread& self = *block.running_;
  arrive(self, transfer);
  if constexpr (kThreadSanitizer) acquire(&block.edges_.back()[kStartEdge]);
  block.thread_main(self);
}

void Block::thread_main(Thread& self) {
  bool thrown = false;
  std::string detail;
  try {
    launch_->body(launch_->context);
  } catch (const std::exception& error) {
    thrown = true;
    detail = error.what();
  } catch (...) {
    thrown = true;
  }
  if (thrown) fail({FaultKind::exception, "an exception left the kernel", {}, -1, -1, {}, std::move(detail)});
  self.state = State::returned;
  ++returned_;
  const auto i = static_cast<unsigned>(number_of(self));
  warps_[i / kWarpLanes].returned |= 1u << i % kWarpLanes;
  release(launch_->end);
  leave();
}

/// The last thing a fiber does. With nobody ready, the host finds out whether the block is complete or stuck.
void Block::leave() {
  Thread& self = *running_;
  if (ready_count_ == 0 || failed_) {
    switch_context(self, host_, true);
  } else {
    Thread& next = threads_[ready_[--ready_count_]];
    running_ = &next;
    threadIdx = next.index;
    switch_context(self, next, true);
  }
  std::abort();  // nobody continues a fiber that has left
}

void Block::fail(Mistake mistake) {
  Thread& self = *running_;
  mistake_ = std::move(mistake);  // nothing may be left to destroy: this frame is never unwound
  if (mistake_.thread < 0) mistake_.thread = number_of(self);
  failed_ = true;
  self.state = State::returned;
  release(launch_->end);
  leave();
}

/// Makes threads ready, given in order_'s order: the one whose turn is first ends on top.
void Block::wake(unsigned count, const unsigned* threads) {
  // Not memcpy: ThreadSanitizer watches that one even here.
  for (unsigned i = 0; i < count; ++i) ready_[ready_count_ + i] = threads[i];
  ready_count_ += count;
}

/// Lets others run until somebody wakes this thread.
void Block::suspend() {
  Thread& self = *running_;
  if (ready_count_ == 0) {
    switch_context(self, host_);
  } else {
    Thread& next = threads_[ready_[--ready_count_]];
    if (&next != &self) {
      running_ = &next;
      threadIdx = next.index;
      switch_context(self, next);
    }
  }
  if (disposing_) {
    release(launch_->end);
    switch_context(self, host_, true);
  }
  self.state = State::runnable;
}

void Block::barrier(std::source_location where) {
  Thread& self = *running_;
  if (arrived_ == 0) {
    barrier_where_ = where;
  } else if (!same_place(where, barrier_where_)) {
    long other = 0;
    while (threads_[static_cast<std::size_t>(other)].state != State::at_barrier) ++other;
    fail({FaultKind::barrier_divergence,
          "threads of one block wait at different barriers",
          where,
          -1,
          other,
          barrier_where_,
          {}});
  }
  const std::size_t edge = kBarrierEdge + (phase_ & 1u);
  if constexpr (kThreadSanitizer) release(&edges_.back()[edge]);
  self.state = State::at_barrier;
  self.where = where;
  if (++arrived_ == threads_.size()) {
    arrived_ = 0;
    ++phase_;
    count_barrier();
    wake(static_cast<unsigned>(threads_.size()), order_.data());
  }
  suspend();
  if constexpr (kThreadSanitizer) acquire(&edges_.back()[edge]);
}

void Block::expect_shared(const void* address, std::size_t bytes, std::source_location where) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0)
    fail({FaultKind::shared_size, "a row of a matrix in shared memory is not aligned to its size", where});
  if (!shared_.back()->holds(address, bytes))
    fail({FaultKind::shared_overrun, "a row of a matrix is not in the block's shared memory", where});
}

void* Block::shared(std::size_t bytes, std::size_t alignment, std::source_location where) {
  if (bytes > launch_->shared_bytes) {
    fail({FaultKind::shared_size,
          "the kernel uses more shared memory than the launch gives it",
          where,
          -1,
          -1,
          {},
          std::to_string(bytes) + " bytes used, " + std::to_string(launch_->shared_bytes) + " given"});
  }
  if (alignment > 16) fail({FaultKind::shared_size, "shared memory is aligned to 16 bytes, not more", where});
  shared_where_ = where;
  return shared_.back()->data();
}

}  // namespace simt::detail
