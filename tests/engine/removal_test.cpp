// Removals to second order, other labels, sets, and what comes from a certified inverse: against their definitions by
// the oracle, and against really retraining.

#include <clout/engine/direct_solver.hpp>
#include <clout/engine/influence.hpp>
#include <clout/engine/inverse.hpp>
#include <numeric>

#include "engine/matrix_objective.hpp"
#include "engine/solve.hpp"
#include "kernels/backend.hpp"
#include "support/eigenvalues.hpp"
#include "support/evaluate.hpp"

namespace clout::test {
namespace {

constexpr double kTolerance = 1e-10;

std::vector<CaseSizes> removal_cases() {
  if (kSmall) return {{9, 3, 3, false, false, false}};
  return {{41, 5, 3}, {37, 4, 2, true}, {33, 3, 10, false, true}};
}
/// Products of float by some √p eps of what is summed, which cancels a little.
template <class T>
constexpr double kRounding = sizeof(T) == 4 ? 4e-5 : 1e-12;

template <class T>
std::unique_ptr<Solver> direct(Objective<T>& fast, Objective<double>& exact, double damping, double tolerance) {
  return make_direct_solver<T>(std::make_shared<const HessianFactor<T>>(fast, damping), exact, damping, tolerance);
}

/// (κ∇²R_i + damping·I)⁻¹ (1/n)(∇ℓᵢ + λθ_reg) · ∇ℓ(test), R_i without example i, κ = (n − 1)/n: [tests][n].
oracle::Vector newton_steps(const LogisticCase& c, const oracle::LogisticProblem& tests, double damping) {
  const oracle::LogisticProblem& train = c.problem();
  const auto n = static_cast<long double>(train.examples);
  const oracle::Matrix of_tests = oracle::example_gradients(tests, c.theta());
  oracle::Matrix gradients = oracle::example_gradients(train, c.theta());
  oracle::Vector out(tests.examples * train.examples);
  for (std::size_t i = 0; i < train.examples; ++i) {
    oracle::Matrix hessian = oracle::hessian(oracle::without(train, {i}), c.theta());
    for (oracle::Vector& row : hessian)
      for (long double& entry : row) entry *= (n - 1) / n;
    // Equal shifts of the biases have no curvature and no gradient: any there will do.
    for (std::size_t a = train.regularised(); a < train.parameters(); ++a)
      for (std::size_t b = train.regularised(); b < train.parameters(); ++b) hessian[a][b] += damping > 0 ? 0 : 1;
    for (std::size_t j = 0; j < train.regularised(); ++j) gradients[i][j] += train.l2 * c.theta()[j];
    const oracle::Vector step = oracle::damped_solve(hessian, gradients[i], damping);
    for (std::size_t t = 0; t < tests.examples; ++t) out[t * train.examples + i] = oracle::dot(step, of_tests[t]) / n;
  }
  return out;
}

/// What the engine makes of the same.
template <class T>
std::vector<double> second_order(Device& device, const LogisticCase& c, const oracle::LogisticProblem& tests,
                                 double damping) {
  const Index n = c.sizes().n, p = static_cast<Index>(c.parameters());
  oracle::LogisticProblem left = c.problem();
  left.l2 *= 1 - 1 / static_cast<long double>(n);
  const auto fast = c.model<T>(device), fast_left = c.make_model<T>(device, left);
  const auto exact_left = c.make_model<double>(device, left), test = c.make_model<double>(device, tests);
  const auto solver = direct<T>(*fast_left, *exact_left, damping, unit_tolerance(kTolerance, p));
  CertifiedInverse inverse = certified_inverse(*exact_left, *solver, damping);
  EXPECT_LE(inverse.residual, kTolerance);
  std::vector<double> regularizer = to_double(c.theta());
  for (std::size_t j = 0; j < regularizer.size(); ++j)
    regularizer[j] *= j < c.problem().regularised() ? static_cast<double>(c.problem().l2) : 0;
  const Buffer<double> right_hand_side(device, std::span<const double>(regularizer));
  Buffer<double> along(device, p);
  EXPECT_TRUE(solver->solve(right_hand_side.view(1, p), along.view(1, p)).certified());

  Influence<T> influence(*fast, *test, *solver, to_double(c.theta()));
  influence.use_newton_shifts(
      exact_left->newton_shifts(inverse.matrix.view(p, p), along.view(1, p), 1.0 / static_cast<double>(n), 0, n));
  std::vector<Index> rows(tests.examples);
  std::iota(rows.begin(), rows.end(), Index{0});
  return influence.scores(rows).values;
}

template <class C>
class RemovalTest : public KernelTest<C> {};
TYPED_TEST_SUITE(RemovalTest, Cases, CaseName);

TYPED_TEST(RemovalTest, SecondOrderIsTheNewtonStep) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : removal_cases())
    for (const double damping : {0.0, 0.1}) {
      LogisticCase c(sizes);
      const oracle::LogisticProblem tests = c.draw_tests(3);
      const double cond = condition(oracle::hessian(c.problem(), c.theta()), sizes.bias ? 0.05 : damping);
      EXPECT_LE(relative_error(second_order<T>(this->device(), c, tests, damping), newton_steps(c, tests, damping)),
                4 * cond * kTolerance + kRounding<T>)
          << sizes << ", damping " << damping;
    }
}

