// L-BFGS around a factor: objectives whose minima are known.

#include <clout/host/quasi_newton.hpp>
#include <gtest/gtest.h>

#include "engine/matrix_objective.hpp"

namespace clout::test {
namespace {

/// Gradients by a function of θ on the host.
class HostObjective : public Retrainable<double> {
 public:
  using Gradient = std::function<std::vector<double>(const double* theta)>;
  HostObjective(Device& device, Index p, Gradient gradient) : device_(device), p_(p), gradient_(std::move(gradient)) {}
  Device& device() const override { return device_; }
  Index parameters() const override { return p_; }
  Index examples() const override { return 1; }
  void removal_constants(const Removals&, MatrixView<double>) override { ensure(false, "not here"); }
  void removal_differences(const Removals&, MatrixView<const double>, MatrixView<double>) override {
    ensure(false, "not here");
  }
  void gradients_without(const Removals&, MatrixView<const double> parameters, MatrixView<double> out) override {
    ++calls;
    const std::vector<double> g = gradient_(parameters.row(0));
    std::copy(g.begin(), g.end(), out.row(0));
  }
  int calls = 0;

 private:
  Device& device_;
  Index p_;
  Gradient gradient_;
};

class QuasiNewtonTest : public ::testing::Test {
 protected:
  TrainingReport run(HostObjective& objective, const oracle::Matrix& model, std::vector<double>& theta, Index steps = 500) {
    MatrixObjective<double> around(*device_, model);
    const HessianFactor<double> factor(around, 0.0);
    const Removals nothing(*device_, {{}}, 1);
    return minimize(objective, nothing, factor, theta, {.tolerance = 1e-11, .max_steps = steps});
  }
  std::unique_ptr<Device> device_ = make_cpu_device(1);
};

std::vector<double> product(const oracle::Matrix& a, const double* x) {
  std::vector<double> out;
  for (const oracle::Vector& row : a) {
    long double sum = 0;
    for (std::size_t i = 0; i < row.size(); ++i) sum += row[i] * static_cast<long double>(x[i]);
    out.push_back(static_cast<double>(sum));
  }
  return out;
}

TEST_F(QuasiNewtonTest, TheRightFactorNeedsOneStep) {
  const oracle::Matrix a = with_eigenvalues({0.01, 1, 5, 100});
  HostObjective objective(*device_, 4, [&](const double* x) { return product(a, x); });
  std::vector<double> theta{1, -2, 3, 0.5};
  const TrainingReport report = run(objective, a, theta);
  EXPECT_TRUE(report.converged);
  EXPECT_EQ(report.steps.size(), 1u);
  for (const double value : theta) EXPECT_NEAR(value, 0, 1e-9);
}

TEST_F(QuasiNewtonTest, AFactorThatIsFarOffOnlyCostsSteps) {
  const oracle::Matrix a = with_eigenvalues({0.02, 1, 5, 40}), model = with_eigenvalues({0.01, 3, 0.2, 100});
  HostObjective objective(*device_, 4, [&](const double* x) { return product(a, x); });
  std::vector<double> theta{1, -2, 3, 0.5};
  const TrainingReport report = run(objective, model, theta);
  EXPECT_TRUE(report.converged) << report.gradient_norm;
  EXPECT_LE(report.steps.size(), 30u);
  EXPECT_LE(report.gradient_norm, 1e-11);
}

// Rosenbrock's valley from the classical start, (−1.2, 1), the factor that of its Hessian at the minimum.
TEST_F(QuasiNewtonTest, FollowsACurvedValley) {
  HostObjective objective(*device_, 2, [](const double* x) {
    const double b = x[1] - x[0] * x[0];
    return std::vector<double>{-400 * x[0] * b - 2 * (1 - x[0]), 200 * b};
  });
  std::vector<double> theta{-1.2, 1};
  const TrainingReport report = run(objective, {{802, -400}, {-400, 200}}, theta);
  EXPECT_TRUE(report.converged) << report.gradient_norm;
  EXPECT_NEAR(theta[0], 1, 1e-9);
  EXPECT_NEAR(theta[1], 1, 1e-9);
}

TEST_F(QuasiNewtonTest, WhereThereIsNoMinimumItSaysSo) {
  for (const double sign : {-1.0, 1.0}) {  // −x²/2: from a maximum; x: a slope without end
    HostObjective objective(*device_, 1, [&](const double* x) {
      return std::vector<double>{sign < 0 ? -x[0] : 1.0};
    });
    std::vector<double> theta{0.5};
    const TrainingReport report = run(objective, {{1}}, theta, 50);
    EXPECT_FALSE(report.converged);
    EXPECT_GT(report.gradient_norm, 1e-11);
    EXPECT_LE(objective.calls, 50 * 40);
  }
}

}  // namespace
}  // namespace clout::test
