// Both ends of a spectrum and its trace without its matrix, and what follows for solves.

#include <clout/engine/spectrum_estimate.hpp>
#include <numeric>

#include "engine/matrix_objective.hpp"
#include "engine/solve.hpp"
#include "kernels/backend.hpp"
#include "support/eigenvalues.hpp"

namespace clout::test {
namespace {

using Definiteness = SpectrumEnds::Definiteness;

/// From `least` to `largest`, in equal ratios of their distance above `least` − `step`.
oracle::Vector decaying(std::size_t n, long double least, long double largest) {
  oracle::Vector values;
  for (std::size_t i = 0; i < n; ++i)
    values.push_back(least + (largest - least) * std::pow(0.7L, static_cast<long double>(i)));
  values.push_back(least);
  return values;
}

class SpectrumEstimateTest : public ::testing::Test {
 protected:
  std::unique_ptr<Device> device_ = make_cpu_device(1);

  SpectrumEstimate estimate(const oracle::Vector& values, const SpectrumOptions& options = {}) {
    MatrixObjective<double> objective(*device_, with_eigenvalues(values));
    return estimate_spectrum(HessianOperator<double>(objective, 0), options);
  }
};

TEST_F(SpectrumEstimateTest, TheEndsAreWithinTheirErrorsAndInsideTheBounds) {
  for (const auto& [least, largest] : {std::pair{-0.5L, 4.0L}, {0.25L, 4.0L}, {-3.0L, -1.0L}, {0.0L, 2.0L}}) {
    const oracle::Vector values = decaying(60, least, largest);
    for (const Index steps : {Index{4}, Index{12}, Index{61}}) {
      const SpectrumEstimate found = estimate(values, {.most_steps = steps});
      const oracle::Vector exact = eigenvalues(with_eigenvalues(values));
      const double rounding = found.rounding, low = static_cast<double>(exact.front()),
                   high = static_cast<double>(exact.back());
      EXPECT_GE(found.smallest, low - rounding);
      EXPECT_LE(found.largest, high + rounding);
      const auto nearest = [&](double to) {
        double least_distance = 1e9;
        for (const long double value : exact)
          least_distance = std::min(least_distance, std::abs(static_cast<double>(value) - to));
        return least_distance;
      };
      EXPECT_LE(nearest(found.smallest), found.smallest_error + rounding);
      EXPECT_LE(nearest(found.largest), found.largest_error + rounding);
      EXPECT_LE(found.at_least, low);
      EXPECT_GE(found.at_most, high);
      EXPECT_LE(found.negative_at_least,
                std::count_if(exact.begin(), exact.end(), [](long double value) { return value < -1e-15L; }));
      if (steps > 60) {
        EXPECT_TRUE(found.is_converged);
        EXPECT_NEAR(found.smallest, low, 1e-6 * std::max(std::abs(low), high));
        EXPECT_NEAR(found.largest, high, 1e-6 * std::max(std::abs(low), high));
      } else if (steps == 4) {
        EXPECT_FALSE(found.is_converged);
      }
    }
  }
}

TEST_F(SpectrumEstimateTest, StopsWhenBothEndsAreKnownAndSaysWhatItTook) {
  const SpectrumEstimate found = estimate(decaying(200, 0.25, 4), {.most_probes = 0});
  EXPECT_TRUE(found.is_converged);
  EXPECT_LT(found.steps, 200);
  EXPECT_EQ(found.products, found.steps + 2);  // and the two Ritz vectors'
  EXPECT_LE(std::max(found.smallest_error, found.largest_error), 1e-6 * 4);
  const SpectrumEstimate again = estimate(decaying(200, 0.25, 4), {.most_probes = 0});
  EXPECT_EQ(found.ritz.values, again.ritz.values);
}

TEST_F(SpectrumEstimateTest, DoubtIsTheTheoremsAndHolds) {
  // ln(1.648 √7840 / 1e-9)/599, squared.
  EXPECT_NEAR(lanczos_doubt(300, 7840, 1e-9), 0.0018417, 1e-7);
  EXPECT_EQ(lanczos_doubt(2, 7840, 1e-9), 1);
  // With a doubt of one half most starts must obey; the theorem is far from tight here.
  oracle::Vector values;
  for (int i = 0; i < 100; ++i) values.push_back(i);
  int beyond = 0;
  constexpr int kSeeds = 40;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const SpectrumEstimate found =
        estimate(values, {.most_steps = 6, .most_probes = 0, .seed = static_cast<std::uint64_t>(seed)});
    if (found.smallest > 99 * lanczos_doubt(6, 100, 0.5)) ++beyond;
  }
  EXPECT_LE(beyond, kSeeds / 2 + 15);  // five standard deviations above the half
}

// Of many seeds, (estimate − trace)/standard error has mean 0 and mean square 1: unbiased, and the bar is right.
TEST_F(SpectrumEstimateTest, TheTracesErrorBarIsTheError) {
  oracle::Vector values;
  for (int i = 0; i < 50; ++i) values.push_back(1 + 0.2L * i);
  values.push_back(300);
  const double trace = static_cast<double>(std::accumulate(values.begin(), values.end(), 0.0L));
  constexpr int kSeeds = 100;
  double sum = 0, squares = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const SpectrumEstimate found = estimate(
        values, {.most_steps = 3, .most_probes = 96, .trace_error = 0, .seed = static_cast<std::uint64_t>(seed)});
    ASSERT_EQ(found.trace.probes, 96);
    const double score = (found.trace.value - trace) / found.trace.standard_error;
    sum += score / kSeeds;
    squares += score * score / kSeeds;
  }
  EXPECT_NEAR(sum, 0, 5 / std::sqrt(1.0 * kSeeds));
  EXPECT_NEAR(squares, 1, 5 * std::sqrt(2.0 / kSeeds));
}

