#pragma once
// Multinomial logistic regression: a = W x + b, p = softmax(a), ℓ = −log p_y.

#include <clout/engine/objective.hpp>
#include <clout/kernels/recording.hpp>
#include <clout/models/dataset.hpp>
#include <functional>

namespace clout {

/// The parameter blocks of a linear layer: weight [K][d], regularised; then bias [K], where there is one.
std::vector<ParameterBlock> linear_layout(const LinearShape& shape);

/// K ≥ 2 classes, optional bias, λ on weights only. Parameters, PyTorch's order: weight [K][d], then bias [K].
/// Formulas: math.md, "Softmax cross-entropy", "Linear", "Logistic regression in one sweep".
template <class T>
class LogisticRegression : public Objective<T> {
 public:
  /// λ ≥ 0. The parameters are zero until set_parameters.
  LogisticRegression(Dataset<T> data, bool bias, double l2);

  Device& device() const override { return data_.device(); }
  Index parameters() const override { return shape_.parameters(); }
  Index examples() const override { return data_.examples(); }
  Index input_size() const override { return data_.features(); }
  double total_weight() const override { return data_.total_weight(); }
  double example_weight(Index i) const override { return data_.weight(i); }
  double l2() const override { return l2_; }
  std::vector<ParameterBlock> layout() const override { return linear_layout(shape_); }

  void set_parameters(MatrixView<const T> theta) override;
  void losses(MatrixView<T> out) override;
  void gradient(MatrixView<T> out) override;
  void hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) override;
  void loss_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) override;
  void example_gradients(std::span<const Index> rows, MatrixView<T> out) override;
  void input_gradients(MatrixView<const T> vectors, Index first, Index count, MatrixView<T> out) override;
  void losses_at(MatrixView<const T> parameters, MatrixView<T> out) override;
  void explicit_hessian(double damping, MatrixView<T> out) override;
  bool has_batch_products() const override { return true; }
  void batch_hessian_products(MatrixView<const T> vectors, const Index* rows, Index groups, Index count,
                              MatrixView<T> out) override;
  void fix_symmetries(MatrixView<T> matrix) override;
  void project_out_symmetries(std::span<double> vectors) const override;
  /// Separable classes.
  std::string obstacle_along(MatrixView<const T> direction) override;
  /// With a bias, a class without any weight: its bias goes to minus infinity.
  std::string obstacle_to_minimum(std::span<const Index> removed) const override;

  bool can_record() const override { return true; }
  std::size_t product_scratch(Index k) const override { return scratch_.missing(product_bytes(k)); }
  void reserve_products(Index k) override { scratch_.take(device(), product_bytes(k)); }

  // Leverages (logistic_leverage.cpp): Uᵢ = I ⊗ (xᵢ, 1), Sᵢ = diag pᵢ − pᵢpᵢᵀ.
  Index classes() const override { return shape_.classes; }
  void label_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) override;
  bool has_leverages() const override { return true; }
  std::vector<double> gradient_forms(MatrixView<const T> matrix, Index first, Index count) override;
  std::vector<double> newton_shifts(MatrixView<const T> inverse, MatrixView<const T> along, double epsilon, Index first,
                                    Index count) override;
  void shifted_tangents(MatrixView<const T> vectors, MatrixView<const T> shifts, Index first,
                        MatrixView<T> out) override;
  std::size_t working_memory(Index vectors) const override;
  std::size_t hessian_memory() const override;

  bool can_remove() const override { return true; }
  void removal_constants(const Removals& removals, MatrixView<T> out) override;
  void removal_differences(const Removals& removals, MatrixView<const T> offsets, MatrixView<T> out) override;
  void gradients_without(const Removals& removals, MatrixView<const T> parameters, MatrixView<T> out) override;

  const LinearShape& shape() const { return shape_; }
  /// softmax of every example's logits at θ: [n][K] of device memory, valid until the next set_parameters.
  MatrixView<const T> probabilities() const { return probabilities_.view(examples(), shape_.classes); }
  const Dataset<T>& data() const { return data_; }

 private:
  const KernelTable<T>& kernels() const;
  /// One sweep over the data: out_j = (1/W) Σ wᵢ rᵢⱼ ⊗ xᵢ without the removed entries.
  void sweep(SweepStep step, MatrixView<const T> vectors, const Exclusions& exclusions, MatrixView<T> out);
  LinearSweep<T> sweep_operation(SweepStep step, MatrixView<const T> vectors) const;
  /// Scratch of a Hessian product with k vectors.
  std::size_t product_bytes(Index k) const;
  /// Scratch for as many of `rows` rows as go at once, with `width` numbers each.
  T* block_of_rows(Index rows, Index width);
  /// R{a} of `out.rows` examples from `first` on, [count][k·K], in scratch, by blocks of rows: body(first row, R{a}).
  void for_logit_tangents(MatrixView<const T> vectors, Index first, Index count,
                          const std::function<void(Index, MatrixView<T>)>& body);
  /// body(first place, step) for every direction of symmetry that has no curvature: ones at first + c·step.
  void for_symmetries(const std::function<void(Index, Index)>& body) const;
  /// Gives `op` its scratch and runs it.
  void run_sweep(LinearSweep<T> op);

  /// What a sweep reads of a minibatch, in minibatch_.
  struct Gathered {
    FeatureView<T> features;            // [m][d]
    MatrixView<const T> probabilities;  // [m][K]
    const T* weights;                   // [m] or null
  };
  Gathered gather(const Index* rows, Index count);

  Dataset<T> data_;
  LinearShape shape_;
  double l2_;
  std::vector<Index> members_;  // [K] examples of each class that have weight
  Buffer<T> theta_;          // [1][p]
  Buffer<T> probabilities_;  // [n][K] at theta_
  Buffer<T> losses_;         // [n] at theta_
  GrowingScratch scratch_;
  struct Minibatch {
    Buffer<T> values, probabilities, weights;
    Buffer<std::uint8_t> bytes;
    Index examples = 0;
  };
  Minibatch minibatch_;        // grows likewise
};

}  // namespace clout
