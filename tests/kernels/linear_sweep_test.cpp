// linear_sweep: gradient, Hessian product and gradient difference of softmax regression, and what other linear models
// take of it.

#include "sweep_reference.hpp"

namespace clout::test {
namespace {

template <class C>
class LinearSweepTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  void compare(const Problem<Number>& p, SweepStep step) { compare_sweep(this->device(), p, step, false); }
  // All storages, and weights and exclusions alternating with the shapes.
  void compare_all(SweepStep step, double vector_size) {
    unsigned seed = 1;
    for (const Shape& shape : kShapes)
      for (const bool bytes : {true, false}) {
        const Options options{bytes, seed % 2 == 0, seed % 3 == 0, vector_size};
        compare(random_problem<Number>(shape.scaled(), options, seed++), step);
      }
  }
};
TYPED_TEST_SUITE(LinearSweepTest, Cases, CaseName);

TYPED_TEST(LinearSweepTest, TangentMatchesReference) { this->compare_all(SweepStep::tangent, 1); }
TYPED_TEST(LinearSweepTest, GradientMatchesReference) { this->compare_all(SweepStep::gradient, 0.3); }
TYPED_TEST(LinearSweepTest, DifferenceMatchesReference) { this->compare_all(SweepStep::difference, 0.3); }
TYPED_TEST(LinearSweepTest, ScaledMatchesReference) { this->compare_all(SweepStep::scaled, 1); }
TYPED_TEST(LinearSweepTest, GivenMatchesReference) { this->compare_all(SweepStep::given, 1); }
// Steps so small that softmax(a + z) − softmax(a) would lose every digit.
TYPED_TEST(LinearSweepTest, TinyDifferenceMatchesReference) { this->compare_all(SweepStep::difference, 1e-9); }

TYPED_TEST(LinearSweepTest, WeightsAndExclusionsTogether) {
  using T = typename TypeParam::Number;
  for (const auto step : kSweepSteps)
    this->compare(random_problem<T>({77, 20, 5, 11, true}, {true, true, true, 0.5}), step);
}

TYPED_TEST(LinearSweepTest, OneOutput) {
  for (const Shape& shape : kOneOutputShapes)
    for (const auto step : {SweepStep::scaled, SweepStep::given})
      this->compare(random_problem<typename TypeParam::Number>(shape.scaled(), {shape.bias, true, true, 1}), step);
}

// Small integers, and probabilities in eighths: every number on the way is exact in T, so the result is, too.
TYPED_TEST(LinearSweepTest, TangentOfSmallIntegersIsExact) {
  using T = typename TypeParam::Number;
  for (const bool bytes : {true, false})
    for (const Shape& shape : {Shape{70, 23, 4, 9, true}, Shape{101, 33, 2, 1, false}, Shape{64, 17, 4, 20, false}}) {
      auto p = random_problem<T>(shape.scaled(), {bytes, true, true, 1});
      std::mt19937 random(3);
      p.feature_scale = 1;
      for (auto& x : p.bytes) x = static_cast<std::uint8_t>(x % 4);
      for (auto& x : p.values) x = static_cast<T>(random() % 5) - 2;
      for (auto& v : p.vectors) v = static_cast<T>(random() % 3) - 1;
      for (auto& w : p.weights) w = static_cast<T>(random() % 3);
      for (Index i = 0; i < p.shape.n * p.shape.classes; i += p.shape.classes)
        for (Index c = 0; c < p.shape.classes; ++c)
          p.probabilities[i + c] = p.shape.classes == 2 ? T(c == 0 ? 0.375 : 0.625) : T(c == 0 ? 0.625 : 0.125);
      const auto expected = sweep_reference(p, SweepStep::tangent, T(2));
      const auto got = run_sweep(this->device(), p, SweepStep::tangent, T(2));
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(got[i], static_cast<T>(expected[i].value)) << "at " << i << " of " << p.shape;
    }
}

// Logits of ±1e4 (±1e3·d in the extremes): no overflow, no NaN; softmax is then 0 or 1.
TYPED_TEST(LinearSweepTest, LargeLogitsStayFinite) {
  using T = typename TypeParam::Number;
  const auto p = random_problem<T>(Shape{90, 40, 7, 9, true}.scaled(), {true, false, false, 1e4});
  for (const auto step : {SweepStep::gradient, SweepStep::difference})
    for (const T value : run_sweep(this->device(), p, step, T(1) / T(90))) {
      ASSERT_TRUE(std::isfinite(value));
      ASSERT_LE(std::fabs(value), T(1.001));  // |r| ≤ 1 and |x| ≤ 1
    }
}

// k vectors side by side give what each gives alone (to rounding: the order of sums may depend on k).
TYPED_TEST(LinearSweepTest, VectorsDoNotMix) {
  using T = typename TypeParam::Number;
  auto p = random_problem<T>(Shape{60, 30, 10, 9, false}.scaled(), {true, false, false, 1});
  const auto together = run_sweep(this->device(), p, SweepStep::tangent, T(1));
  const Index size = p.parameters();
  for (Index j = 0; j < p.shape.k; ++j) {
    auto alone = p;
    alone.shape.k = 1;
    alone.vectors.assign(p.vectors.begin() + j * size, p.vectors.begin() + (j + 1) * size);
    const auto expected = sweep_reference(alone, SweepStep::tangent, T(1));
    for (Index i = 0; i < size; ++i) ASSERT_TRUE(within(together[j * size + i], expected[i])) << "vector " << j;
  }
}

TYPED_TEST(LinearSweepTest, NanInOneVectorStaysThere) {
  using T = typename TypeParam::Number;
  auto p = random_problem<T>({40, 12, 3, 5, false}, {true, false, false, 0.5});
  p.vectors[2 * p.parameters() + 4] = std::numeric_limits<T>::quiet_NaN();
  std::fill(p.bytes.begin(), p.bytes.end(), std::uint8_t{1});
  for (const auto step : kSoftmaxSteps) {
    const auto got = run_sweep(this->device(), p, step, T(1));
    for (Index i = 0; i < std::ssize(got); ++i)
      ASSERT_EQ(std::isnan(got[i]), i / p.parameters() == 2) << "step " << static_cast<int>(step) << " at " << i;
  }
}

TYPED_TEST(LinearSweepTest, NoExamplesGiveZero) {
  using T = typename TypeParam::Number;
  const auto p = random_problem<T>({0, 12, 3, 5, true}, {true, false, false, 0.5});
  for (const T value : run_sweep(this->device(), p, SweepStep::tangent, T(1))) ASSERT_EQ(value, T(0));
}

}  // namespace
}  // namespace clout::test
