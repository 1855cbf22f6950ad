#pragma once
// Retraining one logistic regression by Newton's method, for models the chord iteration does not serve and for checks.

#include <clout/host/leave_one_out.hpp>
#include <clout/models/logistic_regression.hpp>

namespace clout {

/// A LeaveOneOut::Retrain: gives `group` weight zero and trains from the θ it is handed.
template <class T>
typename LeaveOneOut<T>::Retrain logistic_retrain(const Dataset<double>& data, bool bias, double l2,
                                                  const TrainingOptions& options) {
  return [data, bias, l2, options](const std::vector<Index>& group, std::vector<double>& theta) {
    std::vector<double> weights(static_cast<std::size_t>(data.examples()));
    for (Index i = 0; i < data.examples(); ++i) weights[static_cast<std::size_t>(i)] = data.weight(i);
    for (const Index i : group) weights[static_cast<std::size_t>(i)] = 0;
    const Dataset<double> kept = data.with_weights(weights);
    LogisticRegression<double> exact(kept, bias, l2);
    if constexpr (std::is_same_v<T, double>) {
      return train<double>(exact, exact, theta, options);
    } else {
      LogisticRegression<T> fast(kept.template as<T>(), bias, l2);
      return train<T>(exact, fast, theta, options);
    }
  };
}

}  // namespace clout
