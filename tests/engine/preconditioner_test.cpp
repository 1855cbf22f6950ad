// Preconditioners of conjugate gradients on matrices whose eigenvalues are known. CPU alone: solver_test.cpp runs every
// backend.

#include <clout/engine/preconditioner.hpp>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/matrix_objective.hpp"
#include "engine/solve.hpp"
#include "support/evaluate.hpp"

namespace clout::test {
namespace {

template <class T>
class PreconditionerTest : public ::testing::Test {
 protected:
  void set_up(const oracle::Vector& values) {
    matrix_ = with_eigenvalues(values);
    fast_ = std::make_unique<MatrixObjective<T>>(*device_, matrix_);
    exact_ = std::make_unique<MatrixObjective<double>>(*device_, matrix_);
  }
  std::shared_ptr<Preconditioner<T>> nystrom(Index rank, double damping, std::uint64_t seed = 0) {
    return std::make_shared<NystromPreconditioner<T>>(HessianOperator<T>(*fast_, damping), rank, seed);
  }
  std::shared_ptr<Preconditioner<T>> factor(double damping) {
    return std::make_shared<FactorPreconditioner<T>>(std::make_shared<HessianFactor<T>>(*fast_, damping));
  }
  Solved solved(const oracle::Matrix& v, double damping, std::shared_ptr<Preconditioner<T>> preconditioner) {
    return solve(*make_conjugate_gradient<T>(*fast_, *exact_, damping, 1e-10, 2000, {}, std::move(preconditioner)), v);
  }
  void expect_certified(const Solved& solved, const oracle::Matrix& v, double damping) {
    EXPECT_TRUE(solved.report.certified()) << solved.report.first_failure();
    for (std::size_t j = 0; j < v.size(); ++j)
      EXPECT_LE(true_residual(matrix_, damping, solved.solutions[j], v[j]), 1.01e-10);
  }
  oracle::Matrix applied(Preconditioner<T>& preconditioner, const oracle::Matrix& v) {
    const Index k = static_cast<Index>(v.size()), p = static_cast<Index>(v[0].size());
    const Buffer<T> r = upload_rows<T>(*device_, v);
    Buffer<T> z(*device_, k * p);
    preconditioner.reserve(k);
    preconditioner.apply(r.view(k, p), z.view(k, p));
    const std::vector<T> host = z.to_host();
    oracle::Matrix rows;
    for (Index j = 0; j < k; ++j) rows.emplace_back(host.begin() + j * p, host.begin() + (j + 1) * p);
    return rows;
  }
  static oracle::Matrix random_vectors(std::size_t count, std::size_t size) {
    oracle::Matrix v(count, oracle::Vector(size));
    std::mt19937 random(7);
    for (auto& row : v)
      for (auto& value : row) value = static_cast<double>(random() % 2001) / 1000 - 1;
    return v;
  }
  /// Twenty eigenvalues from 1 to 0.01, the others next to nothing.
  static oracle::Vector falling(std::size_t size) {
    oracle::Vector values(size, 1e-7L);
    for (std::size_t i = 0; i < 20; ++i) values[i] = std::pow(10.0L, -static_cast<long double>(i) / 10);
    return values;
  }

