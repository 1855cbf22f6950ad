// network_gradient: sums and means over what counts for each model.

#include "network_reference.hpp"

namespace clout::test {
namespace {

template <class C>
class NetworkGradientTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  void compare(const NetworkProblem<Number>& problem, double scale) {
    compare_network(this->device(), problem, [&](auto&& network) { return network.gradient(scale); });
  }
  std::vector<Number> run(const NetworkProblem<Number>& problem, double scale) {
    return NetworkRun<Number>(this->device(), problem).gradient(scale);
  }
};
TYPED_TEST_SUITE(NetworkGradientTest, Cases, CaseName);

TYPED_TEST(NetworkGradientTest, SumMatchesOracle) {
  using T = typename TypeParam::Number;
  unsigned seed = 1;
  for (const NetworkOptions& options : network_options())
    this->compare(random_network_problem<T>(options, seed++), 1 / 7.0);
}

// scale = 0: divided by the weight that counts, which the exclusions make another one for every model.
TYPED_TEST(NetworkGradientTest, MeanWithExclusionsMatchesOracle) {
  using T = typename TypeParam::Number;
  unsigned seed = 40;
  for (NetworkOptions options : network_options()) {
    options.weights = !options.weights;
    auto problem = random_network_problem<T>(options, seed++);
    exclude_some(problem);
    this->compare(problem, 0);
  }
}

// Distributions in the labels' place, with weights and exclusions.
TYPED_TEST(NetworkGradientTest, TargetsMatchOracle) {
  using T = typename TypeParam::Number;
  unsigned seed = 60;
  for (const NetworkOptions& options : network_options()) {
    auto problem = random_network_problem<T>(options, seed++);
    exclude_some(problem);
    add_targets(problem);
    this->compare(problem, seed % 2 ? 0 : 0.4);
  }
}

// More examples of the paper's network than one partition holds.
TYPED_TEST(NetworkGradientTest, ManyExamplesOfThePaper) {
  if (kSmall) GTEST_SKIP() << "too large for simulated threads";
  using T = typename TypeParam::Number;
  auto problem = random_network_problem<T>({"paper, many", paper(), 51, 70, 2, true, true, true, false});
  exclude_some(problem);
  this->compare(problem, 0);
}

// Leave-one-out: every model its own example, of which the batch holds some twice and some not at all.
TYPED_TEST(NetworkGradientTest, OneExclusionEach) {
  if (kRacesOnly) GTEST_SKIP() << "about values, which are compared without the race detector";
  using T = typename TypeParam::Number;
  for (const bool gathered : {true, false})
    for (const double scale : {0.0, 0.3}) {
      auto problem = random_network_problem<T>({.name = "leave one out",
                                                .network = small_paper(),
                                                .n = 10,
                                                .m = gathered ? 13 : 7,
                                                .k = 9,
                                                .gathered = gathered,
                                                .bytes = gathered,
                                                .weights = !gathered});
      for (Index j = 0; j < 9; ++j) problem.exclude(j, j);
      this->compare(problem, scale);
    }
}

// A gradient of nothing is 0, not 0/0.
TYPED_TEST(NetworkGradientTest, NothingLeftGivesZero) {
  using T = typename TypeParam::Number;
  const NetworkOptions options{.name = "", .network = small_paper(), .n = 5, .m = 5, .k = 3, .gathered = true};
  for (const double scale : {0.0, 0.5}) {
    auto problem = random_network_problem<T>(options);
    for (Index i = 0; i < 5; ++i) problem.exclude(i, 1);
    this->compare(problem, scale);
    const std::vector<T> got = this->run(problem, scale);
    for (Index a = 0; a < problem.p(); ++a) ASSERT_EQ(got[problem.p() + a], T(0)) << "scale " << scale;

    auto weightless = random_network_problem<T>(options);
    weightless.weights.assign(5, T(0));
    for (const T value : this->run(weightless, scale)) ASSERT_EQ(value, T(0)) << "scale " << scale;

    auto empty = random_network_problem<T>(options);
    empty.options.m = 0;
    empty.rows.clear();
    for (const T value : this->run(empty, scale)) ASSERT_EQ(value, T(0)) << "scale " << scale;
  }
}

// A model that is NaN leaves the others alone, to the bit.
TYPED_TEST(NetworkGradientTest, NanStaysWhereItIs) {
  using T = typename TypeParam::Number;
  auto problem = random_network_problem<T>(
      {.name = "NaN", .network = small_paper(), .n = 6, .m = 9, .k = 4, .gathered = true, .bytes = false});
  const auto clean = this->run(problem, 0);
  problem.parameters[2 * problem.p() + problem.shape.weight] = std::numeric_limits<T>::quiet_NaN();
  const auto got = this->run(problem, 0);
  for (Index i = 0; i < std::ssize(got); ++i) {
    if (i / problem.p() == 2) ASSERT_TRUE(std::isnan(got[i])) << "at " << i;
    else ASSERT_EQ(got[i], clean[i]) << "at " << i;
  }
}

// tanh at ±1 and logits far apart: softmax is 0 or 1, nothing overflows.
TYPED_TEST(NetworkGradientTest, LargeParametersStayFinite) {
  using T = typename TypeParam::Number;
  auto problem = random_network_problem<T>(
      {.name = "large", .network = small_paper(), .n = 6, .m = 6, .k = 3, .bytes = false, .weights = true});
  for (T& parameter : problem.parameters) parameter *= T(1e4);
  this->compare(problem, 0);
  for (const T value : this->run(problem, 0)) {
    ASSERT_TRUE(std::isfinite(value));
    ASSERT_LE(std::fabs(value), T(1.001));  // by the last layer: |p − e| ≤ 1, |h| ≤ 1
  }
}

}  // namespace
}  // namespace clout::test
