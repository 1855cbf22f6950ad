// LiSSA where something is wrong: steps that are too long, matrices that are indefinite, requests that do not fit.

#include "engine/lissa_case.hpp"
#include "engine/matrix_objective.hpp"
#include "support/network_case.hpp"

namespace clout::test {
namespace {

template <class C>
class LissaFailuresTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;
  LogisticCase problem_{kLissaSizes};

  void SetUp() override {
    KernelTest<C>::SetUp();
    if (this->IsSkipped()) return;
    fast_ = problem_.model<Number>(this->device());
    exact_ = problem_.model<double>(this->device());
    hessian_ = oracle::hessian(problem_.problem(), problem_.theta());
  }
  Solved lissa(double damping, double tolerance, const LissaOptions& options, const oracle::Matrix& v) {
    return solve(*make_lissa<Number>(*fast_, *exact_, damping, tolerance, options), v);
  }
  double largest() const { return static_cast<double>(eigenvalues(hessian_).back()); }

  std::unique_ptr<LogisticRegression<Number>> fast_;
  std::unique_ptr<LogisticRegression<double>> exact_;
  oracle::Matrix hessian_;
};
TYPED_TEST_SUITE(LissaFailuresTest, Cases, CaseName);

// Errors along the largest eigenvalue grow by 49 a step.
TYPED_TEST(LissaFailuresTest, DivergenceIsCaughtInAFewStepsAndTheScaleIsDoubledUntilItIsGone) {
  const oracle::Matrix v = this->problem_.vectors(2);
  const LissaOptions options{.scale = this->largest() / 50};
  const Solved solved = this->lissa(0.0, 1e-10, options, v);
  ASSERT_TRUE(solved.report.certified()) << solved.report.first_failure();
  const LissaReport& lissa = *solved.report.lissa;
  EXPECT_GE(lissa.doublings, 4);  // from λ_max/50 to λ_max/2 and beyond
  EXPECT_EQ(lissa.scale, options.scale * std::exp2(lissa.doublings));
  for (std::size_t j = 0; j < v.size(); ++j)
    EXPECT_LE(true_residual(this->hessian_, 0.0, solved.solutions[j], v[j]), 1e-10);
}

TYPED_TEST(LissaFailuresTest, ThePublishedWayDivergesInAFewStepsWithALineThatNamesSigma) {
  const LissaOptions options{.scale = this->largest() / 50, .depth = 1000, .published = true};
  const Solved solved = this->lissa(0.0, 1e-10, options, this->problem_.vectors(2));
  for (const ColumnReport& column : solved.report.columns) {
    EXPECT_EQ(column.status, ColumnStatus::diverged);
    EXPECT_LE(column.iterations, 8);
    EXPECT_EQ(column.relative_residual, 1);  // nothing of it was taken
  }
  for (const oracle::Vector& s : solved.solutions)
    for (const long double value : s) EXPECT_EQ(value, 0);
  const std::string line = solved.report.first_failure();
  for (const char* part : {"diverged", "sigma = ", "--scale"}) EXPECT_NE(line.find(part), std::string::npos) << line;
  EXPECT_EQ(solved.report.lissa->doublings, 0);
}

TYPED_TEST(LissaFailuresTest, ThePublishedWayIsNotRefinedAndSaysWhereItEnded) {
  const NaiveLissa naive(this->problem_, 0);
  const LissaOptions options{.scale = naive.safe_scale(), .depth = kSmall ? 20 : 100, .batch = 3, .published = true};
  const oracle::Matrix v = this->problem_.vectors(1);
  const Solved solved = this->lissa(0.0, 1e-10, options, v);
  const ColumnReport& column = solved.report.columns[0];
  EXPECT_FALSE(solved.report.certified());
  EXPECT_EQ(column.refinements, 1);
  const double residual = true_residual(this->hessian_, 0.0, solved.solutions[0], v[0]);
  EXPECT_NEAR(column.relative_residual, residual, 1e-6 * residual);
  EXPECT_LT(residual, 1);
  EXPECT_GT(column.spread, 0);  // of ten repeats
  EXPECT_EQ(solved.report.lissa->repeats, 10);
  const std::string line = solved.report.first_failure();
  for (const char* part : {"leave --published out", "batches of 3", "10 repeats"})
    EXPECT_NE(line.find(part), std::string::npos) << line;
}

TYPED_TEST(LissaFailuresTest, ZeroAndNotFiniteRightHandSidesStandBesideOthers) {
  oracle::Matrix v = this->problem_.vectors(4);
  v[0].assign(v[0].size(), 0);
  v[2][1] = std::numeric_limits<long double>::quiet_NaN();
  const Solved solved = this->lissa(0.3, 1e-4, {}, v);
  const auto& columns = solved.report.columns;
  EXPECT_EQ(columns[0].status, ColumnStatus::converged);
  EXPECT_EQ(columns[0].iterations, 0);
  EXPECT_EQ(columns[2].status, ColumnStatus::not_finite);
  for (const std::size_t j : {std::size_t{1}, std::size_t{3}}) {
    EXPECT_EQ(columns[j].status, ColumnStatus::converged) << solved.report.first_failure();
    EXPECT_LE(true_residual(this->hessian_, 0.3, solved.solutions[j], v[j]), 1e-4);
  }
}

// Rounds of two steps cannot halve this residual: what is said is what to change, and the residual is the true one.
TYPED_TEST(LissaFailuresTest, RoundsThatAreTooShortEndWithALineThatNamesThem) {
  const oracle::Matrix v = this->problem_.vectors(1);
  const Solved solved = this->lissa(0.0, 1e-10, {.scale = 50, .depth = 2}, v);
  EXPECT_FALSE(solved.report.certified());
  EXPECT_EQ(solved.report.columns[0].status, ColumnStatus::stagnated);
  const double residual = true_residual(this->hessian_, 0.0, solved.solutions[0], v[0]);
  EXPECT_NEAR(solved.report.columns[0].relative_residual, residual, 1e-6 * residual);
  const std::string line = solved.report.first_failure();
  for (const char* part : {"2 steps", "--depth"}) EXPECT_NE(line.find(part), std::string::npos) << line;
}

TYPED_TEST(LissaFailuresTest, RefusesWhatDoesNotFit) {
  using T = typename TypeParam::Number;
  const auto refused = [&](const LissaOptions& options) {
    return refusal([&] { make_lissa<T>(*this->fast_, *this->exact_, 0.0, 1e-10, options); });
  };
  const Index n = kLissaSizes.n;
  EXPECT_NE(refused({.batch = n + 1}).find("expected 1 to " + std::to_string(n)), std::string::npos);
  EXPECT_NE(refused({.batch = n + 1, .published = true}).find("expected 1 to"), std::string::npos);
  EXPECT_NE(refused({.repeats = LissaOptions::kMostRepeats + 1}).find("repeats"), std::string::npos);
  EXPECT_NE(refused({.scale = -1}).find("scale"), std::string::npos);
  EXPECT_NE(refused({.scale = std::numeric_limits<double>::quiet_NaN()}).find("scale"), std::string::npos);
  EXPECT_NE(refused({.depth = -1}).find("steps"), std::string::npos);
  EXPECT_EQ(refused({}), "");
}

TEST(LissaOfAnotherModel, WithoutProductsOfBatchesThereIsOneClearLine) {
  const auto device = make_cpu_device(1);
  MatrixObjective<double> objective(*device, with_eigenvalues({1, 2}));
  const std::string line = refusal([&] { make_lissa<double>(objective, objective, 0.0, 1e-10, {}); });
  EXPECT_NE(line.find("no Hessian products of minibatches"), std::string::npos) << line;
}

template <class C>
class LissaNetworkTest : public KernelTest<C> {};
TYPED_TEST_SUITE(LissaNetworkTest, Cases, CaseName);

// A network's Hessian is indefinite: without damping LiSSA must not end in a certificate, nor in numbers that are none.
TYPED_TEST(LissaNetworkTest, IndefiniteIsRefusedDampedIsSolved) {
  using T = typename TypeParam::Number;
  if (kSmall) GTEST_SKIP() << "many passes; kernels and steps are those of the other tests";
  NetworkCase c(21, true);
  const auto fast = c.template model<T>(this->device());
  const auto exact = c.template model<double>(this->device());
  const auto p = static_cast<std::size_t>(exact->parameters());
  Buffer<double> matrix(this->device(), static_cast<Index>(p * p));
  exact->explicit_hessian(0.0, matrix.view(exact->parameters(), exact->parameters()));
  const std::vector<double> flat = matrix.to_host();
  oracle::Matrix hessian;
  for (std::size_t i = 0; i < p; ++i) hessian.emplace_back(flat.begin() + i * p, flat.begin() + (i + 1) * p);
  const double least = static_cast<double>(eigenvalues(hessian)[0]);
  ASSERT_LT(least, -0.01);

  const oracle::Matrix v{c.vector()};
  const Solved bare = solve(*make_lissa<T>(*fast, *exact, 0.0, 1e-6, {}), v);
  EXPECT_FALSE(bare.report.certified());
  EXPECT_NE(bare.report.first_failure().find("damping"), std::string::npos) << bare.report.first_failure();
  for (const long double value : bare.solutions[0]) EXPECT_TRUE(std::isfinite(value));

  const double damping = 1 - least;
  const Solved damped = solve(*make_lissa<T>(*fast, *exact, damping, 1e-6, {}), v);
  EXPECT_TRUE(damped.report.certified()) << damped.report.first_failure();
  EXPECT_LE(true_residual(hessian, damping, damped.solutions[0], v[0]), 1e-6);
}

}  // namespace
}  // namespace clout::test
