#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <ostream>
#include <string>

#include "oracle/logistic_oracle.hpp"

// The oracle is checked against what it is not: finite differences, closed forms, and its own slower, plainer ways.

namespace oracle {
namespace {

constexpr long double kEps = std::numeric_limits<long double>::epsilon();
constexpr long double kStep = 3e-4L;  // near eps^(1/5), the best step for a 4-point difference

// A linear congruential generator: the same numbers with every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return state_ >> 33;
  }
  long double number() { return static_cast<long double>(bits()) / (1U << 30) - 1; }  // [-1, 1)
  Vector vector(std::size_t n) {
    Vector result(n);
    for (long double& entry : result) entry = number();
    return result;
  }

 private:
  std::uint64_t state_;
};

struct Shape {
  std::size_t n, d, classes;
  bool bias, weighted;
};

std::string name_of(const Shape& s) {
  return "n" + std::to_string(s.n) + "d" + std::to_string(s.d) + "K" + std::to_string(s.classes) +
         (s.bias ? "Bias" : "") + (s.weighted ? "Weights" : "");
}
void PrintTo(const Shape& shape, std::ostream* out) { *out << name_of(shape); }  // GoogleTest's name for it

LogisticProblem random_problem(const Shape& shape, Random& random) {
  LogisticProblem problem{.examples = shape.n, .features = shape.d, .classes = shape.classes, .bias = shape.bias};
  problem.x = random.vector(shape.n * shape.d);
  for (std::size_t i = 0; i < shape.n; ++i)
    problem.labels.push_back(static_cast<int>(i < shape.classes ? i : random.bits() % shape.classes));
  if (shape.weighted)
    for (std::size_t i = 0; i < shape.n; ++i) problem.weights.push_back(i % 4 == 1 ? 0 : 1 + random.number() / 2);
  problem.l2 = 0.03L;
  return problem;
}

template <class F>
long double four_point(const F& f, long double h = kStep) {
  return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
}

// Truncation: h⁴/30 · |f⁽⁵⁾|. Along a direction that moves every logit by at most `reach`, the derivatives of
// logsumexp are cumulants of a variable within ±reach: of order 5, |κ₅| ≤ |μ₅| + 10|μ₃|μ₂ ≤ 52 reach⁵; of order 6,
// needed when f is itself a first derivative, |κ₆| ≤ 64 + 15·16 + 10·4 + 30 = 374 reach⁶.
// Rounding: 18 values' worth of size·terms·eps, divided by 12 h.
long double four_point_bound(long double reach, int order, long double size, std::size_t terms) {
  const long double derivative = order == 5 ? 52 * std::pow(reach, 5.0L) : 374 * std::pow(reach, 6.0L);
  return std::pow(kStep, 4.0L) / 30 * derivative + 18 * size * static_cast<long double>(terms) * kEps / (12 * kStep);
}

// EXPECT_NEAR compares in double, which is too coarse here.
testing::AssertionResult near(long double actual, long double expected, long double bound) {
  if (std::fabs(actual - expected) <= bound) return testing::AssertionSuccess();
  return testing::AssertionFailure() << actual << " differs from " << expected << " by " << actual - expected
                                     << ", more than " << bound;
}

void expect_close(const Vector& actual, const Vector& expected, long double bound) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t j = 0; j < actual.size(); ++j) EXPECT_TRUE(near(actual[j], expected[j], bound)) << "entry " << j;
}

class Oracle : public testing::TestWithParam<Shape> {
 protected:
  Random random{7};
  LogisticProblem problem = random_problem(GetParam(), random);
  Vector theta = random.vector(problem.parameters());
  Vector u = random.vector(problem.parameters());
  Vector v = random.vector(problem.parameters());
  std::size_t terms = problem.parameters() + problem.examples + 10;
  // Every |x|, |v| is at most 1: a direction v moves a logit by at most d + 1, a unit vector by at most 1.
  long double reach = static_cast<long double>(problem.features + 1);
  long double rounding = static_cast<long double>(terms) * reach * 64 * kEps;
};

TEST_P(Oracle, GradientIsThatOfTheObjective) {
  const Vector g = gradient(problem, theta);
  const long double size = objective(problem, theta);
  for (std::size_t j = 0; j < theta.size(); ++j) {
    Vector unit(theta.size());
    unit[j] = 1;
    const auto along = [&](long double h) { return objective(problem, add_scaled(theta, h, unit)); };
    EXPECT_TRUE(near(g[j], four_point(along), four_point_bound(1, 5, size, terms))) << "parameter " << j;
  }
}

