#pragma once
// Minima of one objective with different linear terms, side by side.

#include <clout/models/linear_model.hpp>

namespace clout {

/// Where R(θ) + tⱼ·θ is least, for k vectors tⱼ. Other labels of two-class logistic regression are such terms: with y′ in
/// the place of y ∈ {0, 1}, ∇R changes by t = (1/n) Σ (yᵢ − y′ᵢ) xᵢ wherever it is taken.
template <class T>
class TiltedFits {
 public:
  /// One model in two precisions; their θ does not matter. Gradients come from `exact`, Hessian products from `fast`.
  TiltedFits(LinearModel<double>& exact, LinearModel<T>& fast, double tolerance)
      : exact_(exact), fast_(fast), tolerance_(tolerance) {}

  /// Newton's method from each `theta`, which becomes the minimum: [k][p]. Returns ‖∇R + tⱼ‖₂ there, at most the tolerance:
  /// [k]. Throws NotCertified where a gradient stops falling above that.
  std::vector<double> fit(const std::vector<double>& tilts, std::vector<double>& theta);

  /// Hessian products so far, each with all vectors under way.
  Index products() const { return products_; }

 private:
  struct Columns;
  std::vector<double> gradients(const Columns& columns);
  std::vector<double> directions(const Columns& columns);

  LinearModel<double>& exact_;
  LinearModel<T>& fast_;
  double tolerance_;
  Index products_ = 0;
};

}  // namespace clout
