#include <algorithm>
#include <clout/kernels/kernel_table.hpp>
#include <clout/models/logistic_regression.hpp>
#include <clout/models/shapes.hpp>

namespace clout {
namespace {

// A product over X without its zeros takes this part of a dense one on MNIST, where 19 % are not zero (docs/results).
constexpr double kSparseProduct = 0.45;
// Flops of a product that two entries of an example cost in the sparse Hessian, which waits for sums more than it adds.
constexpr double kEntryFlops = 4;

}  // namespace

template <class T>
LogisticRegression<T>::LogisticRegression(Dataset<T> data, bool bias, double l2)
    : LinearModel<T>(std::move(data), LinearModel<T>::Outputs::classes, bias, l2),
      probabilities_(device(), examples() * shape_.classes) {
  members_.resize(static_cast<std::size_t>(shape_.classes));
  for (Index i = 0; i < data_.examples(); ++i)
    if (data_.weight(i) > 0) ++members_[static_cast<std::size_t>(data_.host_labels()[static_cast<std::size_t>(i)])];
  const std::vector<T> zeros(static_cast<std::size_t>(parameters()));
  const Buffer<T> start(device(), std::span<const T>(zeros));
  set_parameters(start.view(1, parameters()));
}

template <class T>
void LogisticRegression<T>::set_parameters(MatrixView<const T> theta) {
  expect_shape("parameters", theta.rows, theta.columns, 1, parameters());
  const Index n = examples(), classes = shape_.classes;
  const MatrixView<T> p = probabilities_.view(n, classes);
  kernels().combine(device(), {1.0, theta, 0.0, theta_.view(1, parameters())});
  this->forward(theta, 0, n, p);
  kernels().softmax_cross_entropy(device(), {p, classes, data_.labels(), p, losses_.view(n, 1)});
}

template <class T>
void LogisticRegression<T>::losses_of(Index first, MatrixView<T> outputs, MatrixView<T> out) {
  kernels().softmax_cross_entropy(device(), {outputs, shape_.classes, data_.labels() + first, {}, out});
}

template <class T>
void LogisticRegression<T>::make_residual_tangents(Index first, MatrixView<T> tangents) {
  kernels().softmax_tangent(device(), {coefficients().rows_from(first, tangents.rows), tangents, tangents});
}

template <class T>
void LogisticRegression<T>::make_coefficients(MatrixView<T> outputs) {
  kernels().softmax_cross_entropy(device(), {outputs, shape_.classes, data_.labels(), outputs, {}});
}

// Each tangent has probabilities of its own, as if it were of another example.
template <class T>
void LogisticRegression<T>::make_residual_tangents_by(MatrixView<const T> coefficients, MatrixView<T> tangents) {
  const Index classes = shape_.classes, rows = tangents.size() / classes;
  const MatrixView<T> flat(tangents.data, rows, classes);
  kernels().softmax_tangent(device(), {{coefficients.data, rows, classes}, flat, flat});
}

template <class T>
std::pair<MatrixView<const T>, const std::int32_t*> LogisticRegression<T>::residuals(Index first, Index count) {
  return {coefficients().rows_from(first, count), data_.labels() + first};
}

template <class T>
void LogisticRegression<T>::residual_of(Index row, T* delta) {
  const Index classes = shape_.classes;
  device().copy_to_host(delta, probabilities_.data() + row * classes, static_cast<std::size_t>(classes) * sizeof(T));
  // p_y − 1 = −Σ_{c≠y} p_c: no cancellation where p_y is close to 1.
  T others = 0;
  const auto label = data_.host_labels()[static_cast<std::size_t>(row)];
  for (Index c = 0; c < classes; ++c)
    if (c != label) others += delta[c];
  delta[label] = -others;
}

template <class T>
void LogisticRegression<T>::loss_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) {
  expect_vectors("vectors of a loss tangent", vectors, parameters());
  expect_shape("loss tangents", out.rows, out.columns, out.rows, vectors.rows);
  const MatrixView<T> probabilities = probabilities_.view(examples(), shape_.classes);
  for_outputs(vectors, first, out.rows, [&](Index row, MatrixView<T> tangents) {
    kernels().softmax_loss_tangent(
        device(), {probabilities.rows_from(first + row, tangents.rows), data_.labels() + first + row, tangents,
                   out.rows_from(row, tangents.rows)});
  });
}

