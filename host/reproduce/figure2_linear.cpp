#include <clout/engine/influence.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/io/atomic_file.hpp>
#include <clout/host/io/mnist.hpp>
#include <clout/host/logistic_retrain.hpp>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/host/reproduce/figure2_linear.hpp>
#include <clout/host/reproduce/figure2_tables.hpp>
#include <cmath>
#include <numeric>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;

// The paper's setting (figure 2, left), and the honest one beside it.
constexpr double kL2 = 0.01;
constexpr Index kTestIndex = 8;
constexpr Index kRemoved = 500;
constexpr Index kRandomTests = 100;
constexpr double kGradientTolerance = 1e-10;
constexpr double kSolveTolerance = 1e-10;
constexpr double kTrainingTolerance = 1e-12;
// Models trained again from zero, in double, to this gradient norm, to show that the fast way leads to the same place.
constexpr Index kColdModels = 3;
constexpr double kColdTolerance = 1e-12;

template <class T>
class Experiment {
 public:
  Experiment(const cli::Invocation& call)
      : call_(call),
        options_(call.options),
        folder_(call.options),
        device_(cli::open_device(call.options)),
        manifest_(cli::make_manifest(call.options, call.command_line, *device_)),
        bar_(options_.quiet && !options_.progress ? std::optional(false) : options_.progress),
        removed_(options_.quick ? 64 : kRemoved),
        random_tests_(options_.quick ? 20 : kRandomTests) {}

  void run() {
    require_plotting();
    load();
    io::Journal journal = open_journal();
    fit();
    predict();
    choose();
    retrain(journal);
    check_cold();
    write();
    journal.finish();
  }

 private:
  const Progress& progress() const { return bar_.callback(); }
  LogisticRegression<T>& fast() {
    if constexpr (std::is_same_v<T, double>) return *exact_;
    else return *fast_;
  }

  void load();
  io::Journal open_journal();
  void fit();
  void predict();
  void choose();
  void retrain(io::Journal& journal);
  void check_cold();
  void write();
  Facts summary();
  Facts random_facts(std::vector<TestAgreement>& per_test);
  double seconds(const char* key) const { return seconds_.at(key).template get<double>(); }

  const cli::Invocation& call_;
  const cli::Options& options_;
  cli::OutputFolder folder_;
  std::unique_ptr<Device> device_;
  io::Manifest manifest_;
  ProgressBar bar_;
  Index removed_, random_tests_;
  Stopwatch watch_;
  Facts seconds_;

  io::Mnist mnist_;
  std::unique_ptr<Dataset<double>> data_;
  std::unique_ptr<LogisticRegression<double>> exact_, tests_, all_tests_;
  std::unique_ptr<LogisticRegression<float>> fast_;
  std::vector<Index> test_rows_;  // the figure's test image, then the random ones
  std::vector<double> theta_;
  TrainingReport training_;
  std::shared_ptr<const HessianFactor<T>> factor_;
  SolveReport solve_;
  std::vector<double> scores_;  // [tests][n]
  std::vector<Index> chosen_;   // the most influential, then the random training rows
  std::vector<RetrainedModel> models_;
  double cold_difference_ = 0, cold_gradient_norm_ = 0;
};

template <class T>
void Experiment<T>::load() {
  const std::optional<std::filesystem::path> folder =
      options_.data.empty() ? std::nullopt : std::optional<std::filesystem::path>(options_.data);
  mnist_ = io::load_mnist(folder);
  for (const auto& path : io::mnist_files(io::find_mnist(folder))) manifest_.add_input(path);
  const io::MnistSplit split = io::paper_split(mnist_);
  data_ = std::make_unique<Dataset<double>>(all_images(*device_, split.train));
  exact_ = std::make_unique<LogisticRegression<double>>(*data_, false, kL2);
  if constexpr (!std::is_same_v<T, double>)
    fast_ = std::make_unique<LogisticRegression<T>>(data_->template as<T>(), false, kL2);

  test_rows_ = test_rows(kTestIndex, split.test.count, random_tests_, options_.seed);
  tests_ = std::make_unique<LogisticRegression<double>>(images_at(*device_, split.test, test_rows_), false, 0.0);
  all_tests_ = std::make_unique<LogisticRegression<double>>(all_images(*device_, split.test), false, 0.0);
  seconds_["load"] = watch_.lap();
}