/// Sum of squares of predicted − actual, and the slope of actual against predicted, over some pairs.
struct Fit {
  double squares = 0, slope = 0;
};
Fit fit(const std::vector<double>& predicted, const oracle::Vector& actual, const std::vector<std::size_t>& pairs) {
  double xy = 0, xx = 0;
  Fit result;
  for (const std::size_t at : pairs) {
    const double x = predicted[at], y = static_cast<double>(actual[at]);
    xy += x * y;
    xx += x * x;
    result.squares += (x - y) * (x - y);
  }
  result.slope = xy / xx;
  return result;
}

TYPED_TEST(RemovalTest, SecondOrderIsNearerToRetrainingWhereLeverageIsHigh) {
  using T = typename TypeParam::Number;
  LogisticCase c(kSmall ? CaseSizes{16, 2, 2, false, false, false, 0.02}
                        : CaseSizes{48, 4, 3, false, false, false, 0.01});
  c.set_theta(to_long(to_double(oracle::train(c.problem()).params)));
  const oracle::LogisticProblem tests = c.draw_tests(3);
  const std::size_t n = c.problem().examples;
  const auto exact = c.model<double>(this->device()), test = c.make_model<double>(this->device(), tests);
  const auto solver = direct<double>(*exact, *exact, 0.0, kTolerance);
  const std::vector<double> first =
      Influence<double>(*exact, *test, *solver, to_double(c.theta())).scores(std::vector<Index>{0, 1, 2}).values;
  const std::vector<double> second = second_order<T>(this->device(), c, tests, 0.0);

  const oracle::Vector before = oracle::losses(tests, c.theta());
  oracle::Vector actual(3 * n);
  for (std::size_t i = 0; i < n; ++i) {
    const oracle::Vector after =
        oracle::losses(tests, oracle::train(oracle::without(c.problem(), {i}), c.theta()).params);
    for (std::size_t t = 0; t < 3; ++t) actual[t * n + i] = after[t] - before[t];
  }
  // tr(Mᵢ Sᵢ)/n ≤ K − 1: how much of its own fit an example is.
  oracle::Matrix hessian = oracle::hessian(c.problem(), c.theta());
  std::vector<std::pair<long double, std::size_t>> leverages;
  for (std::size_t i = 0; i < n; ++i) {
    oracle::LogisticProblem one = c.problem();
    one.weights.assign(n, 0);
    one.weights[i] = 1;
    one.l2 = 0;
    long double trace = 0;
    const oracle::Matrix own = oracle::hessian(one, c.theta());
    for (std::size_t j = 0; j < own.size(); ++j) trace += oracle::damped_solve(hessian, own[j])[j];
    leverages.emplace_back(-trace, i);
  }
  std::sort(leverages.begin(), leverages.end());
  std::vector<std::size_t> high, all;
  for (std::size_t t = 0; t < 3; ++t)
    for (std::size_t r = 0; r < n; ++r) (r < n / 4 ? high : all).push_back(t * n + leverages[r].second);
  all.insert(all.end(), high.begin(), high.end());

  const Fit first_high = fit(first, actual, high), second_high = fit(second, actual, high);
  EXPECT_LT(second_high.squares, 0.5 * first_high.squares);
  EXPECT_LT(std::abs(second_high.slope - 1), 0.5 * std::abs(first_high.slope - 1));
  EXPECT_LT(fit(second, actual, all).squares, 0.5 * fit(first, actual, all).squares);
}

