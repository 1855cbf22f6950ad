#pragma once
// Softmax regression on all of MNIST, retrained without training points: what the panels of figure 2 that show it
// share.

#include <clout/engine/direct_solver.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/io/mnist.hpp>
#include <clout/host/leave_one_out.hpp>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/host/reproduce/run.hpp>
#include <clout/models/logistic_regression.hpp>

namespace clout::reproduce {

/// One experiment from the files to the retrained models, with products in precision T and every certificate in double.
/// A panel derives from it, calls the stages in this order and adds its own.
template <class T>
class LogisticExperiment : protected ExperimentRun {
 public:
  // The paper's setting.
  static constexpr double kL2 = 0.01;
  static constexpr Index kTestIndex = 8;
  static constexpr double kGradientTolerance = 1e-10;  // of retrained models
  static constexpr double kSolveTolerance = 1e-10;

 protected:
  /// `random_tests` test images are drawn beside the figure's own.
  LogisticExperiment(const cli::Invocation& call, const char* panel, Index random_tests);

  void load();
  io::Journal open_journal();
  /// Trains from zero to a gradient norm of 1e-12 and factorises the Hessian there.
  void fit();
  /// Scores of every training point on every test image, by the factor.
  void predict();
  /// One model without each of chosen_.
  void retrain(io::Journal& journal);

  LogisticRegression<T>& fast() {
    if constexpr (std::is_same_v<T, double>) return *exact_;
    else return *fast_;
  }
  /// What summary.json begins with.
  nlohmann::ordered_json facts(const std::string& solver);
  double worst_gradient_norm() const;

  std::string panel_;
  Index removed_, random_tests_;

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
  std::vector<Index> chosen_;   // training rows that are left out, one a model
  std::vector<RetrainedModel> models_;
};

}  // namespace clout::reproduce
