// cuSOLVER's Cholesky and eigenvalues over LAPACK.

#include <lapack.h>

#include <algorithm>

#include "blas_threads.hpp"
#include "cusolverDn.h"
#include "runtime.hpp"

struct cusolverDnContext {
  cudaStream_t stream = nullptr;
};

namespace {

constexpr int kWork = 64;  // any size: it is asked for and checked, not used

char lapack(cublasFillMode_t fill) { return fill == CUBLAS_FILL_MODE_LOWER ? 'L' : 'U'; }

template <class Body>
cusolverStatus_t checked(cusolverDnHandle_t handle, bool holds, Body body) {
  if (!handle) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!holds) return CUSOLVER_STATUS_INVALID_VALUE;
  if (handle->stream && handle->stream->captured_into && simt::detail::forbid_in_capture() != cudaSuccess)
    return CUSOLVER_STATUS_INTERNAL_ERROR;  // simt captures no factorisations
  const simt::detail::SingleThreadedBlas single;
  body();
  return CUSOLVER_STATUS_SUCCESS;
}

bool is_square(int n, int lda) { return n >= 0 && lda >= std::max(1, n); }

}  // namespace

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle) {
  if (!handle) return CUSOLVER_STATUS_INVALID_VALUE;
  *handle = new cusolverDnContext;
  return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle) {
  return checked(handle, true, [&] { delete handle; });
}
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream) {
  return checked(handle, simt::detail::is_stream(stream), [&] { handle->stream = stream; });
}

cusolverStatus_t cusolverDnSpotrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t, int n, float*, int lda,
                                             int* work_size) {
  return checked(handle, is_square(n, lda) && work_size, [&] { *work_size = kWork; });
}
cusolverStatus_t cusolverDnDpotrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t, int n, double*, int lda,
                                             int* work_size) {
  return checked(handle, is_square(n, lda) && work_size, [&] { *work_size = kWork; });
}
cusolverStatus_t cusolverDnSpotrf(cusolverDnHandle_t handle, cublasFillMode_t fill, int n, float* a, int lda,
                                  float* work, int work_size, int* info) {
  return checked(handle, is_square(n, lda) && work && work_size >= kWork && info, [&] {
    const char triangle = lapack(fill);
    LAPACK_spotrf(&triangle, &n, a, &lda, info);
  });
}
cusolverStatus_t cusolverDnDpotrf(cusolverDnHandle_t handle, cublasFillMode_t fill, int n, double* a, int lda,
                                  double* work, int work_size, int* info) {
  return checked(handle, is_square(n, lda) && work && work_size >= kWork && info, [&] {
    const char triangle = lapack(fill);
    LAPACK_dpotrf(&triangle, &n, a, &lda, info);
  });
}
cusolverStatus_t cusolverDnSpotrs(cusolverDnHandle_t handle, cublasFillMode_t fill, int n, int columns, const float* a,
                                  int lda, float* b, int ldb, int* info) {
  return checked(handle, is_square(n, lda) && columns >= 0 && ldb >= std::max(1, n) && info, [&] {
    const char triangle = lapack(fill);
    LAPACK_spotrs(&triangle, &n, &columns, a, &lda, b, &ldb, info);
  });
}
cusolverStatus_t cusolverDnDpotrs(cusolverDnHandle_t handle, cublasFillMode_t fill, int n, int columns, const double* a,
                                  int lda, double* b, int ldb, int* info) {
  return checked(handle, is_square(n, lda) && columns >= 0 && ldb >= std::max(1, n) && info, [&] {
    const char triangle = lapack(fill);
    LAPACK_dpotrs(&triangle, &n, &columns, a, &lda, b, &ldb, info);
  });
}

cusolverStatus_t cusolverDnSsyevd_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t, cublasFillMode_t, int n,
                                             const float*, int lda, const float*, int* work_size) {
  return checked(handle, is_square(n, lda) && work_size, [&] { *work_size = 3 * n + kWork; });
}
cusolverStatus_t cusolverDnDsyevd_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t, cublasFillMode_t, int n,
                                             const double*, int lda, const double*, int* work_size) {
  return checked(handle, is_square(n, lda) && work_size, [&] { *work_size = 3 * n + kWork; });
}
cusolverStatus_t cusolverDnSsyevd(cusolverDnHandle_t handle, cusolverEigMode_t mode, cublasFillMode_t fill, int n,
                                  float* a, int lda, float* values, float* work, int work_size, int* info) {
  return checked(handle, is_square(n, lda) && values && work && work_size >= 3 * n + kWork && info, [&] {
    const char job = mode == CUSOLVER_EIG_MODE_VECTOR ? 'V' : 'N', triangle = lapack(fill);
    LAPACK_ssyev(&job, &triangle, &n, a, &lda, values, work, &work_size, info);
  });
}
cusolverStatus_t cusolverDnDsyevd(cusolverDnHandle_t handle, cusolverEigMode_t mode, cublasFillMode_t fill, int n,
                                  double* a, int lda, double* values, double* work, int work_size, int* info) {
  return checked(handle, is_square(n, lda) && values && work && work_size >= 3 * n + kWork && info, [&] {
    const char job = mode == CUSOLVER_EIG_MODE_VECTOR ? 'V' : 'N', triangle = lapack(fill);
    LAPACK_dsyev(&job, &triangle, &n, a, &lda, values, work, &work_size, info);
  });
}
