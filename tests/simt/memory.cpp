// Device memory that is host memory: poisoned, fenced, and its ranges checked.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "runtime.hpp"
#include "sanitizers.hpp"
#include "simt/executor.hpp"

namespace simt {

namespace {

using detail::record;

constexpr std::size_t kAlignment = 256;
// AddressSanitizer fences a heap block of the exact size by itself.
constexpr std::size_t kGuard = detail::kAddressSanitizer ? 0 : kAlignment;
constexpr unsigned char kGuardByte = 0xA5, kNanByte = 0xFF;

struct Memory {
  std::mutex mutex;
  std::map<std::uintptr_t, std::size_t> blocks;  // first byte -> bytes
  std::size_t used = 0, total = std::size_t{4} << 30;
};

// Never destroyed: buffers of static duration are freed late. Not made on first use either: ThreadSanitizer does not
// see the order that makes that safe.
Memory& device_memory = *new Memory;
Memory& memory() { return device_memory; }

std::uintptr_t number(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

/// Whether the range lies in one block of device memory (and `inside` tells whether it begins in any).
bool is_device_range(const void* pointer, std::size_t bytes, bool& inside) {
  auto& m = memory();
  auto it = m.blocks.upper_bound(number(pointer));
  inside = false;
  if (it == m.blocks.begin()) return false;
  --it;
  const auto offset = number(pointer) - it->first;
  inside = offset < it->second;
  return offset <= it->second && bytes <= it->second - offset;
}

bool fits(const void* pointer, std::size_t bytes, bool on_device) {
  bool inside = false;
  const bool range = is_device_range(pointer, bytes, inside);
  return on_device ? range : !inside;
}

cudaError_t check_copy(const void* target, std::size_t target_bytes, const void* source, std::size_t source_bytes,
                       cudaMemcpyKind kind) {
  if (!target || !source) return cudaErrorInvalidValue;
  const std::lock_guard lock(memory().mutex);
  bool inside = false;
  bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind == cudaMemcpyDefault) {
    is_device_range(target, target_bytes, inside), to_device = inside;
    is_device_range(source, source_bytes, inside), from_device = inside;
  }
  return fits(target, target_bytes, to_device) && fits(source, source_bytes, from_device) ? cudaSuccess
                                                                                          : cudaErrorInvalidValue;
}

void check_guards(const char* block, std::size_t bytes) {
  for (std::size_t i = 0; i < kGuard; ++i) {
    const bool before = static_cast<unsigned char>(block[i]) != kGuardByte;
    if (!before && static_cast<unsigned char>(block[kGuard + bytes + i]) == kGuardByte) continue;
    std::fprintf(stderr, "simt: device memory of %zu bytes at %p was written %s its %s (found by cudaFree)\n", bytes,
                 static_cast<const void*>(block + kGuard), before ? "before" : "after", before ? "begin" : "end");
    std::abort();
  }
}

}  // namespace

void set_device_memory(std::size_t bytes) {
  const std::lock_guard lock(memory().mutex);
  memory().total = bytes;
}

}  // namespace simt

using simt::kGuard;
using simt::memory;
using simt::record;

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  if (!pointer) return record(cudaErrorInvalidValue);
  *pointer = nullptr;
  if (const auto error = simt::detail::forbid_in_capture(); error != cudaSuccess) return error;
  if (bytes == 0) return cudaSuccess;
  auto& m = memory();
  const std::lock_guard lock(m.mutex);
  if (m.used > m.total || bytes > m.total - m.used) return record(cudaErrorMemoryAllocation);
  void* block = nullptr;
  if (posix_memalign(&block, simt::kAlignment, bytes + 2 * kGuard) != 0) return record(cudaErrorMemoryAllocation);
  char* data = static_cast<char*>(block) + kGuard;
  std::memset(block, simt::kGuardByte, kGuard);
  std::memset(data, simt::kNanByte, bytes);
  std::memset(data + bytes, simt::kGuardByte, kGuard);
  m.blocks.emplace(simt::number(data), bytes);
  m.used += bytes;
  *pointer = data;
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  if (!pointer) return cudaSuccess;
  if (const auto error = simt::detail::forbid_in_capture(); error != cudaSuccess) return error;
  auto& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto it = m.blocks.find(simt::number(pointer));
  if (it == m.blocks.end()) return record(cudaErrorInvalidValue);
  char* block = static_cast<char*>(pointer) - kGuard;
  simt::check_guards(block, it->second);
  m.used -= it->second;
  m.blocks.erase(it);
  std::free(block);
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t) { return cudaMalloc(pointer, bytes); }
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) { return cudaFree(pointer); }

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  if (!pointer) return record(cudaErrorInvalidValue);
  if (const auto error = simt::detail::forbid_in_capture(); error != cudaSuccess) return error;
  *pointer = bytes ? std::malloc(bytes) : nullptr;
  return *pointer || !bytes ? cudaSuccess : record(cudaErrorMemoryAllocation);
}
cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) { return cudaHostAlloc(pointer, bytes, 0); }
cudaError_t cudaFreeHost(void* pointer) {
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  if (!free_bytes || !total_bytes) return record(cudaErrorInvalidValue);
  const std::lock_guard lock(memory().mutex);
  *total_bytes = memory().total;
  *free_bytes = memory().used < memory().total ? memory().total - memory().used : 0;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return cudaMemcpy2DAsync(target, bytes, source, bytes, bytes, 1, kind, stream);
}
cudaError_t cudaMemcpy(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(target, source, bytes, kind, nullptr);
}

cudaError_t cudaMemcpy2DAsync(void* target, std::size_t target_pitch, const void* source, std::size_t source_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  if (!simt::detail::is_stream(stream)) return record(cudaErrorInvalidResourceHandle);
  if (width == 0 || height == 0) return cudaSuccess;
  if (width > target_pitch || width > source_pitch) return record(cudaErrorInvalidValue);
  const std::size_t target_bytes = (height - 1) * target_pitch + width;
  const std::size_t source_bytes = (height - 1) * source_pitch + width;
  if (const auto error = simt::check_copy(target, target_bytes, source, source_bytes, kind); error != cudaSuccess)
    return record(error);
  // All host memory counts as pageable: no capture takes it.
  const bool on_device =
      simt::check_copy(target, target_bytes, source, source_bytes, cudaMemcpyDeviceToDevice) == cudaSuccess;
  if (stream && stream->captured_into && !on_device) return simt::detail::forbid_in_capture();
  return simt::detail::submit(stream, [=] {
    for (std::size_t row = 0; row < height; ++row)
      std::memmove(static_cast<char*>(target) + row * target_pitch,
                   static_cast<const char*>(source) + row * source_pitch, width);
    return cudaSuccess;
  });
}

cudaError_t cudaMemsetAsync(void* target, int value, std::size_t bytes, cudaStream_t stream) {
  if (!simt::detail::is_stream(stream)) return record(cudaErrorInvalidResourceHandle);
  if (bytes == 0) return cudaSuccess;
  {
    const std::lock_guard lock(memory().mutex);
    if (!simt::fits(target, bytes, true)) return record(cudaErrorInvalidValue);
  }
  return simt::detail::submit(stream, [=] {
    std::memset(target, value, bytes);
    return cudaSuccess;
  });
}
cudaError_t cudaMemset(void* target, int value, std::size_t bytes) {
  return cudaMemsetAsync(target, value, bytes, nullptr);
}
