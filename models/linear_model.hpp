#pragma once
// What models with outputs a = W x + b have in common: one sweep over X for every product.

#include <clout/engine/objective.hpp>
#include <clout/kernels/recording.hpp>
#include <clout/models/dataset.hpp>
#include <functional>

namespace clout {

/// The parameter blocks of a linear layer: weight [K][d] ([d] where K is 1), regularised; then bias [K], where there is
/// one.
std::vector<ParameterBlock> linear_layout(const LinearShape& shape);

/// K outputs, optional bias, λ on weights only. A model says what its loss makes of the outputs; everything else, from
/// Hessian products to retraining, is here. With δᵢ = dℓᵢ/da: ∇θℓᵢ = δᵢ ⊗ (xᵢ, 1).
template <class T>
class LinearModel : public Objective<T> {
 public:
  Device& device() const override { return data_.device(); }
  Index parameters() const override { return shape_.parameters(); }
  Index examples() const override { return data_.examples(); }
  Index input_size() const override { return data_.features(); }
  double total_weight() const override { return data_.total_weight(); }
  double example_weight(Index i) const override { return data_.weight(i); }
  double l2() const override { return l2_; }
  std::vector<ParameterBlock> layout() const override { return linear_layout(shape_); }

  void losses(MatrixView<T> out) override;
  void gradient(MatrixView<T> out) override;
  void hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) override;
  void example_gradients(std::span<const Index> rows, MatrixView<T> out) override;
  void input_gradients(MatrixView<const T> vectors, Index first, Index count, MatrixView<T> out) override;
  void losses_at(MatrixView<const T> parameters, MatrixView<T> out) override;
  bool has_batch_products() const override { return data_.is_whole(); }
  std::size_t batch_memory(Index examples) const override;
  void batch_hessian_products(MatrixView<const T> vectors, const Index* rows, Index groups, Index count,
                              MatrixView<T> out) override;

  // Matrices near the Hessian (linear_curvature.cpp).
  bool has_hessian_diagonal() const override { return true; }
  void hessian_diagonal(double damping, MatrixView<T> out) override;
  std::size_t diagonal_memory() const override;
  bool has_kronecker_factors() const override { return true; }
  /// Of Σ wᵢ Sᵢ ⊗ x′ᵢx′ᵢᵀ / W, Sᵢ = d²ℓᵢ/da²: G = Σ wᵢSᵢ / Σ wᵢ tr Sᵢ and A = Σ wᵢ tr Sᵢ x′ᵢx′ᵢᵀ / W. Equal to it for one output.
  /// After Martens & Grosse 2015, whose A has no tr Sᵢ. On a GPU it needs all of X.
  KroneckerFactors kronecker_factors() override;
  std::size_t kronecker_memory() const override;

  bool can_record() const override { return true; }
  std::size_t product_scratch(Index k) const override { return scratch_.missing(product_bytes(k)); }
  void reserve_products(Index k) override { scratch_.take(device(), product_bytes(k)); }
  std::size_t working_memory(Index vectors) const override;

  /// Separable classes.
  std::string obstacle_along(MatrixView<const T> direction) override;
  bool can_remove() const override { return true; }
  void removal_constants(const Removals& removals, MatrixView<T> out) override;
  void removal_differences(const Removals& removals, MatrixView<const T> offsets, MatrixView<T> out) override;
  void gradients_without(const Removals& removals, MatrixView<const T> parameters, MatrixView<T> out) override;

  // Products whose vectors have a point each.

  /// What the loss's curvature is at k other parameter vectors, for the function below: [n][k·K].
  void curvatures_at(MatrixView<const T> parameters, MatrixView<T> out);
  /// ∇²R_j(θ_j) v_j with θ_j's curvature and without the j-th set of examples: [k][p].
  void hessian_products_with(MatrixView<const T> curvatures, const Removals& removals, MatrixView<const T> vectors,
                             MatrixView<T> out);

  const LinearShape& shape() const { return shape_; }
  const Dataset<T>& data() const { return data_; }

 protected:
  /// How many outputs: one for each class, or one alone.
  enum class Outputs { classes, one };
  /// λ ≥ 0.
  LinearModel(Dataset<T> data, Outputs outputs, bool bias, double l2);

  // What the loss makes of the outputs.

