#include <algorithm>
#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/influence.hpp>
#include <clout/host/linear_svm.hpp>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/host/reproduce/figure3.hpp>
#include <clout/host/reproduce/run.hpp>
#include <clout/host/statistics.hpp>
#include <clout/kernels/margin_derivatives.hpp>
#include <clout/models/margin_classifier.hpp>
#include <cmath>
#include <functional>
#include <numeric>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;

// The paper's setting, and the correlations that it prints.
constexpr double kL2 = 0.01;
constexpr Index kTrain = 11'800, kTest = 2'100, kTestIndex = 1597;
constexpr Index kRemoved = 100, kRemovedQuickly = 30;
constexpr double kTemperatures[] = {0.001, 0.1};
constexpr double kPublished[] = {0.632, 0.950, 0.914};  // at t = 0, 0.001, 0.1

constexpr double kGapTolerance = 1e-10, kSolveTolerance = 1e-10;
// The curve of correlations: temperatures from 1e-4 to 1, so many in each power of ten.
constexpr int kDecades = 4, kPerDecade = 8, kPerDecadeQuickly = 2;
constexpr double kShownMargins[] = {0.0, 2.0};
constexpr int kShownPoints = 201;
constexpr Index kRowBlock = 1024;

class Experiment : ExperimentRun {
 public:
  explicit Experiment(const cli::Invocation& call)
      : ExperimentRun(call, {"summary.json", "figure3.csv", "curve.csv", "losses.csv", "manifest.json", "figure3.png",
                             "figure3.svg"}) {}
  void run();

 private:
  void load();
  /// Changes at t = 0, where H = λI, times n: `slope_on_margin` of an example with 0 < α < C stands for −ℓ′ at its kink.
  std::vector<double> hinge_scores(const std::function<double(Index)>& slope_on_margin) const;
  std::vector<double> smooth_scores(double temperature);
  std::vector<double> of_chosen(const std::vector<double>& scores) const;
  Facts agreement_with_actual(const std::vector<double>& scores) const;
  std::string points_table(const std::vector<std::vector<double>>& predicted) const;
  std::string curve_table();
  Facts summary(const std::vector<std::vector<double>>& predicted, const Facts& conventions);

  std::unique_ptr<OneSeven> digits_;
  std::unique_ptr<Dataset<double>> data_, test_data_;
  SvmFit fit_;
  std::unique_ptr<MarginClassifier<double>> test_, all_tests_;  // hinge
  double worst_residual_ = 0;
  std::vector<Index> chosen_;
  std::vector<RetrainedModel> models_;
  std::vector<double> actual_;
};

std::unique_ptr<MarginClassifier<double>> margin_model(Dataset<double> data, MarginLoss loss, double temperature, double l2,
                                                       const std::vector<double>& theta) {
  auto model = std::make_unique<MarginClassifier<double>>(std::move(data), loss, temperature, false, l2);
  const Buffer<double> on_device(model->device(), std::span<const double>(theta));
  model->set_parameters(on_device.view(1, model->parameters()));
  return model;
}

void Experiment::load() {
  const io::Mnist mnist = io::load_mnist(data_folder());
  for (const auto& path : io::mnist_files(io::find_mnist(data_folder()))) manifest_.add_input(path);
  digits_ = std::make_unique<OneSeven>(*device_, io::paper_split(mnist), kTrain, kTest);
  data_ = std::make_unique<Dataset<double>>(digits_->train.with_storage(Storage::automatic));
  test_data_ = std::make_unique<Dataset<double>>(digits_->test_image(kTestIndex));
  seconds_["load"] = watch_.lap();
}

std::vector<double> Experiment::hinge_scores(const std::function<double(Index)>& slope_on_margin) const {
  const std::vector<double> x_test = test_data_->host_features(0, 1);
  const auto dot = [](auto first, const std::vector<double>& other) {
    return std::inner_product(other.begin(), other.end(), first, 0.0);
  };
  const double y_test = test_data_->host_labels()[0] == 0 ? -1 : 1;
  const double z_test = dot(x_test.begin(), fit_.weights);
  const double slope_test = y_test * z_test < 1 ? -y_test : 0;  // v = slope · x
  std::vector<double> scores;
  for (Index first = 0; first < kTrain; first += kRowBlock) {
    const Index count = std::min(kRowBlock, kTrain - first);
    const std::vector<double> x = data_->host_features(first, count);
    for (Index i = 0; i < count; ++i) {
      const auto row = x.begin() + i * data_->features();
      const auto at = static_cast<std::size_t>(first + i);
      const double y = data_->host_labels()[at] == 0 ? -1 : 1;
      const double share = fit_.dual[at] * kL2 * static_cast<double>(kTrain);  // α/C
      const double steep = fit_.between[at] ? slope_on_margin(first + i) : (share > 0.5 ? 1.0 : 0.0);
      scores.push_back(slope_test * (-y * steep * dot(row, x_test) + kL2 * z_test) / kL2);
    }
  }
  return scores;
}

