#pragma once
// What damped influence predicts for a network that has not converged: local objectives that are stationary where it is.

#include <clout/engine/objective.hpp>

namespace clout {

/// With nothing left out, both are stationary at θ̃ and have the Hessian of what damped influence solves with.
enum class ProximalKind {
  objective,   ///< Q₀(θ) = R(θ) − ∇R(θ̃)·(θ − θ̃) + (damping/2)‖θ − θ̃‖²: the Hessian, plus damping
  divergence,  ///< PBRF₀(θ) = (1/W) Σ wᵢ KL(pᵢ(θ̃) ‖ pᵢ(θ)) + (λ/2)‖(θ − θ̃)_reg‖² + (damping/2)‖θ − θ̃‖² (Bae et al. 2022,
               ///< "If influence functions are the answer, then what is the question?"): the Gauss-Newton matrix, plus damping
};

/// F_j(θ) = (W/W_j) (F₀(θ) − (1/W) Σ_removed wᵢ (ℓᵢ(θ) + (λ/2)‖θ_reg‖²)), F₀ as `kind` says (math.md, "Non-convex models").
/// Damped influence with the matrix of the same kind is the first-order prediction of θ_j − θ̃.
class Proximal : public Retrainable<double> {
 public:
  /// `base` stands at θ̃ ([p], host), stays there, and has_batches(). Throws InvalidInput unless damping > 0.
  Proximal(Objective<double>& base, std::vector<double> theta, double damping, ProximalKind kind);

  Device& device() const override { return base_.device(); }
  Index parameters() const override { return base_.parameters(); }
  Index examples() const override { return base_.examples(); }
  void removal_constants(const Removals& removals, MatrixView<double> out) override;
  void removal_differences(const Removals& removals, MatrixView<const double> offsets, MatrixView<double> out) override;
  void gradients_without(const Removals& removals, MatrixView<const double> parameters, MatrixView<double> out) override;

 private:
  /// ∇F₀(θ_j).
  void whole_gradients(MatrixView<const double> parameters, MatrixView<double> out);
  /// out_j −= (1/W) Σ_removed wᵢ (∇ℓᵢ(θ_j) + λθ_j,reg).
  void subtract_removed(const Removals& removals, MatrixView<const double> parameters, MatrixView<double> out);
  /// θ̃ in every row of `out`.
  void repeat_start(MatrixView<double> out);

  Objective<double>& base_;
  double damping_;
  ProximalKind kind_;
  ParameterRanges regularized_;
  Buffer<double> theta_, start_gradient_;  // [1][p] θ̃; the mean of ∇ℓᵢ(θ̃)
  Buffer<Index> rows_;                     // [n] 0…n−1
};

}  // namespace clout
