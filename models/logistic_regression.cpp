#include <algorithm>
#include <clout/kernels/kernel_table.hpp>
#include <clout/models/logistic_regression.hpp>
#include <clout/models/shapes.hpp>
#include <cmath>

namespace clout {
namespace {

// Rows whose logits (or their tangents) are in memory at once.
constexpr Index kRowBlock = 4096;
// Gradients of removed examples that are formed at once.
constexpr Index kGradientBlock = 64;

}  // namespace

std::vector<ParameterBlock> linear_layout(const LinearShape& shape) {
  std::vector<ParameterBlock> blocks{{"weight", {shape.classes, shape.features}, 0, true}};
  if (shape.bias) blocks.push_back({"bias", {shape.classes}, shape.weights(), false});
  return blocks;
}

template <class T>
LogisticRegression<T>::LogisticRegression(Dataset<T> data, bool bias, double l2)
    : data_(std::move(data)),
      shape_{data_.features(), data_.classes(), bias},
      l2_(l2),
      theta_(data_.device(), shape_.parameters()),
      probabilities_(data_.device(), data_.examples() * shape_.classes),
      losses_(data_.device(), data_.examples()) {
  require(std::isfinite(l2) && l2 >= 0, "l2 of the regulariser: expected a finite number, not negative");
  members_.resize(static_cast<std::size_t>(shape_.classes));
  for (Index i = 0; i < data_.examples(); ++i)
    if (data_.weight(i) > 0) ++members_[static_cast<std::size_t>(data_.host_labels()[static_cast<std::size_t>(i)])];
  const std::vector<T> zeros(static_cast<std::size_t>(parameters()));
  const Buffer<T> start(device(), std::span<const T>(zeros));
  set_parameters(start.view(1, parameters()));
}

template <class T>
const KernelTable<T>& LogisticRegression<T>::kernels() const {
  return device().template kernels<T>();
}

template <class T>
T* LogisticRegression<T>::block_of_rows(Index rows, Index width) {
  const std::size_t numbers = static_cast<std::size_t>(std::min(kRowBlock, rows) * width);
  return reinterpret_cast<T*>(scratch_.take(device(), numbers * sizeof(T)).data());
}

template <class T>
void LogisticRegression<T>::set_parameters(MatrixView<const T> theta) {
  expect_shape("parameters", theta.rows, theta.columns, 1, parameters());
  const Index n = examples(), classes = shape_.classes;
  const MatrixView<T> p = probabilities_.view(n, classes);
  kernels().combine(device(), {1.0, theta, 0.0, theta_.view(1, parameters())});
  kernels().linear_forward(device(), {data_.view(), shape_, theta, p});
  kernels().softmax_cross_entropy(device(), {p, classes, data_.labels(), p, losses_.view(n, 1)});
}

template <class T>
void LogisticRegression<T>::losses(MatrixView<T> out) {
  expect_shape("losses", out.rows, out.columns, examples(), 1);
  device().copy_on_device(out.data, losses_.data(), static_cast<std::size_t>(examples()) * sizeof(T));
}

template <class T>
void LogisticRegression<T>::sweep(SweepStep step, MatrixView<const T> vectors, const Exclusions& exclusions,
                                  MatrixView<T> out) {
  LinearSweep<T> op = sweep_operation(step, vectors);
  op.exclusions = exclusions;
  op.out = out;
  run_sweep(op);
}

template <class T>
void LogisticRegression<T>::run_sweep(LinearSweep<T> op) {
  op.scratch = scratch_.take(device(), kernels().linear_sweep_scratch(device(), op));
  kernels().linear_sweep(device(), op);
}

template <class T>
LinearSweep<T> LogisticRegression<T>::sweep_operation(SweepStep step, MatrixView<const T> vectors) const {
  return {.step = step,
          .features = data_.view(),
          .sparse = data_.sparse_view(),
          .shape = shape_,
          .vectors = vectors,
          .probabilities = probabilities_.view(examples(), shape_.classes),
          .labels = data_.labels(),
          .example_weights = data_.weights(),
          .exclusions = {},
          .scale = static_cast<T>(data_.weight_unit() / total_weight()),
          .out = {},
          .scratch = {}};
}

template <class T>
std::size_t LogisticRegression<T>::product_bytes(Index k) const {
  return kernels().linear_sweep_scratch(device(), sweep_operation(SweepStep::tangent, {nullptr, k, parameters()}));
}

template <class T>
void LogisticRegression<T>::gradient(MatrixView<T> out) {
  expect_shape("gradient", out.rows, out.columns, 1, parameters());
  const MatrixView<T> theta = theta_.view(1, parameters());
  sweep(SweepStep::gradient, theta, {}, out);
  kernels().add_regularizer(device(), {shape_.regularized(), l2_, 0.0, theta, out});
}

template <class T>
void LogisticRegression<T>::hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) {
  expect_vectors("vectors of a Hessian product", vectors, parameters());
  expect_shape("Hessian products", out.rows, out.columns, vectors.rows, parameters());
  sweep(SweepStep::tangent, vectors, {}, out);                                     // Xᵀ R{δ} / W
  kernels().add_regularizer(device(), {shape_.regularized(), l2_, damping, vectors, out});  // + λV + damping V
}

