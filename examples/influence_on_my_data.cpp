// Which training points are responsible for this prediction?
//
// Fits a classifier to two clouds of points, some of them with a wrong label; asks which training points helped and
// which harmed the prediction for one test point; then removes the most harmful one, really retrains, and shows the
// prediction beside the truth.

#include <algorithm>
#include <clout/engine/direct_solver.hpp>
#include <clout/engine/influence.hpp>
#include <clout/engine/training.hpp>
#include <clout/models/logistic_regression.hpp>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <random>

using clout::Dataset;
using clout::Index;
using clout::LogisticRegression;

constexpr Index kExamples = 400, kFeatures = 2, kClasses = 2, kShown = 5, kWrongEvery = 20;
constexpr double kL2 = 0.01;

struct Points {
  std::vector<double> x;             // [n][kFeatures]
  std::vector<std::int32_t> labels;  // [n]
};

// Class 0 around (-1, 0), class 1 around (+1, 0); every `wrong_every`-th label is wrong.
Points two_clouds(Index n, Index wrong_every, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> noise(0.0, 0.7);
  Points points;
  for (Index i = 0; i < n; ++i) {
    const auto cloud = static_cast<std::int32_t>(i % 2);
    points.x.push_back((cloud == 1 ? 1.0 : -1.0) + noise(random));
    points.x.push_back(noise(random));
    points.labels.push_back(wrong_every > 0 && i % wrong_every == 0 ? 1 - cloud : cloud);
  }
  return points;
}

double loss_at(LogisticRegression<double>& model, const std::vector<double>& theta) {
  const clout::Buffer<double> parameters(model.device(), std::span<const double>(theta));
  clout::Buffer<double> loss(model.device(), 1);
  model.losses_at(parameters.view(1, model.parameters()), loss.view(1, 1));
  return loss.to_host().front();
}

// From zero to a gradient norm of 1e-12: where retraining is compared with prediction, "nearly trained" is not enough.
std::vector<double> fit(LogisticRegression<double>& model) {
  std::vector<double> theta(static_cast<std::size_t>(model.parameters()));
  const clout::TrainingReport report = clout::train<double>(model, model, theta, {.tolerance = 1e-12});
  if (!report.converged) throw clout::NotCertified("training did not converge");
  return theta;
}

int main() try {
  const auto device = clout::make_device("auto");  // the first GPU, or the CPU

  // The data: features as float64 [n][d] (bytes work too: Dataset::from_bytes), labels 0…K−1.
  const Points train_points = two_clouds(kExamples, kWrongEvery, 1), test_points = two_clouds(1, 0, 2);
  const auto train_data =
      Dataset<double>::from_values(*device, train_points.x, train_points.labels, kFeatures, kClasses);
  const auto test_data = Dataset<double>::from_values(*device, test_points.x, test_points.labels, kFeatures, kClasses);

  // The model, fitted; and the same model, at the same parameters, on the test data.
  LogisticRegression<double> model(train_data, /*bias=*/true, kL2), test(test_data, /*bias=*/true, kL2);
  const std::vector<double> theta = fit(model);
  clout::move_to<double>(test, test, theta);

  // Scores of all training points on test point 0. Positive: helpful (its removal makes the test loss rise).
  const auto factor = std::make_shared<const clout::HessianFactor<double>>(model, /*damping=*/0.0);
  const auto solver = clout::make_direct_solver<double>(factor, model, /*damping=*/0.0, /*tolerance=*/1e-10);
  const Index test_point = 0;
  const auto result = clout::Influence<double>(model, test, *solver, theta).scores(std::span(&test_point, 1));
  clout::require_certified(result.report);
  const std::vector<double>& scores = result.values;  // [1][n]

  std::vector<Index> order(kExamples);
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::sort(order, {}, [&](Index i) { return scores[static_cast<std::size_t>(i)]; });
  const auto show = [&](Index i) {
    const auto at = static_cast<std::size_t>(i);
    std::printf("  point %3ld at (%+.2f, %+.2f), label %d%s: %+.3e\n", static_cast<long>(i), train_points.x[2 * at],
                train_points.x[2 * at + 1], train_points.labels[at], i % kWrongEvery == 0 ? " (a wrong one)" : "",
                scores[at]);
  };
  std::printf("test point at (%+.2f, %+.2f), label %d\nmost helpful (predicted change of its loss when removed):\n",
              test_points.x[0], test_points.x[1], test_points.labels[0]);
  std::for_each(order.rbegin(), order.rbegin() + kShown, show);
  std::printf("most harmful:\n");
  std::for_each(order.begin(), order.begin() + kShown, show);

  // The truth for the most harmful point: its weight is 0, and the model is trained again.
  const auto worst = static_cast<std::size_t>(order.front());
  std::vector<double> weights(kExamples, 1.0);
  weights[worst] = 0.0;
  LogisticRegression<double> without(train_data.with_weights(weights), /*bias=*/true, kL2);
  const double predicted = scores[worst];
  const double actual = loss_at(test, fit(without)) - loss_at(test, theta);
  std::printf("without point %zu: predicted %+.4e, after retraining %+.4e\n", worst, predicted, actual);

  // Removing one of n points: the prediction's relative error is of the order of a few / n.
  return std::abs(predicted - actual) <= 10.0 / kExamples * std::abs(actual) ? 0 : 1;
} catch (const clout::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.fault());
}
