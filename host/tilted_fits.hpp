#pragma once
// Minima of one objective with different linear terms, side by side.

#include <clout/models/linear_model.hpp>

namespace clout {

/// Where R(θ) + tⱼ·θ is least, for k vectors tⱼ. Other labels of two-class logistic regression are such terms: with y′ in
/// the place of y ∈ {0, 1}, ∇R changes by t = (1/n) Σ (yᵢ − y′ᵢ) xᵢ wherever it is taken.
template <class T>
class TiltedFits {
 public:
  /// Trains one of them alone, from `theta`: [p].
  using Alone = std::function<void(std::size_t which, std::vector<double>& theta)>;

  /// One model in two precisions; their θ does not matter. Gradients come from `exact`, Hessian products from `fast`.
  /// `alone` takes over where steps that lower the gradient's norm get short.
  TiltedFits(LinearModel<double>& exact, LinearModel<T>& fast, double tolerance, Alone alone)
      : exact_(exact), fast_(fast), tolerance_(tolerance), alone_(std::move(alone)) {}

  /// Newton's method from each `theta`, which becomes the minimum: [k][p]. Returns ‖∇R + tⱼ‖₂ there, at most the tolerance:
  /// [k]. Throws NotCertified where one is above that in the end.
  std::vector<double> fit(const std::vector<double>& tilts, std::vector<double>& theta);

 private:
  struct Columns;
  std::vector<double> gradients(const Columns& columns);
  /// H⁻¹(∇R + tⱼ) of each, roughly; nothing is right about one whose `is_found` is false.
  std::vector<double> directions(const Columns& columns, std::vector<bool>& is_found);
  void finish_alone(Columns& lost, std::vector<double>& theta, std::vector<double>& norms);

  LinearModel<double>& exact_;
  LinearModel<T>& fast_;
  double tolerance_;
  Alone alone_;
};

}  // namespace clout