template <class T>
void LogisticRegression<T>::for_logit_tangents(MatrixView<const T> vectors, Index first, Index count,
                                               const std::function<void(Index, MatrixView<T>)>& body) {
  const Index width = vectors.rows * shape_.classes;
  T* memory = block_of_rows(count, width);
  for (Index row = 0; row < count; row += kRowBlock) {
    const MatrixView<T> tangents(memory, std::min(kRowBlock, count - row), width);
    kernels().linear_forward(device(), {data_.view().rows_from(first + row, tangents.rows), shape_, vectors, tangents});
    body(row, tangents);
  }
}

template <class T>
typename LogisticRegression<T>::Gathered LogisticRegression<T>::gather(const Index* rows, Index count) {
  const FeatureView<T> all = data_.view();
  const Index d = data_.features(), classes = shape_.classes;
  if (count > minibatch_.examples) {
    minibatch_ = {};  // given back first, so that the two are never held together
    if (all.bytes) minibatch_.bytes = Buffer<std::uint8_t>(device(), count * d);
    else minibatch_.values = Buffer<T>(device(), count * d);
    minibatch_.probabilities = Buffer<T>(device(), count * classes);
    if (data_.weights()) minibatch_.weights = Buffer<T>(device(), count);
    minibatch_.examples = count;
  }
  const MatrixView<T> p = minibatch_.probabilities.view(count, classes);
  kernels().gather_examples(device(), {all, probabilities_.view(examples(), classes), data_.weights(), rows, count,
                                       minibatch_.values.data(), minibatch_.bytes.data(), p, minibatch_.weights.data()});
  return {{minibatch_.values.data(), minibatch_.bytes.data(), count, d, all.scale}, p, minibatch_.weights.data()};
}

template <class T>
void LogisticRegression<T>::batch_hessian_products(MatrixView<const T> vectors, const Index* rows, Index groups,
                                                   Index count, MatrixView<T> out) {
  expect_vectors("vectors of batch products", vectors, parameters());
  expect_shape("batch products", out.rows, out.columns, vectors.rows, parameters());
  const Gathered batch = gather(rows, groups * count);
  const double scale = data_.weight_unit() / total_weight() * static_cast<double>(examples()) / static_cast<double>(count);
  const Index k = vectors.rows / groups;
  for (Index g = 0; g < groups; ++g)
    run_sweep({.step = SweepStep::tangent,
               .features = batch.features.rows_from(g * count, count),
               .sparse = {},
               .shape = shape_,
               .vectors = vectors.rows_from(g * k, k),
               .probabilities = batch.probabilities.rows_from(g * count, count),
               .labels = nullptr,
               .example_weights = batch.weights ? batch.weights + g * count : nullptr,
               .exclusions = {},
               .scale = static_cast<T>(scale),
               .out = out.rows_from(g * k, k),
               .scratch = {}});
}

template <class T>
void LogisticRegression<T>::loss_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) {
  expect_vectors("vectors of a loss tangent", vectors, parameters());
  expect_shape("loss tangents", out.rows, out.columns, out.rows, vectors.rows);
  const MatrixView<T> probabilities = probabilities_.view(examples(), shape_.classes);
  for_logit_tangents(vectors, first, out.rows, [&](Index row, MatrixView<T> tangents) {
    kernels().softmax_loss_tangent(
        device(), {probabilities.rows_from(first + row, tangents.rows), data_.labels() + first + row, tangents,
                   out.rows_from(row, tangents.rows)});
  });
}

