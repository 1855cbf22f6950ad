#include <algorithm>
#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/influence.hpp>
#include <clout/engine/small_matrix.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/io/npy.hpp>
#include <clout/host/linear_svm.hpp>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/host/reproduce/figure4.hpp>
#include <clout/host/reproduce/photographs.hpp>
#include <clout/host/reproduce/run.hpp>
#include <clout/host/statistics.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <clout/models/margin_classifier.hpp>
#include <cmath>
#include <numbers>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;

// The paper's setting; its kernel's width is for 268,203 inputs, and here there are 3,072.
constexpr double kL2 = 1e-3, kTemperature = 1e-3;
constexpr double kPaperWidth = 0.05 / 1800, kPaperInputs = 268'203;
constexpr Index kTestIndex = 462;
constexpr Index kShown = 5;  // most helpful images

constexpr double kTrainingTolerance = 1e-12, kGradientTolerance = 1e-10, kSolveTolerance = 1e-10;

/// One of the two models: what it makes of every training image, and how well it does.
struct Scored {
  std::vector<double> influence;  ///< n times the predicted change of the test image's loss on removal
  Facts facts;
};

class Experiment : ExperimentRun {
 public:
  explicit Experiment(const cli::Invocation& call)
      : ExperimentRun(call, {"summary.json", "figure4.csv", "images.npy", "manifest.json", "figure4.png", "figure4.svg"}),
        photographs_(data_folder(), manifest_),
        train_classes_(dogs_and_ships(photographs_.train)),
        test_classes_(dogs_and_ships(photographs_.test)) {
    if (photographs_.test.count <= kTestIndex || photographs_.train.count < kShown)
      throw InvalidInput(std::string(kPhotographs) + ": " + std::to_string(photographs_.train.count) + " training and " +
                         std::to_string(photographs_.test.count) + " test images; expected at least " +
                         std::to_string(kShown) + " and " + std::to_string(kTestIndex + 1));
  }
  void run();

 private:
  Index train_count() const { return photographs_.train.count; }
  Index test_count() const { return photographs_.test.count; }
  Dataset<double> labelled(const std::vector<double>& x, const std::vector<std::int32_t>& classes) const {
    return Dataset<double>::from_values(*device_, x, classes, std::ssize(x) / std::ssize(classes), 2);
  }
  /// Squared distances between all images, training images first: [all][all].
  SmallMatrix squared_distances() const;
  Scored kernel_machine(const SmallMatrix& distances);
  Scored network(const Features& features);
  /// Scores and accuracy of a model at its parameters.
  Scored score(Objective<double>& model, Objective<double>& test, Objective<double>& all_tests, double at_zero,
               const std::vector<double>& theta) const;
  Facts describe(const Scored& scored, const std::vector<double>& distances) const;
  void write(const Scored& kernel, const Scored& network, const std::vector<double>& distances, const std::string& source);

  Photographs photographs_;
  std::vector<std::int32_t> train_classes_, test_classes_;
};

SmallMatrix Experiment::squared_distances() const {
  const Index n = train_count(), all = n + test_count(), d = io::kCifarPixels;
  std::vector<double> x;  // in [−1, 1]
  for (const io::CifarImages* part : {&photographs_.train, &photographs_.test})
    for (const std::uint8_t pixel : part->pixels) x.push_back(pixel / 127.5 - 1);
  std::vector<std::int32_t> classes(static_cast<std::size_t>(all));
  const Dataset<double> images = labelled(x, classes);
  const Buffer<double> rows(*device_, std::span<const double>(x));
  Buffer<double> products(*device_, all * all);
  device_->kernels<double>().linear_forward(
      *device_, {images.view(), {d, all, false}, rows.view(1, all * d), products.view(all, all)});
  SmallMatrix squares(all, all);
  squares.values = products.to_host();
  std::vector<double> norms;
  for (Index i = 0; i < all; ++i) norms.push_back(squares(i, i));
  for (Index i = 0; i < all; ++i)
    for (Index j = 0; j < all; ++j) {
      const double both = norms[static_cast<std::size_t>(i)] + norms[static_cast<std::size_t>(j)];
      squares(i, j) = i == j ? 0 : std::max(0.0, both - 2 * squares(i, j));
    }
  return squares;
}

