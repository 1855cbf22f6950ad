#pragma once
// Retraining one convex model by Newton's method, for models the chord iteration does not serve and for checks.

#include <clout/host/leave_one_out.hpp>
#include <clout/models/logistic_regression.hpp>

namespace clout {

/// A LeaveOneOut::Retrain: gives `group` weight zero and trains from the θ it is handed. `make` makes the model of a data
/// set, in either precision: Dataset<U> to a pointer to an Objective<U>.
template <class T, class Make>
typename LeaveOneOut<T>::Retrain newton_retrain(const Dataset<double>& data, Make make, const TrainingOptions& options) {
  return [data, make = std::move(make), options](const std::vector<Index>& group, std::vector<double>& theta) {
    std::vector<double> weights(static_cast<std::size_t>(data.examples()));
    for (Index i = 0; i < data.examples(); ++i) weights[static_cast<std::size_t>(i)] = data.weight(i);
    for (const Index i : group) weights[static_cast<std::size_t>(i)] = 0;
    const Dataset<double> kept = data.with_weights(weights);
    const auto exact = make(kept);
    if constexpr (std::is_same_v<T, double>) {
      return train<double>(*exact, *exact, theta, options);
    } else {
      const auto fast = make(kept.template as<T>());
      return train<T>(*exact, *fast, theta, options);
    }
  };
}

/// The same for logistic regression.
template <class T>
typename LeaveOneOut<T>::Retrain logistic_retrain(const Dataset<double>& data, bool bias, double l2,
                                                  const TrainingOptions& options) {
  const auto make = [bias, l2]<class U>(Dataset<U> kept) {
    return std::make_unique<LogisticRegression<U>>(std::move(kept), bias, l2);
  };
  return newton_retrain<T>(data, make, options);
}

}  // namespace clout
