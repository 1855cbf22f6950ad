// Training: to which gradient norm, to which parameters, and what happens where there is nothing to reach.

#include <clout/engine/training.hpp>

#include "engine/solve.hpp"
#include "kernels/backend.hpp"
#include "support/eigenvalues.hpp"

namespace clout::test {
namespace {

template <class C>
class TrainingTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  /// From zero, with directions in the working precision.
  TrainingReport fit(const LogisticCase& c, std::vector<double>& theta, const TrainingOptions& options,
                     const Progress& progress = {}) {
    const auto exact = c.model<double>(this->device());
    if constexpr (sizeof(Number) == 8) return train<double>(*exact, *exact, theta, options, progress);
    else return train<Number>(*exact, *c.model<Number>(this->device()), theta, options, progress);
  }
};
TYPED_TEST_SUITE(TrainingTest, Cases, CaseName);

std::vector<CaseSizes> training_cases() {
  if (kSmall) return {{9, 3, 3, true}};
  return {{45, 6, 3}, {60, 4, 4, true, false, true}, {50, 5, 2, false, true}};
}

TYPED_TEST(TrainingTest, ReachesTheOraclesOptimum) {
  for (const CaseSizes& sizes : training_cases()) {
    const LogisticCase c(sizes);
    std::vector<double> theta(c.parameters());
    const TrainingReport report = this->fit(c, theta, {.tolerance = 1e-12});
    EXPECT_TRUE(report.converged) << sizes << ": gradient norm " << report.gradient_norm;
    const oracle::Vector reached = to_long(theta);
    const double norm = static_cast<double>(oracle::norm(oracle::gradient(c.problem(), reached)));
    EXPECT_LE(norm, 2e-12) << sizes;
    EXPECT_NEAR(report.gradient_norm, norm, 1e-14) << sizes;  // its own rounding: sums of numbers of order 1
    EXPECT_NEAR(report.objective, static_cast<double>(oracle::objective(c.problem(), reached)), 1e-14) << sizes;
    EXPECT_FALSE(report.steps.empty());
    EXPECT_GT(report.products, 0);
    for (std::size_t i = 1; i < report.steps.size(); ++i)
      EXPECT_LE(report.steps[i].objective, report.steps[i - 1].objective + 1e-13);

    const oracle::Trained optimum = oracle::train(c.problem());
    oracle::Vector difference = oracle::add_scaled(reached, -1, optimum.params);
    if (sizes.bias) {  // shifts of all biases together change nothing
      long double shift = 0;
      for (std::size_t j = c.problem().regularised(); j < difference.size(); ++j) shift += difference[j];
      for (std::size_t j = c.problem().regularised(); j < difference.size(); ++j)
        difference[j] -= shift / static_cast<long double>(sizes.classes);
    }
    const oracle::Vector values = eigenvalues(oracle::hessian(c.problem(), optimum.params));
    EXPECT_LE(static_cast<double>(oracle::norm(difference)),
              2 * 1e-12 / static_cast<double>(values[sizes.bias ? 1 : 0]))
        << sizes;
  }
}

TYPED_TEST(TrainingTest, AtTheOptimumThereIsNothingToDo) {
  const LogisticCase c(training_cases()[0]);
  std::vector<double> theta(c.parameters());
  this->fit(c, theta, {.tolerance = 1e-12});
  const std::vector<double> before = theta;
  const TrainingReport report = this->fit(c, theta, {.tolerance = 1e-9});
  EXPECT_TRUE(report.converged);
  EXPECT_TRUE(report.steps.empty());
  EXPECT_EQ(theta, before);
}

// Without a regulariser the optimum of separable data is at infinity: the gradient only falls with every step.
TYPED_TEST(TrainingTest, SeparableDataWithoutARegulariserDoNotConvergeAndDoNotThrow) {
  CaseSizes sizes{12, 2, 2};
  sizes.l2 = 0;
  LogisticCase c(sizes);
  oracle::LogisticProblem problem = c.problem();
  for (std::size_t i = 0; i < 12; ++i) {
    problem.labels[i] = static_cast<int>(i % 2);
    problem.x[2 * i] = i % 2 ? 1 : -1;
    problem.x[2 * i + 1] = static_cast<long double>(i) / 4;
  }
  const auto exact = c.make_model<double>(this->device(), problem);
  for (const TrainingOptions& options :
       {TrainingOptions{.tolerance = 1e-12, .max_steps = 8}, TrainingOptions{.tolerance = 1e-300, .max_steps = 200}}) {
    std::vector<double> theta(4);
    const TrainingReport report = train<double>(*exact, *exact, theta, options);
    EXPECT_FALSE(report.converged);
    EXPECT_GT(report.gradient_norm, options.tolerance);
    EXPECT_LE(static_cast<Index>(report.steps.size()), options.max_steps);
    EXPECT_LE(report.objective, std::log(2.0));
    for (const double value : theta) EXPECT_TRUE(std::isfinite(value));
    const double norm = static_cast<double>(oracle::norm(oracle::gradient(problem, to_long(theta))));
    EXPECT_NEAR(report.gradient_norm, norm, 1e-10 * norm + 1e-15);
  }
}

// A tolerance that is reached proves nothing there: the report says that the parameters run away.
TYPED_TEST(TrainingTest, AMinimumAtInfinityIsNotAFit) {
  CaseSizes sizes{12, 2, 2};
  sizes.l2 = 0;
  const LogisticCase c(sizes);
  oracle::LogisticProblem problem = c.problem();
  for (const bool separable : {true, false}) {
    for (std::size_t i = 0; i < 12; ++i) {
      problem.labels[i] = static_cast<int>(i % 2);
      problem.x[2 * i] = (i % 2 ? 1 : -1) * (i < 2 && !separable ? -1 : 1);
      problem.x[2 * i + 1] = static_cast<long double>(i) / 4;
    }
    const auto exact = c.make_model<double>(this->device(), problem);
    for (const double tolerance : {1e-3, 1e-6, 1e-10, 1e-13}) {
      std::vector<double> theta(4);
      const TrainingReport report = train<double>(*exact, *exact, theta, {.tolerance = tolerance});
      EXPECT_LE(report.gradient_norm, tolerance);
      EXPECT_EQ(report.converged, !separable);
      EXPECT_EQ(report.obstacle.empty(), !separable) << report.obstacle;
    }
  }
}

// A regulariser that is lost in the tolerance is none; one that shows makes a minimum of separable classes, too.
TYPED_TEST(TrainingTest, ARegulariserBelowTheToleranceIsNone) {
  for (const bool separable : {true, false})
    for (const double l2 : {1e-30, 1e-14, 1e-3}) {
      CaseSizes sizes{12, 2, 2};
      sizes.l2 = l2;
      const LogisticCase c(sizes);
      oracle::LogisticProblem problem = c.problem();
      for (std::size_t i = 0; i < 12; ++i) {
        problem.labels[i] = static_cast<int>(i % 2);
        problem.x[2 * i] = (i % 2 ? 1 : -1) * (i < 2 && !separable ? -1 : 1);
        problem.x[2 * i + 1] = static_cast<long double>(i) / 4;
      }
      const auto exact = c.make_model<double>(this->device(), problem);
      std::vector<double> theta(4);
      const TrainingReport report = train<double>(*exact, *exact, theta, {.tolerance = 1e-10});
      EXPECT_LE(report.gradient_norm, 1e-10);
      EXPECT_EQ(report.converged, !separable || l2 == 1e-3) << l2;
      EXPECT_EQ(report.obstacle.find("the regulariser is lost in the tolerance") != std::string::npos, !report.converged) << report.obstacle;
    }
}

// Beside a large common offset of x the classes are as separable as without: margins are what counts, not their part of
// what x could make of them.
TYPED_TEST(TrainingTest, SeparableClassesFarFromTheOriginHaveNoMinimum) {
  CaseSizes sizes{12, 2, 2};
  sizes.l2 = 0;
  const LogisticCase c(sizes);
  oracle::LogisticProblem problem = c.problem();
  for (std::size_t i = 0; i < 12; ++i) {
    problem.labels[i] = static_cast<int>(i % 2);
    problem.x[2 * i] = 1e4 + (i % 2 ? 0.001L : -0.001L);
    problem.x[2 * i + 1] = 1e4;
  }
  const auto exact = c.make_model<double>(this->device(), problem);
  for (const double size : {0.0, 3e4}) {  // from nothing, and from where x₁ − x₂ separates by margins of 60 and more
    std::vector<double> theta{-size, size, size, -size};
    const TrainingReport report = train<double>(*exact, *exact, theta, {.tolerance = 1e-10});
    EXPECT_FALSE(report.converged) << size;
    EXPECT_NE(report.obstacle.find(size > 0 ? "separable" : ""), std::string::npos) << report.obstacle;
    EXPECT_FALSE(report.obstacle.empty()) << size;
  }
}

// Weight zero takes a class away: with a bias there is nothing to converge to, without one there is.
TYPED_TEST(TrainingTest, AClassWithoutWeightIsAnObstacleToBiasesOnly) {
  for (const bool bias : {false, true}) {
    const LogisticCase c({9, 3, 3, bias});
    oracle::LogisticProblem problem = c.problem();
    problem.weights.assign(9, 1);
    for (std::size_t i = 0; i < 9; ++i)
      if (problem.labels[i] == 1) problem.weights[i] = 0;
    const auto exact = c.make_model<double>(this->device(), problem);
    std::vector<double> theta(c.parameters());
    const TrainingReport report = train<double>(*exact, *exact, theta, {.tolerance = 1e-8});
    EXPECT_EQ(report.converged, !bias);
    EXPECT_EQ(report.obstacle.find("class 1") != std::string::npos, bias) << report.obstacle;
  }
}

TYPED_TEST(TrainingTest, RefusesATolerancesThatIsNone) {
  const LogisticCase c({5, 2, 2});
  std::vector<double> theta(c.parameters());
  EXPECT_NE(refusal([&] { this->fit(c, theta, {.tolerance = 0}); }).find("training tolerance"), std::string::npos);
}

TYPED_TEST(TrainingTest, AnInterruptGoesThrough) {
  const LogisticCase c(training_cases()[0]);
  std::vector<double> theta(c.parameters());
  const Progress stop = [](const std::string&, double, double) { throw Interrupted("stop"); };
  EXPECT_THROW(this->fit(c, theta, {}, stop), Interrupted);
}

TYPED_TEST(TrainingTest, TheSameBitsRunAfterRun) {
  const LogisticCase c(training_cases()[0]);
  std::vector<double> first(c.parameters()), second(c.parameters());
  this->fit(c, first, {});
  this->fit(c, second, {});
  EXPECT_EQ(first, second);
}

}  // namespace
}  // namespace clout::test
