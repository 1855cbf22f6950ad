// Fine-tuning without examples: against Adam by itself, blocks against one, and a run that goes on from its journal.

#include <clout/host/fine_tuning.hpp>

#include <filesystem>

#include "kernels/backend.hpp"
#include "support/network_case.hpp"

namespace clout::test {
namespace {

class FineTuning : public ::testing::Test {
 protected:
  std::unique_ptr<Device> device = make_cpu_device(2);
  NetworkCase c{17};
  std::unique_ptr<ConvNet<double>> train = c.model<double>(*device);
  std::unique_ptr<ConvNet<double>> test = NetworkCase(5, false, 2).make_model<double>(
      *device, NetworkCase(5, false, 2).problem(), 0);
  const std::vector<std::vector<Index>> groups{{0}, {3, 4}, {16}};
  FineTuningOptions options{.adam = {.learning_rate = 0.01, .drops = {}, .batch = 4, .seed = 1}, .steps = 9, .block = 2,
                            .controls = 2};

  AdamState<double> start() const {
    const std::vector<double> theta = to_double(c.theta());
    return {6, theta, std::vector<double>(theta.size(), 0.01), std::vector<double>(theta.size(), 0.02)};
  }
  FineTuned run(io::Journal* journal = nullptr) {
    return fine_tune<double>(*train, *test, start(), groups, options, journal);
  }
  std::vector<double> losses(const std::vector<double>& theta) {
    const Buffer<double> on_device(*device, std::span<const double>(theta));
    Buffer<double> out(*device, test->examples());
    test->losses_at(on_device.view(1, test->parameters()), out.view(test->examples(), 1));
    return out.to_host();
  }
};

TEST_F(FineTuning, IsAdamFromTheCheckpointWithoutTheGroup) {
  const FineTuned tuned = run();
  ASSERT_EQ(tuned.controls.size(), 2u);
  ASSERT_EQ(tuned.models.size(), 3u);
  const std::vector<double> before = losses(start().parameters);
  const auto expect_as_alone = [&](const std::vector<Index>& group, const std::vector<double>& changes) {
    const Removals removals(*device, {group}, train->examples());
    Adam<double> adam(*train, options.adam, start(), removals.exclusions());
    adam.run_to(15);
    const std::vector<double> after = losses(adam.state().parameters);
    for (std::size_t t = 0; t < before.size(); ++t) EXPECT_EQ(changes[t], after[t] - before[t]);
  };
  expect_as_alone({}, tuned.controls[0]);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    expect_as_alone(groups[g], tuned.models[g]);
    EXPECT_NE(tuned.models[g], tuned.controls[0]);
  }
  EXPECT_NE(tuned.controls[0], tuned.controls[1]);  // another order of the examples
}

TEST_F(FineTuning, ControlsHaveOrdersOfTheirOwnInTheFirstEpoch) {
  options.steps = 3;  // of the 4 of an epoch of 17 examples
  AdamState<double> untouched = start();
  untouched.step = 0;
  const FineTuned tuned = fine_tune<double>(*train, *test, untouched, {}, options, nullptr);
  EXPECT_NE(tuned.controls[0], tuned.controls[1]);
}

TEST_F(FineTuning, GoesOnFromItsJournalToTheSameBits) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                     ("clout-fine-tuning-" + std::to_string(::getpid()) + ".journal");
  const FineTuned whole = run();
  {
    io::Journal journal = io::Journal::open(path, "{}", false);
    journal.append(0, whole.controls[0]);
    std::vector<double> marked = whole.models[0];  // the first block of models, recognisably not computed again
    for (double& value : marked) value += 1;
    marked.insert(marked.end(), whole.models[1].begin(), whole.models[1].end());
    journal.append(2, marked);
  }
  io::Journal journal = io::Journal::open(path, "{}", true);
  const FineTuned resumed = run(&journal);
  journal.finish();
  EXPECT_EQ(resumed.controls, whole.controls);
  EXPECT_EQ(resumed.models[2], whole.models[2]);
  EXPECT_EQ(resumed.models[1], whole.models[1]);
  for (std::size_t t = 0; t < whole.models[0].size(); ++t) EXPECT_EQ(resumed.models[0][t], whole.models[0][t] + 1);
}

}  // namespace
}  // namespace clout::test
