#pragma once
// V ↦ (H + damping·I) V over a data set.

#include <clout/engine/objective.hpp>

namespace clout {

/// The damped Hessian of an objective at its θ, as a linear operator on k vectors, [k][p]. Counts its products.
template <class T>
class HessianOperator {
 public:
  HessianOperator(Objective<T>& objective, double damping) : objective_(objective), damping_(damping) {}

  /// Vectors that go through one pass over the data: enough to share it, few enough that its scratch stays small.
  static constexpr Index kBlock = 32;

  void apply(MatrixView<const T> vectors, MatrixView<T> out) {
    for (Index first = 0; first < vectors.rows; first += kBlock) {
      const Index count = vectors.rows - first < kBlock ? vectors.rows - first : kBlock;
      objective_.hessian_product(vectors.rows_from(first, count), damping_, out.rows_from(first, count));
    }
    products_ += vectors.rows;
  }
  Objective<T>& objective() const { return objective_; }
  Device& device() const { return objective_.device(); }
  Index size() const { return objective_.parameters(); }
  double damping() const { return damping_; }
  Index products() const { return products_; }

 private:
  Objective<T>& objective_;
  double damping_;
  Index products_ = 0;
};

}  // namespace clout