TYPED_TEST(RemovalTest, OtherLabelsAreTheDefinition) {
  using T = typename TypeParam::Number;
  for (CaseSizes sizes : removal_cases()) {
    sizes.weighted = true;
    const LogisticCase drawn(sizes);
    LogisticCase c = drawn;
    const oracle::LogisticProblem tests = c.draw_tests(3);
    const oracle::LogisticProblem& train = c.problem();
    const double damping = 0.1;
    const auto fast = c.model<T>(this->device());
    const auto exact = c.model<double>(this->device()), test = c.make_model<double>(this->device(), tests);
    const auto solver = direct<T>(*fast, *exact, damping, kTolerance);
    Influence<T> influence(*fast, *test, *solver, to_double(c.theta()));
    const std::vector<std::int32_t> labels(train.labels.begin(), train.labels.end());
    std::vector<double> got(3 * train.examples * train.classes);
    influence.relabel_tiles(
        influence.inverse_products(std::vector<Index>{0, 1, 2}), labels, [&](const typename Influence<T>::Tile& tile) {
          const auto row = static_cast<std::size_t>(tile.count * tile.width);
          for (std::size_t t = 0; t < 3; ++t)
            std::copy_n(tile.values.begin() + static_cast<std::ptrdiff_t>(t * row), row,
                        got.begin() + static_cast<std::ptrdiff_t>(t * train.examples * train.classes +
                                                                  static_cast<std::size_t>(tile.first * tile.width)));
        });

    const oracle::Matrix hessian = oracle::hessian(train, c.theta()),
                         of_tests = oracle::example_gradients(tests, c.theta());
    const oracle::Matrix own = oracle::example_gradients(train, c.theta());
    oracle::Vector expected(got.size());
    for (std::size_t label = 0; label < train.classes; ++label) {
      oracle::LogisticProblem changed = train;
      changed.labels.assign(train.examples, static_cast<int>(label));
      const oracle::Matrix other = oracle::example_gradients(changed, c.theta());
      for (std::size_t t = 0; t < 3; ++t) {
        const oracle::Vector s = oracle::damped_solve(hessian, of_tests[t], damping);
        for (std::size_t i = 0; i < train.examples; ++i)
          expected[(t * train.examples + i) * train.classes + label] =
              -train.weight(i) / train.total_weight() * (oracle::dot(s, other[i]) - oracle::dot(s, own[i]));
      }
    }
    EXPECT_LE(relative_error(got, expected), 2 * condition(hessian, damping) * kTolerance + kRounding<T>) << sizes;
    for (std::size_t t = 0; t < 3; ++t)
      for (std::size_t i = 0; i < train.examples; ++i)
        EXPECT_EQ(got[(t * train.examples + i) * train.classes + static_cast<std::size_t>(labels[i])], 0);
  }
}

