// Lanczos: its values against Jacobi's, its bounds against residuals in long double, its starts and ends.

#include <clout/engine/lanczos.hpp>
#include <clout/engine/random_vectors.hpp>

#include "engine/matrix_objective.hpp"
#include "engine/solve.hpp"
#include "kernels/backend.hpp"
#include "support/eigenvalues.hpp"

namespace clout::test {
namespace {

template <class T>
oracle::Matrix rows_of(Device& device, MatrixView<const T> view) {
  const std::vector<T> host = to_host(device, view);
  oracle::Matrix rows;
  for (Index j = 0; j < view.rows; ++j)
    rows.emplace_back(host.begin() + j * view.columns, host.begin() + (j + 1) * view.columns);
  return rows;
}

oracle::Vector spread_values(std::size_t n) {
  oracle::Vector values;
  for (std::size_t i = 0; i < n; ++i) values.push_back(-1 + 0.01L * static_cast<long double>(i * i));
  return values;
}

long double nearest(const oracle::Vector& values, double to) {
  long double least = std::numeric_limits<long double>::infinity();
  for (const long double value : values) least = std::min(least, std::fabs(value - to));
  return least;
}

class LanczosTest : public ::testing::Test {
 protected:
  std::unique_ptr<Device> device_ = make_cpu_device(1);