  std::unique_ptr<Device> device_ = make_device("cpu");
  oracle::Matrix matrix_;
  std::unique_ptr<MatrixObjective<T>> fast_;
  std::unique_ptr<MatrixObjective<double>> exact_;
};
using Numbers = ::testing::Types<float, double>;
TYPED_TEST_SUITE(PreconditionerTest, Numbers);

TYPED_TEST(PreconditionerTest, ASketchOfAllDirectionsIsTheInverse) {
  oracle::Vector values(24);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1 / static_cast<long double>(i + 1);
  this->set_up(values);
  const double damping = 0.05, least = 1.0 / 24 + damping;
  const auto preconditioner = this->nystrom(24, damping);
  const oracle::Matrix v = this->random_vectors(3, 24), z = this->applied(*preconditioner, v);
  EXPECT_EQ(preconditioner->products(), 24);
  // λ is known to the shift, of at most ‖H‖_F < 1.3 times 1e-6 or 1e-8, and to rounding; relative to least, twice.
  const double error = 4 * 1.3 * (sizeof(TypeParam) == 4 ? 2e-6 : 1e-8) / least;
  for (std::size_t j = 0; j < v.size(); ++j) {
    oracle::Vector expected = oracle::damped_solve(this->matrix_, v[j], damping);
    for (auto& value : expected) value *= least;
    EXPECT_LE(relative_error(z[j], expected), error);
  }
}

TYPED_TEST(PreconditionerTest, ASketchOfTheLargeDirectionsLeavesAFlatOperator) {
  this->set_up(this->falling(120));
  const double damping = 1e-5;
  const oracle::Matrix v = this->random_vectors(4, 120);
  const Solved plain = this->solved(v, damping, nullptr), flat = this->solved(v, damping, this->nystrom(30, damping));
  this->expect_certified(plain, v, damping);
  this->expect_certified(flat, v, damping);
  EXPECT_EQ(plain.report.preconditioner, "none");
  EXPECT_EQ(flat.report.preconditioner, "nystrom, rank 30");
  EXPECT_EQ(flat.report.preconditioner_products, 30);
  Index most = 0, sum = 0;
  for (std::size_t j = 0; j < v.size(); ++j) {
    const ColumnReport& column = flat.report.columns[j];
    most = std::max(most, column.iterations);
    sum += column.iterations;
    EXPECT_LE(column.iterations, plain.report.columns[j].iterations / 2);
    EXPECT_TRUE(std::isnan(column.smallest_eigenvalue));  // those of P⁻¹H are not told as H's
    EXPECT_FALSE(std::isnan(plain.report.columns[j].smallest_eigenvalue));
  }
  EXPECT_GE(flat.report.products, 30 + sum);
  EXPECT_LE(flat.report.products, 30 + 4 * (most + 8));
}

TYPED_TEST(PreconditionerTest, ItIsSymmetricAndItsBitsAreTheSeeds) {
  this->set_up(this->falling(60));
  const oracle::Matrix v = this->random_vectors(2, 60);
  const oracle::Matrix z = this->applied(*this->nystrom(12, 1e-3), v), again = this->applied(*this->nystrom(12, 1e-3), v);
  EXPECT_EQ(z, again);
  EXPECT_NE(z, this->applied(*this->nystrom(12, 1e-3, 1), v));
  const long double scale = oracle::norm(v[0]) * oracle::norm(v[1]);
  const double eps = std::numeric_limits<TypeParam>::epsilon();
  EXPECT_NEAR(static_cast<double>(oracle::dot(v[0], z[1]) / scale), static_cast<double>(oracle::dot(v[1], z[0]) / scale),
              4 * eps);
}

TYPED_TEST(PreconditionerTest, WhatNystromCannotDoIsRefused) {
  oracle::Vector values = this->falling(30);
  this->set_up(values);
  for (const Index rank : {0, 31})
    EXPECT_NE(refusal([&] { this->nystrom(rank, 0); }).find("expected 1 to the number of parameters, 30"), std::string::npos);
  values[2] = -0.5;
  this->set_up(values);
  EXPECT_THROW(this->solved(this->random_vectors(1, 30), 1e-3, this->nystrom(20, 1e-3)), NotCertified);
}

// One factor, many dampings: all eigenvalues of P⁻¹(H + damping·I) are between damping/damping′ and 1.
TYPED_TEST(PreconditionerTest, AFactorServesOtherDampings) {
  this->set_up(this->falling(120));
  const oracle::Matrix v = this->random_vectors(4, 120);
  for (const double ratio : {1.0, 4.0}) {
    const double damping = 1e-3;
    const Solved found = this->solved(v, damping, this->factor(ratio * damping));
    this->expect_certified(found, v, damping);
    EXPECT_EQ(found.report.preconditioner, "factor");
    for (const ColumnReport& column : found.report.columns) {
      // In the norm of H + damping·I errors fall by (√κ − 1)/(√κ + 1), κ = 4, in each step: 1/3; 1e-10 of a residual is
      // 1e-10/√1e3 of that norm. Each round in single precision starts anew in part.
      EXPECT_LE(column.iterations, ratio == 1 ? 4 : 26);
    }
  }
}

TYPED_TEST(PreconditionerTest, NegativeCurvatureIsStillSeen) {
  oracle::Vector values = this->falling(40);
  values[5] = -0.25;
  this->set_up(values);
  const Solved found = this->solved(this->random_vectors(2, 40), 0, this->factor(0.5));
  for (const ColumnReport& column : found.report.columns) {
    EXPECT_EQ(column.status, ColumnStatus::negative_curvature);
    EXPECT_LT(column.smallest_rayleigh, 0);
    EXPECT_GE(column.smallest_rayleigh, -0.25 - 1e-5);
  }
}

}  // namespace
}  // namespace clout::test