std::vector<double> Experiment::smooth_scores(double temperature) {
  const auto model = margin_model(*data_, MarginLoss::smooth_hinge, temperature, kL2, fit_.weights);
  const auto test = margin_model(*test_data_, MarginLoss::smooth_hinge, temperature, 0.0, fit_.weights);
  const auto solver = make_conjugate_gradient<double>(*model, *model, 0.0, kSolveTolerance);
  const Index row = 0;
  auto scores = Influence<double>(*model, *test, *solver, fit_.weights).scores({&row, 1});
  require_certified(scores.report);
  worst_residual_ = std::max(worst_residual_, scores.report.max_relative_residual());
  for (double& value : scores.values) value *= static_cast<double>(kTrain);
  return scores.values;
}

/// Changes, no longer times n, of the removed points.
std::vector<double> Experiment::of_chosen(const std::vector<double>& scores) const {
  std::vector<double> chosen;
  for (const Index i : chosen_) chosen.push_back(scores[static_cast<std::size_t>(i)] / static_cast<double>(kTrain));
  return chosen;
}

Facts Experiment::agreement_with_actual(const std::vector<double>& predicted) const {
  const Agreement agree = agreement(predicted, actual_);
  return {{"pearson", agree.pearson}, {"spearman", agree.spearman}, {"slope", agree.slope}};
}

std::string Experiment::points_table(const std::vector<std::vector<double>>& predicted) const {
  std::string text =
      "rank,train_index,image,digit,actual,duality_gap,predicted_hinge,predicted_0.001,predicted_0.1\n";
  for (std::size_t j = 0; j < chosen_.size(); ++j) {
    const auto at = static_cast<std::size_t>(chosen_[j]);
    text += std::to_string(j + 1) + "," + std::to_string(chosen_[j]) + "," + std::to_string(digits_->train_rows[at]) + "," +
            (data_->host_labels()[at] == 1 ? "1" : "7") + "," + cli::number_text(actual_[j], 17) + "," +
            cli::number_text(models_[j].gradient_norm, 6);
    for (const std::vector<double>& each : predicted) text += "," + cli::number_text(each[j], 17);
    text += "\n";
  }
  return text;
}

std::string Experiment::curve_table() {
  std::string text = "temperature,pearson,slope\n";
  const int each = options_.quick ? kPerDecadeQuickly : kPerDecade, steps = kDecades * each;
  for (int i = 0; i <= steps; ++i) {
    const double temperature = std::pow(10.0, static_cast<double>(i - steps) / each);
    const Agreement agree = agreement(of_chosen(smooth_scores(temperature)), actual_);
    text += cli::number_text(temperature, 6) + "," + cli::number_text(agree.pearson, 12) + "," +
            cli::number_text(agree.slope, 12) + "\n";
    if (progress()) progress()("temperatures", i + 1.0, steps + 1.0);
  }
  return text;
}

std::string losses_table() {
  std::string text = "margin,hinge,smooth_0.001,smooth_0.1\n";
  for (int i = 0; i < kShownPoints; ++i) {
    const double margin = kShownMargins[0] + (kShownMargins[1] - kShownMargins[0]) * i / (kShownPoints - 1);
    const auto loss = [&](MarginLoss kind, double t) {
      return "," + cli::number_text(MarginDerivatives<double>({kind, t}, 1, margin).loss, 12);
    };
    text += cli::number_text(margin, 6) + loss(MarginLoss::hinge, 1);
    for (const double t : kTemperatures) text += loss(MarginLoss::smooth_hinge, t);
    text += "\n";
  }
  return text;
}