Scored Experiment::score(Objective<double>& model, Objective<double>& test, Objective<double>& all_tests, double at_zero,
                         const std::vector<double>& theta) const {
  const auto solver = make_conjugate_gradient<double>(model, model, 0.0, kSolveTolerance);
  const Index row = 0;
  auto scores = Influence<double>(model, test, *solver, theta).scores({&row, 1});
  require_certified(scores.report);
  for (double& value : scores.values) value *= static_cast<double>(train_count());
  const TestScore score = margin_score(all_tests, at_zero);
  return {std::move(scores.values),
          {{"n_params", model.parameters()},
           {"test_loss", score.loss},
           {"test_accuracy", score.accuracy},
           {"iterations", scores.report.columns[0].iterations},
           {"relative_residual", scores.report.max_relative_residual()}}};
}

// The Cholesky factor's rows are features with the kernel as their inner product, exactly so among the training images.
Scored Experiment::kernel_machine(const SmallMatrix& distances) {
  const Index n = train_count(), all = distances.rows;
  const double width = kPaperWidth * kPaperInputs / static_cast<double>(io::kCifarPixels);
  SmallMatrix kernel = distances;
  for (double& value : kernel.values) value = std::exp(-width * value);
  const SmallMatrix factor = cholesky_factor(std::move(kernel));
  if (factor.rows == 0)
    throw NotCertified("reproduce: the kernel's matrix is not positive definite; expected photographs that all differ");
  const auto features = [&](Index first, Index count) {
    std::vector<double> x;
    for (Index i = first; i < first + count; ++i) x.insert(x.end(), &factor.values[static_cast<std::size_t>(i * all)],
                                                           &factor.values[static_cast<std::size_t>(i * all)] + n);
    return x;
  };
  const std::vector<double> test_rows = features(n, test_count());
  const Dataset<double> train = labelled(features(0, n), train_classes_), tests = labelled(test_rows, test_classes_);
  const auto own = test_rows.begin() + kTestIndex * n;
  const Dataset<double> test = labelled({own, own + n}, {test_classes_[static_cast<std::size_t>(kTestIndex)]});

  const SvmFit fit = LinearSvm(train, kL2).fit({}, {}, {.tolerance = kGradientTolerance}, progress());
  if (!fit.converged)
    throw NotCertified("reproduce: training stopped at a duality gap of " + cli::number_text(fit.gap, 3) +
                       "; expected at most 1e-10");
  const Buffer<double> theta(*device_, std::span<const double>(fit.weights));
  MarginClassifier<double> model(train, MarginLoss::smooth_hinge, kTemperature, false, kL2);
  MarginClassifier<double> own_test(test, MarginLoss::smooth_hinge, kTemperature, false, 0.0);
  MarginClassifier<double> all_tests(tests, MarginLoss::hinge, 1.0, false, 0.0);
  for (MarginClassifier<double>* each : {&model, &own_test, &all_tests}) each->set_parameters(theta.view(1, n));
  Scored scored = score(model, own_test, all_tests, 1.0, fit.weights);
  scored.facts.update({{"kernel_width", width},
                       {"temperature", kTemperature},
                       {"objective", fit.objective},
                       {"duality_gap", fit.gap},
                       {"on_margin", fit.on_margin}});
  return scored;
}

Scored Experiment::network(const Features& features) {
  const Dataset<double> train = labelled(features.train, train_classes_), tests = labelled(features.test, test_classes_);
  const auto own = features.test.begin() + kTestIndex * features.width;
  const Dataset<double> test = labelled({own, own + features.width}, {test_classes_[static_cast<std::size_t>(kTestIndex)]});
  MarginClassifier<double> model(train, MarginLoss::logistic, 1.0, false, kL2);
  MarginClassifier<double> own_test(test, MarginLoss::logistic, 1.0, false, 0.0);
  MarginClassifier<double> all_tests(tests, MarginLoss::logistic, 1.0, false, 0.0);
  std::vector<double> theta(static_cast<std::size_t>(features.width));
  const TrainingReport training = clout::train<double>(model, model, theta, {.tolerance = kTrainingTolerance}, progress());
  if (!(training.gradient_norm <= kGradientTolerance))
    throw NotCertified("reproduce: training stopped at a gradient norm of " +
                       cli::number_text(training.gradient_norm, 3) + "; expected at most 1e-10");
  const Buffer<double> on_device(*device_, std::span<const double>(theta));
  for (MarginClassifier<double>* each : {&own_test, &all_tests}) each->set_parameters(on_device.view(1, features.width));
  Scored scored = score(model, own_test, all_tests, std::numbers::ln2, theta);
  scored.facts.update({{"features", features.source},
                       {"objective", training.objective},
                       {"training_gradient_norm", training.gradient_norm}});
  return scored;
}

