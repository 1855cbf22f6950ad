#pragma once
// How scratch memory is carved: what all threads share, then a part for each; every part starts on a cache line.

#include <clout/kernels/cpu/parallel.hpp>
#include <cstdint>
#include <span>

namespace clout::cpu {

/// Up to a whole number of cache lines.
template <class T>
constexpr Index line_up(Index elements) {
  return round_up(elements, 64 / static_cast<Index>(sizeof(T)));
}

template <class T>
struct ScratchPlan {
  Index shared, own;  // elements of T, whole cache lines: of all threads together, of each

  std::size_t bytes(const Device& device) const {
    return static_cast<std::size_t>(shared + as_cpu(device).threads() * own) * sizeof(T) + 64;
  }
  T* memory(std::span<std::byte> scratch) const {
    const auto address = reinterpret_cast<std::uintptr_t>(scratch.data());
    return reinterpret_cast<T*>((address + 63) / 64 * 64);
  }
  T* thread_memory(std::span<std::byte> scratch, int thread) const { return memory(scratch) + shared + thread * own; }
};

}  // namespace clout::cpu
