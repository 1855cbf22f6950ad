// softmax_cross_entropy, softmax_tangent, softmax_loss_tangent.

#include "problem.hpp"

namespace clout::test {
namespace {

template <class T>
std::vector<T> random_values(Index count, double size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(-size, size);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(uniform(random));
  return values;
}

template <class C>
class SoftmaxTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  // Probabilities [n][k·K] and losses [n][k] of given logits, in place or not.
  std::pair<std::vector<Number>, std::vector<Number>> run(const Shape& s, const std::vector<Number>& logits,
                                                          const std::vector<std::int32_t>& labels, bool in_place) {
    const Index width = s.k * s.classes;
    Guarded<Number> logit_memory(this->device(), logits);
    Guarded<Number> probabilities(this->device(), s.n * width), losses(this->device(), s.n * s.k);
    const auto label_memory = this->upload(labels);
    const auto a = logit_memory.view(s.n, width);
    this->kernels().softmax_cross_entropy(this->device(),
                                          {.logits = a,
                                           .classes = s.classes,
                                           .labels = label_memory.data(),
                                           .probabilities = in_place ? a : probabilities.view(s.n, width),
                                           .losses = losses.view(s.n, s.k)});
    auto result = in_place ? logit_memory.to_host() : probabilities.to_host();
    if (!in_place) {
      EXPECT_EQ(logit_memory.to_host(), logits);
    }
    return {result, losses.to_host()};
  }
};
TYPED_TEST_SUITE(SoftmaxTest, Cases, CaseName);

TYPED_TEST(SoftmaxTest, CrossEntropyMatchesReference) {
  using T = typename TypeParam::Number;
  unsigned seed = 1;
  for (const Shape& full : kShapes)
    for (const double size : {1.0, 30.0, 1e4}) {
      const Shape s = full.scaled();
      const auto p = random_problem<T>(s, {});
      const auto logits = random_values<T>(s.n * s.k * s.classes, size, seed++);
      const auto [probabilities, losses] = this->run(s, logits, p.labels, seed % 2 == 0);
      for (Index row = 0; row < s.n; ++row)
        for (Index j = 0; j < s.k; ++j) {
          const Index at = (row * s.k + j) * s.classes, label = p.labels[row];
          const std::vector<Bounded<T>> a(logits.begin() + at, logits.begin() + at + s.classes);
          const auto expected = softmax(a);
          Index top = 0;
          for (Index c = 1; c < s.classes; ++c)
            if (a[c].value > a[top].value) top = c;
          BoundedSum<T> rest;
          for (Index c = 0; c < s.classes; ++c) {
            ASSERT_TRUE(within(probabilities[at + c], expected[c])) << s << ", logits to " << size;
            if (c != top) rest += exp(a[c] - a[top]);
          }
          ASSERT_TRUE(within(losses[row * s.k + j], (a[top] - a[label]) + log1p(rest.total())))
              << s << ", logits to " << size;
        }
    }
}

TYPED_TEST(SoftmaxTest, EqualLogitsGiveEqualProbabilitiesExactly) {
  using T = typename TypeParam::Number;
  const Shape s{11, 1, 8, 3, false};
  const auto [probabilities, losses] =
      this->run(s, std::vector<T>(11 * 3 * 8, T(-7)), std::vector<std::int32_t>(11, 5), false);
  for (const T p : probabilities) ASSERT_EQ(p, T(0.125));
  for (const T loss : losses) ASSERT_TRUE(within(loss, log1p(Bounded<T>(7))));
}

TYPED_TEST(SoftmaxTest, ResultsAreOptional) {
  using T = typename TypeParam::Number;
  const Index n = 9, classes = 5;
  const auto logits = this->upload(random_values<T>(n * classes, 2, 1));
  const auto labels = this->upload(std::vector<std::int32_t>(static_cast<std::size_t>(n), 1));
  Guarded<T> probabilities(this->device(), n * classes), losses(this->device(), n);
  SoftmaxCrossEntropy<T> op{logits.view(n, classes), classes, nullptr, probabilities.view(n, classes), {}};
  this->kernels().softmax_cross_entropy(this->device(), op);
  op = {logits.view(n, classes), classes, labels.data(), {}, losses.view(n, 1)};
  this->kernels().softmax_cross_entropy(this->device(), op);
  for (const T p : probabilities.to_host()) ASSERT_TRUE(p > 0 && p < 1);
  for (const T loss : losses.to_host()) ASSERT_GT(loss, T(0));
}

TYPED_TEST(SoftmaxTest, TangentMatchesReferenceAndSumsToZero) {
  using T = typename TypeParam::Number;
  for (const Shape& full : kShapes)
    for (const bool in_place : {false, true}) {
      const Shape s = full.scaled();
      const auto p = random_problem<T>(s, {});
      const Index width = s.k * s.classes;
      const auto tangents = random_values<T>(s.n * width, 3, 2);
      const auto probabilities = this->upload(p.probabilities);
      Guarded<T> a(this->device(), tangents), out(this->device(), s.n * width);
      this->kernels().softmax_tangent(this->device(), {probabilities.view(s.n, s.classes), a.view(s.n, width),
                                                       in_place ? a.view(s.n, width) : out.view(s.n, width)});
      const auto got = in_place ? a.to_host() : out.to_host();
      for (Index row = 0; row < s.n; ++row)
        for (Index j = 0; j < s.k; ++j) {
          const Index at = row * width + j * s.classes;
          const auto expected =
              tangent(given_probabilities(p, row),
                      std::vector<Bounded<T>>(tangents.begin() + at, tangents.begin() + at + s.classes));
          BoundedSum<T> sum;
          for (Index c = 0; c < s.classes; ++c) {
            ASSERT_TRUE(within(got[at + c], expected[c])) << s;
            sum += {got[at + c], expected[c].error};
          }
          // Σ_c r_c = (Σp)(p·z)(1/Σp − 1): zero but for rounding, in the r_c and in p itself.
          const Real slack = 3 * static_cast<Real>(s.classes) * Bounded<T>::kEps;
          ASSERT_LE(std::fabs(sum.total().value), 2 * sum.total().error + slack) << s;
        }
    }
}

TYPED_TEST(SoftmaxTest, LossTangentMatchesReference) {
  using T = typename TypeParam::Number;
  for (const Shape& full : kShapes) {
    const Shape s = full.scaled();
    const auto p = random_problem<T>(s, {});
    const OnDevice<T> on_device(this->device(), p);
    const auto tangents = random_values<T>(s.n * s.k * s.classes, 3, 2);
    const auto a = this->upload(tangents);
    Guarded<T> out(this->device(), s.n * s.k);
    this->kernels().softmax_loss_tangent(this->device(), {on_device.probability_view, on_device.labels.data(),
                                                          a.view(s.n, s.k * s.classes), out.view(s.n, s.k)});
    const auto got = out.to_host();
    for (Index row = 0; row < s.n; ++row)
      for (Index j = 0; j < s.k; ++j) {
        const T* own = &tangents[(row * s.k + j) * s.classes];
        BoundedSum<T> expected;
        Real magnitude = 0;
        for (Index c = 0; c < s.classes; ++c) {
          const Real delta = static_cast<Real>(p.probabilities[row * s.classes + c]) - (p.labels[row] == c ? 1 : 0);
          expected += Bounded<T>(delta) * Bounded<T>(own[c]);
          magnitude = std::max(magnitude, std::fabs(static_cast<Real>(own[c])));
        }
        // p·(a − a_y 1) is as good a form: it differs by a_y (1 − Σp).
        auto bounded = expected.total();
        bounded.error += static_cast<Real>(s.classes) * Bounded<T>::kEps * magnitude;
        ASSERT_TRUE(within(got[row * s.k + j], bounded)) << s;
      }
  }
}

}  // namespace
}  // namespace clout::test
