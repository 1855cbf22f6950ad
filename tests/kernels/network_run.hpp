#pragma once
// The operations of a convolutional network on a device: results between guards, scratch as asked for.

#include "network_problem.hpp"

namespace clout::test {

/// A matrix in device memory whose rows may stand apart. Between them is NaN, which must neither be read nor change.
template <class T>
class ApartRows {
 public:
  ApartRows(Device& device, Index rows, Index columns, bool strided)
      : rows_(rows), columns_(columns), stride_(columns + (strided ? 3 : 0)), memory_(device, rows * stride_) {}
  ApartRows(Device& device, const std::vector<T>& content, Index rows, bool strided)
      : ApartRows(device, rows, static_cast<Index>(content.size()) / rows, strided) {
    std::vector<T> apart(static_cast<std::size_t>(rows_ * stride_), std::numeric_limits<T>::quiet_NaN());
    for (Index row = 0; row < rows_; ++row)
      std::copy_n(content.begin() + row * columns_, columns_, apart.begin() + row * stride_);
    device.copy_to_device(memory_.data(), apart.data(), apart.size() * sizeof(T));
  }
  MatrixView<T> view() { return {memory_.data(), rows_, columns_, stride_}; }
  MatrixView<const T> first_row() { return {memory_.data(), 1, columns_, stride_}; }
  std::vector<T> to_host() const {
    const std::vector<T> apart = memory_.to_host();
    std::vector<T> result;
    bool whole = true;
    for (Index row = 0; row < rows_; ++row)
      for (Index column = 0; column < stride_; ++column) {
        const T value = apart[row * stride_ + column];
        if (column < columns_) result.push_back(value);
        else whole = whole && std::isnan(value);
      }
    EXPECT_TRUE(whole) << "a value between two rows was overwritten";
    return result;
  }

 private:
  Index rows_, columns_, stride_;
  Guarded<T> memory_;
};

/// An operation's sizes without its pointers: all that its scratch may depend on.
template <class Op>
Op without_pointers(Op op) {
  const auto forget = [](auto& view) { view.data = nullptr; };
  op.batch.features.values = nullptr;
  op.batch.features.bytes = nullptr;
  op.batch.labels = nullptr;
  op.batch.targets = nullptr;
  op.batch.example_weights = nullptr;
  op.batch.rows = nullptr;
  forget(op.parameters);
  if constexpr (requires { op.vectors; }) forget(op.vectors);
  if constexpr (requires { op.out; }) forget(op.out);
  if constexpr (requires { op.logits; }) forget(op.logits);
  if constexpr (requires { op.exclusions; }) op.exclusions.rows = nullptr, op.exclusions.vectors = nullptr;
  return op;
}

/// A problem on a device, and every operation on it; results as [rows][columns] without gaps.
template <class T>
class NetworkRun {
 public:
  NetworkRun(Device& device, const NetworkProblem<T>& problem)
      : device_(device),
        problem_(problem),
        bytes_(device, std::span(problem.bytes)),
        values_(device, std::span(problem.values)),
        targets_(device, std::span(problem.targets)),
        weights_(device, std::span(problem.weights)),
        labels_(device, std::span(problem.labels)),
        excluded_models_(device, std::span(problem.excluded_models)),
        rows_(device, std::span(problem.rows)),
        excluded_rows_(device, std::span(problem.excluded_rows)),
        parameters_(device, problem.parameters, static_cast<Index>(problem.parameters.size()) / problem.p(), strided()),
        vectors_(device, problem.vectors, problem.k(), strided()) {
    batch_ = {.features = {.values = problem.options.bytes ? nullptr : values_.data(),
                           .bytes = problem.options.bytes ? bytes_.data() : nullptr,
                           .rows = problem.options.n,
                           .columns = problem.shape.input_size(),
                           .scale = problem.feature_scale},
              .labels = labels_.data(),
              .targets = problem.targets.empty() ? nullptr : targets_.data(),
              .example_weights = problem.weights.empty() ? nullptr : weights_.data(),
              .rows = problem.rows.empty() ? nullptr : rows_.data(),
              .count = problem.options.m};
  }