// K(K−1)/2 · nd² flops of the Hessian (sparse: the entries' squares) and p³/3 of the factor, against 4ndK of a product.
template <class T>
double LogisticRegression<T>::factor_cost() const {
  const double n = static_cast<double>(this->examples()), d = static_cast<double>(this->data().features());
  const double classes = static_cast<double>(this->classes()), p = static_cast<double>(this->parameters());
  const double product = 4 * n * d * classes * (this->data().is_sparse() ? kSparseProduct : 1);
  const bool by_entries = this->takes_entries();
  const double entries = by_entries ? d * this->data().density() : d;  // of an example, on average
  const double squares = (by_entries ? kEntryFlops : 1) * entries * entries;
  return (0.5 * classes * (classes - 1) * n * squares + p * p * p / 3) / product;
}

template <class T>
void LogisticRegression<T>::explicit_hessian(double damping, MatrixView<T> out) {
  expect_shape("explicit Hessian", out.rows, out.columns, parameters(), parameters());
  this->run_hessian(this->hessian_operation(shape_, probabilities(), out));
  kernels().add_diagonal(device(), {shape_.regularized(), l2_, damping, out});
}

template <class T>
std::size_t LogisticRegression<T>::hessian_memory() const {
  return device().template kernels<T>().softmax_hessian_scratch(device(), this->hessian_operation(shape_, {}, {}));
}

template <class T>
void LogisticRegression<T>::for_symmetries(const std::function<void(Index, Index)>& body) const {
  // R does not change when all classes' biases move together or, without a regulariser, the weights of one feature in
  // all classes.
  if (shape_.bias) body(shape_.weights(), 1);
  for (Index feature = 0; l2_ == 0 && feature < shape_.features; ++feature) body(feature, shape_.features);
}

template <class T>
void LogisticRegression<T>::project_out_symmetries(std::span<double> vectors) const {
  const Index classes = shape_.classes, p = parameters();
  for (Index row = 0; row < static_cast<Index>(vectors.size()); row += p)
    for_symmetries([&](Index first, Index step) {
      double mean = 0;
      for (Index c = 0; c < classes; ++c) mean += vectors[static_cast<std::size_t>(row + first + c * step)];
      mean /= static_cast<double>(classes);
      for (Index c = 0; c < classes; ++c) vectors[static_cast<std::size_t>(row + first + c * step)] -= mean;
    });
}

template <class T>
void LogisticRegression<T>::fix_symmetries(MatrixView<T> matrix) {
  // To each direction u of no curvature, with ones in K places, adds (τ/K) u uᵀ, τ the mean curvature of those places:
  // in units of the feature's own.
  const Index classes = shape_.classes;
  ParameterRanges one;
  one.add(0, 1);
  for_symmetries([&](Index first, Index step) {  // class c's place is first + c·step
    double trace = 0;
    for (Index c = 0; c < classes; ++c) {
      T value = 0;
      device().copy_to_host(&value, &matrix(first + c * step, first + c * step), sizeof value);
      trace += static_cast<double>(value);
    }
    const double each = trace / static_cast<double>(classes * classes);
    for (Index a = 0; a < classes; ++a)
      for (Index b = 0; b < classes; ++b)
        kernels().add_diagonal(
            device(), {one, each, 0.0, MatrixView<T>(&matrix(first + a * step, first + b * step), 1, 1, matrix.stride)});
  });
}

template <class T>
std::string LogisticRegression<T>::obstacle_to_minimum(std::span<const Index> removed) const {
  if (!shape_.bias) return {};
  std::vector<Index> left = members_;
  for (const Index i : removed)
    if (data_.weight(i) > 0) --left[static_cast<std::size_t>(data_.host_labels()[static_cast<std::size_t>(i)])];
  const auto empty = std::find(left.begin(), left.end(), Index{0});
  if (empty == left.end()) return {};
  return "class " + std::to_string(empty - left.begin()) +
         " has no example with weight, and biases are not regularised: its bias goes to minus infinity, so there is no "
         "minimum; leave the class out, or do without a bias";
}

template class LogisticRegression<float>;
template class LogisticRegression<double>;

}  // namespace clout
