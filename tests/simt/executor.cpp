// From a launch to its blocks: checks like the driver's, the order of blocks, statistics.

#include "simt/executor.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "block.hpp"
#include "runtime.hpp"
#include "sanitizers.hpp"

namespace simt {

namespace {

std::atomic<Schedule> schedule_now{Schedule::forward};
std::atomic<std::uint64_t> seed_now{1};
std::atomic<std::uint64_t> launches{0}, blocks{0}, threads{0}, barriers{0}, warp_operations{0}, matrix_instructions{0};

}  // namespace

void set_schedule(Schedule schedule, std::uint64_t seed) {
  schedule_now = schedule;
  seed_now = seed;
}

Statistics statistics() { return {launches, blocks, threads, barriers, warp_operations, matrix_instructions}; }

void reset_statistics() { launches = blocks = threads = barriers = warp_operations = matrix_instructions = 0; }

namespace detail {

namespace {

struct Executor {
  StackPool stacks;
  Block block{stacks};
  bool busy = false;
};

thread_local Executor* executor_here = nullptr;

Executor& executor() {
  static thread_local Executor mine;
  executor_here = &mine;
  return mine;
}

std::mutex limits_mutex;
std::map<const void*, std::size_t> shared_limits;  // kernels that may use more than kSharedDefault

std::size_t shared_limit(const void* kernel) {
  const std::lock_guard lock(limits_mutex);
  const auto it = shared_limits.find(kernel);
  return it == shared_limits.end() ? kSharedDefault : it->second;
}

cudaError_t check_launch(const cudaLaunchConfig_t* config, const void* kernel) {
  if (!config) return cudaErrorInvalidValue;
  if (!kernel) return cudaErrorInvalidDeviceFunction;
  const dim3 grid = config->gridDim, block = config->blockDim;
  const bool grid_fits =
      grid.x >= 1 && grid.x <= 0x7fffffffu && grid.y >= 1 && grid.y <= 65535 && grid.z >= 1 && grid.z <= 65535;
  const bool block_fits = block.x >= 1 && block.x <= kBlockThreads && block.y >= 1 && block.y <= kBlockThreads &&
                          block.z >= 1 && block.z <= 64 && std::size_t{block.x} * block.y * block.z <= kBlockThreads;
  if (!grid_fits || !block_fits) return cudaErrorInvalidConfiguration;
  if (config->dynamicSmemBytes > shared_limit(kernel)) return cudaErrorInvalidValue;
  if (config->numAttrs != 0) return cudaErrorNotSupported;
  if (!is_stream(config->stream)) return cudaErrorInvalidResourceHandle;
  return cudaSuccess;
}

void describe_here(long stack, char* text, std::size_t size) {
  executor_here->block.describe_overrun(stack, text, size);
}

/// Marks the host thread as busy with a kernel, and tidies up whether or not the kernel was at fault.
class Busy {
 public:
  explicit Busy(Executor& executor) : executor_(executor) {
    executor_.busy = true;
    report_overruns(&executor_.stacks, describe_here);
  }
  ~Busy() {
    executor_.block.end();
    report_overruns(nullptr, nullptr);
    executor_.busy = false;
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  Executor& executor_;
};

void run_grid(Executor& executor, const Launch& launch) {
  const Busy busy(executor);
  const auto grid = launch.grid_size;
  const std::uint64_t count = std::uint64_t{grid.x} * grid.y * grid.z;
  std::vector<unsigned> order;
  if (launch.schedule == Schedule::shuffled) fill_order(order, count, launch.schedule, ~launch.seed);
  ++launches;
  executor.block.begin(launch);
  for (std::uint64_t turn = 0; turn < count; ++turn) {
    std::uint64_t number = launch.schedule == Schedule::reversed ? count - 1 - turn : turn;
    if (!order.empty()) number = order[turn];
    const uint3 index{static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
                      static_cast<unsigned>(number / grid.x / grid.y)};
    ++blocks;
    threads += std::uint64_t{launch.block_size.x} * launch.block_size.y * launch.block_size.z;
    executor.block.run(launch, index, number);
  }
  acquire(launch.end);
}

}  // namespace

cudaError_t launch(const cudaLaunchConfig_t* config, const void* kernel, void (*body)(const void*), const void* context,
                   std::shared_ptr<const void> (*copy)(const void*)) {
  if (const auto error = check_launch(config, kernel); error != cudaSuccess) return record(error);
  const auto run = [=, shape = *config](const void* parameters) {
    auto& mine = executor();
    if (mine.busy) return record(cudaErrorNotSupported);
    char end = 0;
    run_grid(mine, {kernel, body, parameters, shape.gridDim, shape.blockDim, shape.dynamicSmemBytes, schedule_now,
                    seed_now, &end});
    return cudaSuccess;
  };
  const bool is_captured = config->stream && config->stream->captured_into;
  if (!is_captured) return submit(config->stream, [&] { return run(context); });
  return submit(config->stream, [run, own = copy(context)] { return run(own.get()); });
}

cudaError_t set_function_attribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (!kernel) return record(cudaErrorInvalidDeviceFunction);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  if (value < 0 || static_cast<std::size_t>(value) > kSharedOptin) return record(cudaErrorInvalidValue);
  const std::lock_guard lock(limits_mutex);
  shared_limits[kernel] = std::max(static_cast<std::size_t>(value), kSharedDefault);
  return cudaSuccess;
}

cudaError_t get_function_attributes(cudaFuncAttributes* attributes, const void* kernel) {
  if (!attributes) return record(cudaErrorInvalidValue);
  if (!kernel) return record(cudaErrorInvalidDeviceFunction);
  *attributes = {};
  attributes->maxThreadsPerBlock = kBlockThreads;
  attributes->numRegs = 32;
  attributes->ptxVersion = attributes->binaryVersion = 90;
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(shared_limit(kernel));
  return cudaSuccess;
}

cudaError_t active_blocks(int* blocks_per_processor, const void* kernel, int block_size, std::size_t shared_bytes) {
  if (!blocks_per_processor || !kernel || block_size < 1 || block_size > kBlockThreads)
    return record(cudaErrorInvalidValue);
  std::size_t count = 2048 / static_cast<std::size_t>(block_size);
  if (shared_bytes > shared_limit(kernel)) count = 0;
  if (shared_bytes) count = std::min(count, kSharedProcessor / (shared_bytes + 1024));
  *blocks_per_processor = static_cast<int>(std::min<std::size_t>(count, 32));
  return cudaSuccess;
}

Block& current_block() {
  if (executor_here && executor_here->busy) return executor_here->block;
  std::fputs("simt: device code was called outside of a kernel\n", stderr);
  std::abort();
}

void count_barrier() { barriers.fetch_add(1, std::memory_order_relaxed); }
void count_matrix_instruction() { matrix_instructions.fetch_add(1, std::memory_order_relaxed); }
void count_warp_operation() { warp_operations.fetch_add(1, std::memory_order_relaxed); }

void block_barrier(std::source_location where) { current_block().barrier(where); }

std::uint64_t warp_exchange(WarpOperation operation, unsigned mask, std::uint64_t value, unsigned argument, int width,
                            std::source_location where) {
  return current_block().exchange(operation, mask, value, argument, width, where);
}

void* shared_memory(std::size_t bytes, std::size_t alignment, std::source_location where) {
  return current_block().shared(bytes, alignment, where);
}

void expect_shared(const void* address, std::size_t bytes, std::source_location where) {
  current_block().expect_shared(address, bytes, where);
}

void trap(std::source_location where) { current_block().fail({FaultKind::trap, "__trap()", where, -1, -1, {}, {}}); }

void fence() { current_block().running().fenced = true; }
bool is_fenced() { return current_block().running().fenced; }

}  // namespace detail
}  // namespace simt