template <class T>
io::Journal Experiment<T>::open_journal() {
  const DeviceInfo device = device_->info();
  const Facts request{{"figure", "figure2"},           {"panel", "linear"},
                      {"version", CLOUT_VERSION},      {"inputs", manifest_.to_json()["inputs"]},
                      {"seed", options_.seed},         {"precision", options_.precision},
                      {"quick", options_.quick},       {"device", device.name + ", " + device.model},
                      {"libraries", device.libraries}, {"threads", device.threads}};
  return io::Journal::open(folder_ / "retrain.journal", request.dump(), options_.resume);
}

template <class T>
void Experiment<T>::fit() {
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
void Experiment<T>::predict() {
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
void Experiment<T>::choose() {
  const std::span<const double> first(scores_.data(), static_cast<std::size_t>(data_->examples()));
  chosen_ = removed_rows(first, removed_, removed_, options_.seed);
}

template <class T>
void Experiment<T>::retrain(io::Journal& journal) {
  std::vector<std::vector<Index>> groups;
  for (const Index i : chosen_) groups.push_back({i});
  LeaveOneOut<T> leave_one_out(*exact_, fast(), *tests_, *factor_, theta_,
                               logistic_retrain<T>(*data_, false, kL2, kGradientTolerance),
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
void Experiment<T>::check_cold() {
  // The first models once more: side by side as before, and each alone from zero, in double.
  LeaveOneOut<T> fast_way(*exact_, fast(), *tests_, *factor_, theta_, {},
                          {.tolerance = kGradientTolerance, .block = kColdModels});
  std::vector<std::vector<Index>> groups;
  for (Index j = 0; j < kColdModels; ++j) groups.push_back({chosen_[static_cast<std::size_t>(j)]});
  const std::vector<RetrainedModel> warm = fast_way.retrain_block(groups);
  const auto cold_train = logistic_retrain<T>(*data_, false, kL2, kColdTolerance);
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
  double worst = 0;
  for (const RetrainedModel& model : models_) worst = std::max(worst, model.gradient_norm);
  for (std::size_t j = 0; j < static_cast<std::size_t>(removed_); ++j) {
    predicted.push_back(scores_[static_cast<std::size_t>(chosen_[j])]);
    actual.push_back(models_[j].loss_change[0]);
  }
  RandomSequence random(options_.seed + 1, RandomStream::bootstrap);
  const TestScore score = test_score(*all_tests_);
  Facts facts{{"figure", "figure2"},
              {"panel", "linear"},
              {"quick", options_.quick},
              {"n_train", data_->examples()},
              {"n_params", exact_->parameters()},
              {"l2", kL2},
              {"test_index", kTestIndex},
              {"n_removed", removed_},
              {"solver", solve_.solver},
              {"objective", training_.objective},
              {"train_loss", training_.objective - 0.5 * kL2 * square_norm(theta_)},
              {"test_loss", score.loss},
              {"test_accuracy", score.accuracy}};
  facts.update(agreement_facts(predicted, actual, random));
  facts.update({{"training_gradient_norm", training_.gradient_norm},
                {"max_gradient_norm", worst},
                {"max_relative_residual", solve_.max_relative_residual()},
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
  seconds_["statistics"] = watch_.lap();
  facts["peak_device_memory"] = device_->peak_memory();
  facts["seconds"] = seconds_;
  facts["device"] = device_->info().name;
  facts["precision"] = options_.precision;
  results.add(folder_ / "summary.json", facts.dump(2) + "\n");
  results.commit();  // the figure is drawn from the files
  draw_figure2("figure2_linear", folder_.path());
  manifest_.write(folder_ / "manifest.json");

  Facts shown = facts;
  shown["figure_file"] = (folder_ / "figure2_linear.png").string();
  cli::print_facts(options_, shown);
}

}  // namespace

template <class T>
void figure2_linear(const cli::Invocation& call) {
  Experiment<T>(call).run();
}
template void figure2_linear<float>(const cli::Invocation&);
template void figure2_linear<double>(const cli::Invocation&);

}  // namespace clout::reproduce
