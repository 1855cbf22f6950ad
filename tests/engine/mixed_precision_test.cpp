// What products in single precision cost in number, and what directions that are kept save. CPU alone: solver_test.cpp and
// the kernels' own tests run every backend.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/matrix_objective.hpp"
#include "engine/solve.hpp"

namespace clout::test {
namespace {

using Doubles = std::vector<double>;

/// Iterations that textbook conjugate gradients in double take to a recurred residual of `tolerance`: shares no line with
/// the product.
Index textbook_iterations(const oracle::Matrix& matrix, const oracle::Vector& right, double tolerance) {
  const std::size_t n = right.size();
  const auto dot = [n](const Doubles& a, const Doubles& b) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
  };
  Doubles r(right.begin(), right.end()), p = r, q(n);
  double rho = dot(r, r);
  const double target = tolerance * tolerance * rho;
  Index done = 0;
  for (; rho > target; ++done) {
    for (std::size_t i = 0; i < n; ++i) {
      q[i] = 0;
      for (std::size_t j = 0; j < n; ++j) q[i] += static_cast<double>(matrix[i][j]) * p[j];
    }
    const double alpha = rho / dot(p, q);
    for (std::size_t i = 0; i < n; ++i) r[i] -= alpha * q[i];
    const double next = dot(r, r);
    for (std::size_t i = 0; i < n; ++i) p[i] = r[i] + next / rho * p[i];
    rho = next;
  }
  return done;
}

/// A few large eigenvalues and a long tail, as Hessians of losses have: 1, 1/2, … and then evenly in their logarithms.
oracle::Vector hessian_like(std::size_t size, double condition) {
  oracle::Vector values;
  for (std::size_t i = 0; i < size; ++i)
    values.push_back(std::pow(condition, -std::pow(static_cast<double>(i) / static_cast<double>(size - 1), 0.4)));
  return values;
}

oracle::Matrix random_vectors(std::size_t count, std::size_t size) {
  oracle::Matrix v(count, oracle::Vector(size));
  std::mt19937 random(7);
  for (auto& row : v)
    for (auto& value : row) value = static_cast<double>(random() % 2001) / 1000 - 1;
  return v;
}

struct Problem {
  double condition, tolerance;
  double plain_block;  // products of block CG in double that keeps no directions, for SoDoBlocks: counted with that taken out
};
class MixedPrecisionTest : public ::testing::TestWithParam<Problem> {
 protected:
  static constexpr std::size_t kSize = 240;
  std::unique_ptr<Device> device_ = make_device("cpu");
  oracle::Matrix matrix_ = with_eigenvalues(hessian_like(kSize, GetParam().condition));
  MatrixObjective<float> fast_{*device_, matrix_};
  MatrixObjective<double> exact_{*device_, matrix_};
};

TEST_P(MixedPrecisionTest, SinglePrecisionTakesAtMostAFifthMoreProducts) {
  const double tolerance = GetParam().tolerance;
  const oracle::Matrix v = random_vectors(3, kSize);
  const Solved in_single = solve(*make_conjugate_gradient<float>(fast_, exact_, 0, tolerance), v);
  const Solved in_double = solve(*make_conjugate_gradient<double>(exact_, exact_, 0, tolerance), v);
  for (std::size_t j = 0; j < v.size(); ++j) {
    // The certified loop asks its inner solver for half of the tolerance.
    const auto textbook = static_cast<double>(textbook_iterations(matrix_, v[j], tolerance / 2));
    const ColumnReport &fast = in_single.report.columns[j], &exact = in_double.report.columns[j];
    EXPECT_EQ(fast.status, ColumnStatus::converged) << in_single.report.first_failure();
    EXPECT_EQ(exact.status, ColumnStatus::converged) << in_double.report.first_failure();
    EXPECT_LE(true_residual(matrix_, 0, in_single.solutions[j], v[j]), 1.01 * tolerance);
    EXPECT_LE(static_cast<double>(fast.iterations), 1.2 * textbook);
    EXPECT_LE(static_cast<double>(exact.iterations), textbook);
  }
}

TEST_P(MixedPrecisionTest, SoDoBlocks) {
  const double tolerance = GetParam().tolerance;
  const oracle::Matrix v = random_vectors(6, kSize);
  const Solved in_single = solve(*make_block_conjugate_gradient<float>(fast_, exact_, 0, tolerance), v);
  const Solved in_double = solve(*make_block_conjugate_gradient<double>(exact_, exact_, 0, tolerance), v);
  EXPECT_TRUE(in_single.report.certified()) << in_single.report.first_failure();
  EXPECT_TRUE(in_double.report.certified()) << in_double.report.first_failure();
  for (std::size_t j = 0; j < v.size(); ++j)
    EXPECT_LE(true_residual(matrix_, 0, in_single.solutions[j], v[j]), 1.01 * tolerance);
  EXPECT_LE(static_cast<double>(in_single.report.products), 1.2 * GetParam().plain_block);
  EXPECT_LE(static_cast<double>(in_double.report.products), GetParam().plain_block);
}

INSTANTIATE_TEST_SUITE_P(Conditions, MixedPrecisionTest,
                         ::testing::Values(Problem{1e3, 1e-12, 408}, Problem{1e4, 1e-12, 552},
                                           Problem{1e5, 1e-10, 690}),
                         [](const auto& problem) {
                           return "E" + std::to_string(std::lround(std::log10(problem.param.condition)));
                         });

// What was kept for some right-hand sides is of no use to the bits of others.
TEST_P(MixedPrecisionTest, NothingIsKeptFromOneSolveToTheNext) {
  const oracle::Matrix v = random_vectors(2, kSize), other = {v[1]}, one = {v[0]};
  for (const bool in_blocks : {false, true}) {
    const auto make = [&] {
      return in_blocks ? make_block_conjugate_gradient<float>(fast_, exact_, 0, 1e-8)
                       : make_conjugate_gradient<float>(fast_, exact_, 0, 1e-8);
    };
    const auto used = make(), fresh = make();
    solve(*used, other);
    EXPECT_EQ(solve(*used, one).solutions, solve(*fresh, one).solutions);
  }
}

}  // namespace
}  // namespace clout::test