// One label of 150 changed: what influence predicts to first order, by the oracle's retraining.
TYPED_TEST(RemovalTest, OtherLabelsPredictRetraining) {
  using T = typename TypeParam::Number;
  LogisticCase c(kSmall ? CaseSizes{40, 2, 2, false, false, false, 0.3}
                        : CaseSizes{150, 3, 3, false, false, false, 0.3});
  c.set_theta(oracle::train(c.problem()).params);
  const oracle::LogisticProblem tests = c.draw_tests(3);
  const oracle::LogisticProblem& train = c.problem();
  const auto fast = c.model<T>(this->device());
  const auto exact = c.model<double>(this->device()), test = c.make_model<double>(this->device(), tests);
  const auto solver = direct<T>(*fast, *exact, 0.0, kTolerance);
  Influence<T> influence(*fast, *test, *solver, to_double(c.theta()));
  const std::vector<std::int32_t> labels(train.labels.begin(), train.labels.end());
  std::vector<double> predicted;
  std::vector<std::size_t> pairs;
  oracle::Vector actual;
  const oracle::Vector before = oracle::losses(tests, c.theta());
  influence.relabel_tiles(influence.inverse_products(std::vector<Index>{0, 1, 2}), labels, [&](const auto& tile) {
    for (std::size_t i = 0; i < train.examples; i += train.examples / 8) {
      oracle::LogisticProblem changed = train;
      const auto label = static_cast<std::size_t>((labels[i] + 1) % static_cast<int>(train.classes));
      changed.labels[i] = static_cast<int>(label);
      const oracle::Vector after = oracle::losses(tests, oracle::train(changed, c.theta()).params);
      for (std::size_t t = 0; t < 3; ++t) {
        pairs.push_back(pairs.size());
        predicted.push_back(tile.values[(t * train.examples + i) * train.classes + label]);
        actual.push_back(after[t] - before[t]);
      }
    }
  });
  const Fit agreement = fit(predicted, actual, pairs);
  double size = 0;
  for (const double value : predicted) size += value * value;
  // Off by terms of the order of the change itself, ‖x‖²/(nλ); a wrong sign, factor or label is off by far more.
  EXPECT_NEAR(agreement.slope, 1, kSmall ? 0.2 : 0.1);
  EXPECT_LT(agreement.squares, 0.05 * size);
}

TYPED_TEST(RemovalTest, SetsAreSumsOverManyTiles) {
  using T = typename TypeParam::Number;
  LogisticCase c(kSmall ? CaseSizes{30, 2, 2} : CaseSizes{4200, 2, 2, false, false, true});  // rows of a tile: 4096
  const oracle::LogisticProblem tests = c.draw_tests(2);
  const auto fast = c.model<T>(this->device());
  const auto exact = c.model<double>(this->device()), test = c.make_model<double>(this->device(), tests);
  const auto solver = direct<T>(*fast, *exact, 0.0, kTolerance);
  Influence<T> influence(*fast, *test, *solver, to_double(c.theta()));
  const std::vector<Index> rows{1, 0};
  const auto all = influence.scores(rows);
  const Index n = c.sizes().n, last = n - 1;
  const std::vector<std::vector<Index>> groups{{0}, {last, 3, 7}, {2, 1}, {7, last}};
  const std::vector<double> sums = influence.group_scores(influence.inverse_products(rows), GroupMembers(groups, n));
  ASSERT_EQ(sums.size(), 2 * groups.size());
  for (std::size_t t = 0; t < 2; ++t)
    for (std::size_t g = 0; g < groups.size(); ++g) {
      double expected = 0, size = 0;
      for (const Index i : groups[g]) {
        const double score = all.values[t * static_cast<std::size_t>(n) + static_cast<std::size_t>(i)];
        expected += score;
        size += std::abs(score);
      }
      EXPECT_NEAR(sums[t * groups.size() + g], expected, 1e-15 * size);
    }
  EXPECT_NE(refusal([&] { GroupMembers({{0}, {n}}, n); }).find("out of range"), std::string::npos);
  EXPECT_NE(refusal([&] { GroupMembers({{1, 0, 1}}, n); }).find("stands twice"), std::string::npos);
}