TEST_P(Oracle, HvpIsTheDifferenceOfGradients) {
  const Vector hv = hvp(problem, theta, v);
  for (std::size_t j = 0; j < theta.size(); ++j) {
    const auto along = [&](long double h) { return gradient(problem, add_scaled(theta, h, v))[j]; };
    EXPECT_TRUE(near(hv[j], four_point(along), four_point_bound(reach, 6, 2, terms))) << "parameter " << j;
  }
}

TEST_P(Oracle, FastFormsEqualOneSeedPerParameter) {
  const auto f = [&](const auto& point) { return objective(problem, point); };
  expect_close(gradient(problem, theta), gradient_by_seeds(f, theta), rounding);
  expect_close(hvp(problem, theta, v), hvp_by_seeds(f, theta, v), rounding);
}

TEST_P(Oracle, HessianIsSymmetricLinearAndDamped) {
  const Matrix h = hessian(problem, theta);
  for (std::size_t r = 0; r < h.size(); ++r)
    for (std::size_t c = 0; c < r; ++c) EXPECT_TRUE(near(h[r][c], h[c][r], rounding));
  expect_close(multiply(h, v), hvp(problem, theta, v), rounding);
  expect_close(hvp(problem, theta, v, 0.25L), add_scaled(hvp(problem, theta, v), 0.25L, v), rounding);
  EXPECT_TRUE(near(dot(u, hvp(problem, theta, v)), dot(v, hvp(problem, theta, u)), rounding * reach * 8));
}

TEST_P(Oracle, TangentIsTheGradientTimesTheVector) {
  const Matrix gradients = example_gradients(problem, theta);
  expect_close(tangent(problem, theta, v), multiply(gradients, v), rounding);
  Vector sum(theta.size());
  for (std::size_t i = 0; i < problem.examples; ++i)
    sum = add_scaled(sum, problem.weight(i) / problem.total_weight(), gradients[i]);
  for (std::size_t j = 0; j < problem.regularised(); ++j) sum[j] += problem.l2 * theta[j];
  expect_close(gradient(problem, theta), sum, rounding);
}

TEST_P(Oracle, PerturbIsTheInputGradientOfTheTangent) {
  const Matrix all = perturb(problem, theta, Matrix{u, v});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0], perturb(problem, theta, u));
  for (std::size_t i = 0; i < problem.examples; ++i)
    for (std::size_t j = 0; j < problem.features; ++j) {
      const auto along = [&](long double h) {
        LogisticProblem moved = problem;
        moved.x[i * problem.features + j] += h;
        return tangent(moved, theta, v)[i];
      };
      // The tangent is (p − e)ᵀ(Vx): its fifth derivative is that of p (order 6 of logsumexp, all reaches ≤ 1) times
      // ‖Vx‖ ≤ reach, plus five times the fourth derivative of p, itself at most the order-5 bound.
      const long double bound = (reach + 5) * four_point_bound(1, 6, 4, terms);
      EXPECT_TRUE(near(all[1][i * problem.features + j], four_point(along), bound)) << i << ", " << j;
    }
}

TEST_P(Oracle, WeightZeroIsTheSameAsAbsence) {
  if (problem.examples < 2) GTEST_SKIP() << "nothing would be left";
  LogisticProblem others = problem;
  others.examples -= 1;
  others.x.erase(others.x.begin(), others.x.begin() + static_cast<std::ptrdiff_t>(problem.features));
  others.labels.erase(others.labels.begin());
  if (!others.weights.empty()) others.weights.erase(others.weights.begin());
  const LogisticProblem zeroed = without(problem, {0});
  EXPECT_TRUE(near(objective(zeroed, theta), objective(others, theta), rounding));
  expect_close(gradient(zeroed, theta), gradient(others, theta), rounding);
  expect_close(hvp(zeroed, theta, v), hvp(others, theta, v), rounding);
}

