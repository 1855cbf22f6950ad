// Conjugate gradients whose first directions are kept, and those with a preconditioner.

#include "conjugate_gradient_case.hpp"

namespace clout::test {
namespace {

template <class C>
using KeptDirectionsTest = KernelTest<C>;
TYPED_TEST_SUITE(KeptDirectionsTest, Cases, CaseName);

// pᵀq_i = 0 and rᵀp_i = 0 for all that is kept, but for rounding of p and r themselves; a column that does not run keeps
// nothing.
TYPED_TEST(KeptDirectionsTest, LaterDirectionsStayConjugateToTheFirst) {
  using T = typename TypeParam::Number;
  const Index k = 3, size = 67;
  auto right = random_right<T>(k, size);
  std::fill(right.begin() + size, right.begin() + 2 * size, T(0));  // column 1 is done at once
  Solve<T> solve(this->device(), spread_matrix(size), right, k, size, 0);
  solve.keep();
  solve.start();
  solve.iterate(2);
  const auto early = solve.kept();
  EXPECT_EQ(early.count, (std::vector<std::int32_t>{2, 0, 2}));
  solve.iterate(78);  // r has fallen far by then
  const auto kept = solve.kept();
  EXPECT_EQ(kept.count, (std::vector<std::int32_t>{Solve<T>::kKept, 0, Solve<T>::kKept}));
  EXPECT_TRUE(std::isnan(kept.p[Solve<T>::kKept * size]));  // column 1's are as they were
  const auto after = solve.look();
  const Real eps = std::numeric_limits<T>::epsilon();
  for (const Index j : {Index{0}, Index{2}}) {
    ASSERT_EQ(after.status[j], kRunning);
    for (Index i = 0; i < Solve<T>::kKept; ++i) {
      const Index at = (j * Solve<T>::kKept + i) * size;
      EXPECT_TRUE(i >= 2 || std::equal(kept.p.begin() + at, kept.p.begin() + at + size, early.p.begin() + at));
      EXPECT_NEAR(kept.curvature[at / size], static_cast<double>(row_dot(kept.p, at, kept.q, at, size)),
                  1e-12 * kept.curvature[at / size]);
      const auto cosine = [&, row = j * size](const std::vector<T>& a, const std::vector<T>& b) {
        return std::abs(row_dot(a, at, b, row, size)) / std::sqrt(row_dot(a, at, a, at, size) * row_dot(b, row, b, row, size));
      };
      EXPECT_LE(cosine(kept.q, after.p), 16 * eps) << i;
      EXPECT_LE(cosine(kept.p, after.r), 16 * eps) << i;
    }
  }
}

// What is left of the same right-hand side, or another: its part along the kept directions is solved for at once.
TYPED_TEST(KeptDirectionsTest, AStartGoesOnWithWhatWasKept) {
  using T = typename TypeParam::Number;
  const Index size = 9;  // fewer than are kept: nothing is left to iterate for
  const auto matrix = random_matrix(size);
  Solve<T> solve(this->device(), matrix, random_right<T>(2, size), 2, size, 0);
  solve.keep();
  solve.start();
  solve.iterate(size);
  auto right = random_right<T>(2, size);
  std::reverse(right.begin(), right.end());
  solve.restart(right);
  solve.start();
  const auto after = solve.look();
  const double eps = std::numeric_limits<T>::epsilon();
  for (Index j = 0; j < 2; ++j) {
    const double before = std::sqrt(static_cast<double>(row_dot(right, j * size, right, j * size, size)));
    EXPECT_LE(std::sqrt(after.rho[j]), 200 * eps * before);  // eigenvalues in [1, 5), nine projections
    EXPECT_EQ(after.iterations[j], 0);
    for (Index i = 0; i < size; ++i) {
      Real rest = right[j * size + i];
      for (Index l = 0; l < size; ++l) rest -= matrix[i * size + l] * static_cast<Real>(after.x[j * size + l]);
      EXPECT_NEAR(static_cast<double>(rest), 0, 400 * eps * before);
    }
  }
}

TYPED_TEST(KeptDirectionsTest, ADirectionOfNextToNoCurvatureIsNotKept) {
  using T = typename TypeParam::Number;
  const Real flat = std::numeric_limits<T>::epsilon();
  for (const Real second : {flat, 1000 * flat}) {
    Solve<T> solve(this->device(), {1, 0, 0, second}, {1, 1}, 1, 2, 0);
    solve.keep();
    solve.start();
    solve.iterate(2);
    EXPECT_EQ(solve.kept().count[0], second == flat ? 1 : 2);  // the first has quotient 1/2
  }
}

// With P = 1e34 A one step is the solution; what is judged is r, not ρ = rᵀz, which is small from the beginning.
TYPED_TEST(KeptDirectionsTest, APreconditionerChangesDirectionsNotWhatIsJudged) {
  using T = typename TypeParam::Number;
  const Index k = 2, size = 31;
  const auto matrix = spread_matrix(size);
  std::vector<Real> diagonal;
  for (Index i = 0; i < size; ++i) diagonal.push_back(1e34L * matrix[i * size + i]);
  const double eps = std::numeric_limits<T>::epsilon(), target = 50 * eps;
  Solve<T> solve(this->device(), matrix, random_right<T>(k, size), k, size, target);
  solve.precondition(diagonal);
  solve.start();
  EXPECT_EQ(solve.look().status, (std::vector<std::int32_t>{kRunning, kRunning}));
  solve.iterate(2);
  const auto after = solve.look();
  for (Index j = 0; j < k; ++j) {
    EXPECT_EQ(after.status[j], kConverged);
    EXPECT_LE(after.iterations[j], 2);
    EXPECT_LE(std::sqrt(static_cast<double>(row_dot(after.r, j * size, after.r, j * size, size))), target);
  }
  for (Real& value : diagonal) value = -value;
  Solve<T> indefinite(this->device(), matrix, random_right<T>(k, size), k, size, target);
  indefinite.precondition(diagonal);
  indefinite.start();
  for (const auto status : indefinite.look().status) EXPECT_EQ(static_cast<ColumnStatus>(status), ColumnStatus::stagnated);
}

}  // namespace
}  // namespace clout::test