template <class T>
void LogisticRegression<T>::example_gradients(std::span<const Index> rows, MatrixView<T> out) {
  const Index m = static_cast<Index>(rows.size()), classes = shape_.classes;
  expect_shape("example gradients", out.rows, out.columns, m, parameters());
  std::vector<T> residuals(static_cast<std::size_t>(m * classes));
  for (Index j = 0; j < m; ++j) {
    const Index row = rows[static_cast<std::size_t>(j)];
    require(row >= 0 && row < examples(), "example " + std::to_string(row) + " is out of range; expected 0 to " +
                                              std::to_string(examples() - 1));
    T* delta = residuals.data() + j * classes;
    device().copy_to_host(delta, probabilities_.data() + row * classes, static_cast<std::size_t>(classes) * sizeof(T));
    // p_y − 1 = −Σ_{c≠y} p_c: no cancellation where p_y is close to 1.
    T others = 0;
    const auto label = data_.host_labels()[static_cast<std::size_t>(row)];
    for (Index c = 0; c < classes; ++c)
      if (c != label) others += delta[c];
    delta[label] = -others;
  }
  const Buffer<T> residuals_device(device(), std::span<const T>(residuals));
  const Buffer<Index> rows_device(device(), rows);
  kernels().example_gradients(device(), {data_.view(), shape_, rows_device.data(), residuals_device.view(m, classes), out});
}

template <class T>
void LogisticRegression<T>::input_gradients(MatrixView<const T> vectors, Index first, Index count, MatrixView<T> out) {
  expect_vectors("vectors of an input gradient", vectors, parameters());
  const Index width = vectors.rows * shape_.classes, d = data_.features();
  expect_shape("input gradients", out.rows, out.columns, vectors.rows, count * d);
  T* memory = block_of_rows(count, width);
  const MatrixView<const T> probabilities = probabilities_.view(examples(), shape_.classes);
  for (Index row = 0; row < count; row += kRowBlock) {
    const Index rows = std::min(kRowBlock, count - row);
    const MatrixView<T> tangents(memory, rows, width);
    const MatrixView<const T> p = probabilities.rows_from(first + row, rows);
    kernels().linear_forward(device(), {data_.view().rows_from(first + row, rows), shape_, vectors, tangents});
    kernels().softmax_tangent(device(), {p, tangents, tangents});
    kernels().linear_input_gradient(
        device(), {shape_, theta_.view(1, parameters()), vectors, p, data_.labels() + first + row, tangents,
                   MatrixView<T>(out.data + row * d, out.rows, rows * d, out.stride)});
  }
}

template <class T>
void LogisticRegression<T>::losses_at(MatrixView<const T> parameters_k, MatrixView<T> out) {
  expect_vectors("parameter vectors", parameters_k, parameters());
  expect_shape("losses", out.rows, out.columns, examples(), parameters_k.rows);
  const Index width = parameters_k.rows * shape_.classes;
  T* memory = block_of_rows(examples(), width);
  for (Index row = 0; row < examples(); row += kRowBlock) {
    const Index count = std::min(kRowBlock, examples() - row);
    const MatrixView<T> logits(memory, count, width);
    kernels().linear_forward(device(), {data_.view().rows_from(row, count), shape_, parameters_k, logits});
    kernels().softmax_cross_entropy(
        device(), {logits, shape_.classes, data_.labels() + row, {}, out.rows_from(row, count)});
  }
}

template <class T>
void LogisticRegression<T>::explicit_hessian(double damping, MatrixView<T> out) {
  expect_shape("explicit Hessian", out.rows, out.columns, parameters(), parameters());
  SoftmaxHessian<T> op{.features = data_.view(),
                       .shape = shape_,
                       .probabilities = probabilities_.view(examples(), shape_.classes),
                       .example_weights = data_.weights(),
                       .scale = static_cast<T>(data_.weight_unit() / total_weight()),
                       .out = out,
                       .scratch = {}};
  const std::size_t bytes = kernels().softmax_hessian_scratch(device(), op);
  // Not kept: it is large, and a Hessian is assembled once per θ.
  Buffer<std::byte> scratch(device(), static_cast<Index>(bytes));
  op.scratch = {scratch.data(), bytes};
  kernels().softmax_hessian(device(), op);
  kernels().add_diagonal(device(), {shape_.regularized(), l2_, damping, out});
}

