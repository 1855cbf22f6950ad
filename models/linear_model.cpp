#include <algorithm>
#include <clout/kernels/kernel_table.hpp>
#include <clout/models/linear_model.hpp>
#include <clout/models/shapes.hpp>
#include <cmath>
#include <numeric>

namespace clout {
namespace {

// Rows whose outputs (or their tangents) are in memory at once.
constexpr Index kRowBlock = 4096;
// Gradients of removed examples that are formed at once.
constexpr Index kGradientBlock = 64;

}  // namespace

std::vector<ParameterBlock> linear_layout(const LinearShape& shape) {
  const bool one = shape.classes == 1;
  const std::vector<Index> weights = one ? std::vector{shape.features} : std::vector{shape.classes, shape.features};
  std::vector<ParameterBlock> blocks{{"weight", weights, 0, true}};
  if (shape.bias) blocks.push_back({"bias", {shape.classes}, shape.weights(), false});
  return blocks;
}

template <class T>
LinearModel<T>::LinearModel(Dataset<T> data, Outputs outputs, bool bias, double l2)
    : data_(std::move(data)),
      shape_{data_.features(), outputs == Outputs::one ? 1 : data_.classes(), bias},
      l2_(l2),
      theta_(data_.device(), shape_.parameters()),
      losses_(data_.device(), data_.examples()) {
  require(std::isfinite(l2) && l2 >= 0, "l2 of the regulariser: expected a finite number, not negative");
}

template <class T>
const KernelTable<T>& LinearModel<T>::kernels() const {
  return device().template kernels<T>();
}

template <class T>
T* LinearModel<T>::block_of_rows(Index rows, Index width) {
  const std::size_t numbers = static_cast<std::size_t>(std::min(kRowBlock, rows) * width);
  return reinterpret_cast<T*>(scratch_.take(device(), numbers * sizeof(T)).data());
}

template <class T>
void LinearModel<T>::losses(MatrixView<T> out) {
  expect_shape("losses", out.rows, out.columns, examples(), 1);
  device().copy_on_device(out.data, losses_.data(), static_cast<std::size_t>(examples()) * sizeof(T));
}

template <class T>
void LinearModel<T>::forward(MatrixView<const T> vectors, Index first, Index count, MatrixView<T> outputs) {
  const FeatureView<T> x = data_.product_view().rows_from(first, count);
  const auto sparse = data_.is_sparse() ? data_.sparse_view().rows_from(first) : SparseFeatures<T>{};
  kernels().linear_forward(device(), {x, shape_, vectors, outputs, sparse});
}

template <class T>
void LinearModel<T>::sweep(SweepStep step, MatrixView<const T> vectors, const Exclusions& exclusions,
                           MatrixView<T> out) {
  LinearSweep<T> op = sweep_operation(step, vectors);
  op.exclusions = exclusions;
  op.out = out;
  run_sweep(op);
}

template <class T>
void LinearModel<T>::sweep_given(MatrixView<const T> residuals, const Exclusions& exclusions, MatrixView<T> out) {
  LinearSweep<T> op = sweep_operation(SweepStep::given, {nullptr, out.rows, parameters()});
  op.residuals = residuals;
  op.exclusions = exclusions;
  op.out = out;
  run_sweep(op);
}

template <class T>
void LinearModel<T>::run_sweep(LinearSweep<T> op) {
  op.scratch = scratch_.take(device(), kernels().linear_sweep_scratch(device(), op));
  kernels().linear_sweep(device(), op);
}

template <class T>
LinearSweep<T> LinearModel<T>::sweep_operation(SweepStep step, MatrixView<const T> vectors) const {
  return {.step = step,
          .features = data_.product_view(),
          .sparse = data_.sparse_view(),
          .shape = shape_,
          .vectors = vectors,
          .probabilities = coefficients(),
          .residuals = {},
          .labels = data_.labels(),
          .example_weights = data_.weights(),
          .exclusions = {},
          .scale = static_cast<T>(data_.weight_unit() / total_weight()),
          .out = {},
          .scratch = {}};
}

template <class T>
std::size_t LinearModel<T>::product_bytes(Index k) const {
  return kernels().linear_sweep_scratch(device(), sweep_operation(tangent_step(), {nullptr, k, parameters()}));
}

template <class T>
void LinearModel<T>::gradient(MatrixView<T> out) {
  expect_shape("gradient", out.rows, out.columns, 1, parameters());
  sum_gradients(theta(), {}, out);
  kernels().add_regularizer(device(), {shape_.regularized(), l2_, 0.0, theta(), out});
}

template <class T>
void LinearModel<T>::hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) {
  expect_vectors("vectors of a Hessian product", vectors, parameters());
  expect_shape("Hessian products", out.rows, out.columns, vectors.rows, parameters());
  sweep(tangent_step(), vectors, {}, out);                                                  // Xᵀ R{δ} / W
  kernels().add_regularizer(device(), {shape_.regularized(), l2_, damping, vectors, out});  // + λV + damping V
}

