// What solvers say where there is something to say: matrices that are indefinite, singular, or wrong.

#include "engine/matrix_objective.hpp"
#include "engine/solve.hpp"
#include "gtest/gtest.h"
#include "support/evaluate.hpp"

namespace clout::test {
namespace {

class CertificateTest : public ::testing::Test {
 protected:
  /// CG in T on (A, wrong by `fault`), certified by A itself.
  template <class T>
  Solved cg(const oracle::Matrix& a, const oracle::Matrix& v, double damping, double tolerance, double fault = 0) {
    MatrixObjective<T> fast(*device_, a, fault);
    MatrixObjective<double> exact(*device_, a);
    return solve(*make_conjugate_gradient<T>(fast, exact, damping, tolerance, 300), v);
  }
  Device& device() { return *device_; }

 private:
  std::unique_ptr<Device> device_ = make_cpu_device(1);
};

TEST_F(CertificateTest, NegativeCurvatureIsNamedWithItsRayleighQuotientAndADampingThatIsEnough) {
  const oracle::Matrix a = with_eigenvalues({-0.5, 1, 2, 3, 5});
  const oracle::Matrix v{eigenvector(5, 0)};
  const Solved solved = cg<double>(a, v, 0.125, 1e-10);
  const ColumnReport& column = solved.report.columns[0];
  EXPECT_EQ(column.status, ColumnStatus::negative_curvature);
  EXPECT_NEAR(column.smallest_rayleigh, -0.375, 1e-12);  // of A + 0.125 I
  EXPECT_FALSE(solved.report.certified());
  const std::string line = solved.report.first_failure();
  EXPECT_NE(line.find("negative_curvature"), std::string::npos) << line;
  EXPECT_NE(line.find("Rayleigh quotient -0.375"), std::string::npos) << line;
  EXPECT_NE(line.find("a damping above 0.5 "), std::string::npos) << line;
  const Solved damped = cg<double>(a, v, 0.5 * 1.001, 1e-10);
  EXPECT_TRUE(damped.report.certified()) << damped.report.first_failure();
}

TEST_F(CertificateTest, FollowingTheAdviceOnDampingEndsInACertificate) {
  const oracle::Matrix a = with_eigenvalues({-0.7, -0.2, 0.1, 1, 2, 4});
  const oracle::Matrix v{{1, -1, 2, 0.5, 1, 3}};
  double damping = 0;
  int rounds = 0;
  Solved solved = cg<double>(a, v, damping, 1e-10);
  for (; !solved.report.certified() && rounds < 20; ++rounds) {
    const ColumnReport& column = solved.report.columns[0];
    ASSERT_EQ(column.status, ColumnStatus::negative_curvature);
    // A quotient is never below the smallest eigenvalue: the advice never asks for more than is needed.
    EXPECT_GE(column.smallest_rayleigh, -0.7 + damping - 1e-12);
    EXPECT_LE(column.smallest_rayleigh, 0);
    damping = 1.01 * (damping - column.smallest_rayleigh) + 1e-3;
    solved = cg<double>(a, v, damping, 1e-10);
  }
  EXPECT_GT(rounds, 0);
  EXPECT_LT(rounds, 20);
  EXPECT_LE(true_residual(a, damping, solved.solutions[0], v[0]), 1e-10);
}

TEST_F(CertificateTest, AColumnThatFailsDoesNotDisturbItsNeighbours) {
  const oracle::Matrix a = with_eigenvalues({-0.5, 1, 2, 3, 5});
  const oracle::Matrix v{oracle::add_scaled(eigenvector(5, 1), 2, eigenvector(5, 3)), eigenvector(5, 0)};
  const Solved solved = cg<double>(a, v, 0, 1e-8);
  EXPECT_EQ(solved.report.columns[1].status, ColumnStatus::negative_curvature);
  EXPECT_EQ(solved.report.columns[0].status, ColumnStatus::converged) << solved.report.first_failure();
  EXPECT_LE(true_residual(a, 0, solved.solutions[0], v[0]), 1e-8);
}

TEST_F(CertificateTest, ASingularMatrixIsSolvedWithinItsRangeAndRefusedOutside) {
  const oracle::Matrix a = with_eigenvalues({0, 1, 2, 3, 5});
  const oracle::Vector outside = eigenvector(5, 0);
  const oracle::Vector inside = oracle::add_scaled(eigenvector(5, 1), 2, eigenvector(5, 3));
  const oracle::Matrix v{inside, oracle::add_scaled(inside, 0.5, outside), outside};
  for (const Solved& solved : {cg<double>(a, v, 0, 1e-9), cg<float>(a, v, 0, 1e-9)}) {
    EXPECT_EQ(solved.report.columns[0].status, ColumnStatus::converged) << solved.report.first_failure();
    EXPECT_LE(true_residual(a, 0, solved.solutions[0], v[0]), 1e-9);
    for (const std::size_t j : {std::size_t{1}, std::size_t{2}}) {
      EXPECT_NE(solved.report.columns[j].status, ColumnStatus::converged);
      EXPECT_GT(solved.report.columns[j].relative_residual, 1e-9);
    }
    EXPECT_FALSE(solved.report.certified());
  }
}

TEST_F(CertificateTest, WrongProductsNeverGetAFalseCertificate) {
  const oracle::Matrix a = with_eigenvalues({0.2, 0.5, 1, 2, 3, 5, 8});
  const oracle::Matrix v{{1, 2, 3, 4, 5, 6, 7}, {1, -1, 1, -1, 1, -1, 1}, eigenvector(7, 0)};
  int certified = 0, refused = 0;
  for (const double fault : {1e-6, 1e-4, 1e-2, 0.5, 0.99, 2.0}) {
    const auto look = [&](const Solved& solved) {
      for (std::size_t j = 0; j < v.size(); ++j) {
        const ColumnReport& column = solved.report.columns[j];
        const double residual = true_residual(a, 0.1, solved.solutions[j], v[j]);
        const bool converged = column.status == ColumnStatus::converged;
        (converged ? certified : refused) += 1;
        if (converged) {
          EXPECT_LE(residual, 1e-10) << "fault " << fault;
        }
        // Refinement divides the error by some 1 / (condition · fault) a round: these must be reached, honestly.
        if (fault <= 1e-4) {
          EXPECT_TRUE(converged) << solved.report.first_failure() << ", fault " << fault;
          EXPECT_GE(column.refinements, 2);
        }
      }
    };
    look(cg<double>(a, v, 0.1, 1e-10, fault));
    look(cg<float>(a, v, 0.1, 1e-10, fault));
  }
  EXPECT_GT(certified, 0);
  EXPECT_GT(refused, 0) << "a product that is wrong by a factor of 3 must not do";
}

TEST_F(CertificateTest, AFactorOfAnotherMatrixIsFoundOut) {
  const oracle::Matrix a = with_eigenvalues({0.2, 1, 2, 3, 5}), b = with_eigenvalues({4, 0.1, 3, 9, 0.2});
  MatrixObjective<double> wrong(device(), b), exact(device(), a);
  const auto solver =
      make_direct_solver<double>(std::make_shared<HessianFactor<double>>(wrong, 0.0), exact, 0.0, 1e-10);
  const Solved solved = solve(*solver, {{1, 2, 3, 4, 5}});
  if (solved.report.certified()) {
    EXPECT_LE(true_residual(a, 0, solved.solutions[0], {1, 2, 3, 4, 5}), 1e-10);
  } else {
    EXPECT_EQ(solved.report.columns[0].status, ColumnStatus::stagnated) << solved.report.first_failure();
  }
}

TEST_F(CertificateTest, RitzEstimatesAreTheExtremeEigenvalues) {
  oracle::Vector values{0.25};
  for (int i = 0; i < 10; ++i) values.push_back(1 + 0.1L * i);
  values.push_back(7.5);
  const Solved solved = cg<double>(with_eigenvalues(values), {oracle::Vector(values.size(), 1)}, 0.5, 1e-12);
  ASSERT_TRUE(solved.report.certified());
  EXPECT_NEAR(solved.report.columns[0].smallest_eigenvalue, 0.75, 1e-8);  // of A + 0.5 I
  EXPECT_NEAR(solved.report.columns[0].largest_eigenvalue, 8.0, 1e-8);
  EXPECT_GE(solved.report.columns[0].smallest_rayleigh, 0.75 - 1e-12);

  const RitzEstimates one = ritz_estimates({0.25}, {0.0});
  EXPECT_DOUBLE_EQ(one.smallest, 4);
  EXPECT_DOUBLE_EQ(one.largest, 4);
  // diag(1, 3) from r = (1, 1): α₀ = 1/2, β₀ = 1/4, α₁ = 2/3; T = [[2, 1], [1, 2]].
  const RitzEstimates two = ritz_estimates({0.5, 2.0 / 3.0}, {0.25, 0.0});
  EXPECT_NEAR(two.smallest, 1, 1e-15);
  EXPECT_NEAR(two.largest, 3, 1e-14);
}

TEST_F(CertificateTest, TheDefaultExplicitHessianComesFromProducts) {
  oracle::Vector values;
  for (int i = 0; i < 40; ++i) values.push_back(1 + i);
  const oracle::Matrix a = with_eigenvalues(values);
  MatrixObjective<double> objective(device(), a);
  Buffer<double> matrix(device(), 40 * 40);
  objective.explicit_hessian(0.5, matrix.view(40, 40));
  oracle::Vector expected;
  for (std::size_t row = 0; row < 40; ++row)
    for (std::size_t column = 0; column < 40; ++column) expected.push_back(a[row][column] + (row == column ? 0.5L : 0));
  EXPECT_LE(relative_error(matrix.to_host(), expected), 1e-15);
  EXPECT_LE(objective.widest(), 32);  // in blocks, whatever the size
}

TEST_F(CertificateTest, TheOperatorGoesInBlocksAndCounts) {
  const oracle::Matrix a = with_eigenvalues({1, 2, 3});
  MatrixObjective<double> objective(device(), a);
  HessianOperator<double> hessian(objective, 0.25);
  const oracle::Matrix v(70, {1, 2, 3});
  const Buffer<double> vectors = upload_rows<double>(device(), v);
  Buffer<double> products(device(), 210);
  hessian.apply(vectors.view(70, 3), products.view(70, 3));
  EXPECT_EQ(hessian.products(), 70);
  EXPECT_EQ(objective.widest(), HessianOperator<double>::kBlock);
  oracle::Vector expected;
  for (int j = 0; j < 70; ++j)
    for (const long double value : oracle::add_scaled(oracle::multiply(a, v[0]), 0.25, v[0])) expected.push_back(value);
  EXPECT_LE(relative_error(products.to_host(), expected), 1e-15);
}

TEST_F(CertificateTest, AFactorRefusesAMatrixThatIsNotPositiveDefinite) {
  MatrixObjective<double> objective(device(), with_eigenvalues({-0.5, 1, 2, 3, 5}));
  try {
    const HessianFactor<double> factor(objective, 0.25);
    FAIL() << "an indefinite matrix was factorised";
  } catch (const NotCertified& error) {
    EXPECT_NE(std::string(error.what()).find("not positive definite"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("raise --l2, or --damping"), std::string::npos) << error.what();
  }
  EXPECT_NO_THROW(HessianFactor<double>(objective, 0.51));
  EXPECT_NO_THROW(HessianFactor<float>(
      *std::make_unique<MatrixObjective<float>>(device(), with_eigenvalues({-0.5, 1, 2, 3, 5})), 0.51));
}

}  // namespace
}  // namespace clout::test