// What Lanczos holds is taken out: the same probes give a far smaller bar than without.
TEST_F(SpectrumEstimateTest, KnownDirectionsLeaveTheTracesBarSmall) {
  oracle::Vector values(80, 1.0L);
  for (std::size_t i = 0; i < 10; ++i) values[i] = 100 + 10 * static_cast<long double>(i);
  const SpectrumEstimate with = estimate(values, {.most_steps = 11, .most_probes = 64, .trace_error = 0});
  const SpectrumEstimate without = estimate(values, {.most_steps = 1, .most_probes = 64, .trace_error = 0});
  // The rest is P itself: zᵀPz has the variance 2 Σ_{i≠j} (VVᵀ)_ij², at most 2·11.
  EXPECT_LT(with.trace.standard_error, std::sqrt(22.0 / 64));
  EXPECT_GT(without.trace.standard_error, 5);
  EXPECT_NEAR(with.trace.value, 10 * 145 + 70, 5 * with.trace.standard_error);
  const SpectrumEstimate all = estimate({1, 2, 4}, {});
  EXPECT_EQ(all.trace.probes, 0);
  EXPECT_EQ(all.trace.standard_error, 0);
  EXPECT_NEAR(all.trace.value, 7, 1e-13);
}

TEST_F(SpectrumEstimateTest, ProbingEndsAtTheBarAskedFor) {
  oracle::Vector values;
  for (int i = 0; i < 100; ++i) values.push_back(1 + 0.01L * i);
  const SpectrumEstimate found = estimate(values, {.most_steps = 2, .most_probes = 4096});
  EXPECT_EQ(found.trace.probes, 32);  // one block is enough for a spectrum so flat
  EXPECT_LE(found.trace.standard_error, 0.01 * found.trace.value);
}

TEST_F(SpectrumEstimateTest, TheMemoryLimitCutsTheStepsAndRefusesWhatDoesNotFit) {
  const oracle::Vector values = decaying(100, 0.25, 4);
  const std::size_t row = 101 * sizeof(double), probes = 64 * row;
  device_->set_memory_limit(probes + 12 * row + 4096);
  const SpectrumEstimate found = estimate(values);
  EXPECT_LT(found.steps, 16);
  EXPECT_GE(found.steps, 8);
  EXPECT_LE(device_->peak_memory(), device_->memory_limit());
  device_->set_memory_limit(probes);
  EXPECT_THROW(estimate(values), OutOfMemory);
}

TEST_F(SpectrumEstimateTest, NotFiniteIsRefused) {
  EXPECT_THROW(estimate({1, std::numeric_limits<long double>::quiet_NaN(), 3}), NotCertified);
}

