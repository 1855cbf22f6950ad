#pragma once
// One CUDA block: its threads as fibers, their barriers and warp operations, its shared memory.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

#include "cuda_runtime.h"
#include "fiber.hpp"

namespace simt::detail {

inline constexpr unsigned kWarpLanes = 32;

// Places in a block's objects for ThreadSanitizer: its start, its barriers of even and odd number, 64 for each warp.
inline constexpr std::size_t kStartEdge = 0, kBarrierEdge = 1, kWarpEdge = 3;

/// One kernel launch, as the blocks see it.
struct Launch {
  const void* kernel;
  void (*body)(const void*);
  const void* context;
  dim3 grid_size, block_size;
  std::size_t shared_bytes;
  Schedule schedule;
  std::uint64_t seed;
  char* end;  // ThreadSanitizer's object through which all threads come before what the host does next
};

bool same_place(const std::source_location& a, const std::source_location& b);

/// A permutation of 0..count-1 as the schedule wants it.
void fill_order(std::vector<unsigned>& order, std::size_t count, Schedule schedule, std::uint64_t seed);

enum class State : std::uint8_t { runnable, at_barrier, at_warp_operation, returned };

struct Thread : Context {
  uint3 index{};
  State state = State::runnable;
  bool fenced = false;
  WarpOperation operation{};
  std::uint8_t parity = 0;  // of the number of warp operations so far
  int width = 0;
  unsigned mask = 0, argument = 0;
  std::uint64_t value = 0, result = 0;
  std::source_location where{};  // of the barrier or warp operation it waits at
};

struct Warp {
  unsigned present = 0, waiting = 0, returned = 0;  // lanes
};

/// What a thread did wrong; put into words only on the host's stack.
struct Mistake {
  FaultKind kind{};
  const char* what = "";
  std::source_location where{};
  long thread = -1;  // who
  long other = -1;   // and who else is concerned, at
  std::source_location elsewhere{};
  std::string detail{};
};

/// Shared memory of one block: exactly the bytes asked for, NaN at first.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  char* data() const { return memory_ + guard_; }
  bool is_whole() const;
  bool holds(const void* address, std::size_t bytes) const;

 private:
  std::size_t bytes_, guard_;
  char* memory_;
};

class Block {
 public:
  explicit Block(StackPool& stacks) : stacks_(stacks) {}
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void begin(const Launch& launch);
  /// Runs all threads of block `index` to their end; throws Fault.
  void run(const Launch& launch, uint3 index, std::uint64_t number);
  /// Frees what ThreadSanitizer must not see reused within a launch.
  void end();

  // Called by the running thread.
  void barrier(std::source_location where);
  std::uint64_t exchange(WarpOperation operation, unsigned mask, std::uint64_t value, unsigned argument, int width,
                         std::source_location where);
  void* shared(std::size_t bytes, std::size_t alignment, std::source_location where);
  void expect_shared(const void* address, std::size_t bytes, std::source_location where);
  [[noreturn]] void fail(Mistake mistake);
  Thread& running() { return *running_; }
  std::string describe(const Mistake& mistake) const;
  void describe_overrun(long stack, char* text, std::size_t size) const;

 private:
  static void entry(boost::context::detail::transfer_t transfer);
  void thread_main(Thread& self);
  void start(const Launch& launch, uint3 index, std::uint64_t number);
  void wake(unsigned count, const unsigned* threads);
  void suspend();
  [[noreturn]] void leave();
  void complete(Thread& self, Warp& warp, unsigned first);
  unsigned source_of(const Thread& thread, unsigned lane);
  void gather(const Thread& thread, unsigned first);
  Mistake stuck() const;
  void dispose();
  void* next_race_fiber(const uint3& thread);
  void destroy_race_fibers();
  long number_of(const Thread& thread) const { return &thread - threads_.data(); }

  StackPool& stacks_;
  Context host_;
  const Launch* launch_ = nullptr;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<unsigned> order_;  // turn -> thread, last turn first
  std::vector<unsigned> turn_;   // thread -> place in order_
  std::vector<unsigned> ready_;  // a stack; the next to run is the last
  std::size_t ready_count_ = 0;
  Thread* running_ = nullptr;
  unsigned arrived_ = 0, returned_ = 0;
  std::uint8_t phase_ = 0;
  std::source_location barrier_where_{}, shared_where_{};
  bool failed_ = false, disposing_ = false;
  Mistake mistake_;
  std::vector<std::unique_ptr<SharedMemory>> shared_;
  std::vector<void*> race_fibers_;  // ThreadSanitizer's fibers, kept from launch to launch
  std::size_t race_fibers_used_ = 0;
  std::vector<std::unique_ptr<char[]>> edges_;  // ThreadSanitizer's objects, of each block
};

/// The block whose kernel runs on the calling host thread; ends the program outside of kernels.
Block& current_block();
void count_barrier();
void count_warp_operation();

}  // namespace simt::detail
