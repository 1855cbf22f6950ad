#pragma once
// Multinomial logistic regression: a = W x + b, p = softmax(a), ℓ = −log p_y.

#include <clout/models/linear_model.hpp>

namespace clout {

/// K ≥ 2 classes, optional bias, λ on weights only. Parameters, PyTorch's order: weight [K][d], then bias [K].
/// Formulas: math.md, "Softmax cross-entropy", "Linear", "Logistic regression in one sweep".
template <class T>
class LogisticRegression : public LinearModel<T> {
 public:
  /// λ ≥ 0. The parameters are zero until set_parameters.
  LogisticRegression(Dataset<T> data, bool bias, double l2);

  using LinearModel<T>::device;
  using LinearModel<T>::examples;
  using LinearModel<T>::parameters;
  using LinearModel<T>::total_weight;

  void set_parameters(MatrixView<const T> theta) override;
  void loss_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) override;
  void explicit_hessian(double damping, MatrixView<T> out) override;
  double factor_cost() const override;
  std::size_t hessian_memory() const override;
  void fix_symmetries(MatrixView<T> matrix) override;
  void project_out_symmetries(std::span<double> vectors) const override;
  /// With a bias, a class without any weight: its bias goes to minus infinity.
  std::string obstacle_to_minimum(std::span<const Index> removed) const override;

  // Leverages (logistic_leverage.cpp): Uᵢ = I ⊗ (xᵢ, 1), Sᵢ = diag pᵢ − pᵢpᵢᵀ.
  Index classes() const override { return shape_.classes; }
  void label_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) override;
  bool has_leverages() const override { return true; }
  std::size_t leverage_memory() const override;
  std::vector<double> gradient_forms(MatrixView<const T> matrix, Index first, Index count) override;
  std::vector<double> newton_shifts(MatrixView<const T> inverse, MatrixView<const T> along, double epsilon, Index first,
                                    Index count) override;
  void shifted_tangents(MatrixView<const T> vectors, MatrixView<const T> shifts, Index first,
                        MatrixView<T> out) override;

  /// softmax of every example's logits at θ: [n][K] of device memory, valid until the next set_parameters.
  MatrixView<const T> probabilities() const { return probabilities_.view(examples(), shape_.classes); }

 private:
  using LinearModel<T>::block_of_rows;
  using LinearModel<T>::data_;
  using LinearModel<T>::for_outputs;
  using LinearModel<T>::kernels;
  using LinearModel<T>::l2_;
  using LinearModel<T>::losses_;
  using LinearModel<T>::scratch_;
  using LinearModel<T>::shape_;
  using LinearModel<T>::sweep;
  using LinearModel<T>::theta_;

  SweepStep tangent_step() const override { return SweepStep::tangent; }
  MatrixView<const T> coefficients() const override { return probabilities(); }
  void losses_of(Index first, MatrixView<T> outputs, MatrixView<T> out) override;
  void make_residual_tangents(Index first, MatrixView<T> tangents) override;
  void make_coefficients(MatrixView<T> outputs) override;
  void make_residual_tangents_by(MatrixView<const T> coefficients, MatrixView<T> tangents) override;
  std::pair<MatrixView<const T>, const std::int32_t*> residuals(Index first, Index count) override;
  void residual_of(Index row, T* delta) override;
  void sum_gradients(MatrixView<const T> points, const Exclusions& exclusions, MatrixView<T> out) override {
    sweep(SweepStep::gradient, points, exclusions, out);
  }
  void sum_differences(MatrixView<const T> offsets, const Exclusions& exclusions, MatrixView<T> out) override {
    sweep(SweepStep::difference, offsets, exclusions, out);
  }
  /// Of the examples from `first` on: out is [count][K·K].
  LinearLeverages<T> leverages_of(MatrixView<const T> matrix, Index first, MatrixView<T> out) const;
  void find_leverages(MatrixView<const T> matrix, Index first, MatrixView<T> out);
  /// body(first place, step) for every direction of symmetry that has no curvature: ones at first + c·step.
  void for_symmetries(const std::function<void(Index, Index)>& body) const;

  std::vector<Index> members_;  // [K] examples of each class that have weight
  Buffer<T> probabilities_;     // [n][K] at theta_
};

}  // namespace clout
