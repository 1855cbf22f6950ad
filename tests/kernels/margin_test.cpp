// margin_pass, margin_difference, scale_rows.

#include <clout/kernels/margin_operations.hpp>

#include "problem.hpp"

namespace clout::test {
namespace {

struct Loss {
  MarginLoss loss;
  double temperature;
};
const std::vector<Loss> kLosses{{MarginLoss::logistic, 1},        {MarginLoss::hinge, 1},
                                {MarginLoss::smooth_hinge, 1},    {MarginLoss::smooth_hinge, 0.1},
                                {MarginLoss::smooth_hinge, 1e-3}, {MarginLoss::smooth_hinge, 1e-6}};

template <class T>
Real temperature_of(const Loss& l) {
  return l.loss == MarginLoss::smooth_hinge ? static_cast<Real>(static_cast<T>(l.temperature)) : 1;
}
template <class T>
Real argument_of(const Loss& l, Real margin) {
  return ((l.loss == MarginLoss::smooth_hinge ? 1 : 0) - margin) / temperature_of<T>(l);
}

// ℓ, dℓ/dz and d²ℓ/dz² from textbook forms in long double, with what the rounding of u may do to them: the logarithms
// of σ(u) and of σ(u)σ(−u) change by at most |Δu|.
template <class T>
struct Expected {
  Bounded<T> loss, slope, curvature;

  Expected(const Loss& l, int label, T z) {
    const Real y = label == 0 ? -1 : 1, margin = y * static_cast<Real>(z);
    if (l.loss == MarginLoss::hinge) {
      loss = Bounded<T>(1) - Bounded<T>(margin);
      if (margin >= 1) loss = 0;
      slope = margin < 1 ? -y : Real(0);
      return;
    }
    const Real t = temperature_of<T>(l), u = argument_of<T>(l, margin);
    const Real moved = 2 * Bounded<T>::kEps * (1 + std::fabs(margin)) / t, rounding = 8 * Bounded<T>::kEps;
    const Real share = u > 0 ? 1 / (1 + std::exp(-u)) : std::exp(u) / (1 + std::exp(u));
    const Real softplus = (u > 0 ? u : 0) + std::log1p(std::exp(-std::fabs(u)));
    const Real both = std::exp(-std::fabs(u)) / ((1 + std::exp(-std::fabs(u))) * (1 + std::exp(-std::fabs(u))));
    const Real most = std::min<Real>(1, share * std::exp(std::min<Real>(moved, 100)));  // of σ on the way
    loss = Bounded<T>(t * softplus, t * (rounding * softplus + most * moved));
    slope =
        Bounded<T>(-y * share, rounding * share + std::min<Real>(1, share * std::expm1(std::min<Real>(moved, 100))));
    curvature =
        Bounded<T>(both / t, (rounding * both + std::min<Real>(1, both * std::expm1(std::min<Real>(moved, 100)))) / t);
  }
};

template <class C>
class MarginTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  std::vector<Number> outputs(Index n, Index k, double size, unsigned seed) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> uniform(-size, size);
    std::vector<Number> z(static_cast<std::size_t>(n * k));
    for (Number& value : z) value = static_cast<Number>(uniform(random));
    return z;
  }
  std::vector<std::int32_t> labels(Index n) {
    std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i * 7 % 3 % 2);
    return labels;
  }
};
TYPED_TEST_SUITE(MarginTest, Cases, CaseName);

TYPED_TEST(MarginTest, LossesAndDerivativesMatchTextbookForms) {
  using T = typename TypeParam::Number;
  for (const Loss& l : kLosses)
    for (const double size : {1.5, 40.0, 1e4}) {
      const Index n = kSmall ? 41 : 1301, k = 3;
      auto z = this->outputs(n, k, size, 1);
      z[0] = 1, z[1] = -1, z[2] = 0, z[3] = T(1e4), z[4] = T(-1e4);
      const auto labels = this->labels(n);
      const auto label_memory = this->upload(labels);
      Guarded<T> z_memory(this->device(), z), losses(this->device(), n * k), slopes(this->device(), n * k),
          curvatures(this->device(), n * k);
      const MarginFunction<T> function{l.loss, static_cast<T>(l.temperature)};
      this->kernels().margin_pass(this->device(), {function, z_memory.view(n, k), label_memory.data(),
                                                   losses.view(n, k), slopes.view(n, k), curvatures.view(n, k)});
      const auto got_loss = losses.to_host(), got_slope = slopes.to_host(), got_curvature = curvatures.to_host();
      // Slopes in the place of z, nothing else.
      this->kernels().margin_pass(this->device(),
                                  {function, z_memory.view(n, k), label_memory.data(), {}, z_memory.view(n, k), {}});
      ASSERT_EQ(z_memory.to_host(), got_slope);
      for (std::size_t i = 0; i < z.size(); ++i) {
        const Expected<T> expected(l, labels[i / static_cast<std::size_t>(k)], z[i]);
        ASSERT_TRUE(within(got_loss[i], expected.loss)) << "z " << z[i] << ", loss " << static_cast<int>(l.loss);
        ASSERT_TRUE(within(got_slope[i], expected.slope)) << "z " << z[i] << ", t " << l.temperature;
        ASSERT_TRUE(within(got_curvature[i], expected.curvature)) << "z " << z[i] << ", t " << l.temperature;
      }
    }
}

