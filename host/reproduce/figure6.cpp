#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/numpy_random.hpp>
#include <clout/host/reproduce/figure6.hpp>
#include <clout/host/reproduce/label_checks.hpp>
#include <clout/host/reproduce/run.hpp>
#include <clout/host/reproduce/spam_corpus.hpp>
#include <clout/host/sample_space.hpp>
#include <clout/models/margin_classifier.hpp>
#include <cmath>
#include <numeric>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;
using Labels = std::vector<std::int32_t>;

constexpr double kL2 = 1e-4;  // the paper's
constexpr double kGradientTolerance = 1e-10, kSolveTolerance = 1e-10;
constexpr int kLevels = 6, kRepeats = 40, kRepeatsQuickly = 3;
// Of a repeat's self-influence, this many of the largest and as many spread over all are solved for once more, by the
// certified loop.
constexpr Index kChecked = 8;

/// A fit of the spam filter.
struct Fit {
  std::vector<double> theta;                              // [d]
  std::vector<double> margins;                            // [n] yᵢ w·xᵢ
  double objective = 0, gradient_norm = 0, accuracy = 0;  // accuracy on the test part
};

/// Example numbers by falling `values`, ties by number.
std::vector<Index> by_size(const std::vector<double>& values) {
  std::vector<Index> order(values.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
    return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
  });
  return order;
}

template <class T>
class Experiment : ExperimentRun {
 public:
  explicit Experiment(const cli::Invocation& call)
      : ExperimentRun(call,
                      {"summary.json", "figure6.csv", "repeats.csv", "manifest.json", "figure6.png", "figure6.svg"}),
        repeats_(options_.quick ? kRepeatsQuickly : kRepeats) {}

  void run() {
    load();
    io::Journal journal = open_checks();
    const cli::EmptyJournal nothing_yet{journal};
    clean_ = fit(corpus_.train_labels, std::vector<double>(static_cast<std::size_t>(corpus_.train.columns)));
    seconds_["train"] = watch_.lap();
    check_all(journal);
    write();
    journal.finish();
  }

 private:
  void load();
  io::Journal open_checks();
  MarginClassifier<double> model(const Labels& labels) const {
    return {data_->with_labels(labels), MarginLoss::logistic, 1.0, false, kL2};
  }
  /// From `theta` to a gradient norm of 1e-10.
  Fit fit(const Labels& labels, std::vector<double> theta);
  double test_accuracy(const std::vector<double>& theta) const;
  void check_all(io::Journal& journal);
  LabelRepeat check(int level, int number);
  /// (1/n) ∇ℓᵢᵀ H⁻¹ ∇ℓᵢ at the fit; a sample is certified, which `repeat` says.
  std::vector<double> self_influence(const Labels& labels, const Fit& fit, LabelRepeat& repeat);
  /// Restores the labels of the first examples of `order`, ever more of them, and fits.
  void restore(const Labels& flipped, const Fit& start, const std::vector<Index>& order,
               std::array<LabelRepeat::Check, kCheckCounts>& checks);
  void advance();
  void write();

  int repeats_;
  SpamCorpus corpus_;
  std::unique_ptr<Dataset<double>> data_;
  std::unique_ptr<Dataset<float>> fast_data_;
  std::shared_ptr<SampleSpace> space_;
  Index step_ = 0;  // n/20
  Fit clean_;
  LabelResult result_;
  double fits_done_ = 0, fits_ = 0;
};

template <class T>
void Experiment<T>::load() {
  std::vector<std::filesystem::path> files;
  corpus_ = load_spam(data_folder(), files);
  for (const auto& path : files) manifest_.add_input(path);
  data_ =
      std::make_unique<Dataset<double>>(Dataset<double>::from_sparse(*device_, corpus_.train, corpus_.train_labels, 2));
  if constexpr (std::is_same_v<T, float>) fast_data_ = std::make_unique<Dataset<float>>(data_->template as<float>());
  space_ = std::make_shared<SampleSpace>(corpus_.train);
  step_ = data_->examples() / 20;
  if (step_ == 0)
    throw InvalidInput("Enron1: " + std::to_string(data_->examples()) + " training messages; expected at least 20");
  seconds_["load"] = watch_.lap();
}

