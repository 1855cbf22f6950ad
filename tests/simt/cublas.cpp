// cuBLAS over CBLAS. Arguments are checked as cuBLAS does, before CBLAS would print and go on.

#include <cblas.h>

#include <algorithm>

#include "blas_threads.hpp"
#include "cublas_v2.h"
#include "runtime.hpp"

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
};

namespace {

CBLAS_TRANSPOSE cblas(cublasOperation_t op) { return op == CUBLAS_OP_N ? CblasNoTrans : CblasTrans; }
CBLAS_UPLO cblas(cublasFillMode_t fill) { return fill == CUBLAS_FILL_MODE_LOWER ? CblasLower : CblasUpper; }
CBLAS_SIDE cblas(cublasSideMode_t side) { return side == CUBLAS_SIDE_LEFT ? CblasLeft : CblasRight; }
CBLAS_DIAG cblas(cublasDiagType_t diag) { return diag == CUBLAS_DIAG_UNIT ? CblasUnit : CblasNonUnit; }

/// `holds` are the conditions on the sizes; a handle is needed in any case. Then runs the body.
template <class Body>
cublasStatus_t checked(cublasHandle_t handle, bool holds, Body body) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!holds) return CUBLAS_STATUS_INVALID_VALUE;
  const simt::detail::SingleThreadedBlas single;
  body();
  return CUBLAS_STATUS_SUCCESS;
}

/// The same for work on the handle's stream. The body has its arguments by value: a captured stream does it later.
template <class Body>
cublasStatus_t submitted(cublasHandle_t handle, bool holds, Body body) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!holds) return CUBLAS_STATUS_INVALID_VALUE;
  const cudaError_t error = simt::detail::submit(handle->stream, [body] {
    const simt::detail::SingleThreadedBlas single;
    body();
    return cudaSuccess;
  });
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

bool leads(int leading_dimension, int rows) { return leading_dimension >= std::max(1, rows); }

