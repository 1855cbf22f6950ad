#pragma once
// Linear models whose training data differ in the features of a few rows, many side by side.

#include <clout/host/leave_one_out.hpp>
#include <clout/models/linear_model.hpp>

namespace clout {

/// A linear model and the minimum that all variants lie near.
class FittedModel {
 public:
  /// The model of a data set, with a λ.
  using Make = std::function<std::unique_ptr<LinearModel<double>>(Dataset<double>, double l2)>;

  /// Trains from `theta` ([p]) to a gradient norm of `tolerance`. `features`: [n][width]. Throws NotCertified where that
  /// is not reached.
  FittedModel(Device& device, std::vector<double> features, std::vector<std::int32_t> labels, Index classes, Make make,
              double l2, std::vector<double> theta, double tolerance, const Progress& progress = {});

  Index examples() const { return std::ssize(labels_); }
  Index width() const { return model_->input_size(); }
  Index parameters() const { return model_->parameters(); }
  LinearModel<double>& model() { return *model_; }
  const std::vector<double>& theta() const { return theta_; }
  double gradient_norm() const { return gradient_norm_; }
  double tolerance() const { return tolerance_; }
  /// ∇²R at the minimum, times `scale`, factorised.
  std::shared_ptr<const HessianFactor<double>> factor(double scale = 1);
  /// The same kind of model, with λ unless it is `only_losses`, of other rows: `features` is [m][width].
  std::unique_ptr<LinearModel<double>> on(std::span<const double> features, std::span<const std::int32_t> labels,
                                          bool only_losses) const;
  std::unique_ptr<LinearModel<double>> on(Dataset<double> data) const { return make_(std::move(data), l2_); }
  const std::vector<double>& features() const { return features_; }
  const std::vector<std::int32_t>& labels() const { return labels_; }

 private:
  Device& device_;
  std::vector<double> features_;
  std::vector<std::int32_t> labels_;
  Index classes_;
  Make make_;
  double l2_;
  std::vector<double> theta_;
  double tolerance_, gradient_norm_ = 0;
  std::unique_ptr<LinearModel<double>> model_;
  Buffer<double> hessian_;  // [p][p] at θ
};

/// Variants of the model's data, each with other features in as many rows, which keep their labels. One data set holds
/// all of them: to variant j belong the rows that it does not change, and its own.
class ChangedRows {
 public:
  /// `rows`: those that each variant changes, as many in each, without repeats.
  ChangedRows(FittedModel& base, std::vector<std::vector<Index>> rows);

  Index variants() const { return std::ssize(rows_); }
  /// The changed rows' features from now on, variant after variant: [variants·k][width].
  void place(const std::vector<double>& features);
  /// Refits the variants `which`, from scratch certified to the tolerance, with losses of `tests` (at the base's θ).
  /// Throws NotCertified naming the variant.
  std::vector<RetrainedModel> fit(const std::vector<Index>& which, Objective<double>& tests);
  /// H_j⁻¹ vⱼ of these variants at their own `theta`, both [which][p] on the host: conjugate gradients with the base's
  /// factor, to a true relative residual of `tolerance`. Throws NotCertified where that is not reached.
  std::vector<double> solve(const std::vector<Index>& which, const std::vector<double>& theta,
                            const std::vector<double>& v, double tolerance);

 private:
  std::vector<std::vector<Index>> left_out(const std::vector<Index>& which) const;

  FittedModel& base_;
  std::vector<std::vector<Index>> rows_;
  Index each_;  // rows that a variant changes
  std::shared_ptr<const HessianFactor<double>> factor_;
  std::unique_ptr<LinearModel<double>> model_;
};

}  // namespace clout
