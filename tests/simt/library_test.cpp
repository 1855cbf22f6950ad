// The stand-ins of cuBLAS and cuSOLVER on small integers, where every result is exact.

#include <cublas_v2.h>
#include <cusolverDn.h>

#include "test_support.hpp"

using namespace simt::test;

namespace {

class Libraries : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cublasCreate(&blas), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cusolverDnCreate(&solver), CUSOLVER_STATUS_SUCCESS);
  }
  void TearDown() override {
    EXPECT_EQ(cublasDestroy(blas), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cusolverDnDestroy(solver), CUSOLVER_STATUS_SUCCESS);
  }
  cublasHandle_t blas = nullptr;
  cusolverDnHandle_t solver = nullptr;
};

TEST_F(Libraries, Gemm) {
  const DeviceVector<float> a({1, 2, 3, 4, 5, 6}), b({1, 0, 2, -1, 3, 1}), c(4);  // A [2][3], B [3][2], by columns
  const float one = 1, zero = 0;
  EXPECT_EQ(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 3, &one, a.data(), 2, b.data(), 3, &zero, c.data(), 2),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(c.values(), (std::vector<float>{11, 14, 13, 16}));
  EXPECT_EQ(cublasSgemm(blas, CUBLAS_OP_T, CUBLAS_OP_T, 3, 3, 2, &one, a.data(), 2, b.data(), 2, &zero, c.data(), 3),
            CUBLAS_STATUS_INVALID_VALUE);  // B as [3][2] has a leading dimension of 3
  EXPECT_EQ(cublasSgemm(nullptr, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 3, &one, a.data(), 2, b.data(), 3, &zero, c.data(), 2),
            CUBLAS_STATUS_NOT_INITIALIZED);
}

TEST_F(Libraries, StridedBatches) {
  const DeviceVector<double> a({1, 2, 3, 4}), b({5, 6, 7, 8}), c(std::vector<double>{1, 1});
  const double one = 1;
  EXPECT_EQ(cublasDgemmStridedBatched(blas, CUBLAS_OP_T, CUBLAS_OP_N, 1, 1, 2, &one, a.data(), 2, 2, b.data(), 2, 2,
                                      &one, c.data(), 1, 1, 2),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(c.values(), (std::vector<double>{18, 54}));
}

TEST_F(Libraries, SyrkGemvTrsm) {
  const DeviceVector<double> a({1, 2, 3, 4}), c(std::vector<double>(4, -7)), y(2);  // A = [1 3; 2 4]
  const double one = 1, zero = 0;
  EXPECT_EQ(cublasDsyrk(blas, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, 2, 2, &one, a.data(), 2, &zero, c.data(), 2),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(c.values(), (std::vector<double>{10, 14, -7, 20}));
  EXPECT_EQ(cublasDgemv(blas, CUBLAS_OP_T, 2, 2, &one, a.data(), 2, a.data(), 1, &zero, y.data(), 1),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(y.values(), (std::vector<double>{5, 11}));
  EXPECT_EQ(cublasDtrsm(blas, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, CUBLAS_DIAG_NON_UNIT, 2, 1, &one,
                        a.data(), 2, y.data(), 2),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(y.values(), (std::vector<double>{5, 0.25}));
}

TEST_F(Libraries, Cholesky) {
  const DeviceVector<float> a({4, 2, 2, 5}), b({8, 14});  // L = [2; 1 2]
  const DeviceVector<int> info(1);
  int size = 0;
  ASSERT_EQ(cusolverDnSpotrf_bufferSize(solver, CUBLAS_FILL_MODE_LOWER, 2, a.data(), 2, &size),
            CUSOLVER_STATUS_SUCCESS);
  const DeviceVector<float> work(static_cast<std::size_t>(size));
  EXPECT_EQ(cusolverDnSpotrf(solver, CUBLAS_FILL_MODE_LOWER, 2, a.data(), 2, work.data(), size, info.data()),
            CUSOLVER_STATUS_SUCCESS);
  EXPECT_EQ(info.values()[0], 0);
  EXPECT_EQ(a.values(), (std::vector<float>{2, 1, 2, 2}));
  EXPECT_EQ(cusolverDnSpotrs(solver, CUBLAS_FILL_MODE_LOWER, 2, 1, a.data(), 2, b.data(), 2, info.data()),
            CUSOLVER_STATUS_SUCCESS);
  EXPECT_EQ(b.values(), (std::vector<float>{0.75f, 2.5f}));
}

TEST_F(Libraries, CholeskyOfAnIndefiniteMatrixTellsTheMinor) {
  const DeviceVector<double> a({1, 2, 2, 1});
  const DeviceVector<int> info(1);
  int size = 0;
  cusolverDnDpotrf_bufferSize(solver, CUBLAS_FILL_MODE_UPPER, 2, a.data(), 2, &size);
  const DeviceVector<double> work(static_cast<std::size_t>(size));
  EXPECT_EQ(cusolverDnDpotrf(solver, CUBLAS_FILL_MODE_UPPER, 2, a.data(), 2, work.data(), size, info.data()),
            CUSOLVER_STATUS_SUCCESS);
  EXPECT_EQ(info.values()[0], 2);
}

}  // namespace
