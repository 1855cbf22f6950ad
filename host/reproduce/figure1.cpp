#include <algorithm>
#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/direct_solver.hpp>
#include <clout/engine/influence.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/io/npy.hpp>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/host/reproduce/figure1.hpp>
#include <clout/host/reproduce/run.hpp>
#include <clout/host/statistics.hpp>
#include <clout/models/margin_classifier.hpp>
#include <cmath>
#include <numbers>
#include <numeric>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;

// The paper's setting.
constexpr double kL2 = 0.01;
constexpr Index kTestIndex = 30;
constexpr Index kHarmfulRank = 5;  // the training image that is shown, among the most harmful of the test image's label

constexpr double kTrainingTolerance = 1e-12, kGradientTolerance = 1e-10, kSolveTolerance = 1e-10;
constexpr Index kRowBlock = 1024;

/// Scores of every training point, times n, in the figure's four ways.
struct Variants {
  std::vector<double> full;                   // g'H⁻¹v with g = ∇ℓᵢ + λθ
  std::vector<double> without_training_loss;  // −yᵢxᵢ in the place of g
  std::vector<double> without_hessian;        // g'v
  std::vector<double> neither;                // −yᵢxᵢ'v: the Euclidean inner product, times y_t p_t
};

class Experiment : ExperimentRun {
 public:
  explicit Experiment(const cli::Invocation& call)
      : ExperimentRun(call, {"summary.json", "figure1.csv", "images.npy", "manifest.json", "figure1.png", "figure1.svg"}) {}

  void run();

 private:
  void load();
  void fit();
  Variants score(Solver& solver, SolveReport& report);
  /// The kHarmfulRank-th most harmful training point of the test image's label.
  Index harmful_image(const std::vector<double>& full) const;
  std::string table(const Variants& scores) const;
  Facts summary(const Variants& scores, const Variants& by_gradients, Index harmful);

  io::Mnist mnist_;
  std::unique_ptr<OneSeven> digits_;
  std::unique_ptr<MarginClassifier<double>> model_, test_, all_tests_;
  std::vector<double> theta_;
  TrainingReport training_;
  SolveReport direct_, gradients_;
};

void Experiment::load() {
  mnist_ = io::load_mnist(data_folder());
  for (const auto& path : io::mnist_files(io::find_mnist(data_folder()))) manifest_.add_input(path);
  digits_ = std::make_unique<OneSeven>(*device_, io::paper_split(mnist_));
  const auto make = [](Dataset<double> data, double l2) {
    return std::make_unique<MarginClassifier<double>>(std::move(data), MarginLoss::logistic, 1.0, false, l2);
  };
  model_ = make(digits_->train.with_storage(Storage::automatic), kL2);
  test_ = make(digits_->test_image(kTestIndex), 0.0);
  all_tests_ = make(digits_->test, 0.0);
  seconds_["load"] = watch_.lap();
}

void Experiment::fit() {
  theta_.assign(static_cast<std::size_t>(model_->parameters()), 0.0);
  training_ = train<double>(*model_, *model_, theta_, {.tolerance = kTrainingTolerance}, progress());
  if (training_.gradient_norm > kGradientTolerance)
    throw NotCertified("reproduce: training stopped at a gradient norm of " +
                       cli::number_text(training_.gradient_norm, 3) + "; expected at most 1e-10");
  const Buffer<double> theta(*device_, std::span<const double>(theta_));
  for (MarginClassifier<double>* each : {test_.get(), all_tests_.get()})
    each->set_parameters(theta.view(1, model_->parameters()));
  seconds_["train"] = watch_.lap();
}

Variants Experiment::score(Solver& solver, SolveReport& report) {
  Influence<double> influence(*model_, *test_, solver, theta_);
  const Index row = 0, p = model_->parameters(), n = model_->examples();
  const auto products = influence.inverse_products({&row, 1});
  require_certified(products.report);
  report = products.report;
  Variants scores;
  influence.removal_tiles(products, [&](const Influence<double>::Tile& tile) {
    for (const double value : tile.values) scores.full.push_back(value * static_cast<double>(n));
  });

  Buffer<double> gradient(*device_, p);
  test_->example_gradients({&row, 1}, gradient.view(1, p));
  const std::vector<double> v = gradient.to_host();
  const Buffer<double> direction(*device_, std::span<const double>(v));
  Buffer<double> tangents(*device_, n);
  model_->loss_tangents(direction.view(1, p), 0, tangents.view(n, 1));
  scores.without_hessian = tangents.to_host();
  const double regulariser = kL2 * std::inner_product(theta_.begin(), theta_.end(), v.begin(), 0.0);
  for (double& value : scores.without_hessian) value += regulariser;
  for (Index first = 0; first < n; first += kRowBlock) {
    const Index count = std::min(kRowBlock, n - first);
    const std::vector<double> x = digits_->train.host_features(first, count);
    for (Index i = 0; i < count; ++i) {
      const double sign = digits_->train.host_labels()[static_cast<std::size_t>(first + i)] == 0 ? 1 : -1;  // −y
      const auto begin = x.begin() + i * p, end = begin + p;
      scores.without_training_loss.push_back(sign * std::inner_product(begin, end, products.values.begin(), 0.0));
      scores.neither.push_back(sign * std::inner_product(begin, end, v.begin(), 0.0));
    }
  }
  return scores;
}