TEST_F(SpectrumEstimateTest, SaysWhetherItIsDefiniteAndWhichDampingMakesItSo) {
  const SpectrumEnds definite = estimate(decaying(60, 0.25, 4)).ends();
  EXPECT_EQ(definite.definiteness(), Definiteness::definite);
  EXPECT_EQ(definite.advised_damping(), 0);
  EXPECT_EQ(definite.sure_damping(), 0);
  EXPECT_NEAR(definite.condition(0), 16, 1e-4);
  EXPECT_NEAR(definite.condition(1), 4, 1e-5);

  const SpectrumEnds indefinite = estimate(decaying(60, -0.5, 4)).ends();
  EXPECT_EQ(indefinite.definiteness(), Definiteness::indefinite);
  EXPECT_NEAR(indefinite.advised_damping(), 1, 1e-5);
  EXPECT_GE(indefinite.sure_damping(), indefinite.advised_damping());

  // Forty steps cannot tell that 1e-3 is above zero, beside 4; of four the theorem says nothing.
  const SpectrumEnds open = estimate(decaying(200, 1e-3L, 4), {.most_steps = 40}).ends();
  EXPECT_EQ(open.definiteness(), Definiteness::not_known);
  EXPECT_GT(open.smallest, 0);
  EXPECT_GT(open.at_least + open.sure_damping(), 0);
  EXPECT_LT(open.sure_damping(), 4);
  EXPECT_TRUE(std::isinf(estimate(decaying(200, 1e-3L, 4), {.most_steps = 4}).ends().sure_damping()));

  SpectrumEnds singular = definite;
  singular.are_all = true, singular.smallest = singular.smallest_error = 0, singular.at_least = -1e-14,
  singular.rounding = 1e-14;
  EXPECT_EQ(singular.definiteness(), Definiteness::singular);
  EXPECT_NEAR(singular.advised_damping(), 4e-6, 1e-11);
}

TEST_F(SpectrumEstimateTest, CgTakesWhatIsForetold) {
  oracle::Vector values;
  for (int i = 0; i < 300; ++i) values.push_back(0.02L + 0.00005L * i * i);
  MatrixObjective<double> objective(*device_, with_eigenvalues(values));
  const SpectrumEstimate found =
      estimate_spectrum(HessianOperator<double>(objective, 0), {.most_steps = 250, .tolerance = 1e-14});
  SpectrumEnds all = found.ends();
  all.are_all = true, all.values.assign(values.begin(), values.end()), all.weights.assign(values.size(), 1);
  for (const double damping : {0.0, 0.3})
    for (const double tolerance : {1e-3, 1e-8}) {
      oracle::Vector even(values.size());
      for (std::size_t k = 0; k < values.size(); ++k) even = oracle::add_scaled(even, 1, eigenvector(values.size(), k));
      // The certified loop asks its inner solver for half of the tolerance.
      const auto solver = make_conjugate_gradient<double>(objective, objective, damping, 2 * tolerance);
      const Index taken = solve(*solver, {even}).report.columns[0].iterations;
      const SpectrumEnds::Count exact = all.cg_products(damping, tolerance),
                                ritz = found.ends().cg_products(damping, tolerance);
      EXPECT_FALSE(exact.is_bound);
      EXPECT_NEAR(static_cast<double>(exact.products), static_cast<double>(taken), 2) << damping << ", " << tolerance;
      EXPECT_FALSE(ritz.is_bound);
      // From a random right-hand side of even size in every direction on the average.
      EXPECT_NEAR(static_cast<double>(ritz.products), static_cast<double>(taken), 0.25 * static_cast<double>(taken));
      SpectrumEnds few = found.ends();
      few.values = {found.smallest, found.largest}, few.weights = {0.5, 0.5};
      const SpectrumEnds::Count bound = few.cg_products(damping, tolerance);
      EXPECT_TRUE(bound.is_bound);
      EXPECT_GE(bound.products, taken);
      EXPECT_LE(bound.products, 8 * taken);
    }
}

TEST_F(SpectrumEstimateTest, OneAssembledHessianServesTheSpectrumAndTheFactor) {
  const oracle::Matrix a = with_eigenvalues({-0.5, 1, 2, 4});
  MatrixObjective<double> objective(*device_, a);
  Buffer<double> hessian(*device_, 16);
  objective.explicit_hessian(0, hessian.view(4, 4));
  const std::vector<double> before = hessian.to_host();
  const Spectrum found = spectrum(*device_, hessian.view(4, 4));
  EXPECT_EQ(hessian.to_host(), before);
  EXPECT_EQ(found.eigenvalues, spectrum(objective).eigenvalues);
  const double damping = found.advised_damping();
  const auto factor = std::make_shared<HessianFactor<double>>(objective, std::move(hessian), damping);
  const oracle::Matrix v{{1, -2, 0.5, 3}};
  const Solved solved = solve(*make_direct_solver<double>(factor, objective, damping, 1e-12), v);
  EXPECT_TRUE(solved.report.certified()) << solved.report.first_failure();
  EXPECT_LE(true_residual(a, damping, solved.solutions[0], v[0]), 1e-12);
  EXPECT_EQ(solved.report.columns[0].refinements, 1);  // the factor is that of H + damping·I
}

}  // namespace
}  // namespace clout::test
