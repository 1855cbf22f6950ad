#pragma once
// Predicting and retraining models to a gradient norm, and what is written about them: for `retrain`.

#include <clout/host/cli/removed_sets.hpp>
#include <clout/host/leave_one_out.hpp>

namespace clout::cli {

/// What is retrained: one objective, around the problem's θ.
template <class T>
struct ExactRetraining {
  Retrainable<double>& exact;
  Retrainable<T>& fast;
  std::shared_ptr<const HessianFactor<T>> factor;
  double damping = 0;                       ///< of factor and prediction
  typename LeaveOneOut<T>::Retrain newton;  ///< for models that the chord iteration leaves; may be empty
  std::string advice;                       ///< what to change where a model does not reach the tolerance
  /// Bounds on |change of test loss t| / ‖gradient that is left‖: [tests]. Empty where none is known: ‖s_t‖ stands in,
  /// what it is to first order with the Hessian of all the data.
  std::vector<double> error_bounds;
  /// What rounding may do to the change of a test's loss, a difference of two numbers in double: [tests].
  std::vector<double> roundings;
  double start_gradient_norm = 0;  ///< that is left at the problem's θ, from which changes count
  LeaveOneOutOptions options;
};

/// Predicts, retrains (journaled) and writes loo.csv, summary.json (with `facts` at its end) and manifest.json. Throws
/// NotCertified, before anything but the journal is written, where a gradient norm is above --tolerance.
template <class T>
void retrain_exactly(const ExactRetraining<T>& retraining, Problem& problem, Problem::Tests& tests,
                     const Groups& groups, const OutputFolder& folder, io::Journal& journal,
                     const nlohmann::ordered_json& facts);

}  // namespace clout::cli