// LAPACK's factor orders the examples, and the number of threads is in its bits.
template <class T>
io::Journal Experiment<T>::open_checks() {
  const DeviceInfo device = device_->info();
  return open_journal("checks", {{"figure", "figure6"}, {"version", CLOUT_VERSION}},
                      {{"libraries", device.libraries}, {"threads", device.threads}});
}

template <class T>
Fit Experiment<T>::fit(const Labels& labels, std::vector<double> theta) {
  MarginClassifier<double> exact = model(labels);
  const TrainingOptions options{.tolerance = kGradientTolerance};
  TrainingReport report;
  if constexpr (std::is_same_v<T, double>) {
    report = train<double>(exact, exact, theta, options);
  } else {
    MarginClassifier<T> fast(fast_data_->with_labels(labels), MarginLoss::logistic, T(1), false, kL2);
    report = train<T>(exact, fast, theta, options);
  }
  if (!report.converged)
    throw NotCertified("reproduce: a fit stopped at a gradient norm of " + cli::number_text(report.gradient_norm, 3) +
                       "; expected at most 1e-10");
  Fit fit{theta, outputs_of(corpus_.train, theta), report.objective, report.gradient_norm, test_accuracy(theta)};
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] == 0) fit.margins[i] = -fit.margins[i];
  advance();
  return fit;
}

template <class T>
void Experiment<T>::advance() {
  if (progress() && fits_ > 0) progress()("fits", ++fits_done_, fits_);
}

template <class T>
double Experiment<T>::test_accuracy(const std::vector<double>& theta) const {
  const std::vector<double> outputs = outputs_of(corpus_.test, theta);
  Index right = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) right += (outputs[i] > 0) == (corpus_.test_labels[i] == 1);
  return static_cast<double>(right) / static_cast<double>(outputs.size());
}

template <class T>
void Experiment<T>::check_all(io::Journal& journal) {
  constexpr int kFitsOfRepeat = 1 + static_cast<int>(kCheckMethods.size() * kCheckCounts);
  const int first = options_.levels == "all" ? 1 : kPublishedLevel, last = options_.levels == "all" ? kLevels : first;
  result_.examples = data_->examples();
  result_.step = step_;
  fits_ = (last - first + 1) * repeats_ * kFitsOfRepeat;
  for (int level = first; level <= last; ++level)
    for (int number = 0; number < repeats_; ++number) {
      const auto block = static_cast<std::uint64_t>((level - 1) * kRepeats + number);
      const auto known = journal.completed().find(block);
      if (known != journal.completed().end()) {
        result_.repeats.push_back(LabelRepeat::from(level, number, known->second));
        fits_done_ += kFitsOfRepeat;
        continue;
      }
      result_.repeats.push_back(check(level, number));
      journal.append(block, result_.repeats.back().numbers());
    }
  seconds_["checks"] = watch_.lap();
}

// The seeds are the published code's: those of 40 repeats, three times over, belong to a level.
template <class T>
LabelRepeat Experiment<T>::check(int level, int number) {
  LabelRepeat repeat;
  repeat.level = level;
  repeat.number = number;
  const auto seed = static_cast<std::uint32_t>((level - 1) * 3 * kRepeats + 2 * number);
  const Index n = data_->examples();
  Labels flipped = corpus_.train_labels;
  for (const Index i : NumpyRandom(seed).choose(n, level * step_)) {
    auto& label = flipped[static_cast<std::size_t>(i)];
    label = 1 - label;
  }
  const Fit start = fit(flipped, clean_.theta);
  repeat.flipped_accuracy = start.accuracy;
  repeat.flipped_gradient_norm = start.gradient_norm;
  std::vector<double> losses;  // log(1 + e^(−m)) falls with m, and m itself has no ties at 0
  for (const double m : start.margins) losses.push_back(-m);
  restore(flipped, start, by_size(self_influence(flipped, start, repeat)), repeat.checks[0]);
  restore(flipped, start, by_size(losses), repeat.checks[1]);
  restore(flipped, start, NumpyRandom(seed + 1).choose(n, n), repeat.checks[2]);
  return repeat;
}

