// cg_start, cg_advance, cg_direct: driven to convergence, and what each settles.

#include "conjugate_gradient_case.hpp"

namespace clout::test {
namespace {

template <class C>
using ConjugateGradientTest = KernelTest<C>;
TYPED_TEST_SUITE(ConjugateGradientTest, Cases, CaseName);

// The eigenvalues lie in [1, 1 + 4): ‖x − x*‖ ≤ ‖b − A x‖, which is the recursive residual up to its drift.
TYPED_TEST(ConjugateGradientTest, ConvergesToTheSolution) {
  using T = typename TypeParam::Number;
  for (const auto& [k, size] : std::vector<std::pair<Index, Index>>{{1, 1}, {1, 33}, {5, 61}, {9, 17}}) {
    const auto matrix = random_matrix(size);
    const auto right = random_right<T>(k, size);
    const double tolerance = 50 * static_cast<double>(std::numeric_limits<T>::epsilon());
    Solve<T> solve(this->device(), matrix, right, k, size, tolerance);
    solve.start();
    solve.iterate(kSmall ? 40 : 60);
    const auto after = solve.look();
    for (Index j = 0; j < k; ++j) {
      ASSERT_EQ(after.status[j], kConverged);
      ASSERT_LE(std::sqrt(after.rho[j]), tolerance);
      ASSERT_GE(after.rayleigh[j], 1 - 1e-6);
      ASSERT_GE(after.iterations[j], 1);
      Real residual = 0;
      for (Index i = 0; i < size; ++i) {
        Real sum = static_cast<Real>(right[j * size + i]);
        for (Index l = 0; l < size; ++l) sum -= matrix[i * size + l] * static_cast<Real>(after.x[j * size + l]);
        residual += sum * sum;
      }
      // Drift: at most about eps·(‖A‖‖x‖ + ‖r‖) per iteration (Greenbaum 1997), with ‖A‖ < 5, ‖x‖ ≤ √size.
      const double drift =
          std::numeric_limits<T>::epsilon() * 6 * std::sqrt(static_cast<double>(size)) * (after.iterations[j] + 1);
      ASSERT_LE(std::sqrt(residual), tolerance + drift) << "column " << j << " of " << k << " × " << size;
    }
  }
}

TYPED_TEST(ConjugateGradientTest, FinishedColumnsAreFrozen) {
  using T = typename TypeParam::Number;
  const Index k = 4, size = 29;
  auto right = random_right<T>(k, size);
  for (Index i = 0; i < size; ++i) right[2 * size + i] *= T(1e-3);  // done earlier than the others
  Solve<T> solve(this->device(), random_matrix(size), right, k, size, 1e-3);
  solve.start();
  solve.iterate(2);
  const auto before = solve.look();
  std::vector<Index> done, running;
  for (Index j = 0; j < k; ++j) (before.status[j] == kConverged ? done : running).push_back(j);
  ASSERT_FALSE(done.empty());
  ASSERT_FALSE(running.empty());
  solve.iterate(2);
  const auto after = solve.look();
  const auto same = [&](const auto& a, const auto& b, Index j, Index width) {
    return std::equal(a.begin() + j * width, a.begin() + (j + 1) * width, b.begin() + j * width);
  };
  for (Index j = 0; j < k; ++j) {
    const bool frozen = before.status[j] == kConverged;
    ASSERT_EQ(same(before.x, after.x, j, size), frozen) << j;
    ASSERT_EQ(same(before.r, after.r, j, size), frozen) << j;
    ASSERT_EQ(same(before.p, after.p, j, size), frozen) << j;
    ASSERT_EQ(before.rho[j] == after.rho[j], frozen) << j;
    ASSERT_EQ(before.curvature[j] == after.curvature[j], frozen) << j;
    ASSERT_EQ(before.iterations[j] == after.iterations[j], frozen) << j;
  }
}

TYPED_TEST(ConjugateGradientTest, HistoriesHoldTheCoefficients) {
  using T = typename TypeParam::Number;
  const Index k = 2, size = 23;
  Solve<T> solve(this->device(), random_matrix(size), random_right<T>(k, size), k, size, 0);
  solve.start();
  std::vector<double> alphas, betas;
  for (int i = 0; i < Solve<T>::kMost + 2; ++i) {  // the histories end before
    const auto before = solve.look();
    solve.iterate(1);
    const auto after = solve.look();
    for (Index j = 0; j < k; ++j) {
      alphas.push_back(before.rho[j] / after.curvature[j]);
      betas.push_back(after.rho[j] / before.rho[j]);
    }
  }
  alphas.resize(Solve<T>::kMost * k);
  betas.resize(Solve<T>::kMost * k);
  EXPECT_EQ(solve.alphas(), alphas);
  EXPECT_EQ(solve.betas(), betas);
}

TYPED_TEST(ConjugateGradientTest, ZeroRightHandSideIsDoneAtOnce) {
  using T = typename TypeParam::Number;
  const Index size = 12;
  auto right = random_right<T>(2, size);
  std::fill(right.begin(), right.begin() + size, T(0));
  Solve<T> solve(this->device(), random_matrix(size), right, 2, size, 0);
  solve.start();
  const auto after = solve.look();
  EXPECT_EQ(after.status, (std::vector<std::int32_t>{kConverged, kRunning}));
  EXPECT_EQ(after.iterations, (std::vector<std::int32_t>{0, 0}));
  EXPECT_EQ(after.rho[0], 0.0);
  EXPECT_EQ(after.rayleigh[1], std::numeric_limits<double>::infinity());
  EXPECT_EQ(after.p, right);
}

TYPED_TEST(ConjugateGradientTest, NegativeCurvatureNamesTheRayleighQuotient) {
  using T = typename TypeParam::Number;
  const Index size = 4;
  std::vector<Real> matrix(16);
  const Real diagonal[] = {1, 2, -3, 1};
  for (Index i = 0; i < size; ++i) matrix[i * size + i] = diagonal[i];
  const std::vector<T> right = {0, 0, 2, 0, 1, 1, 0, 0};  // column 0 meets −3 at once, column 1 never
  Solve<T> solve(this->device(), matrix, right, 2, size, 0);
  solve.start();
  solve.iterate(1);
  const auto after = solve.look();
  EXPECT_EQ(after.status, (std::vector<std::int32_t>{kNegative, kRunning}));
  EXPECT_EQ(after.rayleigh[0], -3.0);
  EXPECT_EQ(after.curvature[0], -12.0);
  EXPECT_EQ(after.rayleigh[1], 1.5);
  EXPECT_EQ(after.iterations, (std::vector<std::int32_t>{0, 1}));
  for (Index i = 0; i < size; ++i) EXPECT_EQ(after.x[i], T(0));
}

TYPED_TEST(ConjugateGradientTest, NanIsFoundWhereverItIs) {
  using T = typename TypeParam::Number;
  const Index size = 40;
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
    auto right = random_right<T>(2, size);
    right[size + 37] = bad;
    Solve<T> at_start(this->device(), random_matrix(size), right, 2, size, 1e-3);
    at_start.start();
    EXPECT_EQ(at_start.look().status, (std::vector<std::int32_t>{kRunning, kNotFinite}));

    auto matrix = random_matrix(size);
    matrix[5] = static_cast<Real>(bad);
    Solve<T> on_the_way(this->device(), matrix, random_right<T>(2, size), 2, size, 1e-3);
    on_the_way.start();
    on_the_way.iterate(1);
    EXPECT_EQ(on_the_way.look().status, (std::vector<std::int32_t>{kNotFinite, kNotFinite}));
  }
}

}  // namespace
}  // namespace clout::test
