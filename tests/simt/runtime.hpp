#pragma once
// What the executor and the runtime's host functions share.

#include <cstddef>

#include "cuda_runtime.h"

namespace simt::detail {

// The limits of compute capability 9.0.
inline constexpr int kBlockThreads = 1024;
inline constexpr std::size_t kSharedDefault = 48 * 1024;
inline constexpr std::size_t kSharedOptin = 227 * 1024;
inline constexpr std::size_t kSharedProcessor = 228 * 1024;

/// Remembers `error` for cudaGetLastError and returns it.
cudaError_t record(cudaError_t error);

/// The default stream, or one that exists.
bool is_stream(cudaStream_t stream);

}  // namespace simt::detail
