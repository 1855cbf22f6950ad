#pragma once
// Preconditioners that a model gives the parts of: its Hessian's diagonal, and Kronecker factors.

#include <clout/engine/preconditioner.hpp>

namespace clout {

/// P = diag(H + damping·I). Good where features have scales of their own. Refuses an objective without
/// has_hessian_diagonal().
template <class T>
class JacobiPreconditioner : public Preconditioner<T> {
 public:
  explicit JacobiPreconditioner(HessianOperator<T> hessian);

  std::string description() const override { return "jacobi"; }
  void reserve(Index k) override;
  void apply(MatrixView<const T> r, MatrixView<T> z) override;
  std::size_t scratch(Index k) const override;

 private:
  HessianOperator<T> hessian_;
  Buffer<T> inverse_;  // [p]
};

/// P = (G ⊗ A) + (λ + damping)·I by the eigenvectors of both factors: for one output without a bias, or without a
/// regulariser, H + damping·I itself. Refuses an objective without has_kronecker_factors().
template <class T>
class KroneckerPreconditioner : public Preconditioner<T> {
 public:
  explicit KroneckerPreconditioner(HessianOperator<T> hessian);

  std::string description() const override { return "kronecker"; }
  void reserve(Index k) override;
  void apply(MatrixView<const T> r, MatrixView<T> z) override;
  std::size_t scratch(Index k) const override;

 private:
  struct Room {
    MatrixView<T> turned, solved;  // [k][K·d′]
    std::span<std::byte> sweep;
  };
  void carve(Workspace& w, Room& room, Index k) const;
  void make();
  /// out = Qᵀ (E ∘ (Q V)) for each of k vectors, [K][d′]: a sweep over Q as if its rows were examples.
  LinearSweep<T> sweep(MatrixView<const T> vectors, MatrixView<T> out) const;
  /// A vector as a matrix of one row for each class.
  template <class U>
  struct ByClass {
    MatrixView<U> weights, biases;  // [K][d], [K][1]
  };
  /// Of parameters, weights [K][d] and then biases [K], and of [K][d′].
  template <class U>
  ByClass<U> parameters_of(U* vector) const {
    return {{vector, shape_.classes, shape_.features}, {vector + shape_.weights(), shape_.classes, 1}};
  }
  template <class U>
  ByClass<U> inputs_of(U* vector) const {
    return {{vector, shape_.classes, shape_.features, inputs_}, {vector + shape_.features, shape_.classes, 1, inputs_}};
  }
  /// to = matrix · from, [K][K] on the classes.
  void turn(const ByClass<const T>& from, const Buffer<double>& matrix, const ByClass<T>& to) const;

  HessianOperator<T> hessian_;
  LinearShape shape_;
  Index inputs_;            // d′
  Buffer<T> eigenvectors_;  // [d′][d′] Q, rows; of A
  Buffer<T> inverses_;      // [d′][K] E: one over an eigenvalue of P
  Buffer<double> turn_, turn_back_;  // [K][K] G's eigenvectors as rows, as columns
  Workspace memory_;
  Room room_;
  Index width_ = 0;
};

}  // namespace clout
