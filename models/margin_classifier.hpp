#pragma once
// Two classes told apart by the sign of one output: z = w·x + b, y = ±1, a loss of the margin m = y z.

#include <clout/kernels/margin_operations.hpp>
#include <clout/models/linear_model.hpp>

namespace clout {

/// What a margin model is made of.
struct MarginShape {
  LinearShape linear;  // classes: 1
  MarginLoss loss = MarginLoss::logistic;
  double temperature = 1;  // t > 0, of the smooth hinge
};

/// Logistic, hinge or smooth hinge loss (math.md, "Margin losses"); optional bias, λ on weights only. Labels 0 and 1
/// stand for y = −1 and +1. Parameters: weight [d], then bias [1]. The hinge's Hessian is λI: its curvature sits in the
/// kinks.
template <class T>
class MarginClassifier : public LinearModel<T> {
 public:
  /// `data` has two classes; λ ≥ 0. The parameters are zero until set_parameters. Throws InvalidInput unless t is
  /// positive and a number of T.
  MarginClassifier(Dataset<T> data, MarginLoss loss, double temperature, bool bias, double l2);

  using LinearModel<T>::device;
  using LinearModel<T>::examples;
  using LinearModel<T>::parameters;
  using LinearModel<T>::total_weight;

  void set_parameters(MatrixView<const T> theta) override;
  void loss_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) override;
  Index classes() const override { return 2; }
  void label_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) override;
  /// The hinge loss of separable classes is zero from some size on: its minimum is there.
  std::string obstacle_along(MatrixView<const T> direction) override {
    return function_.loss == MarginLoss::hinge ? std::string() : LinearModel<T>::obstacle_along(direction);
  }
  /// A hinge's derivatives jump, so steps of Newton's kind have no right to converge.
  bool can_remove() const override { return function_.loss != MarginLoss::hinge; }
  /// With a bias, one class without any weight: its loss falls for ever.
  std::string obstacle_to_minimum(std::span<const Index> removed) const override;

 private:
  using LinearModel<T>::data_;
  using LinearModel<T>::for_outputs;
  using LinearModel<T>::kernels;
  using LinearModel<T>::losses_;
  using LinearModel<T>::shape_;
  using LinearModel<T>::sweep_given;
  using LinearModel<T>::theta_;

  SweepStep tangent_step() const override { return SweepStep::scaled; }
  MatrixView<const T> coefficients() const override { return curvatures_.view(examples(), 1); }
  void losses_of(Index first, MatrixView<T> outputs, MatrixView<T> out) override;
  void make_residual_tangents(Index first, MatrixView<T> tangents) override;
  void make_coefficients(MatrixView<T> outputs) override;
  void make_residual_tangents_by(MatrixView<const T> coefficients, MatrixView<T> tangents) override;
  std::pair<MatrixView<const T>, const std::int32_t*> residuals(Index first, Index count) override;
  void residual_of(Index row, T* delta) override;
  void sum_gradients(MatrixView<const T> points, const Exclusions& exclusions, MatrixView<T> out) override;
  void sum_differences(MatrixView<const T> offsets, const Exclusions& exclusions, MatrixView<T> out) override;
  /// X vⱼ + b of all examples, [n][k], in sums_.
  MatrixView<T> all_outputs(MatrixView<const T> vectors);

  MarginFunction<T> function_;
  Buffer<T> outputs_, slopes_, curvatures_;  // [n] z, dℓ/dz, d²ℓ/dz² at theta_
  Buffer<std::int32_t> either_label_;        // [2][n]: all 0, all 1
  Buffer<T> sums_;                           // grows with the vectors that gradients are summed at
};

}  // namespace clout
