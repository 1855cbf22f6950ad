#pragma once
// V ↦ (H + damping·I) V over a data set.

#include <clout/engine/objective.hpp>
#include <limits>

namespace clout {

/// The damped Hessian of an objective at its θ, as a linear operator on k vectors, [k][p]. Counts its products.
template <class T>
class HessianOperator {
 public:
  HessianOperator(Objective<T>& objective, double damping) : objective_(objective), damping_(damping) {}

  /// Vectors that go through one pass over the data: enough to share it, few enough that its scratch stays small.
  static constexpr Index kBlock = 32;
  /// Relative rounding of a product, of ‖H‖‖v‖: sums over the examples are kept short by partitions.
  static constexpr double kRounding = 64 * static_cast<double>(std::numeric_limits<T>::epsilon());

  void apply(MatrixView<const T> vectors, MatrixView<T> out) {
    multiply(vectors, out);
    count(vectors.rows);
  }
  /// The same, uncounted: recorded work is called once and done many times.
  void multiply(MatrixView<const T> vectors, MatrixView<T> out) {
    for (Index first = 0; first < vectors.rows; first += kBlock) {
      const Index count = vectors.rows - first < kBlock ? vectors.rows - first : kBlock;
      objective_.hessian_product(vectors.rows_from(first, count), damping_, out.rows_from(first, count));
    }
  }
  void count(Index products) { products_ += products; }
  /// Bytes that products with k vectors would take on the device beyond what is held by now, and taking them.
  std::size_t scratch(Index k) const { return objective_.product_scratch(k < kBlock ? k : kBlock); }
  void reserve(Index k) { objective_.reserve_products(k < kBlock ? k : kBlock); }
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