template <class T>
void LinearModel<T>::for_outputs(MatrixView<const T> vectors, Index first, Index count,
                                 const std::function<void(Index, MatrixView<T>)>& body) {
  const Index width = vectors.rows * shape_.classes;
  T* memory = block_of_rows(count, width);
  for (Index row = 0; row < count; row += kRowBlock) {
    const MatrixView<T> outputs(memory, std::min(kRowBlock, count - row), width);
    forward(vectors, first + row, outputs.rows, outputs);
    body(row, outputs);
  }
}

template <class T>
typename LinearModel<T>::Gathered LinearModel<T>::gather(const Index* rows, Index count) {
  const FeatureView<T> all = data_.view();
  const Index d = data_.features(), classes = shape_.classes;
  if (count > minibatch_.examples) {
    minibatch_ = {};  // given back first, so that the two are never held together
    if (all.bytes) minibatch_.bytes = Buffer<std::uint8_t>(device(), count * d);
    else minibatch_.values = Buffer<T>(device(), count * d);
    minibatch_.coefficients = Buffer<T>(device(), count * classes);
    if (data_.weights()) minibatch_.weights = Buffer<T>(device(), count);
    minibatch_.examples = count;
  }
  const MatrixView<T> p = minibatch_.coefficients.view(count, classes);
  kernels().gather_examples(device(), {all, coefficients(), data_.weights(), rows, count, minibatch_.values.data(),
                                       minibatch_.bytes.data(), p, minibatch_.weights.data()});
  return {{minibatch_.values.data(), minibatch_.bytes.data(), count, d, all.scale}, p, minibatch_.weights.data()};
}

template <class T>
std::size_t LinearModel<T>::batch_memory(Index examples) const {
  const std::size_t feature = data_.view().bytes ? sizeof(std::uint8_t) : sizeof(T);
  return static_cast<std::size_t>(examples) *
         (static_cast<std::size_t>(data_.features()) * feature + static_cast<std::size_t>(shape_.classes + 1) * sizeof(T));
}

template <class T>
void LinearModel<T>::batch_hessian_products(MatrixView<const T> vectors, const Index* rows, Index groups, Index count,
                                            MatrixView<T> out) {
  expect_vectors("vectors of batch products", vectors, parameters());
  expect_shape("batch products", out.rows, out.columns, vectors.rows, parameters());
  const Gathered batch = gather(rows, groups * count);
  const double scale =
      data_.weight_unit() / total_weight() * static_cast<double>(examples()) / static_cast<double>(count);
  const Index k = vectors.rows / groups;
  for (Index g = 0; g < groups; ++g)
    run_sweep({.step = tangent_step(),
               .features = batch.features.rows_from(g * count, count),
               .sparse = {},
               .shape = shape_,
               .vectors = vectors.rows_from(g * k, k),
               .probabilities = batch.coefficients.rows_from(g * count, count),
               .residuals = {},
               .labels = nullptr,
               .example_weights = batch.weights ? batch.weights + g * count : nullptr,
               .exclusions = {},
               .scale = static_cast<T>(scale),
               .out = out.rows_from(g * k, k),
               .scratch = {}});
}

