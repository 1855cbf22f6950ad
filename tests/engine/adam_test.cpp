// Adam: the order of the examples, the learning rate, k models against one, exclusions against weights, the same bits.

#include <clout/engine/adam.hpp>

#include <algorithm>
#include <numeric>

#include "kernels/backend.hpp"
#include "support/forwarding.hpp"
#include "support/network_case.hpp"

namespace clout::test {
namespace {

TEST(BatchOrder, StartsInTheDatasOrderAndThenWalksPermutations) {
  const BatchOrder order(23, 5, 3), other(23, 5, 4);
  EXPECT_EQ(order.steps_per_epoch(), 4);
  std::vector<Index> sorted(23);
  std::iota(sorted.begin(), sorted.end(), Index{0});
  EXPECT_EQ(order.epoch(0), sorted);
  for (const Index epoch : {1, 2, 45'454}) {
    std::vector<Index> rows = order.epoch(epoch);
    EXPECT_EQ(rows, order.epoch(epoch));
    EXPECT_NE(rows, other.epoch(epoch));
    EXPECT_NE(rows, order.epoch(epoch + 1));
    std::sort(rows.begin(), rows.end());
    EXPECT_EQ(rows, sorted);
  }
  EXPECT_NE(BatchOrder(23, 5, 3, /*begins_in_order=*/false).epoch(0), sorted);
  EXPECT_EQ(BatchOrder(23, 5, 3, /*begins_in_order=*/false).epoch(1), order.epoch(1));
  EXPECT_NE(refusal([] { BatchOrder(4, 5, 0); }), "");
}

TEST(AdamOptions, TheRateFallsByTenAtEachDrop) {
  const AdamOptions options;
  EXPECT_DOUBLE_EQ(options.rate(109'999), 1e-4);
  EXPECT_DOUBLE_EQ(options.rate(110'000), 1e-5);
  EXPECT_DOUBLE_EQ(options.rate(220'000), 1e-6);
}

template <class C>
class AdamTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;
  static constexpr Index kExamples = kSmall ? 5 : 23;

  AdamOptions options() const {
    return {.learning_rate = 0.01, .drops = {7}, .batch = kSmall ? 2 : 5, .seed = 3};
  }
  static constexpr Index kSteps = kSmall ? 3 : 11;  // not a multiple of an epoch

  AdamState<Number> start(const NetworkCase& c, Index models) const {
    AdamState<Number> state;
    for (Index j = 0; j < models; ++j) state.parameters.insert(state.parameters.end(), c.theta().begin(), c.theta().end());
    state.first_moments.assign(state.parameters.size(), 0);
    state.second_moments = state.first_moments;
    return state;
  }
};
TYPED_TEST_SUITE(AdamTest, Cases, CaseName);

// The whole loop once more, naively, in long double.
TYPED_TEST(AdamTest, IsTheTextbooksLoop) {
  using T = typename TypeParam::Number;
  NetworkCase c(this->kExamples, true);
  const auto net = c.template model<T>(this->device());
  const AdamOptions options = this->options();
  Adam<T> adam(*net, options, this->start(c, 1));
  adam.run_to(this->kSteps);

  const BatchOrder order(this->kExamples, options.batch, options.seed);
  oracle::Vector theta = c.theta(), m(theta.size()), u(theta.size());
  for (Index step = 0; step < this->kSteps; ++step) {
    const std::vector<Index> rows = order.epoch(step / order.steps_per_epoch());
    oracle::NetworkProblem batch{.network = c.problem().network, .examples = static_cast<std::size_t>(options.batch)};
    for (Index b = 0; b < options.batch; ++b) {
      const auto i = static_cast<std::size_t>(rows[static_cast<std::size_t>(step % order.steps_per_epoch() * options.batch + b)]);
      const oracle::Vector x = c.problem().input(i);
      batch.x.insert(batch.x.end(), x.begin(), x.end());
      batch.labels.push_back(c.problem().labels[i]);
      batch.weights.push_back(c.problem().weights[i]);
    }
    oracle::Vector g = c.regularizer(theta);
    if (batch.total_weight() > 0) g = oracle::add_scaled(g, 1, oracle::gradient(batch, theta));
    const long double t = static_cast<long double>(step + 1);
    const long double size = (step < 7 ? 0.01L : 0.001L) * std::sqrt(1 - std::pow(0.999L, t)) / (1 - std::pow(0.9L, t));
    for (std::size_t i = 0; i < theta.size(); ++i) {
      m[i] = 0.9L * m[i] + 0.1L * g[i];
      u[i] = 0.999L * u[i] + 0.001L * g[i] * g[i];
      theta[i] -= size * m[i] / (std::sqrt(u[i]) + 1e-8L);
    }
  }
  const std::vector<T> got = adam.state().parameters;
  // A step is at most about its size whatever the gradient is, and where g is tiny its sign is rounding's: the bound is on
  // the whole vector. Double's leaves no room for another formula; float's relative errors of g are of order 1e-6.
  double squares = 0;
  for (std::size_t i = 0; i < theta.size(); ++i)
    squares += std::pow(static_cast<double>(got[i]) - static_cast<double>(theta[i]), 2);
  EXPECT_LE(std::sqrt(squares), sizeof(T) == 8 ? 1e-11 : 2e-3);
}

TYPED_TEST(AdamTest, TwoRunsAreOneToTheBit) {
  using T = typename TypeParam::Number;
  NetworkCase c(this->kExamples);
  const auto net = c.template model<T>(this->device());
  Adam<T> whole(*net, this->options(), this->start(c, 1));
  whole.run_to(this->kSteps);
  Adam<T> first(*net, this->options(), this->start(c, 1));
  first.run_to(2);
  Adam<T> second(*net, this->options(), first.state());
  second.run_to(this->kSteps);
  EXPECT_EQ(whole.state().parameters, second.state().parameters);
  EXPECT_EQ(whole.state().second_moments, second.state().second_moments);
  EXPECT_EQ(second.state().step, this->kSteps);
}

// Whole stretches as one recording, and the rest, against an objective whose every step the host starts.
TYPED_TEST(AdamTest, RecordedStepsHaveTheSameBits) {
  using T = typename TypeParam::Number;
  NetworkCase c(this->kExamples);
  const auto net = c.template model<T>(this->device());
  Forwarding<T> unrecorded(*net);
  const Removals removals(this->device(), {{}, {1, 3}}, this->kExamples);
  AdamOptions options = this->options();
  options.stretch = kSmall ? 2 : 3;                   // an epoch has 2 or 4 steps: stretches run across
  const Index steps = 4 * options.stretch + 1;
  Adam<T> directly(unrecorded, options, this->start(c, 2), removals.exclusions());
  directly.run_to(steps);
  Adam<T> recorded(*net, options, this->start(c, 2), removals.exclusions());
  recorded.run_to(3 * options.stretch);
  net->losses_at(recorded.parameters(), Buffer<T>(this->device(), 2 * this->kExamples).view(this->kExamples, 2));
  recorded.run_to(steps);
  EXPECT_EQ(recorded.state().parameters, directly.state().parameters);
  EXPECT_EQ(recorded.state().first_moments, directly.state().first_moments);
  EXPECT_EQ(recorded.state().second_moments, directly.state().second_moments);
}

// What the host does for a stretch: rows and step sizes go up, and one recording is started. No memory is taken.
TYPED_TEST(AdamTest, AStretchIsStartedOnce) {
  using T = typename TypeParam::Number;
  NetworkCase c(this->kExamples);
  const auto net = c.template model<T>(this->device());
  AdamOptions options = this->options();
  options.stretch = 2;
  Adam<T> adam(*net, options, this->start(c, 1));
  adam.run_to(2);
  const DeviceActivity before = this->device().activity();
  adam.run_to(8);
  const DeviceActivity after = this->device().activity();
  const bool is_host = this->device().info().is_host;
  EXPECT_EQ(after.starts - before.starts, is_host ? 0u : 3u);
  EXPECT_EQ(after.waits - before.waits, 3u * 2 + 1);  // and at the end, whether all parameters are finite
  EXPECT_EQ(after.allocations, before.allocations);
}

// The promise of can_record is checked wherever it is broken, on every device.
TYPED_TEST(AdamTest, AnObjectiveThatCannotBeRecordedAfterAllIsFound) {
  using T = typename TypeParam::Number;
  class Liar : public Forwarding<T> {
   public:
    using Forwarding<T>::Forwarding;
    bool can_record() const override { return true; }
    void batch_gradients(MatrixView<const T> parameters, const Index* rows, Index count, const Exclusions& exclusions,
                         MatrixView<T> out) override {
      Forwarding<T>::batch_gradients(parameters, rows, count, exclusions, out);
      if (copies) to_host(this->device(), out.rows_from(0, 1));
      else Buffer<T>(this->device(), 1);
    }
    bool copies = false;
  };
  NetworkCase c(this->kExamples);
  const auto net = c.template model<T>(this->device());
  AdamOptions options = this->options();
  options.stretch = 1;
  for (const bool copies : {false, true}) {
    Liar liar(*net);
    liar.copies = copies;
    Adam<T> adam(liar, options, this->start(c, 1));
    adam.run_to(1);
    try {
      adam.run_to(2);
      ADD_FAILURE() << "nothing was said";
    } catch (const InternalError& error) {
      EXPECT_NE(std::string(error.what()).find("by work that is recorded"), std::string::npos) << error.what();
    }
    EXPECT_NO_THROW(this->device().synchronize());  // the device goes on
  }
}

// A model that leaves examples out is one whose data give them weight zero; beside it, one that leaves nothing out.
TYPED_TEST(AdamTest, ExclusionsAreWeightsOfZero) {
  using T = typename TypeParam::Number;
  NetworkCase c(this->kExamples);
  const auto net = c.template model<T>(this->device());
  const Removals removals(this->device(), {{}, {1, 3}}, this->kExamples);
  Adam<T> pair(*net, this->options(), this->start(c, 2), removals.exclusions());
  pair.run_to(this->kSteps);
  const std::vector<T> both = pair.state().parameters;

  for (const bool removed : {false, true}) {
    oracle::NetworkProblem problem = c.problem();
    problem.weights.assign(problem.examples, 1);
    if (removed) problem.weights[1] = problem.weights[3] = 0;
    const auto alone = c.template make_model<T>(this->device(), problem, c.l2());
    Adam<T> adam(*alone, this->options(), this->start(c, 1));
    adam.run_to(this->kSteps);
    const std::vector<T> one = adam.state().parameters;
    const auto p = static_cast<std::ptrdiff_t>(one.size());
    const std::vector<T> half(both.begin() + (removed ? p : 0), both.begin() + (removed ? 2 * p : p));
    EXPECT_EQ(half, one) << (removed ? "with" : "without") << " exclusions";
  }
}

TYPED_TEST(AdamTest, RefusesAStateOfAnotherModel) {
  using T = typename TypeParam::Number;
  NetworkCase c(this->kExamples);
  const auto net = c.template model<T>(this->device());
  AdamState<T> state = this->start(c, 1);
  state.first_moments.pop_back();
  EXPECT_NE(refusal([&] { Adam<T>(*net, this->options(), state); }).find("state of Adam"), std::string::npos);
}

}  // namespace
}  // namespace clout::test