template <class T>
std::size_t LogisticRegression<T>::hessian_memory() const {
  SoftmaxHessian<T> op{.features = data_.view(),
                       .shape = shape_,
                       .probabilities = {},
                       .example_weights = data_.weights(),
                       .scale = 1,
                       .out = {},
                       .scratch = {}};
  return device().template kernels<T>().softmax_hessian_scratch(device(), op);
}

template <class T>
std::size_t LogisticRegression<T>::working_memory(Index vectors) const {
  const std::size_t sweep = product_bytes(vectors);
  // A block of rows' tangents, and what the product takes for them: V in panels, a block of X for each thread.
  const Index width = vectors * shape_.classes, rows = std::min(kRowBlock, examples());
  const Index panels = (width + 64) * (shape_.features + 64), blocks = 128 * (shape_.features + width + 128);
  const Index forward = rows * width + panels + blocks * device().info().threads;
  return std::max(sweep, static_cast<std::size_t>(forward) * sizeof(T));
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

template <class T>
void LogisticRegression<T>::removal_constants(const Removals& removals, MatrixView<T> out) {
  // (W_j/W) ∇R_j(θ) = ∇R(θ) − (1/W) Σ_removed wᵢ ∇ℓᵢ − ((W − W_j)/W) λθ.
  expect_shape("removal constants", out.rows, out.columns, removals.models(), parameters());
  Buffer<T> full(device(), parameters()), gradients(device(), kGradientBlock * parameters());
  const MatrixView<T> full_view = full.view(1, parameters());
  gradient(full_view);
  const double total = total_weight();
  for (Index model = 0; model < removals.models(); ++model) {
    const MatrixView<T> row = out.rows_from(model, 1);
    const std::vector<Index>& group = removals.group(model);
    kernels().combine(device(), {1.0, full_view, 0.0, row});
    for (Index first = 0; first < static_cast<Index>(group.size()); first += kGradientBlock) {
      const Index count = std::min(kGradientBlock, static_cast<Index>(group.size()) - first);
      const std::span<const Index> rows(group.data() + first, static_cast<std::size_t>(count));
      example_gradients(rows, gradients.view(count, parameters()));
      for (Index e = 0; e < count; ++e)
        kernels().combine(device(), {-data_.weight(rows[static_cast<std::size_t>(e)]) / total,
                                     gradients.view(count, parameters()).rows_from(e, 1), 1.0, row});
    }
    kernels().add_regularizer(
        device(), {shape_.regularized(), -l2_ * (1 - kept_weight(*this, group) / total), 0.0, theta_.view(1, parameters()), row});
  }
}

template <class T>
void LogisticRegression<T>::removal_differences(const Removals& removals, MatrixView<const T> offsets,
                                                MatrixView<T> out) {
  expect_shape("removal differences", out.rows, out.columns, removals.models(), parameters());
  expect_shape("offsets", offsets.rows, offsets.columns, removals.models(), parameters());
  sweep(SweepStep::difference, offsets, removals.exclusions(), out);
  for (Index model = 0; model < removals.models(); ++model) {
    const double kept = kept_weight(*this, removals.group(model)) / total_weight();
    kernels().add_regularizer(
        device(), {shape_.regularized(), l2_ * kept, 0.0, offsets.rows_from(model, 1), out.rows_from(model, 1)});
  }
}

template <class T>
void LogisticRegression<T>::gradients_without(const Removals& removals, MatrixView<const T> parameters_k,
                                              MatrixView<T> out) {
  expect_shape("gradients", out.rows, out.columns, removals.models(), parameters());
  expect_shape("parameter vectors", parameters_k.rows, parameters_k.columns, removals.models(), parameters());
  sweep(SweepStep::gradient, parameters_k, removals.exclusions(), out);
  for (Index model = 0; model < removals.models(); ++model) {
    const MatrixView<T> row = out.rows_from(model, 1);
    const double left = kept_weight(*this, removals.group(model));
    kernels().combine(device(), {0.0, {}, total_weight() / left, row});
    kernels().add_regularizer(device(), {shape_.regularized(), l2_, 0.0, parameters_k.rows_from(model, 1), row});
  }
}

template class LogisticRegression<float>;
template class LogisticRegression<double>;

}  // namespace clout