  template <class T>
  Lanczos<T> started(Objective<T>& objective, Index most, std::uint64_t seed = 0) {
    Lanczos<T> lanczos(HessianOperator<T>(objective, 0), most);
    const Index p = objective.parameters();
    const Buffer<T> start(
        *device_, std::span<const T>(random_direction<T>(probe_sequence(seed, ProbeSection::lanczos_start), p)));
    lanczos.start(start.view(1, p));
    return lanczos;
  }
  /// Of p vectors: orthonormal to some eps, T the compression, every bound the residual's norm.
  template <class T>
  void expect_certified(const oracle::Matrix& a, Lanczos<T>& lanczos) {
    const double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
    const oracle::Vector exact = eigenvalues(a);
    const double size = static_cast<double>(std::max(std::fabs(exact.front()), std::fabs(exact.back())));
    const auto m = static_cast<std::size_t>(lanczos.steps());
    const oracle::Matrix v = rows_of<T>(*device_, lanczos.basis());
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j <= i; ++j)
        ASSERT_NEAR(static_cast<double>(oracle::dot(v[i], v[j])), i == j, 8 * eps) << i << ", " << j;
    const RitzValues ritz = lanczos.ritz();
    double weight = 0;
    for (std::size_t i = 0; i < m; ++i) {
      oracle::Vector y(a.size());
      for (std::size_t j = 0; j < m; ++j) y = oracle::add_scaled(y, ritz.vectors[i * m + j], v[j]);
      const oracle::Vector left = oracle::add_scaled(oracle::multiply(a, y), -ritz.values[i], y);
      // One product, rounded to T; the recurrence's own rounding is of the same size.
      EXPECT_NEAR(ritz.bounds[i], static_cast<double>(oracle::norm(left)), 16 * eps * size) << m << ", " << i;
      EXPECT_LE(nearest(exact, ritz.values[i]), ritz.bounds[i] + 16 * eps * size);
      EXPECT_NEAR(ritz.weights[i], static_cast<double>(std::pow(oracle::dot(y, v[0]), 2)), 32 * eps);
      weight += ritz.weights[i];
    }
    EXPECT_NEAR(weight, 1, 1e-13);
    EXPECT_TRUE(std::is_sorted(ritz.values.begin(), ritz.values.end()));
  }
};

TEST_F(LanczosTest, EveryBoundIsItsResidual) {
  const oracle::Matrix a = with_eigenvalues(spread_values(30));
  MatrixObjective<double> in_double(*device_, a);
  MatrixObjective<float> in_single(*device_, a);
  auto lanczos = started<double>(in_double, 30);
  auto single = started<float>(in_single, 30);
  for (const Index steps : {1, 4, 7, 18}) {  // 1, 5, 12, 30 in all
    lanczos.advance(steps);
    expect_certified<double>(a, lanczos);
    single.advance(steps);
    expect_certified<float>(a, single);
  }
  EXPECT_EQ(lanczos.steps(), 30);
  EXPECT_TRUE(lanczos.is_invariant());
  const oracle::Vector exact = eigenvalues(a);
  const RitzValues ritz = lanczos.ritz();
  for (std::size_t i = 0; i < 30; ++i) EXPECT_NEAR(ritz.values[i], static_cast<double>(exact[i]), 1e-13);
  EXPECT_EQ(lanczos.hessian().products(), 30);
  lanczos.advance(5);  // there is nothing more
  EXPECT_EQ(lanczos.hessian().products(), 30);
}

// Without reorthogonalisation an eigenvalue far from the others comes back as a copy of itself.
TEST_F(LanczosTest, NoEigenvalueAppearsTwice) {
  oracle::Vector values = spread_values(59);
  values.push_back(1e4);
  MatrixObjective<double> objective(*device_, with_eigenvalues(values));
  auto lanczos = started<double>(objective, 59);
  lanczos.advance(59);
  const std::vector<double> found = lanczos.ritz().values;
  EXPECT_NEAR(found[58], 1e4, 1e-8);
  EXPECT_LT(found[57], 1e2);
}

TEST_F(LanczosTest, EqualEigenvaluesEndInAnInvariantSubspace) {
  MatrixObjective<double> objective(*device_, with_eigenvalues({1, 1, 1, 2, 2, 5, 5, 5, 5}));
  auto lanczos = started<double>(objective, 9);
  lanczos.advance(9);
  EXPECT_TRUE(lanczos.is_invariant());
  ASSERT_EQ(lanczos.steps(), 3);
  const std::vector<double> found = lanczos.ritz().values;
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(found[i], std::vector<double>({1, 2, 5})[i], 1e-14);
  EXPECT_NEAR(lanczos.trace(), 8, 1e-14);
}

TEST_F(LanczosTest, StartsThatAreNoDirectionTakeNoStep) {
  MatrixObjective<double> objective(*device_, with_eigenvalues({1, 2, 3}));
  Lanczos<double> lanczos(HessianOperator<double>(objective, 0), 2);
  lanczos.advance(1);  // never started
  EXPECT_EQ(lanczos.steps(), 0);
  const auto begin = [&](const std::vector<double>& vector) {
    const Buffer<double> start(*device_, std::span<const double>(vector));
    lanczos.start(start.view(1, 3));
    lanczos.advance(2);
  };
  begin({0, 0, 0});
  EXPECT_EQ(lanczos.steps(), 0);
  EXPECT_TRUE(lanczos.is_finite());
  EXPECT_TRUE(lanczos.ritz().values.empty());
  begin({1, std::numeric_limits<double>::quiet_NaN(), 0});
  EXPECT_EQ(lanczos.steps(), 0);
  EXPECT_FALSE(lanczos.is_finite());
  begin({3, 0, 4});  // of any length, and again after a failure
  EXPECT_EQ(lanczos.steps(), 2);
  EXPECT_TRUE(lanczos.is_finite());
  EXPECT_NE(refusal([&] { Lanczos<double>(HessianOperator<double>(objective, 0), 0); }).find("at least one"),
            std::string::npos);

  oracle::Matrix holed = with_eigenvalues({1, 2, 3});
  holed[1][1] = std::numeric_limits<long double>::quiet_NaN();
  MatrixObjective<double> broken(*device_, holed);
  auto on_broken = started<double>(broken, 3);
  on_broken.advance(3);
  EXPECT_FALSE(on_broken.is_finite());
  EXPECT_EQ(on_broken.steps(), 0);
}

TEST_F(LanczosTest, RandomVectorsAreNormalSignsAndTheSameForASeed) {
  constexpr Index kMany = 40'000;
  const auto direction = random_direction<double>(probe_sequence(3, ProbeSection::lanczos_start), kMany);
  double squares = 0, fourths = 0;
  for (const double value : direction) {
    squares += value * value;
    fourths += std::pow(value * std::sqrt(static_cast<double>(kMany)), 4) / kMany;
  }
  EXPECT_NEAR(squares, 1, 1e-12);
  EXPECT_NEAR(fourths, 3, 5 * std::sqrt(96.0 / kMany));  // a normal number's fourth power: mean 3, variance 96
  EXPECT_EQ(direction, random_direction<double>(probe_sequence(3, ProbeSection::lanczos_start), kMany));
  EXPECT_NE(direction, random_direction<double>(probe_sequence(4, ProbeSection::lanczos_start), kMany));
  EXPECT_NE(random_signs<double>(probe_sequence(3, ProbeSection::traces, 0), 1, 64),
            random_signs<double>(probe_sequence(3, ProbeSection::traces, 1), 1, 64));
}

template <class C>
class LanczosOfModelTest : public KernelTest<C> {};
TYPED_TEST_SUITE(LanczosOfModelTest, Cases, CaseName);

// p steps on every device and in every precision are all the eigenvalues, here all different.
TYPED_TEST(LanczosOfModelTest, AllStepsAreTheOraclesEigenvalues) {
  using T = typename TypeParam::Number;
  const LogisticCase c(kSmall ? CaseSizes{9, 2, 2, false, false, true} : CaseSizes{41, 5, 2, false, false, true});
  const auto model = c.model<T>(this->device());
  const Index p = model->parameters();
  const oracle::Vector exact = eigenvalues(oracle::hessian(c.problem(), c.theta()));
  Lanczos<T> lanczos(HessianOperator<T>(*model, 0.25), p);
  const Buffer<T> start(this->device(),
                        std::span<const T>(random_direction<T>(probe_sequence(0, ProbeSection::lanczos_start), p)));
  lanczos.start(start.view(1, p));
  lanczos.advance(p);
  // Two classes: half of the eigenvalues are lambda, the others differ.
  const RitzValues ritz = lanczos.ritz();
  const double rounding = HessianOperator<T>::kRounding * static_cast<double>(exact.back() + 0.25L);
  EXPECT_NEAR(ritz.values.front(), static_cast<double>(exact.front()) + 0.25, rounding);
  EXPECT_NEAR(ritz.values.back(), static_cast<double>(exact.back()) + 0.25, rounding);
  for (const double value : ritz.values) EXPECT_LE(nearest(exact, value - 0.25), rounding);
}

}  // namespace
}  // namespace clout::test
