#pragma once
// The libraries behind the CUDA backend, and the only place that names their functions: cuBLAS and cuSOLVER, spoken to
// in row-major shapes, and CUDA graphs. Under simt the same headers are stand-ins with CPU bodies.

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>

#include <clout/kernels/error.hpp>
#include <clout/kernels/matrix_view.hpp>
#include <limits>
#include <memory>
#include <source_location>

namespace clout::cuda {

/// Throws unless the call succeeded: OutOfMemory, DeviceUnavailable (no driver, no device) or InternalError.
void check(cudaError_t error, std::source_location where = std::source_location::current());
void check(cublasStatus_t status, std::source_location where = std::source_location::current());
void check(cusolverStatus_t status, std::source_location where = std::source_location::current());

/// The libraries count in int.
inline int as_int(Index value, std::source_location where = std::source_location::current()) {
  ensure(value >= 0 && value <= std::numeric_limits<int>::max(), "a size is beyond what cuBLAS and cuSOLVER count",
         where);
  return static_cast<int>(value);
}

// One name for both precisions; column-major, as the library has them.
inline cublasStatus_t gemm(cublasHandle_t blas, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                           const float* alpha, const float* a, int lda, const float* b, int ldb, const float* beta,
                           float* c, int ldc) {
  return cublasSgemm(blas, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
inline cublasStatus_t gemm(cublasHandle_t blas, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                           const double* alpha, const double* a, int lda, const double* b, int ldb, const double* beta,
                           double* c, int ldc) {
  return cublasDgemm(blas, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
inline cusolverStatus_t potrf_scratch(cusolverDnHandle_t solver, cublasFillMode_t fill, int n, float* a, int lda,
                                      int* elements) {
  return cusolverDnSpotrf_bufferSize(solver, fill, n, a, lda, elements);
}
inline cusolverStatus_t potrf_scratch(cusolverDnHandle_t solver, cublasFillMode_t fill, int n, double* a, int lda,
                                      int* elements) {
  return cusolverDnDpotrf_bufferSize(solver, fill, n, a, lda, elements);
}
inline cusolverStatus_t potrf(cusolverDnHandle_t solver, cublasFillMode_t fill, int n, float* a, int lda,
                              float* scratch, int elements, int* info) {
  return cusolverDnSpotrf(solver, fill, n, a, lda, scratch, elements, info);
}
inline cusolverStatus_t potrf(cusolverDnHandle_t solver, cublasFillMode_t fill, int n, double* a, int lda,
                              double* scratch, int elements, int* info) {
  return cusolverDnDpotrf(solver, fill, n, a, lda, scratch, elements, info);
}
inline cusolverStatus_t potrs(cusolverDnHandle_t solver, cublasFillMode_t fill, int n, int k, const float* a, int lda,
                              float* b, int ldb, int* info) {
  return cusolverDnSpotrs(solver, fill, n, k, a, lda, b, ldb, info);
}
inline cusolverStatus_t potrs(cusolverDnHandle_t solver, cublasFillMode_t fill, int n, int k, const double* a, int lda,
                              double* b, int ldb, int* info) {
  return cusolverDnDpotrs(solver, fill, n, k, a, lda, b, ldb, info);
}
inline cusolverStatus_t syevd_scratch(cusolverDnHandle_t solver, int n, const float* a, int lda, const float* values,
                                      int* elements) {
  return cusolverDnSsyevd_bufferSize(solver, CUSOLVER_EIG_MODE_NOVECTOR, CUBLAS_FILL_MODE_UPPER, n, a, lda, values,
                                     elements);
}
inline cusolverStatus_t syevd_scratch(cusolverDnHandle_t solver, int n, const double* a, int lda, const double* values,
                                      int* elements) {
  return cusolverDnDsyevd_bufferSize(solver, CUSOLVER_EIG_MODE_NOVECTOR, CUBLAS_FILL_MODE_UPPER, n, a, lda, values,
                                     elements);
}
inline cusolverStatus_t syevd(cusolverDnHandle_t solver, int n, float* a, int lda, float* values, float* scratch,
                              int elements, int* info) {
  return cusolverDnSsyevd(solver, CUSOLVER_EIG_MODE_NOVECTOR, CUBLAS_FILL_MODE_UPPER, n, a, lda, values, scratch,
                          elements, info);
}
inline cusolverStatus_t syevd(cusolverDnHandle_t solver, int n, double* a, int lda, double* values, double* scratch,
                              int elements, int* info) {
  return cusolverDnDsyevd(solver, CUSOLVER_EIG_MODE_NOVECTOR, CUBLAS_FILL_MODE_UPPER, n, a, lda, values, scratch,
                          elements, info);
}

/// C ← A Bᵀ with A [m][l], B [n][l], C [m][n], all row-major.  2mnl flops.
template <class T>
void multiply_by_transposed(cublasHandle_t blas, MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c) {
  const T one = 1, zero = 0;
  check(gemm(blas, CUBLAS_OP_T, CUBLAS_OP_N, as_int(c.columns), as_int(c.rows), as_int(a.columns), &one, b.data,
             as_int(b.stride), a.data, as_int(a.stride), &zero, c.data, as_int(c.stride)));
}

/// C ← Aᵀ B + (accumulate ? C : 0) with A [l][m], B [l][n], C [m][n], all row-major.  2mnl flops.
template <class T>
void multiply_transposed(cublasHandle_t blas, MatrixView<const T> a, MatrixView<const T> b, bool accumulate,
                         MatrixView<T> c) {
  const T one = 1, beta = accumulate ? T(1) : T(0);
  check(gemm(blas, CUBLAS_OP_N, CUBLAS_OP_T, as_int(c.columns), as_int(c.rows), as_int(a.rows), &one, b.data,
             as_int(b.stride), a.data, as_int(a.stride), &beta, c.data, as_int(c.stride)));
}

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const { static_cast<void>(cudaGraphDestroy(graph)); }
  void operator()(cudaGraphExec_t graph) const { static_cast<void>(cudaGraphExecDestroy(graph)); }
};
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, DestroyGraph>;
using RunnableGraph = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, DestroyGraph>;

inline Graph empty_graph() {
  cudaGraph_t graph = nullptr;
  check(cudaGraphCreate(&graph, 0));
  return Graph(graph);
}

/// What `work` starts on the stream becomes nodes of the graph, one after the other; nothing runs.
template <class Work>
void capture(cudaStream_t stream, cudaGraph_t graph, const Work& work) {
  check(cudaStreamBeginCaptureToGraph(stream, graph, nullptr, nullptr, 0, cudaStreamCaptureModeThreadLocal));
  try {
    work();
  } catch (...) {
    static_cast<void>(cudaStreamEndCapture(stream, &graph));
    static_cast<void>(cudaGetLastError());
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph));
}

/// Adds a while node behind the graph's only one so far; its body, an empty graph, belongs to the node.
inline cudaGraph_t add_while(cudaGraph_t graph, cudaGraphConditionalHandle condition) {
  cudaGraphNode_t before = nullptr, node = nullptr;
  std::size_t count = 1;
  check(cudaGraphGetNodes(graph, &before, &count));
  cudaGraphNodeParams parameters{};
  parameters.type = cudaGraphNodeTypeConditional;
  parameters.conditional.handle = condition;
  parameters.conditional.type = cudaGraphCondTypeWhile;
  parameters.conditional.size = 1;
  check(cudaGraphAddNode(&node, graph, &before, nullptr, count, &parameters));
  return parameters.conditional.phGraph_out[0];
}

/// The condition of a while node, which is false until a kernel of the graph says otherwise.
inline cudaGraphConditionalHandle condition_of(cudaGraph_t graph) {
  cudaGraphConditionalHandle condition = 0;
  check(cudaGraphConditionalHandleCreate(&condition, graph, 0, cudaGraphCondAssignDefault));
  return condition;
}

inline RunnableGraph instantiate(cudaGraph_t graph) {
  cudaGraphExec_t runnable = nullptr;
  check(cudaGraphInstantiate(&runnable, graph, 0));
  return RunnableGraph(runnable);
}

inline void run(cudaGraphExec_t graph, cudaStream_t stream) { check(cudaGraphLaunch(graph, stream)); }

}  // namespace clout::cuda
