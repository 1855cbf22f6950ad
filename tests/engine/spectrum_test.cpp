// Eigenvalues of a Hessian, and the damping that follows from them.

#include <clout/engine/spectrum.hpp>

#include "engine/matrix_objective.hpp"
#include "engine/solve.hpp"
#include "kernels/backend.hpp"
#include "support/eigenvalues.hpp"

namespace clout::test {
namespace {

TEST(SpectrumTest, CountsSignsBeyondRoundingAndAdvises) {
  const std::unique_ptr<Device> device = make_cpu_device(1);
  const auto of = [&](const oracle::Vector& values) {
    MatrixObjective<double> objective(*device, with_eigenvalues(values));
    return spectrum(objective);
  };
  const Spectrum indefinite = of({-0.5, -0.25, 0, 1, 2, 4});
  EXPECT_NEAR(indefinite.smallest(), -0.5, indefinite.rounding);
  EXPECT_NEAR(indefinite.largest(), 4, indefinite.rounding);
  EXPECT_NEAR(indefinite.trace(), 6.25, 6 * indefinite.rounding);
  EXPECT_EQ(indefinite.negative(), 2);
  EXPECT_EQ(indefinite.positive(), 3);
  EXPECT_FALSE(indefinite.is_positive_definite());
  EXPECT_NEAR(indefinite.advised_damping(), 1, 2 * indefinite.rounding);

  const Spectrum definite = of({0.25, 1, 2});
  EXPECT_TRUE(definite.is_positive_definite());
  EXPECT_EQ(definite.negative(), 0);
  EXPECT_EQ(definite.advised_damping(), 0);

  const Spectrum singular = of({0, 1, 2});
  EXPECT_FALSE(singular.is_positive_definite());
  EXPECT_NEAR(singular.advised_damping(), 2e-6, 2 * singular.rounding);

  EXPECT_GT(of({0, 0}).advised_damping(), -1e-300);
  EXPECT_THROW(of({1, std::numeric_limits<long double>::quiet_NaN()}), NotCertified);
}

TEST(SpectrumTest, TheAdvisedDampingIsEnough) {
  const std::unique_ptr<Device> device = make_cpu_device(1);
  for (const oracle::Vector& values : {oracle::Vector{-3, -1, 0.5, 2}, {-1e-8, 0, 1, 7}, {-5, -5, -4, -1}}) {
    MatrixObjective<double> objective(*device, with_eigenvalues(values));
    const double damping = spectrum(objective).advised_damping();
    const auto solver = make_conjugate_gradient<double>(objective, objective, damping, 1e-8, 300);
    const Solved solved = solve(*solver, {{1, -2, 0.5, 3}});
    EXPECT_TRUE(solved.report.certified()) << solved.report.first_failure();
  }
}

template <class C>
class SpectrumOfModelTest : public KernelTest<C> {};
TYPED_TEST_SUITE(SpectrumOfModelTest, DoubleCases, CaseName);

TYPED_TEST(SpectrumOfModelTest, IsTheOracles) {
  const LogisticCase c(kSmall ? CaseSizes{9, 3, 3, false, false, true} : CaseSizes{41, 7, 3, true, false, true});
  const auto model = c.model<double>(this->device());
  const Spectrum found = spectrum(*model);
  const oracle::Vector expected = eigenvalues(oracle::hessian(c.problem(), c.theta()));
  ASSERT_EQ(found.eigenvalues.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(found.eigenvalues[i], static_cast<double>(expected[i]), 2 * found.rounding) << i;
}

}  // namespace
}  // namespace clout::test