Facts Experiment::describe(const Scored& scored, const std::vector<double>& distances) const {
  const std::int32_t own = test_classes_[static_cast<std::size_t>(kTestIndex)];
  std::vector<double> sizes;
  const double middle = quantile(distances, 0.5);
  double near = 0, everywhere = 0;
  Index others = 0, others_helpful = 0, own_helpful = 0;
  double other_helpful_sum = 0, helpful_sum = 0;
  for (std::size_t i = 0; i < scored.influence.size(); ++i) {
    const double value = scored.influence[i];
    sizes.push_back(std::abs(value));
    everywhere += std::abs(value);
    near += distances[i] <= middle ? std::abs(value) : 0;
    const bool is_other = train_classes_[i] != own;
    others += is_other ? 1 : 0;
    if (!(value > 0)) continue;
    (is_other ? others_helpful : own_helpful) += 1;
    helpful_sum += value;
    other_helpful_sum += is_other ? value : 0;
  }
  Facts helpful = Facts::array();
  const std::vector<Index> order = descending(scored.influence);
  for (Index k = 0; k < kShown; ++k) {
    const Index row = order[static_cast<std::size_t>(k)];
    helpful.push_back({{"train_index", row},
                       {"class", train_classes_[static_cast<std::size_t>(row)] == 1 ? "ship" : "dog"},
                       {"influence", scored.influence[static_cast<std::size_t>(row)]},
                       {"distance", distances[static_cast<std::size_t>(row)]}});
  }
  Facts facts = scored.facts;
  facts.update({{"share_of_nearer_half", near / everywhere},
                {"spearman_of_size_and_distance", spearman(distances, sizes)},
                {"helpful_of_own_class", static_cast<double>(own_helpful) / static_cast<double>(train_count() - others)},
                {"helpful_of_other_class", static_cast<double>(others_helpful) / static_cast<double>(others)},
                {"share_of_help_from_other_class", other_helpful_sum / helpful_sum},
                {"most_helpful", helpful}});
  return facts;
}

void Experiment::write(const Scored& kernel, const Scored& network, const std::vector<double>& distances,
                       const std::string& source) {
  std::string text = "train_index,class,distance,influence_rbf,influence_network\n";
  for (std::size_t i = 0; i < distances.size(); ++i)
    text += std::to_string(i) + "," + (train_classes_[i] == 1 ? "ship" : "dog") + "," + cli::number_text(distances[i], 17) +
            "," + cli::number_text(kernel.influence[i], 17) + "," + cli::number_text(network.influence[i], 17) + "\n";
  std::vector<std::uint8_t> pixels;
  const auto add_image = [&](const io::CifarImages& images, Index row) {
    const auto begin = images.pixels.begin() + row * io::kCifarPixels;
    pixels.insert(pixels.end(), begin, begin + io::kCifarPixels);
  };
  add_image(photographs_.test, kTestIndex);
  for (const Scored* each : {&kernel, &network}) {
    const std::vector<Index> order = descending(each->influence);
    for (Index k = 0; k < kShown; ++k) add_image(photographs_.train, order[static_cast<std::size_t>(k)]);
  }
  const Facts facts{{"figure", "figure4"},
                    {"n_train", train_count()},
                    {"n_test", test_count()},
                    {"l2", kL2},
                    {"test_index", kTestIndex},
                    {"test_class", test_classes_[static_cast<std::size_t>(kTestIndex)] == 1 ? "ship" : "dog"},
                    {"features", source},
                    {"solver", "cg"},
                    {"rbf", describe(kernel, distances)},
                    {"network", describe(network, distances)}};
  io::ResultFiles results;
  results.add(folder_ / "figure4.csv", text);
  io::write_npy(results.add(folder_ / "images.npy"), {1 + 2 * kShown, 3, 32, 32}, std::span<const std::uint8_t>(pixels));
  finish(results, facts, "figure4",
         {"--points", folder_ / "figure4.csv", "--images", folder_ / "images.npy", "--summary", folder_ / "summary.json",
          "--out", folder_.path()});
}

void Experiment::run() {
  const Features features = photograph_features(options_, photographs_, *device_, manifest_);
  seconds_["features"] = watch_.lap();
  const SmallMatrix squares = squared_distances();
  std::vector<double> distances;
  for (Index i = 0; i < train_count(); ++i) distances.push_back(std::sqrt(squares(train_count() + kTestIndex, i)));
  const Scored kernel = kernel_machine(squares);
  seconds_["rbf"] = watch_.lap();
  const Scored on_features = network(features);
  seconds_["network"] = watch_.lap();
  write(kernel, on_features, distances, features.source);
}

}  // namespace

void figure4(const cli::Invocation& call) { Experiment(call).run(); }

}  // namespace clout::reproduce
