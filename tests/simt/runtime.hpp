#pragma once
// What the executor and the runtime's host functions share.

#include <cstddef>
#include <functional>

#include "cuda_runtime.h"

struct CUstream_st {
  cudaGraph_t captured_into = nullptr;  // where what it is asked for goes just now
  bool is_spoilt = false;               // the capture, by a call that it forbids
};

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

/// Does the work that a stream is asked for: at once or, where the stream is captured, whenever the graph is run.
cudaError_t submit(cudaStream_t stream, std::function<cudaError_t()> work);
/// For calls that no capture allows: cudaSuccess where this thread captures nothing; else the capture is spoilt.
cudaError_t forbid_in_capture(cudaError_t error = cudaErrorStreamCaptureUnsupported);

}  // namespace simt::detail