Facts Experiment::summary(const std::vector<std::vector<double>>& predicted, const Facts& conventions) {
  const TestScore score = margin_score(*all_tests_, 1.0);
  double worst = 0;
  for (const RetrainedModel& model : models_) worst = std::max(worst, model.gradient_norm);
  Facts results = Facts::array();
  for (std::size_t k = 0; k < predicted.size(); ++k) {
    Facts each{{"temperature", k == 0 ? 0.0 : kTemperatures[k - 1]}, {"published_pearson", kPublished[k]}};
    each.update(agreement_with_actual(predicted[k]));
    results.push_back(each);
  }
  double reach = 0;
  for (const double norm : test_data_->input_norms()) reach = std::max(reach, norm);
  return {{"figure", "figure3"},
          {"quick", options_.quick},
          {"n_train", kTrain},
          {"n_test", kTest},
          {"n_params", data_->features()},
          {"l2", kL2},
          {"test_index", kTestIndex},
          {"n_removed", std::ssize(chosen_)},
          {"objective", fit_.objective},
          {"duality_gap", fit_.gap},
          {"support_vectors", std::count_if(fit_.dual.begin(), fit_.dual.end(), [](double a) { return a > 0; })},
          {"on_margin", fit_.on_margin},
          {"test_loss", score.loss},
          {"test_accuracy", score.accuracy},
          {"temperatures", results},
          {"slopes_on_margin", conventions},
          {"max_duality_gap", worst},
          {"max_actual_error", reach * (svm_distance(fit_.gap, kL2) + svm_distance(worst, kL2))},
          {"solver", "cg"},
          {"max_relative_residual", worst_residual_}};
}

void Experiment::run() {
  load();
  const LinearSvm svm(*data_, kL2);
  const SvmOptions exactly{.tolerance = kGapTolerance};
  fit_ = svm.fit({}, {}, exactly, progress());
  if (!fit_.converged)
    throw NotCertified("reproduce: training stopped at a duality gap of " + cli::number_text(fit_.gap, 3) +
                       "; expected at most 1e-10");
  test_ = margin_model(*test_data_, MarginLoss::hinge, 1.0, 0.0, fit_.weights);
  all_tests_ = margin_model(digits_->test, MarginLoss::hinge, 1.0, 0.0, fit_.weights);
  seconds_["train"] = watch_.lap();

  // −ℓ′ at the kink may be anything from 0 to 1; α/C is the choice at which R's gradient vanishes.
  const std::vector<double> hinge = hinge_scores(
      [&](Index i) { return fit_.dual[static_cast<std::size_t>(i)] * kL2 * static_cast<double>(kTrain); });
  chosen_ = removed_rows(hinge, options_.quick ? kRemovedQuickly : kRemoved, 0, options_.seed);
  std::vector<std::vector<Index>> groups;
  for (const Index i : chosen_) groups.push_back({i});
  models_ = retrain_svm(svm, fit_, *test_, groups, exactly, nullptr, progress());
  for (std::size_t j = 0; j < models_.size(); ++j) {
    if (!(models_[j].gradient_norm <= kGapTolerance))
      throw NotCertified("reproduce: retraining without training example " + std::to_string(chosen_[j]) +
                         " stopped at a duality gap of " + cli::number_text(models_[j].gradient_norm, 3) +
                         "; expected at most 1e-10");
    actual_.push_back(models_[j].loss_change[0]);
  }
  seconds_["retrain"] = watch_.lap();

  std::vector<std::vector<double>> predicted{of_chosen(hinge)};
  for (const double t : kTemperatures) predicted.push_back(of_chosen(smooth_scores(t)));
  const Facts conventions{
      {"alpha_over_c", agreement_with_actual(predicted[0])["pearson"]},
      {"zero", agreement_with_actual(of_chosen(hinge_scores([](Index) { return 0.0; })))["pearson"]},
      {"one", agreement_with_actual(of_chosen(hinge_scores([](Index) { return 1.0; })))["pearson"]}};
  io::ResultFiles results;
  results.add(folder_ / "figure3.csv", points_table(predicted));
  results.add(folder_ / "curve.csv", curve_table());
  results.add(folder_ / "losses.csv", losses_table());
  seconds_["solve"] = watch_.lap();
  finish(results, summary(predicted, conventions), "figure3",
         {"--points", folder_ / "figure3.csv", "--curve", folder_ / "curve.csv", "--losses", folder_ / "losses.csv",
          "--summary", folder_ / "summary.json", "--out", folder_.path()});
}

}  // namespace

void figure3(const cli::Invocation& call) { Experiment(call).run(); }

}  // namespace clout::reproduce