// σ(u + δ) − σ(u) = sinh(δ/2) / (2 cosh(u/2) cosh((u + δ)/2)): no cancellation, and not the product's form.
TYPED_TEST(MarginTest, DifferencesKeepTheirDigits) {
  using T = typename TypeParam::Number;
  for (const Loss& l : kLosses) {
    if (l.loss == MarginLoss::hinge) continue;
    for (const double size : {1e-9, 1e-3, 1.0, 300.0}) {
      const Index n = kSmall ? 41 : 701, k = 2;
      const Real t = temperature_of<T>(l);
      const auto a = this->outputs(n, 1, 3, 1);
      const auto z = this->outputs(n, k, size, 2);
      const auto labels = this->labels(n);
      const auto label_memory = this->upload(labels);
      const auto a_memory = this->upload(a);
      Guarded<T> differences(this->device(), z);
      this->kernels().margin_difference(
          this->device(),
          {{l.loss, static_cast<T>(l.temperature)}, a_memory.view(n, 1), label_memory.data(), differences.view(n, k)});
      const auto got = differences.to_host();
      for (std::size_t i = 0; i < z.size(); ++i) {
        const std::size_t row = i / static_cast<std::size_t>(k);
        const Real y = labels[row] == 0 ? -1 : 1;
        const Real u = argument_of<T>(l, y * static_cast<Real>(a[row])), delta = -y * static_cast<Real>(z[i]) / t;
        // log of the quotient's absolute value, so that it cannot overflow
        const auto log_cosh = [](Real v) {
          return std::fabs(v) + std::log1p(std::exp(-2 * std::fabs(v))) - std::log(Real(2));
        };
        const Real half = std::fabs(delta) / 2, log_sinh = half + std::log(-std::expm1(-2 * half)) - std::log(Real(2));
        const Real size_of = std::exp(log_sinh - log_cosh(u / 2) - log_cosh((u + delta) / 2) - std::log(Real(2)));
        const Real expected = (delta > 0 ? -y : y) * size_of;
        const Real moved =
            4 * Bounded<T>::kEps * (1 + std::fabs(static_cast<Real>(a[row])) + std::fabs(static_cast<Real>(z[i]))) / t;
        const Bounded<T> bounded(expected, size_of * (20 * Bounded<T>::kEps + std::expm1(std::min<Real>(moved, 100))));
        ASSERT_TRUE(within(got[i], bounded)) << "a " << a[row] << ", z " << z[i] << ", t " << l.temperature;
      }
    }
  }
}

TYPED_TEST(MarginTest, HingesJumpByTheirSlope) {
  using T = typename TypeParam::Number;
  const std::vector<T> a{0, 0, 2, 2}, z{2, T(-0.5), T(-1.5), 1};
  const std::vector<std::int32_t> labels{1, 1, 1, 0};
  const auto a_memory = this->upload(a);
  const auto label_memory = this->upload(labels);
  Guarded<T> differences(this->device(), z);
  this->kernels().margin_difference(
      this->device(), {{MarginLoss::hinge, 1}, a_memory.view(4, 1), label_memory.data(), differences.view(4, 1)});
  EXPECT_EQ(differences.to_host(), (std::vector<T>{1, 0, -1, 0}));
}

TYPED_TEST(MarginTest, NanStaysNan) {
  using T = typename TypeParam::Number;
  for (const Loss& l : kLosses) {
    const auto z = this->upload(std::vector<T>{std::numeric_limits<T>::quiet_NaN()});
    const auto label = this->upload(std::vector<std::int32_t>{1});
    Guarded<T> losses(this->device(), 1), slopes(this->device(), 1), curvatures(this->device(), 1);
    this->kernels().margin_pass(this->device(), {{l.loss, static_cast<T>(l.temperature)},
                                                 z.view(1, 1),
                                                 label.data(),
                                                 losses.view(1, 1),
                                                 slopes.view(1, 1),
                                                 curvatures.view(1, 1)});
    EXPECT_TRUE(std::isnan(losses.to_host()[0]) && std::isnan(slopes.to_host()[0]) &&
                std::isnan(curvatures.to_host()[0]));
  }
}

TYPED_TEST(MarginTest, RowsAreScaled) {
  using T = typename TypeParam::Number;
  const Index n = kSmall ? 19 : 2111, k = 5;
  const auto factors = this->outputs(n, 1, 2, 3), rows = this->outputs(n, k, 2, 4);
  const auto factor_memory = this->upload(factors);
  Guarded<T> memory(this->device(), rows);
  this->kernels().scale_rows(this->device(), {factor_memory.view(n, 1), memory.view(n, k)});
  const auto got = memory.to_host();
  for (std::size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(got[i], rows[i] * factors[i / static_cast<std::size_t>(k)]);
}

}  // namespace
}  // namespace clout::test
