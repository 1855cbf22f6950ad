// Block conjugate gradients on matrices whose eigenvalues are known. CPU alone: solver_test.cpp runs every backend.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include <clout/engine/solver_choice.hpp>

#include "engine/matrix_objective.hpp"
#include "engine/solve.hpp"
#include "support/evaluate.hpp"

namespace clout::test {
namespace {

template <class T>
class BlockSolverTest : public ::testing::Test {
 protected:
  void set_up(const oracle::Vector& values) {
    matrix_ = with_eigenvalues(values);
    fast_ = std::make_unique<MatrixObjective<T>>(*device_, matrix_);
    exact_ = std::make_unique<MatrixObjective<double>>(*device_, matrix_);
  }
  Solved block(const oracle::Matrix& v, double damping = 0, double tolerance = 1e-10) {
    return solve(*make_block_conjugate_gradient<T>(*fast_, *exact_, damping, tolerance, 2000), v);
  }
  Solved separate(const oracle::Matrix& v) {
    return solve(*make_conjugate_gradient<T>(*fast_, *exact_, 0.0, 1e-10, 2000), v);
  }
  void expect_solved(const Solved& solved, const oracle::Matrix& v, double damping = 0) {
    EXPECT_TRUE(solved.report.certified()) << solved.report.first_failure();
    for (std::size_t j = 0; j < v.size(); ++j) {
      if (oracle::norm(v[j]) == 0) continue;
      EXPECT_LE(true_residual(matrix_, damping, solved.solutions[j], v[j]), 1.01e-10) << "column " << j;
    }
  }
  static oracle::Matrix random_vectors(std::size_t count, std::size_t size) {
    oracle::Matrix v(count, oracle::Vector(size));
    std::mt19937 random(7);
    for (auto& row : v)
      for (auto& value : row) value = static_cast<double>(random() % 2001) / 1000 - 1;
    return v;
  }
  /// Without what the vectors have along these eigenvectors, in double.
  static oracle::Matrix without(oracle::Matrix v, const std::vector<std::size_t>& places) {
    for (auto& row : v) {
      for (const std::size_t at : places) {
        const oracle::Vector null = eigenvector(row.size(), at);
        row = oracle::add_scaled(row, -oracle::dot(row, null), null);
      }
      for (auto& value : row) value = static_cast<double>(value);
    }
    return v;
  }
  /// From 1 down to 1/condition, evenly in their logarithms.
  static oracle::Vector decaying(std::size_t size, double condition) {
    oracle::Vector values(size);
    for (std::size_t i = 0; i < size; ++i)
      values[i] = std::pow(condition, -static_cast<double>(i) / static_cast<double>(size - 1));
    return values;
  }