TEST_P(Oracle, TrainsToTheRoundingFloor) {
  std::vector<bool> present(problem.classes);
  for (std::size_t i = 0; i < problem.examples; ++i)
    if (problem.weight(i) > 0) present[static_cast<std::size_t>(problem.labels[i])] = true;
  if (problem.bias && std::find(present.begin(), present.end(), false) != present.end())
    GTEST_SKIP() << "no finite optimum: a bias is not regularised, and that of an absent class goes to minus infinity";
  const Trained trained = train(problem);
  EXPECT_LE(trained.gradient_norm, 1e-15L);
  EXPECT_LE(norm(gradient(problem, trained.params)), 1e-15L);
  EXPECT_LT(trained.iterations, 20);
  EXPECT_EQ(train(problem, trained.params).iterations, 0);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Oracle,
                         testing::Values(Shape{1, 1, 2, false, false}, Shape{1, 3, 4, true, false},
                                         Shape{5, 2, 2, true, true}, Shape{9, 5, 3, false, true},
                                         Shape{19, 3, 11, true, false}),
                         [](const auto& tested) { return name_of(tested.param); });

TEST(OracleLogistic, TwoClassesAreTheBinaryModel) {
  Random random(11);
  const LogisticProblem problem = random_problem({6, 4, 2, false, false}, random);
  const Vector theta = random.vector(8), v = random.vector(8);
  const Vector loss = losses(problem, theta), along = tangent(problem, theta, v);
  const Matrix gradients = example_gradients(problem, theta);
  Vector hv(8);
  for (std::size_t j = 0; j < 8; ++j) hv[j] = problem.l2 * v[j];
  for (std::size_t i = 0; i < 6; ++i) {
    // The two logits matter by their difference alone: margin m = y (θ₁ − θ₀)·x, ℓ = log(1 + e^(−m)).
    const long double y = problem.labels[i] == 1 ? 1 : -1;
    long double margin = 0, step = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      margin += y * (theta[4 + j] - theta[j]) * problem.row(i)[j];
      step += (v[4 + j] - v[j]) * problem.row(i)[j];
    }
    const long double wrong = 1 / (1 + std::exp(margin)), curvature = wrong * (1 - wrong);
    EXPECT_TRUE(near(loss[i], std::log1p(std::exp(-margin)), 100 * kEps));
    EXPECT_TRUE(near(along[i], -y * wrong * step, 100 * kEps));
    for (std::size_t j = 0; j < 8; ++j) {
      const long double x = (j < 4 ? -1 : 1) * problem.row(i)[j % 4];
      EXPECT_TRUE(near(gradients[i][j], -y * wrong * x, 100 * kEps));
      hv[j] += curvature * step * x / 6;
    }
  }
  expect_close(hvp(problem, theta, v), hv, 200 * kEps);
}

TEST(OracleLogistic, LargeLogitsNeitherOverflowNorCancel) {
  const LogisticProblem problem{.examples = 2, .features = 1, .classes = 2, .x = {1, 1}, .labels = {0, 1}};
  const Vector theta{30000, 0}, v{1, 0};
  EXPECT_EQ(losses(problem, theta), (Vector{0, 30000}));
  EXPECT_EQ(tangent(problem, theta, v), (Vector{0, 1}));
  const Vector small = losses(problem, {60, 0});
  EXPECT_TRUE(near(small[0] / std::exp(-60.0L), 1, 4 * kEps + std::exp(-60.0L)));
  EXPECT_TRUE(near(tangent(problem, {60, 0}, v)[0], -std::exp(-60.0L), 4 * kEps));
}

