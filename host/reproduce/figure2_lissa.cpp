#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/engine/lissa.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/host/reproduce/figure2_lissa.hpp>
#include <clout/host/reproduce/figure2_tables.hpp>
#include <clout/host/reproduce/logistic_experiment.hpp>
#include <cmath>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;

/// What one way of solving predicts for the figure's test image.
struct Prediction {
  std::vector<double> scores;  // [n]
  SolveReport report;
};

/// ‖scores − exact‖ / ‖exact‖ over all training points.
double relative_distance(const std::vector<double>& scores, const std::vector<double>& exact) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    difference += (scores[i] - exact[i]) * (scores[i] - exact[i]);
    size += exact[i] * exact[i];
  }
  return std::sqrt(difference / size);
}

/// A table with one more column: `column[j]` at the end of row j, below `name`.
std::string with_column(const std::string& csv, const std::string& name, const std::vector<double>& column) {
  std::string text;
  std::size_t line = 0;
  for (std::size_t begin = 0; begin < csv.size(); ++line) {
    const std::size_t end = csv.find('\n', begin);
    text += csv.substr(begin, end - begin) + "," + (line == 0 ? name : cli::number_text(column[line - 1], 17)) + "\n";
    begin = end + 1;
  }
  return text;
}

template <class T>
class Experiment : LogisticExperiment<T> {
 public:
  explicit Experiment(const cli::Invocation& call) : LogisticExperiment<T>(call, "lissa", 0) {}

  void run() {
    this->load();
    io::Journal journal = this->open_journal();
    this->fit();
    this->predict();
    chosen_ = removed_rows(scores_, removed_, 0, options_.seed);
    published_ = by_lissa({.published = true, .seed = options_.seed}, "published");
    tuned_ = by_lissa({.seed = options_.seed}, "tuned");
    require_certified(tuned_.report);
    this->retrain(journal);
    write();
    journal.finish();
  }

 private:
  using Shared = LogisticExperiment<T>;
  using Shared::chosen_, Shared::folder_, Shared::models_, Shared::options_, Shared::removed_, Shared::scores_,
      Shared::seconds_, Shared::theta_;

  Prediction by_lissa(const LissaOptions& options, const std::string& name);
  /// Of the removed points.
  std::vector<double> chosen_of(const std::vector<double>& scores) const;
  Facts facts_of(const std::vector<double>& scores);
  Facts facts_of(const Prediction& prediction);
  void write();

  Prediction published_, tuned_;
};

template <class T>
Prediction Experiment<T>::by_lissa(const LissaOptions& options, const std::string& name) {
  const auto solver =
      make_lissa<T>(this->fast(), *this->exact_, 0.0, Shared::kSolveTolerance, options, this->progress());
  Influence<double> influence(*this->exact_, *this->tests_, *solver, theta_);
  const std::vector<Index> figure{0};
  auto result = influence.scores(figure, this->progress());
  seconds_["solve_" + name] = this->watch_.lap();
  return {std::move(result.values), std::move(result.report)};
}

template <class T>
std::vector<double> Experiment<T>::chosen_of(const std::vector<double>& scores) const {
  std::vector<double> some;
  for (const Index row : chosen_) some.push_back(scores[static_cast<std::size_t>(row)]);
  return some;
}

template <class T>
Facts Experiment<T>::facts_of(const std::vector<double>& scores) {
  std::vector<double> actual;
  for (const RetrainedModel& model : models_) actual.push_back(model.loss_change[0]);
  RandomSequence random(options_.seed + 1, RandomStream::bootstrap);
  return agreement_facts(chosen_of(scores), actual, random);
}

template <class T>
Facts Experiment<T>::facts_of(const Prediction& prediction) {
  Facts facts = facts_of(prediction.scores);
  facts["relative_error_of_scores"] = relative_distance(prediction.scores, scores_);
  facts["max_relative_residual"] = prediction.report.max_relative_residual();
  facts.update(cli::lissa_facts(prediction.report));
  return facts;
}

template <class T>
void Experiment<T>::write() {
  Facts facts = this->facts(tuned_.report.solver);
  facts.update(facts_of(tuned_));
  facts["training_gradient_norm"] = this->training_.gradient_norm;
  facts["max_gradient_norm"] = this->worst_gradient_norm();
  facts["published"] = facts_of(published_);
  facts["exact"] = facts_of(scores_);
  facts["exact"]["max_relative_residual"] = this->solve_.max_relative_residual();

  const LooRows rows{chosen_, this->test_rows_, tuned_.scores, scores_.size(), models_, this->data_->host_labels()};
  std::string table = loo_csv(rows, 0, chosen_.size(), 0, 1);
  table = with_column(table, "predicted_published", chosen_of(published_.scores));
  table = with_column(table, "predicted_exact", chosen_of(scores_));
  io::ResultFiles results;
  results.add(folder_ / "loo.csv", table);
  this->finish(results, std::move(facts), "figure2_lissa", figure2_arguments(folder_.path()));
}

}  // namespace

template <class T>
void figure2_lissa(const cli::Invocation& call) {
  Experiment<T>(call).run();
}
template void figure2_lissa<float>(const cli::Invocation&);
template void figure2_lissa<double>(const cli::Invocation&);

}  // namespace clout::reproduce
