#include <algorithm>
#include <clout/kernels/kernel_table.hpp>
#include <clout/models/margin_classifier.hpp>
#include <clout/models/shapes.hpp>
#include <cmath>
#include <limits>

namespace clout {

template <class T>
MarginClassifier<T>::MarginClassifier(Dataset<T> data, MarginLoss loss, double temperature, bool bias, double l2)
    : LinearModel<T>(std::move(data), LinearModel<T>::Outputs::one, bias, l2),
      function_{loss, static_cast<T>(temperature)},
      outputs_(device(), examples()),
      slopes_(device(), examples()),
      curvatures_(device(), examples()) {
  require(data_.classes() == 2, std::to_string(data_.classes()) + " classes: a margin model tells two apart");
  require(std::isfinite(1 / function_.temperature) && function_.temperature > 0 && std::isfinite(function_.temperature),
          "temperature of the smooth hinge: expected a positive number whose inverse is finite, too");
  const std::vector<T> zeros(static_cast<std::size_t>(parameters()));
  const Buffer<T> start(device(), std::span<const T>(zeros));
  set_parameters(start.view(1, parameters()));
}

template <class T>
void MarginClassifier<T>::set_parameters(MatrixView<const T> theta) {
  expect_shape("parameters", theta.rows, theta.columns, 1, parameters());
  const Index n = examples();
  kernels().combine(device(), {1.0, theta, 0.0, theta_.view(1, parameters())});
  this->forward(theta, 0, n, outputs_.view(n, 1));
  kernels().margin_pass(device(), {function_, outputs_.view(n, 1), data_.labels(), losses_.view(n, 1),
                                   slopes_.view(n, 1), curvatures_.view(n, 1)});
}

template <class T>
void MarginClassifier<T>::losses_of(Index first, MatrixView<T> outputs, MatrixView<T> out) {
  kernels().margin_pass(device(), {function_, outputs, data_.labels() + first, out, {}, {}});
}

template <class T>
void MarginClassifier<T>::make_residual_tangents(Index first, MatrixView<T> tangents) {
  kernels().scale_rows(device(), {coefficients().rows_from(first, tangents.rows), tangents});
}

template <class T>
void MarginClassifier<T>::make_coefficients(MatrixView<T> outputs) {
  kernels().margin_pass(device(), {function_, outputs, data_.labels(), {}, {}, outputs});
}

// Each number has a factor of its own: a matrix of one column.
template <class T>
void MarginClassifier<T>::make_residual_tangents_by(MatrixView<const T> coefficients, MatrixView<T> tangents) {
  const Index size = tangents.size();
  kernels().scale_rows(device(), {{coefficients.data, size, 1}, MatrixView<T>(tangents.data, size, 1)});
}

template <class T>
std::pair<MatrixView<const T>, const std::int32_t*> MarginClassifier<T>::residuals(Index first, Index count) {
  return {slopes_.view(examples(), 1).rows_from(first, count), nullptr};
}

template <class T>
void MarginClassifier<T>::residual_of(Index row, T* delta) {
  device().copy_to_host(delta, slopes_.data() + row, sizeof(T));
}

template <class T>
void MarginClassifier<T>::loss_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) {
  expect_vectors("vectors of a loss tangent", vectors, parameters());
  expect_shape("loss tangents", out.rows, out.columns, out.rows, vectors.rows);
  this->forward(vectors, first, out.rows, out);
  kernels().scale_rows(device(), {slopes_.view(examples(), 1).rows_from(first, out.rows), out});
}

template <class T>
void MarginClassifier<T>::label_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) {
  expect_vectors("vectors of label tangents", vectors, parameters());
  const Index n = examples(), count = out.rows, k = vectors.rows;
  expect_shape("label tangents", out.rows, out.columns, count, 2 * k);
  if (either_label_.is_empty()) {
    std::vector<std::int32_t> labels(static_cast<std::size_t>(2 * n), 1);
    std::fill_n(labels.begin(), n, 0);
    either_label_ = Buffer<std::int32_t>(device(), std::span<const std::int32_t>(labels));
  }
  Buffer<T> slopes(device(), count);
  for (Index label = 0; label < 2; ++label) {
    const MatrixView<T> part(out.data + label * k, count, k, out.stride);
    this->forward(vectors, first, count, part);
    kernels().margin_pass(device(), {function_,
                                     outputs_.view(n, 1).rows_from(first, count),
                                     either_label_.data() + label * n,
                                     {},
                                     slopes.view(count, 1),
                                     {}});
    kernels().scale_rows(device(), {slopes.view(count, 1), part});
  }
}

template <class T>
MatrixView<T> MarginClassifier<T>::all_outputs(MatrixView<const T> vectors) {
  const Index size = examples() * vectors.rows;
  if (sums_.size() < size) {
    sums_ = {};  // given back first, so that the two are never held together
    sums_ = Buffer<T>(device(), size);
  }
  const MatrixView<T> outputs(sums_.data(), examples(), vectors.rows);
  this->forward(vectors, 0, examples(), outputs);
  return outputs;
}

template <class T>
void MarginClassifier<T>::sum_gradients(MatrixView<const T> points, const Exclusions& exclusions, MatrixView<T> out) {
  const MatrixView<T> z = all_outputs(points);
  kernels().margin_pass(device(), {function_, z, data_.labels(), {}, z, {}});
  sweep_given(z, exclusions, out);
}

template <class T>
void MarginClassifier<T>::sum_differences(MatrixView<const T> offsets, const Exclusions& exclusions,
                                          MatrixView<T> out) {
  const MatrixView<T> z = all_outputs(offsets);
  kernels().margin_difference(device(), {function_, outputs_.view(examples(), 1), data_.labels(), z});
  sweep_given(z, exclusions, out);
}

template <class T>
std::string MarginClassifier<T>::obstacle_to_minimum(std::span<const Index> removed) const {
  if (!shape_.bias || function_.loss == MarginLoss::hinge) return {};  // the hinge loss is zero from a margin of 1 on
  Index left[2] = {0, 0};
  for (Index i = 0; i < examples(); ++i)
    if (data_.weight(i) > 0) ++left[data_.host_labels()[static_cast<std::size_t>(i)]];
  for (const Index i : removed)
    if (data_.weight(i) > 0) --left[data_.host_labels()[static_cast<std::size_t>(i)]];
  if (left[0] > 0 && left[1] > 0) return {};
  return std::string("class ") + (left[0] > 0 ? "1" : "0") +
         " has no example with weight, and the bias is not regularised: it goes to infinity, so there is no minimum; "
         "do "
         "without a bias";
}

template class MarginClassifier<float>;
template class MarginClassifier<double>;

}  // namespace clout
