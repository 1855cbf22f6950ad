// cholesky_factor and cholesky_solve.

#include "problem.hpp"

namespace clout::test {
namespace {

// BBᵀ with B lower triangular, integer, unit or double diagonal: the Cholesky factor is B itself.
template <class T>
struct Factored {
  std::vector<T> factor, matrix;
  explicit Factored(Index size) : factor(static_cast<std::size_t>(size * size)), matrix(factor.size()) {
    std::mt19937 random(4);
    for (Index i = 0; i < size; ++i) {
      for (Index j = std::max<Index>(0, i - 6); j < i; ++j) factor[i * size + j] = static_cast<T>(random() % 3) - 1;
      factor[i * size + i] = static_cast<T>(1 + random() % 2);
    }
    for (Index i = 0; i < size; ++i)
      for (Index j = 0; j < size; ++j)
        for (Index l = 0; l <= std::min(i, j); ++l) matrix[i * size + j] += factor[i * size + l] * factor[j * size + l];
  }
};

template <class C>
class CholeskyTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;
  Index factor(Guarded<Number>& matrix, Index size) {
    Index failed_at = -1;
    this->kernels().cholesky_factor(this->device(), {matrix.view(size, size), &failed_at});
    this->device().synchronize();
    return failed_at;
  }
};
TYPED_TEST_SUITE(CholeskyTest, Cases, CaseName);

const std::vector<Index> kOrders = {1, 2, 13, 64, 130, kSmall ? 65 : 301};

TYPED_TEST(CholeskyTest, IntegerFactorIsFoundExactly) {
  using T = typename TypeParam::Number;
  for (const Index size : kOrders) {
    const Factored<T> made(size);
    Guarded<T> matrix(this->device(), made.matrix);
    ASSERT_EQ(this->factor(matrix, size), 0);
    const auto got = matrix.to_host();
    for (Index i = 0; i < size; ++i)
      for (Index j = 0; j <= i; ++j)
        ASSERT_EQ(got[i * size + j], made.factor[i * size + j]) << size << ": " << i << "," << j;
  }
}

TYPED_TEST(CholeskyTest, SolvesManyRightHandSides) {
  using T = typename TypeParam::Number;
  for (const Index size : kOrders)
    for (const Index k : {1, 3, 40}) {
      // Diagonally dominant, so well conditioned: ‖A⁻¹‖∞ ≤ 1.
      std::vector<T> host(static_cast<std::size_t>(size * size));
      for (Index i = 0; i < size; ++i)
        for (Index j = 0; j < size; ++j)
          host[i * size + j] = i == j ? T(2) : T(0.9) / static_cast<T>(size) * std::sin(static_cast<T>(i + j));
      std::vector<T> right(static_cast<std::size_t>(k * size));
      for (std::size_t i = 0; i < right.size(); ++i) right[i] = std::cos(static_cast<T>(i));
      Guarded<T> matrix(this->device(), host), x(this->device(), right);
      ASSERT_EQ(this->factor(matrix, size), 0);
      this->kernels().cholesky_solve(this->device(), {matrix.view(size, size), x.view(k, size)});
      const auto got = x.to_host();
      // Backward stable (Higham 2002, theorem 10.4): |b − A x̂| ≤ γ_{3n+1} |L||Lᵀ||x̂|, and |L||Lᵀ| ≤ 3 in norm here.
      const Real bound = static_cast<Real>(3 * size + 1) * Bounded<T>::kEps * 3;
      for (Index j = 0; j < k; ++j) {
        Real largest = 0;
        for (Index i = 0; i < size; ++i) largest = std::max(largest, std::fabs(static_cast<Real>(got[j * size + i])));
        for (Index i = 0; i < size; ++i) {
          Real residual = right[j * size + i];
          for (Index l = 0; l < size; ++l)
            residual -= static_cast<Real>(host[i * size + l]) * static_cast<Real>(got[j * size + l]);
          ASSERT_LE(std::fabs(residual), bound * largest) << size << ", " << k << " right-hand sides";
        }
      }
    }
}

TYPED_TEST(CholeskyTest, FailureNamesTheLeadingMinor) {
  using T = typename TypeParam::Number;
  const Index size = 130;
  for (const Index bad : {0, 1, 63, 64, 129})
    for (const T value : {T(-1), T(0), std::numeric_limits<T>::quiet_NaN()}) {
      std::vector<T> host(static_cast<std::size_t>(size * size));
      for (Index i = 0; i < size; ++i) host[i * size + i] = i == bad ? value : T(2);
      Guarded<T> matrix(this->device(), host);
      ASSERT_EQ(this->factor(matrix, size), bad + 1) << value;
    }
}

}  // namespace
}  // namespace clout::test
