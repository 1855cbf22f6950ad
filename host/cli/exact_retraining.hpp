#pragma once
// Predicting and retraining models to a gradient norm, and what is written about them: for `retrain`.

#include <clout/host/cli/removed_sets.hpp>
#include <clout/host/leave_one_out.hpp>

namespace clout::cli {

/// How far the actual change of a test loss may be from that between two minima: what is left of both gradients moves θ,
/// which moves the loss, and all of it is rounded.
struct ChangeErrors {
  struct Point {  // θ, with or without examples
    double gradient_norm, gain, size;
  };

  std::vector<double> reach;           ///< [tests] most that a loss moves for θ's way, per unit of length
  std::vector<double> rounding;        ///< [tests] of a difference of two losses,
  std::vector<double> sized_rounding;  ///< [tests] and what ‖θ‖ adds, per unit
  double gradient_rounding = 0, sized_gradient_rounding = 0;  ///< the same of a gradient's norm
  double convexity = 0;    ///< λ where objectives are λ-strongly convex: errors are bounds. Else 0: by gains, estimates
  /// Most that outputs of a training example move for θ's way, per unit of length; 0 where there is no such bound. An
  /// estimate is of a step that moves them little: the Hessian along a longer one is another (Bach 2010), and how far the
  /// minimum is cannot be told.
  double output_reach = 0;

  bool are_bounds() const { return convexity > 0; }
  double distance(const Point& point) const;
  double of(const Point& start, const Point& model, std::size_t test) const;
};

/// What is retrained: one objective, around the problem's θ.
template <class T>
struct ExactRetraining {
  Retrainable<double>& exact;
  Retrainable<T>& fast;
  std::shared_ptr<const HessianFactor<T>> factor;
  double damping = 0;                       ///< of factor and prediction
  typename LeaveOneOut<T>::Retrain newton;  ///< for models that the chord iteration leaves; may be empty
  std::string advice;                       ///< what to change where a model does not reach the tolerance
  ChangeErrors errors;
  double start_gradient_norm = 0;  ///< that is left at the problem's θ, from which changes count
  LeaveOneOutOptions options;      ///< `gains` as `errors` needs them
};

/// Predicted and actual changes of test losses, and how well the actual ones are known.
struct ActualChanges {
  std::string certificate;             ///< what RetrainedModel::gradient_norm is, in words: "gradient norm"
  std::string advice;                  ///< what to change where one is above --tolerance
  double start_certificate = 0;        ///< of the problem's θ
  std::vector<double> predicted = {};  ///< [models][tests]
  bool are_bounds = false;             ///< the errors; else estimates
  std::vector<RetrainedModel> models = {};
  std::vector<double> errors = {};     ///< [models][tests]
};

/// Writes loo.csv, summary.json (with `facts` at its end) and manifest.json. Throws NotCertified, before anything but the
/// journal is written, where a certificate is above --tolerance.
void write_changes(const ActualChanges& changes, Problem& problem, const Problem::Tests& tests, const Groups& groups,
                   const OutputFolder& folder, io::Journal& journal, const nlohmann::ordered_json& facts);

/// Predicts, retrains (journaled), and writes the changes.
template <class T>
void retrain_exactly(const ExactRetraining<T>& retraining, Problem& problem, Problem::Tests& tests,
                     const Groups& groups, const OutputFolder& folder, io::Journal& journal,
                     const nlohmann::ordered_json& facts);

}  // namespace clout::cli
