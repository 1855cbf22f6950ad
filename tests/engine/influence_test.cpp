// Influence: against the definition by brute force, and against really removing.

#include <clout/engine/influence.hpp>
#include <clout/engine/training.hpp>
#include <numeric>

#include "engine/solve.hpp"
#include "kernels/backend.hpp"
#include "support/eigenvalues.hpp"
#include "support/evaluate.hpp"

namespace clout::test {
namespace {

std::vector<CaseSizes> influence_cases() {
  if (kSmall) return {{9, 3, 3, false, false, true}};
  return {{41, 5, 3, false, false, true}, {37, 4, 2, true}, {33, 3, 10, false, true}};
}

template <class C>
class InfluenceTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  /// Scores of all training examples on the tests, at the case's θ: [tests][n].
  typename Influence<Number>::Scores scores(const LogisticCase& c, const oracle::LogisticProblem& tests,
                                            const std::vector<Index>& rows, double damping, double tolerance) {
    const auto fast = c.model<Number>(this->device());
    const auto exact = c.model<double>(this->device());
    const auto test = c.make_model<double>(this->device(), tests);
    const auto solver = make_conjugate_gradient<Number>(*fast, *exact, damping, tolerance);
    return Influence<Number>(*fast, *test, *solver, to_double(c.theta())).scores(rows);
  }
};
TYPED_TEST_SUITE(InfluenceTest, Cases, CaseName);

/// (wᵢ/W) s·(∇ℓᵢ + λθ_reg) with (H + damping·I) s = ∇ℓ(test): [tests][n]
oracle::Vector by_definition(const LogisticCase& c, const oracle::LogisticProblem& tests,
                             const std::vector<Index>& rows, double damping) {
  const oracle::LogisticProblem& train = c.problem();
  const oracle::Matrix hessian = oracle::hessian(train, c.theta());
  const oracle::Matrix test_gradients = oracle::example_gradients(tests, c.theta());
  oracle::Matrix gradients = oracle::example_gradients(train, c.theta());
  oracle::Vector out;
  for (const Index row : rows) {
    const oracle::Vector s = oracle::damped_solve(hessian, test_gradients[static_cast<std::size_t>(row)], damping);
    for (std::size_t i = 0; i < train.examples; ++i) {
      long double dot = oracle::dot(s, gradients[i]);
      for (std::size_t j = 0; j < train.regularised(); ++j) dot += train.l2 * s[j] * c.theta()[j];
      out.push_back(train.weight(i) / train.total_weight() * dot);
    }
  }
  return out;
}

TYPED_TEST(InfluenceTest, ScoresAreTheDefinition) {
  const double tolerance = 1e-10;
  for (const CaseSizes& sizes : influence_cases()) {
    LogisticCase c(sizes);
    const double damping = sizes.bias ? 0.1 : 0.0;
    const oracle::LogisticProblem tests = c.draw_tests(5);
    const std::vector<Index> rows{4, 0, 2};
    const auto result = this->scores(c, tests, rows, damping, tolerance);
    EXPECT_TRUE(result.report.certified()) << result.report.first_failure();
    // s is off by 2 cond·tolerance; rows of float products by some √p eps of ‖s‖‖∇ℓ‖, which cancel a little.
    const double cond = condition(oracle::hessian(c.problem(), c.theta()), damping);
    const double rounding = sizeof(typename TypeParam::Number) == 4 ? 2e-5 : 1e-12;
    EXPECT_LE(relative_error(result.values, by_definition(c, tests, rows, damping)), 2 * cond * tolerance + rounding)
        << sizes;
  }
}

TYPED_TEST(InfluenceTest, MoreTestsThanOneBlock) {
  LogisticCase c(influence_cases()[0]);
  const oracle::LogisticProblem tests = c.draw_tests(35);
  std::vector<Index> rows(35);
  std::iota(rows.begin(), rows.end(), Index{0});
  const auto result = this->scores(c, tests, rows, 0.1, 1e-10);
  EXPECT_EQ(result.report.columns.size(), 35u);
  EXPECT_LE(relative_error(result.values, by_definition(c, tests, rows, 0.1)), 1e-4);
}

// The point of it all: the score predicts what really happens. At the optimum, by the oracle's own retraining.
TYPED_TEST(InfluenceTest, PredictsWhatRemovingReallyDoes) {
  LogisticCase c(kSmall ? CaseSizes{30, 2, 2, false, false, false, 0.2}
                        : CaseSizes{80, 3, 3, false, false, false, 0.1});
  c.set_theta(oracle::train(c.problem()).params);
  const oracle::LogisticProblem tests = c.draw_tests(3);
  const auto result = this->scores(c, tests, {0, 1, 2}, 0.0, 1e-10);
  const oracle::Vector before = oracle::losses(tests, c.theta());
  const std::size_t n = c.problem().examples;
  double xy = 0, xx = 0, largest = 0;
  for (const double score : result.values) largest = std::max(largest, std::abs(score));
  for (std::size_t i = 0; i < n; ++i) {
    const oracle::Trained without = oracle::train(oracle::without(c.problem(), {i}), c.theta());
    const oracle::Vector after = oracle::losses(tests, without.params);
    for (std::size_t t = 0; t < 3; ++t) {
      const double predicted = result.values[t * n + i], actual = static_cast<double>(after[t] - before[t]);
      xy += predicted * actual;
      xx += predicted * predicted;
      // The sign is that of a change, not of an influence: positive is helpful.
      if (std::abs(predicted) > 0.05 * largest) {
        EXPECT_GT(predicted * actual, 0) << "example " << i << ", test " << t;
      }
    }
  }
  // Off by terms of the order of p/n, 1/n among them; a wrong factor (n, λ, sign) is off by far more.
  EXPECT_NEAR(xy / xx, 1, 0.15);
}

TYPED_TEST(InfluenceTest, SelfInfluenceIsItsDefinitionAndNeverNegative) {
  for (const CaseSizes& sizes : influence_cases()) {
    const LogisticCase c(sizes);
    const double damping = sizes.bias ? 0.1 : 0.0, tolerance = 1e-10;
    const auto exact = c.model<double>(this->device());
    const auto solver = make_conjugate_gradient<double>(*exact, *exact, damping, tolerance);
    std::vector<Index> rows(static_cast<std::size_t>(sizes.n));
    std::iota(rows.begin(), rows.end(), Index{0});
    const SelfInfluence result = self_influence(*exact, *solver, rows);
    EXPECT_TRUE(result.report.certified()) << result.report.first_failure();
    const oracle::Matrix hessian = oracle::hessian(c.problem(), c.theta());
    const oracle::Matrix gradients = oracle::example_gradients(c.problem(), c.theta());
    oracle::Vector expected;
    for (std::size_t i = 0; i < gradients.size(); ++i)
      expected.push_back(c.problem().weight(i) / c.problem().total_weight() *
                         oracle::dot(gradients[i], oracle::damped_solve(hessian, gradients[i], damping)));
    EXPECT_LE(relative_error(result.values, expected), 2 * condition(hessian, damping) * tolerance + 1e-12) << sizes;
    for (const double value : result.values) EXPECT_GE(value, 0) << sizes;
  }
}

TYPED_TEST(InfluenceTest, RefusesTestsThatAreNotThere) {
  LogisticCase c({9, 3, 3});
  const oracle::LogisticProblem tests = c.draw_tests(5);
  const auto message = [&](const std::vector<Index>& rows) {
    return refusal([&] { this->scores(c, tests, rows, 0.1, 1e-8); });
  };
  EXPECT_NE(message({0, 5}).find("test index 5 is out of range; expected 0 to 4"), std::string::npos) << message({5});
  EXPECT_NE(message({-1}).find("test index -1"), std::string::npos);
  EXPECT_NE(message({}).find("no test examples"), std::string::npos);
}

TYPED_TEST(InfluenceTest, RefusesPartsOfDifferentModels) {
  using T = typename TypeParam::Number;
  LogisticCase small({9, 3, 3}), large({9, 4, 3});
  const auto fast = small.model<T>(this->device());
  const auto exact = small.model<double>(this->device()), other = large.model<double>(this->device());
  const auto solver = make_conjugate_gradient<T>(*fast, *exact, 0.1, 1e-8);
  EXPECT_NE(refusal([&] { Influence<T>(*fast, *other, *solver, to_double(small.theta())); }).find("one model"),
            std::string::npos);
  EXPECT_NE(refusal([&] { Influence<T>(*fast, *exact, *solver, to_double(large.theta())); }).find("one model"),
            std::string::npos);
}

}  // namespace
}  // namespace clout::test