 private:
  std::unique_ptr<Device> device_ = make_device("cpu");
  oracle::Matrix matrix_;
  std::unique_ptr<MatrixObjective<T>> fast_;
  std::unique_ptr<MatrixObjective<double>> exact_;
};
using Numbers = ::testing::Types<float, double>;
TYPED_TEST_SUITE(BlockSolverTest, Numbers);

TYPED_TEST(BlockSolverTest, SharedDirectionsTakeFewerProducts) {
  this->set_up(this->decaying(160, 1e3));
  const oracle::Matrix v = this->random_vectors(16, 160);
  const Solved block = this->block(v), separate = this->separate(v);
  this->expect_solved(block, v);
  this->expect_solved(separate, v);
  // The block's Krylov space is exhausted after 160/16 steps; a single right-hand side needs some hundred.
  EXPECT_LT(block.report.products, separate.report.products / 3);
}

TYPED_TEST(BlockSolverTest, RightHandSidesMayDependOnEachOther) {
  this->set_up(this->decaying(40, 100));
  oracle::Matrix v = this->random_vectors(8, 40);
  v[3] = v[0];
  for (std::size_t i = 0; i < v[5].size(); ++i) v[5][i] = v[1][i] - 2 * v[2][i];
  v[6].assign(v[6].size(), 0);
  for (auto& value : v[7]) value *= 1e-30;
  const Solved solved = this->block(v);
  this->expect_solved(solved, v);
  EXPECT_EQ(solved.solutions[6], v[6]);
}

TYPED_TEST(BlockSolverTest, MoreRightHandSidesThanParameters) {
  this->set_up(this->decaying(5, 100));
  const oracle::Matrix v = this->random_vectors(32, 5);
  const Solved solved = this->block(v);
  this->expect_solved(solved, v);
  EXPECT_LE(solved.report.products, sizeof(TypeParam) == 4 ? 40 : 10);  // the rank, for each round
}

TYPED_TEST(BlockSolverTest, DampingIsAddedToTheDiagonal) {
  this->set_up(this->decaying(30, 1e4));
  const oracle::Matrix v = this->random_vectors(6, 30);
  this->expect_solved(this->block(v, 0.25), v, 0.25);
}

TYPED_TEST(BlockSolverTest, NegativeCurvatureIsNamedByItsQuotient) {
  oracle::Vector values = this->decaying(24, 10);
  values[7] = -0.5;
  this->set_up(values);
  const oracle::Matrix v = this->random_vectors(6, 24);
  const Solved solved = this->block(v);
  for (const ColumnReport& column : solved.report.columns) {
    EXPECT_EQ(column.status, ColumnStatus::negative_curvature);
    EXPECT_LT(column.smallest_rayleigh, 0);
    EXPECT_GE(column.smallest_rayleigh, -0.5 - 1e-5);  // no quotient is below the smallest eigenvalue
    EXPECT_LE(column.largest_eigenvalue, 1 + 1e-5);
  }
  EXPECT_NE(solved.report.first_failure().find("not positive definite"), std::string::npos);
  this->expect_solved(this->block(v, 0.75), v, 0.75);
}

// After a step or two all there is has been looked at, and what remains of the block is rounding.
TYPED_TEST(BlockSolverTest, AsManyVectorsAsThereAreDimensionsAndMore) {
  for (const std::size_t size : {2, 3, 5, 9, 14, 21, 30})
    for (const std::size_t count : {2, 3, 7, 16, 31, 32})
      for (const double condition : {3.0, 1e3, 1e4}) {
        this->set_up(this->decaying(size, condition));
        SCOPED_TRACE(std::to_string(count) + " of " + std::to_string(size));
        const oracle::Matrix v = this->random_vectors(count, size);
        this->expect_solved(this->block(v), v);
        oracle::Matrix units(std::min(count, size), oracle::Vector(size));
        for (std::size_t j = 0; j < units.size(); ++j) units[j][j] = 1;
        this->expect_solved(this->block(units), units);
      }
}

// Rounding along a null space comes to be all that is left of some directions.
TYPED_TEST(BlockSolverTest, ManyVectorsInTheRangeOfASingularMatrix) {
  for (const std::size_t size : {10, 20, 40, 80})
    for (const std::size_t count : {4, 8, 20, 32})
      for (const double condition : {3.0, 30.0, 300.0}) {
        oracle::Vector values = this->decaying(size, condition);
        std::vector<std::size_t> flat;
        for (std::size_t i = 0; i < size; i += 5) values[i] = 0, flat.push_back(i);
        this->set_up(values);
        const oracle::Matrix v = this->without(this->random_vectors(count, size), flat);
        SCOPED_TRACE(std::to_string(count) + " of " + std::to_string(size) + ", condition " + std::to_string(condition));
        const Solved solved = this->block(v);
        this->expect_solved(solved, v);
        EXPECT_LE(solved.report.products, this->separate(v).report.products);  // none was solved by itself
      }
}

// Beside others one that is not in the range, and one that is no number: they alone fail.
TYPED_TEST(BlockSolverTest, OneThatFailsLeavesTheOthers) {
  oracle::Vector values = this->decaying(20, 10);
  values[3] = 0;
  this->set_up(values);
  const oracle::Vector null = eigenvector(20, 3);
  oracle::Matrix v = this->without(this->random_vectors(6, 20), {3});
  v[1] = oracle::add_scaled(v[1], 1, null);
  for (auto& value : v[1]) value = static_cast<double>(value);
  v[4][2] = NAN;
  const Solved solved = this->block(v);
  for (const std::size_t j : {0, 2, 3, 5}) {
    EXPECT_EQ(solved.report.columns[j].status, ColumnStatus::converged) << j;
    EXPECT_LE(true_residual(with_eigenvalues(values), 0, solved.solutions[j], v[j]), 1.01e-10) << j;
  }
  EXPECT_NE(solved.report.columns[1].status, ColumnStatus::converged);
  EXPECT_EQ(solved.report.columns[4].status, ColumnStatus::not_finite);
  EXPECT_NE(solved.report.first_failure().find("right-hand side 1"), std::string::npos) << solved.report.first_failure();
}

TYPED_TEST(BlockSolverTest, SingularMatricesAreSolvedInTheirRangeAlone) {
  oracle::Vector values = this->decaying(20, 10);
  values[3] = values[11] = 0;
  this->set_up(values);
  oracle::Matrix v = this->random_vectors(5, 20);
  EXPECT_FALSE(this->block(v).report.certified());
  v = this->without(std::move(v), {3, 11});
  this->expect_solved(this->block(v), v);
}

TYPED_TEST(BlockSolverTest, TheSameBitsRunAfterRun) {
  this->set_up(this->decaying(50, 1e3));
  const oracle::Matrix v = this->random_vectors(9, 50);
  EXPECT_EQ(this->block(v).solutions, this->block(v).solutions);
}

/// A matrix whose factor is worth so many products.
class PricedObjective : public MatrixObjective<double> {
 public:
  PricedObjective(Device& device, double cost) : MatrixObjective(device, with_eigenvalues({1, 2, 3})), cost_(cost) {}
  double factor_cost() const override { return cost_; }

 private:
  double cost_;
};

TEST(SolverChoice, TakesWhatIsWorthTheFewestProducts) {
  const auto device = make_device("cpu");
  const auto name = [&](double cost, Index count, double tolerance = 1e-10, Index most_direct = 100) {
    return choose_solver(PricedObjective(*device, cost), count, tolerance, most_direct, 72).name;
  };
  EXPECT_EQ(name(1000, 1), "cg");  // 83 products
  EXPECT_EQ(name(1000, 3), "cg");
  EXPECT_EQ(name(1000, 4), "block-cg");
  EXPECT_EQ(name(1000, 32), "block-cg");  // 706
  EXPECT_EQ(name(600, 32), "direct");
  EXPECT_EQ(name(600, 32, 1e-5), "block-cg");  // half the digits, half the products
  EXPECT_EQ(name(1000, 100), "direct");
  EXPECT_EQ(name(50, 1), "direct");
  EXPECT_EQ(name(50, 1, 1e-10, 2), "cg");  // 3 parameters are too many
  const SolverChoice choice = choose_solver(PricedObjective(*device, 600), 32, 1e-10, 2, 72);
  EXPECT_EQ(choice.name, "block-cg");
  EXPECT_NE(choice.reason.find("more than 2 parameters are not factorised"), std::string::npos) << choice.reason;
  device->set_memory_limit(64);
  const SolverChoice limited = choose_solver(PricedObjective(*device, 600), 32, 1e-10, 100, 72);
  EXPECT_EQ(limited.name, "block-cg");
  EXPECT_NE(limited.reason.find("beyond the memory limit"), std::string::npos) << limited.reason;
}

}  // namespace
}  // namespace clout::test
