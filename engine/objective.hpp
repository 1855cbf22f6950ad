#pragma once
// What the engine asks of a model: four passes (math.md) over one data set, at one point θ.

#include <clout/engine/retrainable.hpp>
#include <clout/engine/small_matrix.hpp>
#include <clout/kernels/device.hpp>
#include <string>
#include <vector>

namespace clout {

/// One block of the flat parameter vector: PyTorch's parameters_to_vector order, layer by layer, weight then bias.
struct ParameterBlock {
  std::string name;          ///< "weight", "bias"
  std::vector<Index> shape;  ///< row-major
  Index offset = 0;          ///< of its first element in the flat vector
  bool regularized = false;  ///< whether (λ/2)‖·‖² acts on it
};

/// The blocks that the regulariser acts on, as ranges.
ParameterRanges regularized_ranges(const std::vector<ParameterBlock>& layout);

/// G ⊗ A, a matrix near the Hessian of the mean loss of a model whose parameters are a linear layer's, weight [K][d], then
/// bias [K] where there is one.
struct KroneckerFactors {
  SmallMatrix outputs;  ///< G, [K][K], of trace 1 or zero
  SmallMatrix inputs;   ///< A, [d′][d′]: with a bias d′ = d + 1, and its row and column are the last
};

/// The empirical risk R(θ) = (1/W) Σ wᵢ ℓᵢ(θ) + (λ/2)‖θ_reg‖², W = Σ wᵢ, of one model on one data set in precision T.
/// Implement it for a model of your own to use every solver of the engine (examples/ shows how).
///
/// All views are memory of `device()`. Vectors (parameters, tangents, gradients) are rows, [k][p]. Everything but
/// set_parameters, gradients_without and losses_at is evaluated at the θ of the last set_parameters. Results are
/// overwritten. Implementations give the same bits for the same call, run after run.
template <class T>
class Objective : public Retrainable<T> {
 public:
  virtual Index input_size() const = 0;      // d: numbers in one example's input
  virtual double total_weight() const = 0;   // W
  virtual double example_weight(Index i) const = 0;
  virtual double l2() const = 0;             // λ
  virtual std::vector<ParameterBlock> layout() const = 0;

  /// Moves to θ, [1][p].
  virtual void set_parameters(MatrixView<const T> theta) = 0;

