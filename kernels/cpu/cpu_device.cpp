#include <cblas.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <clout/kernels/cpu/cpu_device.hpp>
#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/simd.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

namespace clout::cpu {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLarge = 2 * kHugePage;  // from here on, memory is asked for in huge pages

// "Key   : value" of /proc/cpuinfo and its like; empty where there is none.
std::string value_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos || line.compare(0, key.size(), key) != 0) continue;
    const auto start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

std::size_t kibibytes(const std::string& value) { return std::strtoull(value.c_str(), nullptr, 10) * 1024; }

// The one number in a file of the control group; `otherwise` where there is no file or it says "max".
std::size_t group_number(const char* path, std::size_t otherwise) {
  std::ifstream file(path);
  std::size_t number = 0;
  return file >> number ? number : otherwise;
}

std::string megabytes(std::size_t bytes) { return std::to_string(bytes / 1'000'000) + " MB"; }

}  // namespace

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

Memory memory() {
  Memory found{kibibytes(value_of("/proc/meminfo", "MemTotal")), kibibytes(value_of("/proc/meminfo", "MemAvailable"))};
  const std::size_t limit = group_number("/sys/fs/cgroup/memory.max", found.total);
  if (limit < found.total) {
    const std::size_t used = std::min(limit, group_number("/sys/fs/cgroup/memory.current", 0));
    found.total = limit;
    found.available = std::min(found.available, limit - used);
  }
  return found;
}

CpuDevice::CpuDevice(int threads) : threads_(threads > 0 ? threads : available_cores()) {
  require(threads >= 0, "threads: expected 0 (all cores) or more, got " + std::to_string(threads));
}

DeviceInfo CpuDevice::info() const {
  const auto [total, available] = memory();
  const std::string model = value_of("/proc/cpuinfo", "model name");
  // Sums are over lanes, so bits depend on them: a journal of other vectors is another request.
  const std::string vectors = ", vectors of " + std::to_string(8 * cpu::kVectorBytes) + " bits";
  return {.name = "cpu",
          .model = (model.empty() ? "unknown processor" : model) + vectors,
          .libraries = openblas_get_config(),
          .threads = threads_,
          .memory_total = total,
          .memory_available = available,
          .is_host = true};
}

void* CpuDevice::allocate(std::size_t bytes) {
  const std::size_t alignment = bytes >= kLarge ? kHugePage : kAlignment;
  // Asked beforehand: an overcommitted allocation would succeed here and have the process killed later.
  if (bytes >= kLarge)
    if (const auto [total, available] = memory(); total > 0 && bytes > available)
      throw OutOfMemory("cpu: " + megabytes(bytes) + " asked for, " + megabytes(available) + " available of " +
                        megabytes(total));
  if (bytes > SIZE_MAX - alignment) throw OutOfMemory("cpu: " + megabytes(bytes) + " asked for");
  void* block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!block && bytes > 0) throw OutOfMemory("cpu: " + megabytes(bytes) + " asked for; the system gave none");
  if (bytes >= kLarge) madvise(block, bytes, MADV_HUGEPAGE);
  return block;
}

void CpuDevice::deallocate(void* memory) noexcept { std::free(memory); }

void CpuDevice::copy_on_device(void* target, const void* source, std::size_t bytes) {
  if (bytes > 0) std::memmove(target, source, bytes);
}

const KernelTable<float>& CpuDevice::single_table() const { return table<float>(); }
const KernelTable<double>& CpuDevice::double_table() const { return table<double>(); }

}  // namespace clout::cpu

namespace clout {

std::unique_ptr<Device> make_cpu_device(int threads) { return std::make_unique<cpu::CpuDevice>(threads); }

}  // namespace clout