template <class T>
void LinearModel<T>::example_gradients(std::span<const Index> rows, MatrixView<T> out) {
  const Index m = static_cast<Index>(rows.size()), classes = shape_.classes;
  expect_shape("example gradients", out.rows, out.columns, m, parameters());
  std::vector<T> deltas(static_cast<std::size_t>(m * classes));
  for (Index j = 0; j < m; ++j) {
    const Index row = rows[static_cast<std::size_t>(j)];
    require(row >= 0 && row < examples(),
            "example " + std::to_string(row) + " is out of range; expected 0 to " + std::to_string(examples() - 1));
    residual_of(row, deltas.data() + j * classes);
  }
  const Buffer<T> deltas_device(device(), std::span<const T>(deltas));
  std::vector<Index> places(rows.begin(), rows.end());
  Buffer<T> values;
  FeatureView<T> x = data_.product_view();
  if (!data_.is_whole()) {
    std::vector<T> some;
    for (const Index row : rows)
      for (const double value : data_.host_features(row, 1)) some.push_back(static_cast<T>(value));
    values = Buffer<T>(device(), std::span<const T>(some));
    x = {.values = values.data(), .rows = m, .columns = data_.features()};
    std::iota(places.begin(), places.end(), Index{0});
  }
  const Buffer<Index> places_device(device(), std::span<const Index>(places));
  kernels().example_gradients(device(), {x, shape_, places_device.data(), deltas_device.view(m, classes), out});
}

template <class T>
void LinearModel<T>::input_gradients(MatrixView<const T> vectors, Index first, Index count, MatrixView<T> out) {
  expect_vectors("vectors of an input gradient", vectors, parameters());
  const Index d = data_.features();
  expect_shape("input gradients", out.rows, out.columns, vectors.rows, count * d);
  for_outputs(vectors, first, count, [&](Index row, MatrixView<T> tangents) {
    make_residual_tangents(first + row, tangents);
    const auto [deltas, labels] = residuals(first + row, tangents.rows);
    kernels().linear_input_gradient(device(),
                                    {shape_, theta(), vectors, deltas, labels, tangents,
                                     MatrixView<T>(out.data + row * d, out.rows, tangents.rows * d, out.stride)});
  });
}

template <class T>
void LinearModel<T>::losses_at(MatrixView<const T> parameters_k, MatrixView<T> out) {
  expect_vectors("parameter vectors", parameters_k, parameters());
  expect_shape("losses", out.rows, out.columns, examples(), parameters_k.rows);
  for_outputs(parameters_k, 0, examples(),
              [&](Index row, MatrixView<T> outputs) { losses_of(row, outputs, out.rows_from(row, outputs.rows)); });
}

template <class T>
std::size_t LinearModel<T>::working_memory(Index vectors) const {
  const std::size_t sweep = product_bytes(vectors);
  // A block of rows' tangents, and what the product takes for them: V in panels, for each thread a block of X, or of 256
  // rows' tangents where X is stored without its zeros; a GPU converts a whole block of rows, and keeps that memory.
  const Index width = vectors * shape_.classes, rows = std::min(kRowBlock, examples());
  const Index panels = (width + 64) * (shape_.features + 64), blocks = 128 * shape_.features + 256 * (width + 64);
  const bool is_host = device().info().is_host;
  const Index staged = panels + (is_host ? blocks * device().info().threads : kRowBlock * (shape_.features + 64));
  const std::size_t forward = static_cast<std::size_t>(rows * width + staged) * sizeof(T);
  return is_host ? std::max(sweep, forward) : sweep + forward;
}