bool gemm_fits(cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, int lda, int ldb, int ldc) {
  return m >= 0 && n >= 0 && k >= 0 && leads(lda, op_a == CUBLAS_OP_N ? m : k) &&
         leads(ldb, op_b == CUBLAS_OP_N ? k : n) && leads(ldc, m);
}

}  // namespace

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  if (!handle) return CUBLAS_STATUS_INVALID_VALUE;
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  return checked(handle, true, [&] { delete handle; });
}
cublasStatus_t cublasGetVersion(cublasHandle_t, int* version) {
  if (!version) return CUBLAS_STATUS_INVALID_VALUE;
  *version = 130000;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  return checked(handle, simt::detail::is_stream(stream), [&] { handle->stream = stream; });
}
cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream) {
  return checked(handle, stream, [&] { *stream = handle->stream; });
}
// All memory is one here, so alpha and beta can be read wherever they are.
cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode) {
  return checked(handle, true, [&] { handle->pointer_mode = mode; });
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t) {
  return checked(handle, true, [] {});
}
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t) {
  return checked(handle, true, [] {});
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void*, std::size_t) {
  return checked(handle, true, [] {});
}

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "unknown cuBLAS status";
}
const char* cublasGetStatusString(cublasStatus_t status) { return cublasGetStatusName(status); }

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
                           const float* alpha, const float* a, int lda, const float* b, int ldb, const float* beta,
                           float* c, int ldc) {
  return submitted(handle, gemm_fits(op_a, op_b, m, n, k, lda, ldb, ldc), [=, alpha = *alpha, beta = *beta] {
    cblas_sgemm(CblasColMajor, cblas(op_a), cblas(op_b), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  });
}
cublasStatus_t cublasDgemm(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
                           const double* alpha, const double* a, int lda, const double* b, int ldb, const double* beta,
                           double* c, int ldc) {
  return submitted(handle, gemm_fits(op_a, op_b, m, n, k, lda, ldb, ldc), [=, alpha = *alpha, beta = *beta] {
    cblas_dgemm(CblasColMajor, cblas(op_a), cblas(op_b), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  });
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                                         int n, int k, const float* alpha, const float* a, int lda, long long stride_a,
                                         const float* b, int ldb, long long stride_b, const float* beta, float* c,
                                         int ldc, long long stride_c, int count) {
  auto status = checked(handle, count >= 0, [] {});
  for (int i = 0; i < count && status == CUBLAS_STATUS_SUCCESS; ++i)
    status = cublasSgemm(handle, op_a, op_b, m, n, k, alpha, a + i * stride_a, lda, b + i * stride_b, ldb, beta,
                         c + i * stride_c, ldc);
  return status;
}
cublasStatus_t cublasDgemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                                         int n, int k, const double* alpha, const double* a, int lda,
                                         long long stride_a, const double* b, int ldb, long long stride_b,
                                         const double* beta, double* c, int ldc, long long stride_c, int count) {
  auto status = checked(handle, count >= 0, [] {});
  for (int i = 0; i < count && status == CUBLAS_STATUS_SUCCESS; ++i)
    status = cublasDgemm(handle, op_a, op_b, m, n, k, alpha, a + i * stride_a, lda, b + i * stride_b, ldb, beta,
                         c + i * stride_c, ldc);
  return status;
}

cublasStatus_t cublasSgemv(cublasHandle_t handle, cublasOperation_t op, int m, int n, const float* alpha,
                           const float* a, int lda, const float* x, int incx, const float* beta, float* y, int incy) {
  return submitted(handle, m >= 0 && n >= 0 && leads(lda, m) && incx != 0 && incy != 0,
                   [=, alpha = *alpha, beta = *beta] {
                     cblas_sgemv(CblasColMajor, cblas(op), m, n, alpha, a, lda, x, incx, beta, y, incy);
                   });
}
cublasStatus_t cublasDgemv(cublasHandle_t handle, cublasOperation_t op, int m, int n, const double* alpha,
                           const double* a, int lda, const double* x, int incx, const double* beta, double* y,
                           int incy) {
  return submitted(handle, m >= 0 && n >= 0 && leads(lda, m) && incx != 0 && incy != 0,
                   [=, alpha = *alpha, beta = *beta] {
                     cblas_dgemv(CblasColMajor, cblas(op), m, n, alpha, a, lda, x, incx, beta, y, incy);
                   });
}

cublasStatus_t cublasSsyrk(cublasHandle_t handle, cublasFillMode_t fill, cublasOperation_t op, int n, int k,
                           const float* alpha, const float* a, int lda, const float* beta, float* c, int ldc) {
  return submitted(handle, n >= 0 && k >= 0 && leads(lda, op == CUBLAS_OP_N ? n : k) && leads(ldc, n),
                   [=, alpha = *alpha, beta = *beta] {
                     cblas_ssyrk(CblasColMajor, cblas(fill), cblas(op), n, k, alpha, a, lda, beta, c, ldc);
                   });
}
cublasStatus_t cublasDsyrk(cublasHandle_t handle, cublasFillMode_t fill, cublasOperation_t op, int n, int k,
                           const double* alpha, const double* a, int lda, const double* beta, double* c, int ldc) {
  return submitted(handle, n >= 0 && k >= 0 && leads(lda, op == CUBLAS_OP_N ? n : k) && leads(ldc, n),
                   [=, alpha = *alpha, beta = *beta] {
                     cblas_dsyrk(CblasColMajor, cblas(fill), cblas(op), n, k, alpha, a, lda, beta, c, ldc);
                   });
}

cublasStatus_t cublasStrsm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t fill, cublasOperation_t op,
                           cublasDiagType_t diag, int m, int n, const float* alpha, const float* a, int lda, float* b,
                           int ldb) {
  return submitted(
      handle, m >= 0 && n >= 0 && leads(lda, side == CUBLAS_SIDE_LEFT ? m : n) && leads(ldb, m), [=, alpha = *alpha] {
        cblas_strsm(CblasColMajor, cblas(side), cblas(fill), cblas(op), cblas(diag), m, n, alpha, a, lda, b, ldb);
      });
}
cublasStatus_t cublasDtrsm(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t fill, cublasOperation_t op,
                           cublasDiagType_t diag, int m, int n, const double* alpha, const double* a, int lda,
                           double* b, int ldb) {
  return submitted(
      handle, m >= 0 && n >= 0 && leads(lda, side == CUBLAS_SIDE_LEFT ? m : n) && leads(ldb, m), [=, alpha = *alpha] {
        cblas_dtrsm(CblasColMajor, cblas(side), cblas(fill), cblas(op), cblas(diag), m, n, alpha, a, lda, b, ldb);
      });
}
