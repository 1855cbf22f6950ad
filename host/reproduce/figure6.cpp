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
#include <clout/host/statistics.hpp>
#include <clout/host/tilted_fits.hpp>
#include <clout/models/margin_classifier.hpp>
#include <cmath>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;
using Labels = std::vector<std::int32_t>;

constexpr double kL2 = 1e-4;  // the paper's
constexpr double kGradientTolerance = 1e-10, kSolveTolerance = 1e-10;
constexpr double kAloneTolerance = 0.8e-10;  // of fits that are judged once more, with their terms summed in another order
constexpr int kLevels = 6, kRepeats = 40, kRepeatsQuickly = 3;
// Of a repeat's self-influence, this many of the largest and as many spread over all are solved for once more, by the
// certified loop.
constexpr Index kChecked = 8;
constexpr int kSideBySide = 8;  // repeats: a product with many vectors costs each a fraction of its own

/// A fit of the spam filter.
struct Fit {
  std::vector<double> theta;                              // [d]
  std::vector<double> margins;                            // [n] yᵢ w·xᵢ
  double objective = 0, gradient_norm = 0, accuracy = 0;  // accuracy on the test part
};

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
    clean_ = fit_clean();
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
  Fit fit_clean();
  /// What other labels add to the gradient (TiltedFits): [d].
  std::vector<double> tilt_to(const Labels& labels) const;
  /// Fits with these labels, side by side, from what `fits` hold to a gradient norm of 1e-10.
  void fit(const std::vector<Labels>& labels, std::vector<Fit>& fits);
  double test_accuracy(const std::vector<double>& theta) const;
  void check_all(io::Journal& journal);
  static std::uint64_t place_of(const LabelRepeat& repeat) {
    return static_cast<std::uint64_t>((repeat.level - 1) * kRepeats + repeat.number);
  }
  /// Repeats side by side.
  void check(std::vector<LabelRepeat>& block);
  /// (1/n) ∇ℓᵢᵀ H⁻¹ ∇ℓᵢ at the fit; a sample is certified, which `repeat` says.
  std::vector<double> self_influence(const Labels& labels, const Fit& fit, LabelRepeat& repeat);
  /// Labels are restored in this order, from the fit with flipped ones on.
  struct Restoring {
    std::vector<Index> order;
    Labels flipped;
    Fit start;
    std::array<LabelRepeat::Check, kCheckCounts>* checks;
  };
  /// Restores the first examples of each order, ever more of them, and fits.
  void restore(std::vector<Restoring>& all);
  void advance(Index fits);
  void write();

  int repeats_;
  SpamCorpus corpus_;
  std::unique_ptr<Dataset<double>> data_;
  std::unique_ptr<MarginClassifier<double>> exact_;  // with the true labels
  std::unique_ptr<MarginClassifier<T>> fast_;
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
  exact_ = std::make_unique<MarginClassifier<double>>(*data_, MarginLoss::logistic, 1.0, false, kL2);
  fast_ = std::make_unique<MarginClassifier<T>>(data_->template as<T>(), MarginLoss::logistic, T(1), false, kL2);
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
Fit Experiment<T>::fit_clean() {
  std::vector<double> theta(static_cast<std::size_t>(corpus_.train.columns));
  const TrainingReport report = train<T>(*exact_, *fast_, theta, {.tolerance = kGradientTolerance});
  if (!report.converged)
    throw NotCertified("reproduce: a fit stopped at a gradient norm of " + cli::number_text(report.gradient_norm, 3) +
                       "; expected at most 1e-10");
  advance(1);
  return {theta, outputs_of(corpus_.train, theta), report.objective, report.gradient_norm, test_accuracy(theta)};
}

template <class T>
std::vector<double> Experiment<T>::tilt_to(const Labels& labels) const {
  std::vector<double> tilt(static_cast<std::size_t>(corpus_.train.columns));
  const SparseRows<double>& x = corpus_.train;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double change = corpus_.train_labels[i] - labels[i];
    for (Index e = x.starts[i]; change != 0 && e < x.starts[i + 1]; ++e)
      tilt[static_cast<std::size_t>(x.places[static_cast<std::size_t>(e)])] +=
          change * x.values[static_cast<std::size_t>(e)] / static_cast<double>(labels.size());
  }
  return tilt;
}

template <class T>
void Experiment<T>::fit(const std::vector<Labels>& labels, std::vector<Fit>& fits) {
  std::vector<double> tilts, theta;
  for (std::size_t j = 0; j < labels.size(); ++j) {
    const std::vector<double> tilt = tilt_to(labels[j]);
    tilts.insert(tilts.end(), tilt.begin(), tilt.end());
    theta.insert(theta.end(), fits[j].theta.begin(), fits[j].theta.end());
  }
  const auto alone = [&](std::size_t j, std::vector<double>& own) {
    MarginClassifier<double> exact = model(labels[j]);
    train<T>(exact, *std::make_unique<MarginClassifier<T>>(exact.data().template as<T>(), MarginLoss::logistic, T(1), false, kL2),
             own, {.tolerance = kAloneTolerance});
  };
  const std::vector<double> norms = TiltedFits<T>(*exact_, *fast_, kGradientTolerance, alone).fit(tilts, theta);
  auto next = theta.begin();
  for (std::size_t j = 0; j < labels.size(); ++j, next += corpus_.train.columns) {
    fits[j].theta.assign(next, next + corpus_.train.columns);
    fits[j].gradient_norm = norms[j];
    fits[j].accuracy = test_accuracy(fits[j].theta);
  }
  advance(std::ssize(labels));
}