Index Experiment::harmful_image(const std::vector<double>& full) const {
  const std::int32_t label = digits_->test.host_labels()[static_cast<std::size_t>(kTestIndex)];
  std::vector<Index> same;
  for (Index i = 0; i < model_->examples(); ++i)
    if (digits_->train.host_labels()[static_cast<std::size_t>(i)] == label) same.push_back(i);
  std::stable_sort(same.begin(), same.end(), [&](Index a, Index b) {
    return full[static_cast<std::size_t>(a)] < full[static_cast<std::size_t>(b)];
  });
  return same[static_cast<std::size_t>(kHarmfulRank - 1)];
}

std::string Experiment::table(const Variants& scores) const {
  std::string text = "train_index,image,digit,influence,without_training_loss,without_hessian,neither\n";
  for (std::size_t i = 0; i < scores.full.size(); ++i) {
    text += std::to_string(i) + "," + std::to_string(digits_->train_rows[i]) + "," +
            (digits_->train.host_labels()[i] == 1 ? "1" : "7");
    for (const auto* each : {&scores.full, &scores.without_training_loss, &scores.without_hessian, &scores.neither})
      text += "," + cli::number_text((*each)[i], 17);
    text += "\n";
  }
  return text;
}

Facts Experiment::summary(const Variants& scores, const Variants& by_gradients, Index harmful) {
  const auto correlations = [](const Variants& of) {
    return Facts{{"without_training_loss", pearson(of.full, of.without_training_loss)},
                 {"without_hessian", pearson(of.full, of.without_hessian)},
                 {"neither", pearson(of.full, of.neither)}};
  };
  double difference = 0, largest = 0;
  for (std::size_t i = 0; i < scores.full.size(); ++i) {
    difference = std::max(difference, std::abs(scores.full[i] - by_gradients.full[i]));
    largest = std::max(largest, std::abs(scores.full[i]));
  }
  const auto digit = [&](const Dataset<double>& data, Index row) {
    return data.host_labels()[static_cast<std::size_t>(row)] == 1 ? 1 : 7;
  };
  const TestScore score = margin_score(*all_tests_, std::numbers::ln2);
  return {{"figure", "figure1"},
          {"n_train", model_->examples()},
          {"n_test", digits_->test.examples()},
          {"n_params", model_->parameters()},
          {"l2", kL2},
          {"test_index", kTestIndex},
          {"test_digit", digit(digits_->test, kTestIndex)},
          {"objective", training_.objective},
          {"test_loss", score.loss},
          {"test_accuracy", score.accuracy},
          {"training_gradient_norm", training_.gradient_norm},
          {"solver", direct_.solver},
          {"max_relative_residual", std::max(direct_.max_relative_residual(), gradients_.max_relative_residual())},
          {"pearson", correlations(scores)},
          {"pearson_by_cg", correlations(by_gradients)},
          {"largest_difference_between_solvers", difference / largest},
          {"harmful",
           {{"rank", kHarmfulRank},
            {"train_index", harmful},
            {"image", digits_->train_rows[static_cast<std::size_t>(harmful)]},
            {"digit", digit(digits_->train, harmful)},
            {"influence", scores.full[static_cast<std::size_t>(harmful)]}}}};
}

void Experiment::run() {
  load();
  fit();
  const auto factor = std::make_shared<HessianFactor<double>>(*model_, 0.0, progress());
  const auto direct = make_direct_solver<double>(factor, *model_, 0.0, kSolveTolerance);
  const Variants scores = score(*direct, direct_);
  const auto gradients = make_conjugate_gradient<double>(*model_, *model_, 0.0, kSolveTolerance);
  const Variants by_gradients = score(*gradients, gradients_);
  seconds_["solve"] = watch_.lap();

  const Index harmful = harmful_image(scores.full);
  std::vector<std::uint8_t> pixels;
  const io::MnistSplit split = io::paper_split(mnist_);
  const auto add_image = [&](const io::LabelledImages& images, Index row) {
    const auto image = images.pixels.subspan(static_cast<std::size_t>(row * io::kMnistPixels), io::kMnistPixels);
    pixels.insert(pixels.end(), image.begin(), image.end());
  };
  add_image(split.test, digits_->test_rows[static_cast<std::size_t>(kTestIndex)]);
  add_image(split.train, digits_->train_rows[static_cast<std::size_t>(harmful)]);
  io::ResultFiles results;
  results.add(folder_ / "figure1.csv", table(scores));
  io::write_npy(results.add(folder_ / "images.npy"), {2, 28, 28}, std::span<const std::uint8_t>(pixels));
  finish(results, summary(scores, by_gradients, harmful), "figure1",
         {"--points", folder_ / "figure1.csv", "--images", folder_ / "images.npy", "--summary", folder_ / "summary.json",
          "--out", folder_.path()});
}

}  // namespace

void figure1(const cli::Invocation& call) { Experiment(call).run(); }

}  // namespace clout::reproduce