template <class T>
std::vector<double> Experiment<T>::self_influence(const Labels& labels, const Fit& fit, LabelRepeat& repeat) {
  space_->factorise(fit.margins, kL2);
  const std::vector<double> values = space_->self_influence();
  std::vector<Index> some = by_size(values);
  const Index last = some[static_cast<std::size_t>(static_cast<Index>(kCheckCounts) * step_ - 1)];
  const double least = values[static_cast<std::size_t>(last)];  // smaller values decide nothing
  some.resize(static_cast<std::size_t>(std::min<Index>(kChecked, data_->examples())));
  for (Index i = 0; i < kChecked; ++i) some.push_back(i * data_->examples() / kChecked);

  MarginClassifier<double> exact = model(labels);
  move_to<double>(exact, exact, fit.theta);
  const auto solver = make_sample_space_solver(space_, exact, kSolveTolerance);
  const SelfInfluence certified = clout::self_influence(exact, *solver, some);
  require_certified(certified.report);
  repeat.residual = certified.residual;
  for (std::size_t i = 0; i < some.size(); ++i) {
    const double value = values[static_cast<std::size_t>(some[i])], by_solve = certified.values[i];
    repeat.value_difference = std::max(repeat.value_difference, std::abs(value - by_solve) / std::max(by_solve, least));
  }
  return values;
}

template <class T>
void Experiment<T>::restore(const Labels& flipped, const Fit& start, const std::vector<Index>& order,
                            std::array<LabelRepeat::Check, kCheckCounts>& checks) {
  Labels labels = flipped;
  Fit last = start;
  Index fixed = 0;
  auto next = order.begin();
  for (LabelRepeat::Check& check : checks) {
    for (Index i = 0; i < step_; ++i, ++next) {
      const auto row = static_cast<std::size_t>(*next);
      fixed += labels[row] != corpus_.train_labels[row];
      labels[row] = corpus_.train_labels[row];
    }
    last = fit(labels, std::move(last.theta));
    check = {static_cast<double>(fixed), last.accuracy, last.gradient_norm};
  }
}

template <class T>
void Experiment<T>::write() {
  double gradient_norm = clean_.gradient_norm, residual = 0, difference = 0;
  for (const LabelRepeat& repeat : result_.repeats) {
    gradient_norm = std::max(gradient_norm, repeat.worst_gradient_norm());
    residual = std::max(residual, repeat.residual);
    difference = std::max(difference, repeat.value_difference);
  }
  Facts facts{{"figure", "figure6"},
              {"quick", options_.quick},
              {"repeats", repeats_},
              {"n_train", data_->examples()},
              {"n_test", static_cast<Index>(corpus_.test_labels.size())},
              {"n_params", data_->features()},
              {"l2", kL2},
              {"objective", clean_.objective},
              {"clean_accuracy", clean_.accuracy},
              {"max_gradient_norm", gradient_norm},
              {"self_influence",
               {{"form", "n x n, Cholesky in double"},
                {"certified_rows_of_each_repeat", 2 * kChecked},
                {"max_relative_residual", residual},
                {"max_relative_difference", difference}}},
              {"levels", level_facts(result_)}};
  io::ResultFiles results;
  results.add(folder_ / "figure6.csv", points_csv(result_));
  results.add(folder_ / "repeats.csv", repeats_csv(result_));
  finish(results, std::move(facts), "figure6",
         {"--points", folder_ / "figure6.csv", "--summary", folder_ / "summary.json", "--out", folder_.path()});
}

}  // namespace

template <class T>
void figure6(const cli::Invocation& call) {
  Experiment<T>(call).run();
}
template void figure6<float>(const cli::Invocation&);
template void figure6<double>(const cli::Invocation&);

}  // namespace clout::reproduce
