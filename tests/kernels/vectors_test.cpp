// combine, vector_dots, to_double, from_double, adam_step, lissa_step, add_regularizer, add_diagonal.

#include "problem.hpp"

namespace clout::test {
namespace {

template <class C>
class VectorsTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;
  static constexpr Index kRows = 3;

  // Integers of −8…8: sums and products of a few are exact.
  static std::vector<Number> integers(Index count, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<Number> values(static_cast<std::size_t>(count));
    for (Number& value : values) value = static_cast<Number>(random() % 17) - 8;
    return values;
  }
};
TYPED_TEST_SUITE(VectorsTest, Cases, CaseName);

const std::vector<Index> kSizes = {1, 2, 15, 16, 17, 785, kSmall ? 2001 : 40'001};

TYPED_TEST(VectorsTest, CombineIsExactOnIntegers) {
  using T = typename TypeParam::Number;
  for (const Index p : kSizes)
    for (const auto& [a, b] : std::vector<std::pair<double, double>>{{1, 0}, {2, 1}, {-3, 0.5}, {0, 2}, {0, 0}}) {
      const auto x = this->integers(3 * p, 1), old = this->integers(3 * p, 2);
      const auto x_memory = this->upload(x);
      Guarded<T> y(this->device(), old);
      this->kernels().combine(this->device(), {a, x_memory.view(3, p), b, y.view(3, p)});
      const auto got = y.to_host();
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(got[i], static_cast<T>(a) * x[i] + static_cast<T>(b) * old[i]) << p << ", a " << a << ", b " << b;
    }
}

TYPED_TEST(VectorsTest, CombineReadsOnlyWhatCounts) {
  using T = typename TypeParam::Number;
  const Index p = 33;
  const auto x = this->integers(3 * p, 1);
  const auto x_memory = this->upload(x);
  Guarded<T> poisoned(this->device(), 3 * p);  // NaN: must not be read where b = 0
  this->kernels().combine(this->device(), {1, x_memory.view(3, p), 0, poisoned.view(3, p)});
  EXPECT_EQ(poisoned.to_host(), x);
  this->kernels().combine(this->device(), {0, {}, 2, poisoned.view(3, p)});  // x is null where a = 0
  const auto doubled = poisoned.to_host();
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(doubled[i], 2 * x[i]);
  Guarded<T> zeroed(this->device(), 3 * p);
  this->kernels().combine(this->device(), {0, {}, 0, zeroed.view(3, p)});
  EXPECT_EQ(zeroed.to_host(), std::vector<T>(static_cast<std::size_t>(3 * p)));
}

TYPED_TEST(VectorsTest, DotsAreExactOnIntegersAndDoubleOtherwise) {
  using T = typename TypeParam::Number;
  for (const Index p : kSizes) {
    auto x = this->integers(3 * p, 1), y = this->integers(3 * p, 2);
    const auto dots = [&] {
      const auto x_memory = this->upload(x), y_memory = this->upload(y);
      Guarded<double> out(this->device(), 3);
      this->kernels().vector_dots(this->device(), {x_memory.view(3, p), y_memory.view(3, p), out.data()});
      return out.to_host();
    };
    const auto exact = dots();
    for (Index j = 0; j < 3; ++j) {
      Real sum = 0;
      for (Index i = 0; i < p; ++i) sum += static_cast<Real>(x[j * p + i]) * static_cast<Real>(y[j * p + i]);
      ASSERT_EQ(exact[j], static_cast<double>(sum));
    }
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = std::sin(static_cast<T>(i)), y[i] = std::cos(static_cast<T>(3 * i));
    const auto rounded = dots();
    for (Index j = 0; j < 3; ++j) {
      BoundedSum<double> sum;
      for (Index i = 0; i < p; ++i) sum += Bounded<double>(x[j * p + i]) * Bounded<double>(y[j * p + i]);
      ASSERT_TRUE(within(rounded[j], sum.total()));
    }
  }
}

TYPED_TEST(VectorsTest, ConversionsRoundToNearest) {
  using T = typename TypeParam::Number;
  for (const Index p : kSizes) {
    std::vector<double> wide(static_cast<std::size_t>(3 * p));
    for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = std::sin(static_cast<double>(i + 1));
    const auto wide_memory = this->upload(wide);
    Guarded<T> narrow(this->device(), 3 * p);
    this->kernels().from_double(this->device(), {wide_memory.view(3, p), narrow.view(3, p)});
    const auto got = narrow.to_host();
    Guarded<double> back(this->device(), 3 * p);
    this->kernels().to_double(this->device(), {narrow.view(3, p), back.view(3, p)});
    const auto returned = back.to_host();
    for (std::size_t i = 0; i < wide.size(); ++i) {
      ASSERT_EQ(got[i], static_cast<T>(wide[i]));
      ASSERT_EQ(returned[i], static_cast<double>(got[i]));
    }
  }
}

// s ← s + (v − q − f s)/σ from what was there: a few operations of T each; sums exactly the s before plus the s after.
TYPED_TEST(VectorsTest, LissaStepIsTheFormula) {
  using T = typename TypeParam::Number;
  constexpr Index kRepeats = 3, kVectors = 2, kAll = kRepeats * kVectors;
  for (const Index p : {Index{1}, Index{37}, Index{kSmall ? 600 : 20'000}})
    for (const bool sums : {true, false}) {
      ParameterRanges regularized;
      regularized.add(0, p / 3);
      regularized.add(p / 2, p);
      std::mt19937 random(static_cast<unsigned>(p));
      std::normal_distribution<double> normal;
      const auto draw = [&](Index rows) {
        std::vector<T> values(static_cast<std::size_t>(rows * p));
        for (T& value : values) value = static_cast<T>(normal(random));
        return values;
      };
      const auto v = draw(kVectors), q = draw(kAll), s = draw(kAll), total = draw(kAll);
      const auto v_memory = this->upload(v), q_memory = this->upload(q);
      Guarded<T> s_memory(this->device(), s), total_memory(this->device(), total);
      this->kernels().lissa_step(this->device(), {.regularized = regularized,
                                                  .l2 = 0.5,
                                                  .damping = 0.125,
                                                  .scale = 3,
                                                  .right_hand_sides = v_memory.view(kVectors, p),
                                                  .products = q_memory.view(kAll, p),
                                                  .estimates = s_memory.view(kAll, p),
                                                  .sums = sums ? total_memory.view(kAll, p) : MatrixView<T>()});
      const auto next = s_memory.to_host(), added = total_memory.to_host();
      for (std::size_t i = 0; i < s.size(); ++i) {
        const auto at = static_cast<Index>(i) % p, row = static_cast<Index>(i) / p;
        const Bounded<T> factor(T(0.125 + (regularized.contains(at) ? 0.5 : 0)));
        const Bounded<T> residual = Bounded<T>(v[static_cast<std::size_t>(row % kVectors * p + at)]) - Bounded<T>(q[i]) -
                                    factor * Bounded<T>(s[i]);
        ASSERT_TRUE(within(next[i], Bounded<T>(s[i]) + residual / Bounded<T>(T(3)))) << i;
        ASSERT_EQ(added[i], sums ? static_cast<T>(total[i] + next[i]) : total[i]) << i;
      }
    }
}

// Each step as the formula says, from what the step before left: rounding of T in m, u and θ, a few operations each.
TYPED_TEST(VectorsTest, AdamStepIsTheFormula) {
  using T = typename TypeParam::Number;
  constexpr Index kModels = 2;
  for (const Index p : {Index{1}, Index{37}, Index{kSmall ? 600 : 20'000}}) {
    ParameterRanges regularized;
    regularized.add(0, p / 3);
    regularized.add(p / 2, p);
    std::mt19937 random(static_cast<unsigned>(p));
    std::normal_distribution<double> normal;
    const auto draw = [&](double size) {
      std::vector<T> values(static_cast<std::size_t>(kModels * p));
      for (T& value : values) value = static_cast<T>(size * normal(random));
      return values;
    };
    const auto gradients = draw(1);
    std::vector<T> m = draw(0.1), u = draw(0.1), theta = draw(1);
    for (T& value : u) value = std::abs(value);
    const auto gradient_memory = this->upload(gradients);
    Guarded<T> m_memory(this->device(), m), u_memory(this->device(), u), theta_memory(this->device(), theta);
    const auto size = this->upload(std::vector<double>{0.01});
    AdamStep<T> op{.regularized = regularized, .l2 = 0.5, .step_size = size.data(),
                   .gradients = gradient_memory.view(kModels, p), .first_moments = m_memory.view(kModels, p),
                   .second_moments = u_memory.view(kModels, p), .parameters = theta_memory.view(kModels, p)};
    this->kernels().adam_step(this->device(), op);
    const auto new_m = m_memory.to_host(), new_u = u_memory.to_host(), new_theta = theta_memory.to_host();
    for (std::size_t i = 0; i < theta.size(); ++i) {
      const bool inside = regularized.contains(static_cast<Index>(i) % p);
      const Bounded<T> g = Bounded<T>(gradients[i]) + Bounded<T>(T(inside ? 0.5 : 0)) * Bounded<T>(theta[i]);
      const Bounded<T> first = Bounded<T>(T(0.9)) * Bounded<T>(m[i]) + Bounded<T>(T(1 - 0.9)) * g;
      const Bounded<T> second = Bounded<T>(T(0.999)) * Bounded<T>(u[i]) + Bounded<T>(T(1 - 0.999)) * g * g;
      ASSERT_TRUE(within(new_m[i], first)) << p << ", " << i;
      ASSERT_TRUE(within(new_u[i], second)) << p << ", " << i;
      const Bounded<T> root(static_cast<T>(std::sqrt(new_u[i])));
      const Bounded<T> moved = Bounded<T>(theta[i]) - Bounded<T>(T(0.01)) * Bounded<T>(new_m[i]) / (root + Bounded<T>(T(1e-8)));
      ASSERT_TRUE(within(new_theta[i], moved)) << p << ", " << i;
    }
  }
}

TYPED_TEST(VectorsTest, RegularizerSparesTheBias) {
  using T = typename TypeParam::Number;
  for (const bool bias : {false, true}) {
    const LinearShape shape{13, 7, bias};
    const Index p = shape.parameters();
    const auto x = this->integers(2 * p, 1), old = this->integers(2 * p, 2);
    const auto x_memory = this->upload(x);
    Guarded<T> y(this->device(), old);
    this->kernels().add_regularizer(this->device(), {shape.regularized(), 0.5, 0.25, x_memory.view(2, p), y.view(2, p)});
    const auto got = y.to_host();
    for (Index i = 0; i < 2 * p; ++i) ASSERT_EQ(got[i], old[i] + T(i % p < shape.weights() ? 0.75 : 0.25) * x[i]);

    const auto content = this->integers(p * p, 3);
    Guarded<T> matrix(this->device(), content);
    this->kernels().add_diagonal(this->device(), {shape.regularized(), 0.5, 0.25, matrix.view(p, p)});
    const auto shifted = matrix.to_host();
    for (Index i = 0; i < p * p; ++i)
      ASSERT_EQ(shifted[i] - content[i], T(i / p != i % p ? 0 : i / p < shape.weights() ? 0.75 : 0.25));
  }
}

}  // namespace
}  // namespace clout::test
