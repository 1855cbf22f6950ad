#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/host/newton_retrain.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/host/reproduce/figure2_tables.hpp>
#include <clout/host/reproduce/logistic_experiment.hpp>
#include <numeric>

namespace clout::reproduce {
namespace {

constexpr Index kRemoved = 500, kRemovedQuickly = 64;
constexpr double kTrainingTolerance = 1e-12;

}  // namespace

template <class T>
LogisticExperiment<T>::LogisticExperiment(const cli::Invocation& call, const char* panel, Index random_tests)
    : ExperimentRun(call, kFigure2Results),
      panel_(panel),
      removed_(options_.quick ? kRemovedQuickly : kRemoved),
      random_tests_(random_tests) {}

template <class T>
void LogisticExperiment<T>::load() {
  const std::optional<std::filesystem::path> folder = data_folder();
  mnist_ = io::load_mnist(folder);
  for (const auto& path : io::mnist_files(io::find_mnist(folder))) manifest_.add_input(path);
  const io::MnistSplit split = io::paper_split(mnist_);
  data_ = std::make_unique<Dataset<double>>(all_images(*device_, split.train).with_storage(Storage::automatic));
  exact_ = std::make_unique<LogisticRegression<double>>(*data_, false, kL2);
  if constexpr (!std::is_same_v<T, double>)
    fast_ = std::make_unique<LogisticRegression<T>>(data_->template as<T>(), false, kL2);

  test_rows_ = test_rows(kTestIndex, split.test.count, random_tests_, options_.seed);
  tests_ = std::make_unique<LogisticRegression<double>>(images_at(*device_, split.test, test_rows_), false, 0.0);
  all_tests_ = std::make_unique<LogisticRegression<double>>(all_images(*device_, split.test), false, 0.0);
  seconds_["load"] = watch_.lap();
}

template <class T>
io::Journal LogisticExperiment<T>::open_journal() {
  const DeviceInfo device = device_->info();
  return ExperimentRun::open_journal(
      "retrain", {{"figure", "figure2"}, {"panel", "linear"}, {"version", CLOUT_VERSION}},
      {{"libraries", device.libraries}, {"threads", device.threads}, {"sparse", data_->is_sparse()}});
}

template <class T>
void LogisticExperiment<T>::fit() {
  theta_.assign(static_cast<std::size_t>(exact_->parameters()), 0.0);
  training_ = train<T>(*exact_, fast(), theta_, {.tolerance = kTrainingTolerance}, progress());
  if (training_.gradient_norm > kGradientTolerance)
    throw NotCertified("reproduce: training stopped at a gradient norm of " +
                       cli::number_text(training_.gradient_norm, 3) + "; expected at most 1e-10");
  const Buffer<double> theta(*device_, std::span<const double>(theta_));
  const Index p = exact_->parameters();
  tests_->set_parameters(theta.view(1, p));
  all_tests_->set_parameters(theta.view(1, p));
  seconds_["train"] = watch_.lap();
  factor_ = std::make_shared<HessianFactor<T>>(fast(), 0.0, progress());
  seconds_["factorise"] = watch_.lap();
}

template <class T>
void LogisticExperiment<T>::predict() {
  const auto solver = make_direct_solver<T>(factor_, *exact_, 0.0, kSolveTolerance);
  Influence<double> influence(*exact_, *tests_, *solver, theta_);
  std::vector<Index> all(test_rows_.size());
  std::iota(all.begin(), all.end(), Index{0});
  auto result = influence.scores(all, progress());
  require_certified(result.report);
  solve_ = std::move(result.report);
  scores_ = std::move(result.values);
  seconds_["solve"] = solve_.seconds;
  seconds_["score"] = watch_.lap() - solve_.seconds;
}

template <class T>
void LogisticExperiment<T>::retrain(io::Journal& journal) {
  std::vector<std::vector<Index>> groups;
  for (const Index i : chosen_) groups.push_back({i});
  LeaveOneOut<T> leave_one_out(*exact_, fast(), *tests_, *factor_, theta_,
                               logistic_retrain<T>(*data_, false, kL2, {.tolerance = kGradientTolerance}),
                               {.tolerance = kGradientTolerance});
  models_ = leave_one_out.run(groups, &journal, progress());
  seconds_["retrain"] = watch_.lap();
  for (std::size_t j = 0; j < models_.size(); ++j)
    if (!(models_[j].gradient_norm <= kGradientTolerance))
      throw NotCertified("reproduce: retraining without training example " + std::to_string(chosen_[j]) +
                         " stopped at a gradient norm of " + cli::number_text(models_[j].gradient_norm, 3) +
                         "; expected at most 1e-10");
}

template <class T>
nlohmann::ordered_json LogisticExperiment<T>::facts(const std::string& solver) {
  const TestScore score = test_score(*all_tests_);
  return {{"figure", "figure2"},
          {"panel", panel_},
          {"quick", options_.quick},
          {"n_train", data_->examples()},
          {"n_params", exact_->parameters()},
          {"l2", kL2},
          {"test_index", kTestIndex},
          {"n_removed", removed_},
          {"solver", solver},
          {"objective", training_.objective},
          {"train_loss", training_.objective - 0.5 * kL2 * square_norm(theta_)},
          {"test_loss", score.loss},
          {"test_accuracy", score.accuracy}};
}

template <class T>
double LogisticExperiment<T>::worst_gradient_norm() const {
  double worst = 0;
  for (const RetrainedModel& model : models_) worst = std::max(worst, model.gradient_norm);
  return worst;
}

template class LogisticExperiment<float>;
template class LogisticExperiment<double>;

}  // namespace clout::reproduce