// θ̂(w) minimises (1/W) Σ wⱼℓⱼ + regulariser; at w = 1 the derivative of a test loss by wᵢ is exactly
// −(1/n) s·(∇ℓᵢ + λθ), s = H⁻¹∇ℓ_test: the influence score with its sign, its 1/n and its regulariser.
TEST(OracleLogistic, InfluenceIsTheDerivativeOfRetraining) {
  Random random(13);
  LogisticProblem problem = random_problem({8, 3, 3, false, false}, random);
  const LogisticProblem test = random_problem({1, 3, 3, false, false}, random);
  const Trained trained = train(problem);
  const Vector s = damped_solve(hessian(problem, trained.params), gradient(
                                                                      [&] {
                                                                        LogisticProblem unregularised = test;
                                                                        unregularised.l2 = 0;
                                                                        return unregularised;
                                                                      }(),
                                                                      trained.params));
  const Matrix gradients = example_gradients(problem, trained.params);
  problem.weights.assign(8, 1);
  for (std::size_t i = 0; i < 8; ++i) {
    const long double score = dot(s, add_scaled(gradients[i], problem.l2, trained.params)) / 8;
    const auto retrained = [&](long double h) {
      LogisticProblem weighted = problem;
      weighted.weights[i] = 1 + h;
      return losses(test, train(weighted, trained.params, 1e-17L).params)[0];
    };
    // A gradient of at most 1e-17 leaves an error of 1e-17/λ in θ and of twice that in the loss, and the formula adds
    // 18 of those over 12 h. Its truncation is of order h⁴: a fifteenth of what doubling h changes.
    const long double difference = four_point(retrained);
    const long double bound =
        18 * 2e-17L / (12 * problem.l2 * kStep) + std::fabs(difference - four_point(retrained, 2 * kStep));
    EXPECT_TRUE(near(difference, -score, bound)) << "example " << i;
    // Removing it altogether moves the same way, by the score and terms of order 1/n².
    const long double actual = losses(test, train(without(problem, {i})).params)[0] - losses(test, trained.params)[0];
    if (std::fabs(score) > 0.02L) {
      EXPECT_GT(actual * score, 0);
    }
  }
}

TEST(OracleDual, SecondDerivativesOfTheElementaryFunctions) {
  using Nested = Dual<Dual<long double>>;
  const long double x = 0.3L, h = std::tanh(x);
  const Nested a(Dual<long double>(x, 1), Dual<long double>(1));
  const auto expect = [](const Nested& f, long double value, long double first, long double second) {
    EXPECT_TRUE(near(primal(f), value, 4 * kEps));
    EXPECT_TRUE(near(f.value.tangent, first, 8 * kEps * std::fabs(first)));
    EXPECT_TRUE(near(f.tangent.value, first, 8 * kEps * std::fabs(first)));
    EXPECT_TRUE(near(f.tangent.tangent, second, 8 * kEps * std::fabs(second)));
  };
  expect(exp(a), std::exp(x), std::exp(x), std::exp(x));
  expect(expm1(a), std::expm1(x), std::exp(x), std::exp(x));
  expect(log(a), std::log(x), 1 / x, -1 / (x * x));
  expect(log1p(a), std::log1p(x), 1 / (1 + x), -1 / ((1 + x) * (1 + x)));
  expect(tanh(a), h, 1 - h * h, -2 * h * (1 - h * h));
  expect(2 / a, 2 / x, -2 / (x * x), 4 / (x * x * x));
  expect(a * a * a - 5 * a + 1, x * x * x - 5 * x + 1, 3 * x * x - 5, 6 * x);
  expect(-(+a), -x, -1, 0);
}

TEST(OracleDual, ComparesByValue) {
  const Dual<long double> low(1, 5), high(2, -5);
  EXPECT_TRUE(low < high && high > low && low <= high && high >= low && low != high && low == 1);
}

TEST(OracleDense, SolvesWhatItShouldAndRefusesTheRest) {
  const Matrix a{{0, 2, 1}, {2, 1, 0}, {1, 0, 3}};  // a zero on the diagonal: needs the pivoting
  EXPECT_EQ(multiply(a, damped_solve(a, {5, 4, 10})), (Vector{5, 4, 10}));
  const Vector damped = damped_solve(a, {5, 4, 10}, 2);
  expect_close(add_scaled(multiply(a, damped), 2, damped), {5, 4, 10}, 100 * kEps);
  EXPECT_THROW(damped_solve({{1, 1}, {1, 1}}, {1, 1}), std::domain_error);
  EXPECT_THROW(damped_solve({{1}}, {1, 1}), std::invalid_argument);
}

TEST(OracleLogistic, RefusesWrongShapes) {
  const LogisticProblem problem{.examples = 1, .features = 2, .classes = 2, .x = {1, 2}, .labels = {0}};
  EXPECT_THROW(losses(problem, {1, 2, 3}), std::invalid_argument);
  EXPECT_THROW(hvp(problem, {1, 2, 3, 4}, {1}), std::invalid_argument);
  EXPECT_THROW(losses(without(problem, {0}), {1, 2, 3, 4}), std::invalid_argument);
}

}  // namespace
}  // namespace oracle