template <class T>
void LinearModel<T>::removal_constants(const Removals& removals, MatrixView<T> out) {
  // (W_j/W) ∇R_j(θ) = ∇R(θ) − (1/W) Σ_removed wᵢ ∇ℓᵢ − ((W − W_j)/W) λθ.
  expect_shape("removal constants", out.rows, out.columns, removals.models(), parameters());
  if (removals.exclusions().count > examples()) return sweep_removal_constants(removals, out);
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
        device(), {shape_.regularized(), -l2_ * (1 - kept_weight(*this, group) / total), 0.0, theta(), row});
  }
}

// Many are removed: one sweep for all models is less than their examples one by one.
template <class T>
void LinearModel<T>::sweep_removal_constants(const Removals& removals, MatrixView<T> out) {
  const Index k = removals.models(), p = parameters();
  Buffer<T> copies(device(), k * p);
  const MatrixView<T> points = copies.view(k, p);
  for (Index model = 0; model < k; ++model)
    kernels().combine(device(), {1.0, theta(), 0.0, points.rows_from(model, 1)});
  gradients_without(removals, points, out);
  for (Index model = 0; model < k; ++model)
    kernels().combine(
        device(), {0.0, {}, kept_weight(*this, removals.group(model)) / total_weight(), out.rows_from(model, 1)});
}

template <class T>
void LinearModel<T>::removal_differences(const Removals& removals, MatrixView<const T> offsets, MatrixView<T> out) {
  expect_shape("removal differences", out.rows, out.columns, removals.models(), parameters());
  expect_shape("offsets", offsets.rows, offsets.columns, removals.models(), parameters());
  sum_differences(offsets, removals.exclusions(), out);
  for (Index model = 0; model < removals.models(); ++model) {
    const double kept = kept_weight(*this, removals.group(model)) / total_weight();
    kernels().add_regularizer(
        device(), {shape_.regularized(), l2_ * kept, 0.0, offsets.rows_from(model, 1), out.rows_from(model, 1)});
  }
}

template <class T>
void LinearModel<T>::gradients_without(const Removals& removals, MatrixView<const T> parameters_k, MatrixView<T> out) {
  expect_shape("gradients", out.rows, out.columns, removals.models(), parameters());
  expect_shape("parameter vectors", parameters_k.rows, parameters_k.columns, removals.models(), parameters());
  sum_gradients(parameters_k, removals.exclusions(), out);
  regularize_kept(removals, parameters_k, out);
}

template <class T>
void LinearModel<T>::regularize_kept(const Removals& removals, MatrixView<const T> vectors, MatrixView<T> out) {
  for (Index model = 0; model < removals.models(); ++model) {
    const MatrixView<T> row = out.rows_from(model, 1);
    const double left = kept_weight(*this, removals.group(model));
    kernels().combine(device(), {0.0, {}, total_weight() / left, row});
    kernels().add_regularizer(device(), {shape_.regularized(), l2_, 0.0, vectors.rows_from(model, 1), row});
  }
}

template <class T>
void LinearModel<T>::curvatures_at(MatrixView<const T> parameters_k, MatrixView<T> out) {
  expect_vectors("parameter vectors", parameters_k, parameters());
  expect_shape("curvatures", out.rows, out.columns, examples(), parameters_k.rows * shape_.classes);
  forward(parameters_k, 0, examples(), out);
  make_coefficients(out);
}

template <class T>
void LinearModel<T>::hessian_products_with(MatrixView<const T> curvatures, const Removals& removals,
                                           MatrixView<const T> vectors, MatrixView<T> out) {
  const Index k = removals.models(), width = k * shape_.classes;
  expect_shape("Hessian products", out.rows, out.columns, k, parameters());
  expect_shape("curvatures", curvatures.rows, curvatures.columns, examples(), width);
  expect_shape("vectors of a Hessian product", vectors.rows, vectors.columns, k, parameters());
  Buffer<T> memory(device(), examples() * width);
  const MatrixView<T> tangents = memory.view(examples(), width);
  forward(vectors, 0, examples(), tangents);
  make_residual_tangents_by(curvatures, tangents);
  sweep_given(tangents, removals.exclusions(), out);
  regularize_kept(removals, vectors, out);
}

template class LinearModel<float>;
template class LinearModel<double>;

}  // namespace clout