  /// ℓᵢ, without regulariser: [n][1].
  virtual void losses(MatrixView<T> out) = 0;
  /// ∇R(θ), regulariser included: [1][p].
  virtual void gradient(MatrixView<T> out) = 0;
  /// (∇²R(θ) + damping·I) vⱼ: vectors and out are [k][p], any k ≥ 1.
  virtual void hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) = 0;
  /// vⱼ·∇ℓᵢ, without regulariser, for examples first … first + out.rows − 1: out is [count][k].
  virtual void loss_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) = 0;
  /// ∇ℓᵢ of single examples, without regulariser: out is [rows.size()][p].
  virtual void example_gradients(std::span<const Index> rows, MatrixView<T> out) = 0;
  /// ∇ₓ(vⱼ·∇θℓᵢ) for examples first … first + count − 1: out is [k][count·d].
  virtual void input_gradients(MatrixView<const T> vectors, Index first, Index count, MatrixView<T> out) = 0;

  /// Losses at k other parameter vectors, [k][p], without moving there: out is [n][k].
  virtual void losses_at(MatrixView<const T> parameters, MatrixView<T> out) = 0;

  /// ∇²R(θ) + damping·I, both triangles: [p][p]. The default assembles it from products with unit vectors.
  virtual void explicit_hessian(double damping, MatrixView<T> out);

  /// Hessian products with one vector that explicit_hessian and its Cholesky factor are worth, by their work. The default
  /// is that of the default: one for each parameter.
  virtual double factor_cost() const { return static_cast<double>(this->parameters()); }

  /// Adds to a Hessian's matrix a multiple of the projector on every direction along which R is constant by symmetry
  /// (for softmax with a bias: the same amount on all biases), so that it can be factorised. Every gradient is
  /// orthogonal to those directions, so no solution for a gradient changes. The default adds nothing.
  virtual void fix_symmetries(MatrixView<T> matrix) { static_cast<void>(matrix); }

  /// Where R falls for ever along a direction, [1][p], without a regulariser: why, in words (to some 1e-6 of the
  /// direction). Empty where it does not, and where the model cannot tell, which is the default.
  virtual std::string obstacle_along(MatrixView<const T> direction) {
    static_cast<void>(direction);
    return {};
  }

  /// Takes out of the rows of [k][p], host memory, what every gradient is orthogonal to because of those symmetries.
  virtual void project_out_symmetries(std::span<double> vectors) const { static_cast<void>(vectors); }

  // Matrices near the Hessian that are cheap to invert.

  /// Whether the function below is there.
  virtual bool has_hessian_diagonal() const { return false; }
  /// The diagonal of ∇²R(θ) + damping·I: [1][p].
  virtual void hessian_diagonal(double damping, MatrixView<T> out);
  /// Whether the function below is there.
  virtual bool has_kronecker_factors() const { return false; }
  /// Without regulariser.
  virtual KroneckerFactors kronecker_factors();

  // Other labels.

  /// K where an example's label is one of K; 0, the default, where the function below is not there.
  virtual Index classes() const { return 0; }
  /// vⱼ·∇ℓ(xᵢ, c): the loss tangents had example i the label c, for every c. out is [count][K·k], label after label.
  virtual void label_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out);

  // Single examples with their own curvature.

  /// Whether the logits are linear in the parameters, ∇ℓᵢ = Uᵢδᵢ and ∇²ℓᵢ = UᵢSᵢUᵢᵀ with few columns in Uᵢ, and the
  /// three functions below are there.
  virtual bool has_leverages() const { return false; }
  /// ∇ℓᵢᵀ A ∇ℓᵢ with a symmetric matrix A, [p][p], for examples first … first + count − 1: [count].
  virtual std::vector<double> gradient_forms(MatrixView<const T> matrix, Index first, Index count);
  /// What a Newton step without example i adds to δᵢ, with `inverse` A = (H′)⁻¹, [p][p], H′ the Hessian to which all
  /// but example i's ∇²ℓᵢ is done, and `along` A·r, [1][p]: qᵢ with (H′ − ε∇²ℓᵢ)⁻¹(∇ℓᵢ + r) = A(Uᵢ(δᵢ + qᵢ) + r). For
  /// examples first … first + count − 1: [count][K]. Throws NotCertified where H′ − ε∇²ℓᵢ is singular to rounding.
  virtual std::vector<double> newton_shifts(MatrixView<const T> inverse, MatrixView<const T> along, double epsilon,
                                            Index first, Index count);
  /// vⱼ·Uᵢ(δᵢ + qᵢ), with the shifts q of examples first …: [count][K]. out is [count][k].
  virtual void shifted_tangents(MatrixView<const T> vectors, MatrixView<const T> shifts, Index first,
                                MatrixView<T> out);

  // Plans of memory: bytes, at most.

  /// Of a call with k vectors, beside what is passed in.
  virtual std::size_t working_memory(Index vectors) const {
    static_cast<void>(vectors);
    return 0;
  }
  /// Of explicit_hessian, beside its p² numbers.
  virtual std::size_t hessian_memory() const;
  /// Of hessian_diagonal and of kronecker_factors, beside what is passed in.
  virtual std::size_t diagonal_memory() const { return 0; }
  virtual std::size_t kronecker_memory() const { return 0; }
  /// Of batch_hessian_products of so many examples in all, beside what a call with the vectors of one group takes.
  virtual std::size_t batch_memory(Index examples) const { return static_cast<void>(examples), std::size_t{0}; }
  /// Of gradient_forms and newton_shifts, beside what is passed in.
  virtual std::size_t leverage_memory() const { return 0; }

  // Loops that a device runs without the host (kernels/recording.hpp).

  /// Whether hessian_product and batch_gradients can be recorded: from the second call of the same sizes on, and
  /// hessian_product from the first after reserve_products, they start kernels and do nothing else. Solvers and
  /// training leave objectives that say no to loops of the host.
  virtual bool can_record() const { return false; }
  /// Bytes of device memory that hessian_product for k vectors would take beyond what the objective holds by now.
  virtual std::size_t product_scratch(Index k) const { return static_cast<void>(k), std::size_t{0}; }
  /// Takes them.
  virtual void reserve_products(Index k) { static_cast<void>(k); }

  // Training by minibatches.

  /// Whether the function below is there.
  virtual bool has_batches() const { return false; }
  /// Without regulariser: the mean of ∇ℓᵢ(θ_j), weighted by wᵢ, over the examples at rows[0 … count − 1] that are not
  /// excluded for model j (zero where none is left), for k models: parameters and out are [k][p]. `rows` is device
  /// memory.
  virtual void batch_gradients(MatrixView<const T> parameters, const Index* rows, Index count,
                               const Exclusions& exclusions, MatrixView<T> out);

  /// (1/W) Σ wᵢ ∇KL(pᵢ(θ) ‖ pᵢ(θ_j)) with respect to θ_j, p the model's output, without regulariser: the gradient of the
  /// Bregman divergence in function space from where the objective stands. [k][p]. Where has_batches().
  virtual void divergence_gradients(MatrixView<const T> parameters, MatrixView<T> out);

  // Hessian products of minibatches, for solvers that sample.

  /// Whether the function below is there.
  virtual bool has_batch_products() const { return false; }
  /// Without regulariser: (n/(W·count)) Σ wᵢ (∇²ℓᵢ(θ)) v over the examples at rows[g][0 … count − 1], for each group g's own
  /// vectors: for examples drawn uniformly, what is expected is the Hessian of (1/W) Σ wᵢ ℓᵢ. vectors and out are
  /// [groups·k][p], group after group; `rows`, [groups][count], is device memory.
  virtual void batch_hessian_products(MatrixView<const T> vectors, const Index* rows, Index groups, Index count,
                                      MatrixView<T> out);

  // Retraining without some examples: not there by default.

  bool can_remove() const override { return false; }
  void removal_constants(const Removals& removals, MatrixView<T> out) override;
  void removal_differences(const Removals& removals, MatrixView<const T> offsets, MatrixView<T> out) override;
  void gradients_without(const Removals& removals, MatrixView<const T> parameters, MatrixView<T> out) override;
};

/// Σ of the weights that stay when `group` goes. Throws InvalidInput where that is nothing.
template <class T>
double kept_weight(const Objective<T>& objective, const std::vector<Index>& group);

/// R(θ) at the objective's θ, summed in double. `theta` is the same θ on the device, [1][p].
template <class T>
double objective_value(Objective<T>& objective, MatrixView<const T> theta);

/// Euclidean norm of each row of a device matrix, in double.
template <class T>
std::vector<double> row_norms(Device& device, MatrixView<const T> rows);

}  // namespace clout