template <class T>
void Experiment<T>::advance(Index fits) {
  fits_done_ += static_cast<double>(fits);
  if (progress() && fits_ > 0) progress()("fits", fits_done_, fits_);
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
  constexpr std::size_t kFitsOfRepeat = 1 + kCheckMethods.size() * kCheckCounts;
  const int first = options_.levels == "all" ? 1 : kPublishedLevel, last = options_.levels == "all" ? kLevels : first;
  result_.examples = data_->examples();
  result_.step = step_;
  fits_ = static_cast<double>((last - first + 1) * repeats_) * static_cast<double>(kFitsOfRepeat);
  for (int level = first; level <= last; ++level)
    for (int number = 0; number < repeats_; number += kSideBySide) {
      std::vector<LabelRepeat> block;  // computed whole, so that its bits do not depend on where a run was stopped
      for (int each = number; each < std::min(repeats_, number + kSideBySide); ++each) {
        block.emplace_back();
        block.back().level = level;
        block.back().number = each;
      }
      const auto is_known = [&](const LabelRepeat& repeat) { return journal.completed().contains(place_of(repeat)); };
      if (std::ranges::all_of(block, is_known)) fits_done_ += static_cast<double>(block.size() * kFitsOfRepeat);
      else check(block);
      for (const LabelRepeat& repeat : block) {
        if (!is_known(repeat)) journal.append(place_of(repeat), repeat.numbers());
        result_.repeats.push_back(LabelRepeat::from(level, repeat.number, journal.completed().at(place_of(repeat))));
      }
    }
  seconds_["checks"] = watch_.lap();
}

// The seeds are the published code's: those of 40 repeats, three times over, belong to a level.
template <class T>
void Experiment<T>::check(std::vector<LabelRepeat>& block) {
  const Index n = data_->examples();
  std::vector<std::uint32_t> seeds;
  std::vector<Labels> flipped;
  for (const LabelRepeat& repeat : block) {
    seeds.push_back(static_cast<std::uint32_t>((repeat.level - 1) * 3 * kRepeats + 2 * repeat.number));
    Labels labels = corpus_.train_labels;
    for (const Index i : NumpyRandom(seeds.back()).choose(n, repeat.level * step_)) {
      auto& label = labels[static_cast<std::size_t>(i)];
      label = 1 - label;
    }
    flipped.push_back(std::move(labels));
  }
  std::vector<Fit> starts(block.size(), clean_);
  fit(flipped, starts);
  std::vector<Restoring> all;  // three of each repeat
  for (std::size_t r = 0; r < block.size(); ++r) {
    Fit& start = starts[r];
    block[r].flipped_accuracy = start.accuracy;
    block[r].flipped_gradient_norm = start.gradient_norm;
    start.margins = outputs_of(corpus_.train, start.theta);
    for (std::size_t i = 0; i < start.margins.size(); ++i)
      if (flipped[r][i] == 0) start.margins[i] = -start.margins[i];
    std::vector<double> losses;  // log(1 + e^(−m)) falls with m, and m itself has no ties at 0
    for (const double m : start.margins) losses.push_back(-m);
    const std::vector<Index> orders[] = {descending(self_influence(flipped[r], start, block[r])), descending(losses),
                                         NumpyRandom(seeds[r] + 1).choose(n, n)};
    for (std::size_t method = 0; method < kCheckMethods.size(); ++method)
      all.push_back({orders[method], flipped[r], start, &block[r].checks[method]});
  }
  restore(all);
}

template <class T>
std::vector<double> Experiment<T>::self_influence(const Labels& labels, const Fit& fit, LabelRepeat& repeat) {
  space_->factorise(fit.margins, kL2);
  const std::vector<double> values = space_->self_influence();
  std::vector<Index> some = descending(values);
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
void Experiment<T>::restore(std::vector<Restoring>& all) {
  std::vector<Labels> labels;
  std::vector<Fit> fits;
  for (Restoring& each : all) {
    labels.push_back(std::move(each.flipped));
    fits.push_back(std::move(each.start));
  }
  std::vector<Index> fixed(all.size());
  for (std::size_t check = 0; check < kCheckCounts; ++check) {
    for (std::size_t j = 0; j < all.size(); ++j)
      for (Index i = 0; i < step_; ++i) {
        const auto row = static_cast<std::size_t>(all[j].order[check * static_cast<std::size_t>(step_) + static_cast<std::size_t>(i)]);
        fixed[j] += labels[j][row] != corpus_.train_labels[row];
        labels[j][row] = corpus_.train_labels[row];
      }
    fit(labels, fits);
    for (std::size_t j = 0; j < all.size(); ++j)
      (*all[j].checks)[check] = {static_cast<double>(fixed[j]), fits[j].accuracy, fits[j].gradient_norm};
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
