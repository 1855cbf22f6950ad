#pragma once
// Runs CUDA kernels on the CPU, one fiber per thread. This header is what tests see: faults, schedules, statistics.

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>

#include "simt/vector_types.hpp"

namespace simt {

/// A mistake in a kernel that the executor has seen.
enum class FaultKind {
  barrier_divergence,  ///< threads of a block wait at barriers of different source lines, or some never come
  early_return,        ///< a thread returned before a barrier or warp operation at which others wait
  absent_lane,         ///< the mask of a warp operation names lanes that do not exist, have returned, or are elsewhere
  source_lane,         ///< a shuffle reads from a lane outside its mask
  shared_size,         ///< the kernel asks for more shared memory than the launch has given
  shared_overrun,      ///< a write outside shared memory
  exception,           ///< a C++ exception left the kernel
  condition,           ///< a graph's condition is set outside of that graph, or by two threads of a launch
  trap                 ///< __trap() was called
};

/// Thrown out of cudaLaunchKernelEx. The message names file, line, kernel, block and thread.
class Fault : public std::runtime_error {
 public:
  Fault(FaultKind kind, const std::string& message, std::source_location where)
      : std::runtime_error(message), kind_(kind), where_(where) {}
  FaultKind kind() const noexcept { return kind_; }
  const char* file() const noexcept { return where_.file_name(); }
  unsigned line() const noexcept { return where_.line(); }

 private:
  FaultKind kind_;
  std::source_location where_;
};

/// The order in which the blocks of a grid and the threads of a block take their turns.
/// A kernel that gives other bits under another schedule depends on an order that no GPU promises.
enum class Schedule { forward, reversed, shuffled };
void set_schedule(Schedule schedule, std::uint64_t seed = 1);

/// Sets a schedule for a scope; afterwards it is `forward` again.
class ScheduleScope {
 public:
  explicit ScheduleScope(Schedule schedule, std::uint64_t seed = 1) { set_schedule(schedule, seed); }
  ~ScheduleScope() { set_schedule(Schedule::forward); }
  ScheduleScope(const ScheduleScope&) = delete;
  ScheduleScope& operator=(const ScheduleScope&) = delete;
};

/// Counted over all launches since the last reset.
struct Statistics {
  std::uint64_t launches = 0;
  std::uint64_t blocks = 0;
  std::uint64_t threads = 0;
  std::uint64_t barriers = 0;         ///< completed block barriers
  std::uint64_t warp_operations = 0;  ///< completed shuffles, votes, warp barriers and matrix instructions
  std::uint64_t matrix_instructions = 0;  ///< of multiplication, on the tensor cores
};
Statistics statistics();
void reset_statistics();

/// The size of the pretended device memory: what cudaMemGetInfo reports and where cudaMalloc begins to fail.
void set_device_memory(std::size_t bytes);

}  // namespace simt
