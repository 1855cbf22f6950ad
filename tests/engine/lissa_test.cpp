// LiSSA: its chains against naive ones on the oracle's Hessians, its fixed point against elimination.

#include <clout/engine/adam.hpp>

#include "engine/lissa_case.hpp"

namespace clout::test {
namespace {

template <class C>
class LissaTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;
  LogisticCase problem_{kLissaSizes};

  std::unique_ptr<LogisticRegression<Number>> model() { return problem_.model<Number>(this->device()); }
  std::unique_ptr<LogisticRegression<double>> exact() { return problem_.model<double>(this->device()); }
  Solved solve_certified(double damping, double tolerance, const LissaOptions& options, const oracle::Matrix& v) {
    const auto fast = model();
    const auto in_double = exact();
    return solve(*make_lissa<Number>(*fast, *in_double, damping, tolerance, options), v);
  }
};
TYPED_TEST_SUITE(LissaTest, Cases, CaseName);

// Rounding of chains whose steps lengthen no error: every step adds what its product and its sums lose, some 30 terms
// deep, of estimates that are hardly longer than their mean.
template <class T>
double chain_bound(Index depth) {
  return 60 * static_cast<double>(depth) * static_cast<double>(std::numeric_limits<T>::epsilon());
}

// Batches drawn from the generator, repeat r's own sequence; the second half of a chain averaged; damping is plain.
TYPED_TEST(LissaTest, ARoundIsTheMeanOfTheSecondHalfOfItsChains) {
  using T = typename TypeParam::Number;
  const Index n = this->problem_.sizes().n;
  for (const double damping : {0.0, 0.3}) {
    const NaiveLissa naive(this->problem_, damping);
    const LissaOptions options{.scale = naive.safe_scale(), .depth = 9, .batch = 2, .repeats = 3, .seed = 11};
    const oracle::Matrix v = unit_vectors<T>(this->problem_, 2);
    const auto model = this->model();
    const Round round = run_round<T>(*model, damping, options, v);
    EXPECT_EQ(round.report.doublings, 0);
    EXPECT_EQ(round.report.steps, 9);
    for (std::size_t j = 0; j < v.size(); ++j) {
      oracle::Vector mean(v[j].size());
      for (Index repeat = 0; repeat < 3; ++repeat) {
        oracle::Vector s(v[j].size());
        s = oracle::add_scaled(s, 1 / static_cast<long double>(options.scale), v[j]);
        for (Index step = 0; step < 9; ++step) {
          std::vector<Index> batch;
          for (Index i = 0; i < 2; ++i)
            batch.push_back(philox_below(11, RandomStream::minibatches, static_cast<std::uint64_t>(repeat),
                                         static_cast<std::uint64_t>(step * 2 + i), n));
          const oracle::Vector residual = oracle::add_scaled(v[j], -1, naive.product(batch, s));
          s = oracle::add_scaled(s, 1 / static_cast<long double>(options.scale), residual);
          if (step >= 4) mean = oracle::add_scaled(mean, 1 / 15.0L, s);  // five steps of three repeats
        }
      }
      EXPECT_LE(relative_error(round.estimates[j], mean), chain_bound<T>(9)) << "damping " << damping;
      EXPECT_EQ(round.columns[j].iterations, 9);
    }
  }
}

// The published code: u₀ = v, u ← v + (1 − damping′) u − H_B u/σ, u/σ averaged, damping′ = damping/σ; its batches walk
// through permutations, one repeat where the last one ended.
TYPED_TEST(LissaTest, ThePublishedWayIsThePublishedCodes) {
  using T = typename TypeParam::Number;
  const Index n = this->problem_.sizes().n,
              depth = kSmall ? 7 : 33;  // three repeats of pairs need several permutations
  const double damping = 0.3;
  const NaiveLissa naive(this->problem_, damping), undamped(this->problem_, 0);
  const LissaOptions options{
      .scale = naive.safe_scale(), .depth = depth, .batch = 2, .repeats = 3, .published = true, .seed = 4};
  const oracle::Matrix v = unit_vectors<T>(this->problem_, 2);
  const auto model = this->model();
  const Round round = run_round<T>(*model, damping, options, v);
  const long double sigma = options.scale, theirs = damping / sigma;
  const BatchOrder order(n, 2, options.seed);
  for (std::size_t j = 0; j < v.size(); ++j) {
    oracle::Vector mean(v[j].size());
    Index walked = 0;
    for (Index repeat = 0; repeat < 3; ++repeat) {
      oracle::Vector u = v[j];
      for (Index step = 0; step < depth; ++step, ++walked) {
        const std::vector<Index> permutation = order.epoch(1 + walked / order.steps_per_epoch());
        const Index first = walked % order.steps_per_epoch() * 2;
        const std::vector<Index> batch(permutation.begin() + first, permutation.begin() + first + 2);
        oracle::Vector next = oracle::add_scaled(v[j], 1 - theirs, u);
        u = oracle::add_scaled(next, -1 / sigma, undamped.product(batch, u));
      }
      mean = oracle::add_scaled(mean, 1 / (3 * sigma), u);
    }
    EXPECT_LE(relative_error(round.estimates[j], mean), chain_bound<T>(depth));
  }
}

// With batches of all the data nothing is left to chance: after t steps (H + damping·I)⁻¹v is there up to (1 − A/σ)^t.
TYPED_TEST(LissaTest, ThePublishedWaysFixedPointIsTheDampedInverse) {
  using T = typename TypeParam::Number;
  const oracle::Matrix hessian = oracle::hessian(this->problem_.problem(), this->problem_.theta());
  const double damping = 0.3;
  const oracle::Vector values = eigenvalues(hessian);
  const double largest = static_cast<double>(values.back()) + damping, least = static_cast<double>(values[0]) + damping;
  const Index depth = kSmall ? 20 : 60;
  const LissaOptions options{
      .scale = largest, .depth = depth, .batch = this->problem_.sizes().n, .repeats = 1, .published = true};
  const oracle::Matrix v = unit_vectors<T>(this->problem_, 2);
  const auto model = this->model();
  const Round round = run_round<T>(*model, damping, options, v);
  const double left = std::pow(1 - least / largest, static_cast<double>(depth + 1));
  for (std::size_t j = 0; j < v.size(); ++j) {
    const oracle::Vector expected = oracle::damped_solve(hessian, v[j], damping);
    EXPECT_LE(relative_error(round.estimates[j], expected), largest / least * left + chain_bound<T>(depth));
    EXPECT_TRUE(std::isnan(round.columns[j].spread));  // one repeat has none
  }
}

// Nothing given: every number is found, and rounds lead to the solution itself.
TYPED_TEST(LissaTest, ItTunesItselfAndReachesTheSolution) {
  const double tolerance = 1e-10;
  const oracle::Matrix hessian = oracle::hessian(this->problem_.problem(), this->problem_.theta());
  const oracle::Vector values = eigenvalues(hessian);
  for (const double damping : {0.0, 0.3}) {
    const oracle::Matrix v = this->problem_.vectors(kSmall ? 1 : 5);
    const Solved solved = this->solve_certified(damping, tolerance, {}, v);
    ASSERT_TRUE(solved.report.certified()) << solved.report.first_failure();
    EXPECT_EQ(solved.report.solver, "lissa");
    EXPECT_EQ(solved.report.damping, damping);
    EXPECT_EQ(solved.report.first_failure(), "");
    const double cond = condition(hessian, damping);
    for (std::size_t j = 0; j < v.size(); ++j) {
      EXPECT_LE(true_residual(hessian, damping, solved.solutions[j], v[j]), tolerance);
      EXPECT_LE(relative_error(solved.solutions[j], oracle::damped_solve(hessian, v[j], damping)), cond * tolerance);
      EXPECT_GT(solved.report.columns[j].spread, 0);
      EXPECT_GT(solved.report.columns[j].refinements, 1);
    }
    ASSERT_TRUE(solved.report.lissa.has_value());
    const LissaReport& lissa = *solved.report.lissa;
    const double largest = static_cast<double>(values.back()) + damping;
    EXPECT_GE(lissa.scale, largest / 2);
    // Twelve steps of Lanczos on at most 21 unknowns: within a fifth from below, then raised by 1.05.
    EXPECT_GE(lissa.largest_eigenvalue, 0.8 * largest);
    EXPECT_LE(lissa.largest_eigenvalue, 1.05 * largest * (1 + 1e-5));
    EXPECT_LE(lissa.smallest_eigenvalue, static_cast<double>(values[0]) + damping + 1e-5);
    EXPECT_EQ(lissa.repeats, 2);
    EXPECT_EQ(lissa.doublings, 0);
    EXPECT_GE(lissa.batch, 1);
    EXPECT_GT(solved.report.products, 12);  // the spectrum's
    EXPECT_NEAR(lissa.passes, static_cast<double>(lissa.steps * lissa.batch * 2) / static_cast<double>(kLissaSizes.n),
                1e-9);
  }
}

TYPED_TEST(LissaTest, TheSameSeedGivesTheSameBitsAndAnotherSeedAnotherWay) {
  const oracle::Matrix v = this->problem_.vectors(2);
  const LissaOptions seeded{.seed = 3};
  const Solved first = this->solve_certified(0.3, 1e-3, seeded, v), again = this->solve_certified(0.3, 1e-3, seeded, v);
  const Solved other = this->solve_certified(0.3, 1e-3, {.seed = 4}, v);
  EXPECT_EQ(first.solutions, again.solutions);
  EXPECT_NE(first.solutions, other.solutions);
  EXPECT_TRUE(other.report.certified());
}

// The standard error over many repeats is about the error: both are norms of a few independent parts, half of which lie
// within a third of each other's size, so a factor of two is left.
TYPED_TEST(LissaTest, TheSpreadSaysHowFarARoundIsOff) {
  using T = typename TypeParam::Number;
  if (kSmall) GTEST_SKIP() << "many steps, of which none differs from those of the other tests";
  const NaiveLissa naive(this->problem_, 0.3);
  const oracle::Matrix v = unit_vectors<T>(this->problem_, 3);
  const auto model = this->model();
  const LissaOptions options{.scale = naive.safe_scale(), .depth = 200, .batch = 1, .repeats = 64, .seed = 1};
  const Round round = run_round<T>(*model, 0.3, options, v);
  const oracle::Matrix hessian = oracle::hessian(this->problem_.problem(), this->problem_.theta());
  for (std::size_t j = 0; j < v.size(); ++j) {
    const double error = relative_error(round.estimates[j], oracle::damped_solve(hessian, v[j], 0.3L));
    EXPECT_GT(round.columns[j].spread, error / 2) << "error " << error;
    EXPECT_LT(round.columns[j].spread, error * 2) << "error " << error;
  }
}

}  // namespace
}  // namespace clout::test