  std::vector<T> forward() {
    ApartRows<T> logits(device_, m(), problem_.k() * problem_.shape.classes, strided());
    call(table().network_forward, table().network_forward_scratch,
         NetworkForward<T>{problem_.shape, batch_, parameters_.view(), logits.view(), {}});
    return logits.to_host();
  }
  std::vector<T> gradient(double scale) {
    ApartRows<T> out(device_, problem_.k(), problem_.p(), strided());
    const Exclusions exclusions{excluded_rows_.data(), excluded_models_.data(),
                                static_cast<Index>(problem_.excluded_rows.size())};
    call(table().network_gradient, table().network_gradient_scratch,
         NetworkGradient<T>{problem_.shape, batch_, parameters_.view(), exclusions, scale, out.view(), {}});
    return out.to_host();
  }
  std::vector<T> product(Curvature curvature, double scale) {
    ApartRows<T> out(device_, problem_.k(), problem_.p(), strided());
    call(table().network_hessian_product, table().network_hessian_product_scratch,
         NetworkHessianProduct<T>{
             problem_.shape, curvature, batch_, parameters_.first_row(), vectors_.view(), scale, out.view(), {}});
    return out.to_host();
  }
  std::vector<T> loss_tangents() {
    ApartRows<T> out(device_, m(), problem_.k(), strided());
    call(table().network_loss_tangents, table().network_loss_tangents_scratch,
         NetworkLossTangents<T>{problem_.shape, batch_, parameters_.first_row(), vectors_.view(), out.view(), {}});
    return out.to_host();
  }
  std::vector<T> example_gradients() {
    ApartRows<T> out(device_, m(), problem_.p(), strided());
    call(table().network_example_gradients, table().network_example_gradients_scratch,
         NetworkExampleGradients<T>{problem_.shape, batch_, parameters_.first_row(), out.view(), {}});
    return out.to_host();
  }
  std::vector<T> input_gradients() {
    ApartRows<T> out(device_, problem_.k(), m() * problem_.shape.input_size(), strided());
    call(table().network_input_gradients, table().network_input_gradients_scratch,
         NetworkInputGradients<T>{problem_.shape, batch_, parameters_.first_row(), vectors_.view(), out.view(), {}});
    return out.to_host();
  }
  std::vector<T> hessian(double scale) {
    ApartRows<T> out(device_, problem_.p(), problem_.p(), false);
    call(table().network_hessian, table().network_hessian_scratch,
         NetworkHessian<T>{problem_.shape, batch_, parameters_.first_row(), scale, out.view(), {}});
    return out.to_host();
  }

 private:
  const KernelTable<T>& table() const { return device_.kernels<T>(); }
  bool strided() const { return problem_.options.strided; }
  Index m() const { return problem_.options.m; }

  template <class Op>
  void call(void (*entry)(Device&, const Op&), std::size_t (*scratch_entry)(const Device&, const Op&), Op op) {
    ASSERT_TRUE(entry != nullptr && scratch_entry != nullptr) << "an entry of the table is missing";
    Scratch scratch(device_, scratch_entry(device_, without_pointers(op)));
    op.scratch = scratch.bytes();
    entry(device_, op);
    device_.synchronize();
    scratch.check();
  }

  Device& device_;
  const NetworkProblem<T>& problem_;
  Buffer<std::uint8_t> bytes_;
  Buffer<T> values_, targets_, weights_;
  Buffer<std::int32_t> labels_, excluded_models_;
  Buffer<Index> rows_, excluded_rows_;
  ApartRows<T> parameters_, vectors_;
  NetworkBatch<T> batch_;
};

}  // namespace clout::test