  /// R{δ} = step(R{a}), with these coefficients in the place of the sweep's probabilities: [n][K] of device memory.
  virtual SweepStep tangent_step() const = 0;
  virtual MatrixView<const T> coefficients() const = 0;
  /// ℓ of examples first … at other outputs a, [count][k·K], which may be overwritten: out is [count][k].
  virtual void losses_of(Index first, MatrixView<T> outputs, MatrixView<T> out) = 0;
  /// R{a} of examples first … becomes R{δ}, in place: [count][k·K].
  virtual void make_residual_tangents(Index first, MatrixView<T> tangents) = 0;
  /// Outputs a of all examples at k points become such coefficients, in place: [n][k·K], without gaps.
  virtual void make_coefficients(MatrixView<T> outputs) = 0;
  /// R{a} becomes R{δ}, in place, each tangent with coefficients of its own: [n][k·K] both, without gaps.
  virtual void make_residual_tangents_by(MatrixView<const T> coefficients, MatrixView<T> tangents) = 0;
  /// δ of examples first …, as linear_input_gradient takes it: [count][K] and, where that is softmax, the labels.
  virtual std::pair<MatrixView<const T>, const std::int32_t*> residuals(Index first, Index count) = 0;
  /// δ of one example, on the host: [K].
  virtual void residual_of(Index row, T* delta) = 0;
  /// out_j = (1/W) Σ wᵢ δᵢ(θ_j) ⊗ (xᵢ, 1) at k points θ_j, without the excluded entries; and with δᵢ(θ + offset_j) − δᵢ(θ).
  virtual void sum_gradients(MatrixView<const T> points, const Exclusions& exclusions, MatrixView<T> out) = 0;
  virtual void sum_differences(MatrixView<const T> offsets, const Exclusions& exclusions, MatrixView<T> out) = 0;

  // What those are made of.

  const KernelTable<T>& kernels() const;
  /// outputs = X vⱼ + b of `count` examples from `first` on, [count][k·K].
  void forward(MatrixView<const T> vectors, Index first, Index count, MatrixView<T> outputs);
  /// One sweep over the data: out_j = (1/W) Σ wᵢ rᵢⱼ ⊗ xᵢ without the excluded entries.
  void sweep(SweepStep step, MatrixView<const T> vectors, const Exclusions& exclusions, MatrixView<T> out);
  LinearSweep<T> sweep_operation(SweepStep step, MatrixView<const T> vectors) const;
  /// The same with residuals r as they are given, [n][k·K].
  void sweep_given(MatrixView<const T> residuals, const Exclusions& exclusions, MatrixView<T> out);
  /// Σ wᵢ (diag pᵢ − pᵢpᵢᵀ) ⊗ x′ᵢx′ᵢᵀ / W for any p, [n][K] of `shape`: the CPU takes X without its zeros where it is so.
  SoftmaxHessian<T> hessian_operation(LinearShape shape, MatrixView<const T> probabilities, MatrixView<T> out) const;
  /// Whether such an operation, or one on leverages, takes X without its zeros.
  bool takes_entries() const { return data_.is_sparse() && device().info().is_host; }
  /// Gives `op` its scratch, which is not kept: it is large, and a Hessian is assembled once per θ.
  void run_hessian(SoftmaxHessian<T> op);
  /// Gives `op` its scratch and runs it.
  void run_sweep(LinearSweep<T> op);
  /// Scratch of a Hessian product with k vectors.
  std::size_t product_bytes(Index k) const;
  /// Scratch for as many of `rows` rows as go at once, with `width` numbers each.
  T* block_of_rows(Index rows, Index width);
  /// X vⱼ + b of `count` examples from `first` on, [count][k·K], in scratch, by blocks of rows: body(first row, X V).
  void for_outputs(MatrixView<const T> vectors, Index first, Index count,
                   const std::function<void(Index, MatrixView<T>)>& body);
  MatrixView<const T> theta() const { return theta_.view(1, parameters()); }

  Dataset<T> data_;
  LinearShape shape_;
  double l2_;
  Buffer<T> theta_;   // [1][p]
  Buffer<T> losses_;  // [n] at theta_
  GrowingScratch scratch_;

 private:
  /// Σ over examples first … of wᵢ rᵢ ⊗ x′ᵢ∘x′ᵢ / W.
  LinearSweep<T> squares_sweep(const T* squares, Index first, MatrixView<const T> residuals, MatrixView<T> out) const;
  /// Of a Hessian whose one block between classes is A.
  LinearShape two_classes() const { return {shape_.features, 2, shape_.bias}; }
  /// Sᵢ's diagonal, [count][K], for examples first …, on the host.
  std::vector<T> curvature_diagonals(Index first, Index count);
  struct Curvatures {
    std::vector<double> traces;  // [n] tr Sᵢ
    SmallMatrix mean;            // [K][K] Σ wᵢ Sᵢ / W
  };
  Curvatures curvatures();

  void sweep_removal_constants(const Removals& removals, MatrixView<T> out);
  /// From (1/W) Σ over what is left to the mean over it, and + λ times each vector's weights.
  void regularize_kept(const Removals& removals, MatrixView<const T> vectors, MatrixView<T> out);

  /// What a sweep reads of a minibatch, in minibatch_.
  struct Gathered {
    FeatureView<T> features;           // [m][d]
    MatrixView<const T> coefficients;  // [m][K]
    const T* weights;                  // [m] or null
  };
  Gathered gather(const Index* rows, Index count);

  struct Minibatch {
    Buffer<T> values, coefficients, weights;
    Buffer<std::uint8_t> bytes;
    Index examples = 0;
  };
  Minibatch minibatch_;  // grows likewise
};

}  // namespace clout