TYPED_TEST(RemovalTest, SelfInfluenceByTheInverseIsTheDefinition) {
  for (CaseSizes sizes : removal_cases()) {
    sizes.weighted = true;
    const LogisticCase c(sizes);
    const auto exact = c.model<double>(this->device());
    const Index p = exact->parameters();
    for (const double damping : {0.0, 0.1}) {
      const auto solver = direct<double>(*exact, *exact, damping, unit_tolerance(kTolerance, p));
      const SelfInfluence result = self_influence_by_inverse(*exact, *solver, damping);
      EXPECT_TRUE(result.report.certified()) << result.report.first_failure();
      EXPECT_LE(result.residual, kTolerance);
      EXPECT_EQ(result.report.columns.size(), static_cast<std::size_t>(p));
      oracle::Matrix hessian = oracle::hessian(c.problem(), c.theta());
      for (std::size_t a = c.problem().regularised(); a < c.parameters(); ++a)
        for (std::size_t b = c.problem().regularised(); b < c.parameters(); ++b) hessian[a][b] += damping > 0 ? 0 : 1;
      const oracle::Matrix gradients = oracle::example_gradients(c.problem(), c.theta());
      oracle::Vector expected;
      for (std::size_t i = 0; i < gradients.size(); ++i)
        expected.push_back(c.problem().weight(i) / c.problem().total_weight() *
                           oracle::dot(gradients[i], oracle::damped_solve(hessian, gradients[i], damping)));
      EXPECT_LE(relative_error(result.values, expected), 2 * condition(hessian, damping) * kTolerance) << sizes;
    }
  }
}

// The bound on the residual of every product with the inverse is a true one; and a solver that is off is not certified.
TEST(CertifiedInverseTest, BoundsTheResidualOfEveryProduct) {
  const auto device = make_cpu_device();
  const oracle::Matrix matrix = with_eigenvalues({0.01, 0.4, 1, 2.5, 3});
  const Index p = 5;
  MatrixObjective<double> exact(*device, matrix), wrong(*device, matrix, 1e-7);
  const auto solver = make_conjugate_gradient<double>(exact, exact, 0.0, 1e-6);
  const CertifiedInverse inverse = certified_inverse(exact, *solver, 0.0);
  EXPECT_TRUE(inverse.report.certified());
  EXPECT_LE(inverse.residual, 1e-6 * std::sqrt(5.0));
  const std::vector<double> a = inverse.matrix.to_host();
  for (std::size_t k = 0; k < 5; ++k) {
    const oracle::Vector v = eigenvector(5, k);
    oracle::Vector s(5);
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t j = 0; j < 5; ++j) s[i] += a[j * 5 + i] * v[j];  // row j solves for unit vector j
    const oracle::Vector residual = oracle::add_scaled(v, -1, oracle::multiply(matrix, s));
    EXPECT_LE(static_cast<double>(oracle::norm(residual)), inverse.residual + 1e-14);
  }
  const auto factor = std::make_shared<const HessianFactor<double>>(wrong, 0.0);
  const auto honest = make_direct_solver<double>(factor, exact, 0.0, 1e-10);
  EXPECT_LE(certified_inverse(exact, *honest, 0.0).residual, 1e-10 * std::sqrt(static_cast<double>(p)));  // refined
  MatrixObjective<double> far(*device, with_eigenvalues({3, 2.5, 1, 0.4, 0.01}));
  const auto hopeless =
      make_direct_solver<double>(std::make_shared<const HessianFactor<double>>(far, 0.0), exact, 0.0, 1e-10);
  const CertifiedInverse refused = certified_inverse(exact, *hopeless, 0.0);
  EXPECT_FALSE(refused.report.certified());
  EXPECT_GT(refused.residual, 1e-3);
}

}  // namespace
}  // namespace clout::test
