#pragma once
// An objective that is another one, but for what a test changes.

#include <clout/engine/objective.hpp>

namespace clout::test {

/// Everything that solvers and training ask for is handed on. By itself it cannot be recorded: the host drives its
/// loops.
template <class T>
class Forwarding : public Objective<T> {
 public:
  explicit Forwarding(Objective<T>& to) : to_(to) {}

  Device& device() const override { return to_.device(); }
  Index parameters() const override { return to_.parameters(); }
  Index examples() const override { return to_.examples(); }
  Index input_size() const override { return to_.input_size(); }
  double total_weight() const override { return to_.total_weight(); }
  double example_weight(Index i) const override { return to_.example_weight(i); }
  double l2() const override { return to_.l2(); }
  std::vector<ParameterBlock> layout() const override { return to_.layout(); }
  void set_parameters(MatrixView<const T> theta) override { to_.set_parameters(theta); }
  void losses(MatrixView<T> out) override { to_.losses(out); }
  void gradient(MatrixView<T> out) override { to_.gradient(out); }
  void hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) override {
    to_.hessian_product(vectors, damping, out);
  }
  void loss_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) override {
    to_.loss_tangents(vectors, first, out);
  }
  void example_gradients(std::span<const Index> rows, MatrixView<T> out) override { to_.example_gradients(rows, out); }
  void input_gradients(MatrixView<const T> vectors, Index first, Index count, MatrixView<T> out) override {
    to_.input_gradients(vectors, first, count, out);
  }
  void losses_at(MatrixView<const T> parameters, MatrixView<T> out) override { to_.losses_at(parameters, out); }
  std::size_t product_scratch(Index k) const override { return to_.product_scratch(k); }
  void reserve_products(Index k) override { to_.reserve_products(k); }
  bool has_batches() const override { return to_.has_batches(); }
  void batch_gradients(MatrixView<const T> parameters, const Index* rows, Index count, const Exclusions& exclusions,
                       MatrixView<T> out) override {
    to_.batch_gradients(parameters, rows, count, exclusions, out);
  }

 private:
  Objective<T>& to_;
};

}  // namespace clout::test
