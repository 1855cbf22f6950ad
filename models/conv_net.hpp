#pragma once
// An all-convolutional network: convolutions with tanh, the mean over the pixels, a linear layer, softmax cross-entropy.

#include <clout/engine/objective.hpp>
#include <clout/kernels/network_operations.hpp>
#include <clout/kernels/recording.hpp>
#include <clout/models/dataset.hpp>

namespace clout {

/// The parameter blocks of a network, layer by layer: conv1.weight [out][in][kernel][kernel], regularised; conv1.bias
/// [out]; …; linear.weight [K][channels], regularised; linear.bias [K].
std::vector<ParameterBlock> network_layout(const NetworkShape& shape);

/// Draws weights as the paper's code does: normal, cut at two standard deviations, of standard deviation
/// 2/√(kernel² · in) for convolutions and 1/√channels for the linear layer; biases are zero. [p], the same on every
/// backend for a seed.
std::vector<double> initial_parameters(const NetworkShape& shape, std::uint64_t seed);

/// λ on the weights of every layer, never on biases. Parameters in PyTorch's order. Formulas: math.md, "Layers".
/// H may be indefinite: ∇²R has negative eigenvalues wherever θ is no minimum, and often there too.
template <class T>
class ConvNet : public Objective<T> {
 public:
  /// `data` has shape.input_size() features, an example's as [channels][height][width], and shape.classes classes;
  /// λ ≥ 0. The parameters are zero until set_parameters.
  ConvNet(Dataset<T> data, const NetworkShape& shape, double l2, Curvature curvature = Curvature::hessian);

  Device& device() const override { return data_.device(); }
  Index parameters() const override { return shape_.parameters(); }
  Index examples() const override { return data_.examples(); }
  Index input_size() const override { return data_.features(); }
  double total_weight() const override { return data_.total_weight(); }
  double example_weight(Index i) const override { return data_.weight(i); }
  double l2() const override { return l2_; }
  std::vector<ParameterBlock> layout() const override { return network_layout(shape_); }

  void set_parameters(MatrixView<const T> theta) override;
  void losses(MatrixView<T> out) override;
  void gradient(MatrixView<T> out) override;
  /// With Curvature::gauss_newton: the Gauss-Newton matrix Jᵀ(diag p − ppᵀ)J in the place of ∇²ℓ.
  void hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) override;
  void loss_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) override;
  void example_gradients(std::span<const Index> rows, MatrixView<T> out) override;
  void input_gradients(MatrixView<const T> vectors, Index first, Index count, MatrixView<T> out) override;
  void losses_at(MatrixView<const T> parameters, MatrixView<T> out) override;
  void explicit_hessian(double damping, MatrixView<T> out) override;
  double factor_cost() const override;
  bool has_batch_products() const override { return true; }
  void batch_hessian_products(MatrixView<const T> vectors, const Index* rows, Index groups, Index count,
                              MatrixView<T> out) override;

  bool can_record() const override { return true; }
  std::size_t product_scratch(Index k) const override { return scratch_.missing(product_bytes(k)); }
  void reserve_products(Index k) override { scratch_.take(device(), product_bytes(k)); }

  Index classes() const override { return shape_.classes; }
  void label_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) override;
  std::size_t working_memory(Index vectors) const override;
  std::size_t hessian_memory() const override;

  bool has_batches() const override { return true; }
  void batch_gradients(MatrixView<const T> parameters, const Index* rows, Index count, const Exclusions& exclusions,
                       MatrixView<T> out) override;
  void divergence_gradients(MatrixView<const T> parameters, MatrixView<T> out) override;

  const NetworkShape& shape() const { return shape_; }
  const Dataset<T>& data() const { return data_; }
  /// Logits at k other parameter vectors for examples first … first + out.rows − 1: out is [count][k·K].
  void logits_at(MatrixView<const T> parameters, Index first, MatrixView<T> out);

 private:
  const KernelTable<T>& kernels() const;
  /// Examples first … first + count − 1.
  NetworkBatch<T> batch(Index first, Index count) const;
  /// All examples, held to the probabilities at θ in their labels' place.
  NetworkBatch<T> targeted_batch();
  NetworkHessianProduct<T> product(MatrixView<const T> vectors, MatrixView<T> out) const;
  /// Scratch of a Hessian product with k vectors.
  std::size_t product_bytes(Index k) const;
  double scale() const { return data_.weight_unit() / total_weight(); }
  /// Gives `op` its scratch and runs it.
  template <class Operation>
  void run(void (*entry)(Device&, const Operation&), std::size_t (*scratch)(const Device&, const Operation&),
           Operation op);

  Dataset<T> data_;
  NetworkShape shape_;
  double l2_;
  Curvature curvature_;
  Buffer<T> theta_;  // [1][p]
  Buffer<T> targets_;  // [n][K] probabilities at theta_; empty until they are asked for
  GrowingScratch scratch_;
};

}  // namespace clout
