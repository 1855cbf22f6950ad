#include <clout/host/newton_retrain.hpp>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/host/reproduce/figure2_linear.hpp>
#include <clout/host/reproduce/figure2_tables.hpp>
#include <clout/host/reproduce/logistic_experiment.hpp>
#include <cmath>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;

// Beside the paper's own points: random training points against random test images.
constexpr Index kRandomTests = 100, kRandomTestsQuickly = 20;
// Models trained again from zero, in double, to this gradient norm, to show that the fast way leads to the same place.
constexpr Index kColdModels = 3;
constexpr double kColdTolerance = 1e-12;

template <class T>
class Experiment : LogisticExperiment<T> {
 public:
  explicit Experiment(const cli::Invocation& call)
      : LogisticExperiment<T>(call, "linear", call.options.quick ? kRandomTestsQuickly : kRandomTests) {}

  void run() {
    this->load();
    io::Journal journal = this->open_journal();
    this->fit();
    this->predict();
    choose();
    this->retrain(journal);
    check_cold();
    write();
    journal.finish();
  }

 private:
  using Shared = LogisticExperiment<T>;
  using Shared::chosen_, Shared::data_, Shared::folder_, Shared::models_, Shared::options_, Shared::progress,
      Shared::removed_, Shared::scores_, Shared::seconds_, Shared::test_rows_, Shared::theta_, Shared::watch_;

  void choose();
  void check_cold();
  void write();
  Facts summary();
  Facts random_facts(std::vector<TestAgreement>& per_test);

  double cold_difference_ = 0, cold_gradient_norm_ = 0;
};

template <class T>
void Experiment<T>::choose() {
  const std::span<const double> first(scores_.data(), static_cast<std::size_t>(data_->examples()));
  chosen_ = removed_rows(first, removed_, removed_, options_.seed);
}

template <class T>
void Experiment<T>::check_cold() {
  // The first models once more: side by side as before, and each alone from zero, in double.
  LeaveOneOut<T> fast_way(*this->exact_, this->fast(), *this->tests_, *this->factor_, theta_, {},
                          {.tolerance = Shared::kGradientTolerance, .block = kColdModels});
  std::vector<std::vector<Index>> groups;
  for (Index j = 0; j < kColdModels; ++j) groups.push_back({chosen_[static_cast<std::size_t>(j)]});
  const std::vector<RetrainedModel> warm = fast_way.retrain_block(groups);
  const auto cold_train = logistic_retrain<T>(*data_, false, Shared::kL2, {.tolerance = kColdTolerance});
  for (std::size_t j = 0; j < groups.size(); ++j) {
    std::vector<double> theta(theta_.size(), 0.0);
    const TrainingReport cold = cold_train(groups[j], theta);
    cold_gradient_norm_ = std::max(cold_gradient_norm_, cold.gradient_norm);
    for (std::size_t i = 0; i < theta.size(); ++i)
      cold_difference_ = std::max(cold_difference_, std::abs(theta[i] - warm[j].parameters[i]));
    if (progress()) progress()("cold start", static_cast<double>(j + 1), static_cast<double>(groups.size()));
  }
  if (!(cold_difference_ <= 1e-8) || !(cold_gradient_norm_ <= kColdTolerance))
    throw NotCertified("reproduce: models trained from zero (gradient norm " +
                       cli::number_text(cold_gradient_norm_, 3) + ") differ from the retrained ones by " +
                       cli::number_text(cold_difference_, 3) +
                       " in a parameter; expected at most 1e-8 at a norm of 1e-12");
  seconds_["cold_start"] = watch_.lap();
}

template <class T>
Facts Experiment<T>::random_facts(std::vector<TestAgreement>& per_test) {
  const std::size_t n = static_cast<std::size_t>(data_->examples()), first = static_cast<std::size_t>(removed_);
  PairsByTest pairs{{test_rows_.begin() + 1, test_rows_.end()}, {}, {}};
  for (std::size_t t = 1; t < test_rows_.size(); ++t)
    for (std::size_t j = first; j < chosen_.size(); ++j) {
      pairs.predicted.push_back(scores_[t * n + static_cast<std::size_t>(chosen_[j])]);
      pairs.actual.push_back(models_[j].loss_change[t]);
    }
  RandomSequence random(options_.seed, RandomStream::bootstrap);
  return agreement_over_tests(pairs, random, per_test);
}

template <class T>
Facts Experiment<T>::summary() {
  std::vector<double> predicted, actual;
  for (std::size_t j = 0; j < static_cast<std::size_t>(removed_); ++j) {
    predicted.push_back(scores_[static_cast<std::size_t>(chosen_[j])]);
    actual.push_back(models_[j].loss_change[0]);
  }
  RandomSequence random(options_.seed + 1, RandomStream::bootstrap);
  Facts facts = this->facts(this->solve_.solver);
  facts.update(agreement_facts(predicted, actual, random));
  facts.update({{"training_gradient_norm", this->training_.gradient_norm},
                {"max_gradient_norm", this->worst_gradient_norm()},
                {"max_relative_residual", this->solve_.max_relative_residual()},
                {"cold_start",
                 {{"models", kColdModels},
                  {"max_gradient_norm", cold_gradient_norm_},
                  {"max_parameter_difference", cold_difference_}}}});
  return facts;
}

template <class T>
void Experiment<T>::write() {
  Facts facts = summary();
  std::vector<TestAgreement> per_test;
  facts["random"] = random_facts(per_test);
  const std::size_t n = static_cast<std::size_t>(data_->examples());
  const LooRows rows{chosen_, test_rows_, scores_, n, models_, data_->host_labels()};
  io::ResultFiles results;
  results.add(folder_ / "loo.csv", loo_csv(rows, 0, static_cast<std::size_t>(removed_), 0, 1));
  results.add(folder_ / "loo_random.csv",
              loo_csv(rows, static_cast<std::size_t>(removed_), chosen_.size(), 1, test_rows_.size()));
  results.add(folder_ / "random_tests.csv", tests_csv(per_test));
  facts["scores_sha256"] = scores_hash(scores_);
  this->finish(results, std::move(facts), "figure2_linear", figure2_arguments(folder_.path()));
}

}  // namespace

template <class T>
void figure2_linear(const cli::Invocation& call) {
  Experiment<T>(call).run();
}
template void figure2_linear<float>(const cli::Invocation&);
template void figure2_linear<double>(const cli::Invocation&);

}  // namespace clout::reproduce
