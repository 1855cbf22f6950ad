#include <algorithm>
#include <clout/engine/random_vectors.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <clout/models/conv_net.hpp>
#include <clout/models/shapes.hpp>
#include <cmath>

namespace clout {
namespace {

// What assembling from unit vectors where they are not zero, and by symmetry, gains on a product for each parameter: 6.9
// and 7.7 times for the paper's network (docs/results, explicit_hessian).
constexpr double kStructuredGain = 7;

// Examples whose logits are in memory at once.
constexpr Index kRowBlock = 1024;
// Gradients of single examples that are formed at once: theirs is a matrix [m][p].
constexpr Index kExampleBlock = 256;

// Standard normal draws that stay within two standard deviations (by rejection), from one stream in order.
class TruncatedNormal {
 public:
  explicit TruncatedNormal(std::uint64_t seed) : draws_(seed, RandomStream::initial_parameters) {}
  double next() {
    for (;;) {
      const double value = random_normal(draws_);
      if (std::abs(value) <= 2) return value;
    }
  }

 private:
  RandomSequence draws_;
};

}  // namespace

std::vector<ParameterBlock> network_layout(const NetworkShape& shape) {
  std::vector<ParameterBlock> blocks;
  for (int l = 0; l < shape.convolutions; ++l) {
    const Convolution& layer = shape.convolution[l];
    const std::string name = "conv" + std::to_string(l + 1);
    blocks.push_back({name + ".weight", {layer.out, layer.in, layer.kernel, layer.kernel}, layer.weight, true});
    blocks.push_back({name + ".bias", {layer.out}, layer.bias, false});
  }
  blocks.push_back({"linear.weight", {shape.classes, shape.pooled}, shape.weight, true});
  blocks.push_back({"linear.bias", {shape.classes}, shape.bias, false});
  return blocks;
}

std::vector<double> initial_parameters(const NetworkShape& shape, std::uint64_t seed) {
  std::vector<double> theta(static_cast<std::size_t>(shape.parameters()));
  TruncatedNormal normal(seed);
  const auto fill = [&](Index begin, Index end, double deviation) {
    for (Index i = begin; i < end; ++i) theta[static_cast<std::size_t>(i)] = deviation * normal.next();
  };
  for (int l = 0; l < shape.convolutions; ++l) {
    const Convolution& layer = shape.convolution[l];
    fill(layer.weight, layer.bias, 2 / std::sqrt(static_cast<double>(layer.kernel) * layer.kernel * layer.in));
  }
  fill(shape.weight, shape.bias, 1 / std::sqrt(static_cast<double>(shape.pooled)));
  return theta;
}

template <class T>
ConvNet<T>::ConvNet(Dataset<T> data, const NetworkShape& shape, double l2, Curvature curvature)
    : data_(std::move(data)),
      shape_(shape),
      l2_(l2),
      curvature_(curvature),
      theta_(data_.device(), shape.parameters()) {
  require(std::isfinite(l2) && l2 >= 0, "l2 of the regulariser: expected a finite number, not negative");
  require(data_.features() == shape.input_size() && data_.classes() == shape.classes,
          "data of a network: " + std::to_string(data_.features()) + " features, " + std::to_string(data_.classes()) +
              " classes; expected " + std::to_string(shape.input_size()) + " and " + std::to_string(shape.classes));
  kernels().combine(device(), {0.0, {}, 0.0, theta_.view(1, parameters())});
}

template <class T>
const KernelTable<T>& ConvNet<T>::kernels() const {
  return device().template kernels<T>();
}

template <class T>
NetworkBatch<T> ConvNet<T>::batch(Index first, Index count) const {
  const T* weights = data_.weights();
  return {.features = data_.view().rows_from(first, count),
          .labels = data_.labels() + first,
          .example_weights = weights ? weights + first : nullptr,
          .rows = nullptr,
          .count = count};
}

template <class T>
NetworkBatch<T> ConvNet<T>::targeted_batch() {
  const Index n = examples(), classes = shape_.classes;
  if (targets_.is_empty()) {
    targets_ = Buffer<T>(device(), n * classes);
    const MatrixView<T> p = targets_.view(n, classes);
    logits_at(theta_.view(1, parameters()), 0, p);
    kernels().softmax_cross_entropy(device(), {p, classes, data_.labels(), p, {}});
  }
  NetworkBatch<T> all = batch(0, n);
  all.targets = targets_.data();
  return all;
}

template <class T>
template <class Operation>
void ConvNet<T>::run(void (*entry)(Device&, const Operation&), std::size_t (*scratch)(const Device&, const Operation&),
                     Operation op) {
  op.scratch = scratch_.take(device(), scratch(device(), op));
  entry(device(), op);
}

template <class T>
NetworkHessianProduct<T> ConvNet<T>::product(MatrixView<const T> vectors, MatrixView<T> out) const {
  return {shape_, curvature_, batch(0, examples()), theta_.view(1, parameters()), vectors, scale(), out, {}};
}

template <class T>
std::size_t ConvNet<T>::product_bytes(Index k) const {
  return kernels().network_hessian_product_scratch(device(), product({nullptr, k, parameters()}, {}));
}

template <class T>
void ConvNet<T>::set_parameters(MatrixView<const T> theta) {
  expect_shape("parameters", theta.rows, theta.columns, 1, parameters());
  kernels().combine(device(), {1.0, theta, 0.0, theta_.view(1, parameters())});
  targets_ = {};
}

template <class T>
void ConvNet<T>::losses(MatrixView<T> out) {
  losses_at(theta_.view(1, parameters()), out);
}

template <class T>
void ConvNet<T>::gradient(MatrixView<T> out) {
  expect_shape("gradient", out.rows, out.columns, 1, parameters());
  const MatrixView<T> theta = theta_.view(1, parameters());
  run(kernels().network_gradient, kernels().network_gradient_scratch,
      NetworkGradient<T>{shape_, batch(0, examples()), theta, {}, scale(), out, {}});
  kernels().add_regularizer(device(), {shape_.regularized(), l2_, 0.0, theta, out});
}

template <class T>
void ConvNet<T>::hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) {
  expect_vectors("vectors of a Hessian product", vectors, parameters());
  expect_shape("Hessian products", out.rows, out.columns, vectors.rows, parameters());
  run(kernels().network_hessian_product, kernels().network_hessian_product_scratch, product(vectors, out));
  kernels().add_regularizer(device(), {shape_.regularized(), l2_, damping, vectors, out});
}

template <class T>
void ConvNet<T>::batch_hessian_products(MatrixView<const T> vectors, const Index* rows, Index groups, Index count,
                                        MatrixView<T> out) {
  expect_vectors("vectors of batch products", vectors, parameters());
  expect_shape("batch products", out.rows, out.columns, vectors.rows, parameters());
  const Index k = vectors.rows / groups;
  for (Index g = 0; g < groups; ++g) {
    NetworkBatch<T> chosen = batch(0, examples());
    chosen.rows = rows + g * count;
    chosen.count = count;
    run(kernels().network_hessian_product, kernels().network_hessian_product_scratch,
        NetworkHessianProduct<T>{shape_,
                                 curvature_,
                                 chosen,
                                 theta_.view(1, parameters()),
                                 vectors.rows_from(g * k, k),
                                 scale() * static_cast<double>(examples()) / static_cast<double>(count),
                                 out.rows_from(g * k, k),
                                 {}});
  }
}

template <class T>
void ConvNet<T>::loss_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) {
  expect_vectors("vectors of a loss tangent", vectors, parameters());
  expect_shape("loss tangents", out.rows, out.columns, out.rows, vectors.rows);
  run(kernels().network_loss_tangents, kernels().network_loss_tangents_scratch,
      NetworkLossTangents<T>{shape_, batch(first, out.rows), theta_.view(1, parameters()), vectors, out, {}});
}

template <class T>
void ConvNet<T>::label_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) {
  const Index k = vectors.rows;
  expect_vectors("vectors of label tangents", vectors, parameters());
  expect_shape("label tangents", out.rows, out.columns, out.rows, shape_.classes * k);
  Buffer<std::int32_t> labels(device(), out.rows);
  for (Index c = 0; c < shape_.classes; ++c) {
    labels.upload(std::vector<std::int32_t>(static_cast<std::size_t>(out.rows), static_cast<std::int32_t>(c)));
    NetworkBatch<T> relabelled = batch(first, out.rows);
    relabelled.labels = labels.data();
    run(kernels().network_loss_tangents, kernels().network_loss_tangents_scratch,
        NetworkLossTangents<T>{shape_,
                               relabelled,
                               theta_.view(1, parameters()),
                               vectors,
                               MatrixView<T>(out.data + c * k, out.rows, k, out.stride),
                               {}});
  }
}

template <class T>
std::size_t ConvNet<T>::working_memory(Index vectors) const {
  const KernelTable<T>& kernels = device().template kernels<T>();
  const MatrixView<const T> views(nullptr, vectors, parameters());
  const NetworkBatch<T> all = batch(0, examples());
  return std::max(
      {kernels.network_hessian_product_scratch(device(), {shape_, curvature_, all, {}, views, scale(), {}, {}}),
       kernels.network_loss_tangents_scratch(device(), {shape_, all, {}, views, {}, {}}),
       kernels.network_example_gradients_scratch(device(), {shape_, all, {}, {}, {}}),
       kernels.network_gradient_scratch(device(), {shape_, all, views.rows_from(0, 1), {}, scale(), {}, {}})});
}

template <class T>
std::size_t ConvNet<T>::hessian_memory() const {
  const Index targets = curvature_ == Curvature::gauss_newton ? examples() * shape_.classes : 0;
  return static_cast<std::size_t>(targets) * sizeof(T) +
         device().template kernels<T>().network_hessian_scratch(
             device(), NetworkHessian<T>{shape_, batch(0, examples()), theta_.view(1, parameters()), scale(), {}, {}});
}

template <class T>
void ConvNet<T>::example_gradients(std::span<const Index> rows, MatrixView<T> out) {
  const Index m = static_cast<Index>(rows.size());
  expect_shape("example gradients", out.rows, out.columns, m, parameters());
  for (const Index row : rows)
    require(row >= 0 && row < examples(),
            "example " + std::to_string(row) + " is out of range; expected 0 to " + std::to_string(examples() - 1));
  const Buffer<Index> numbers(device(), rows);
  for (Index first = 0; first < m; first += kExampleBlock) {
    NetworkBatch<T> chosen = batch(0, examples());
    chosen.rows = numbers.data() + first;
    chosen.count = std::min(kExampleBlock, m - first);
    run(kernels().network_example_gradients, kernels().network_example_gradients_scratch,
        NetworkExampleGradients<T>{
            shape_, chosen, theta_.view(1, parameters()), out.rows_from(first, chosen.count), {}});
  }
}

template <class T>
void ConvNet<T>::input_gradients(MatrixView<const T> vectors, Index first, Index count, MatrixView<T> out) {
  expect_vectors("vectors of an input gradient", vectors, parameters());
  expect_shape("input gradients", out.rows, out.columns, vectors.rows, count * input_size());
  run(kernels().network_input_gradients, kernels().network_input_gradients_scratch,
      NetworkInputGradients<T>{shape_, batch(first, count), theta_.view(1, parameters()), vectors, out, {}});
}

template <class T>
void ConvNet<T>::logits_at(MatrixView<const T> parameters_k, Index first, MatrixView<T> out) {
  expect_vectors("parameter vectors", parameters_k, parameters());
  expect_shape("logits", out.rows, out.columns, out.rows, parameters_k.rows * shape_.classes);
  run(kernels().network_forward, kernels().network_forward_scratch,
      NetworkForward<T>{shape_, batch(first, out.rows), parameters_k, out, {}});
}

template <class T>
void ConvNet<T>::losses_at(MatrixView<const T> parameters_k, MatrixView<T> out) {
  expect_shape("losses", out.rows, out.columns, examples(), parameters_k.rows);
  const Index width = parameters_k.rows * shape_.classes;
  Buffer<T> memory(device(), std::min(kRowBlock, examples()) * width);
  for (Index row = 0; row < examples(); row += kRowBlock) {
    const Index count = std::min(kRowBlock, examples() - row);
    const MatrixView<T> logits = memory.view(count, width);
    logits_at(parameters_k, row, logits);
    kernels().softmax_cross_entropy(device(),
                                    {logits, shape_.classes, data_.labels() + row, {}, out.rows_from(row, count)});
  }
}

template <class T>
double ConvNet<T>::factor_cost() const {
  return static_cast<double>(this->parameters()) / kStructuredGain;
}

template <class T>
void ConvNet<T>::explicit_hessian(double damping, MatrixView<T> out) {
  expect_shape("explicit Hessian", out.rows, out.columns, parameters(), parameters());
  // Where the targets are the probabilities themselves no δ is left, and with it all of the Hessian that is not the
  // Gauss-Newton matrix.
  const bool exact = curvature_ == Curvature::hessian;
  run(kernels().network_hessian, kernels().network_hessian_scratch,
      NetworkHessian<T>{
          shape_, exact ? batch(0, examples()) : targeted_batch(), theta_.view(1, parameters()), scale(), out, {}});
  kernels().add_diagonal(device(), {shape_.regularized(), l2_, damping, out});
}

template <class T>
void ConvNet<T>::batch_gradients(MatrixView<const T> parameters_k, const Index* rows, Index count,
                                 const Exclusions& exclusions, MatrixView<T> out) {
  expect_vectors("parameter vectors", parameters_k, parameters());
  expect_shape("batch gradients", out.rows, out.columns, parameters_k.rows, parameters());
  NetworkBatch<T> chosen = batch(0, examples());
  chosen.rows = rows;
  chosen.count = count;
  run(kernels().network_gradient, kernels().network_gradient_scratch,
      NetworkGradient<T>{shape_, chosen, parameters_k, exclusions, 0.0, out, {}});
}

template <class T>
void ConvNet<T>::divergence_gradients(MatrixView<const T> parameters_k, MatrixView<T> out) {
  expect_vectors("parameter vectors", parameters_k, parameters());
  expect_shape("divergence gradients", out.rows, out.columns, parameters_k.rows, parameters());
  run(kernels().network_gradient, kernels().network_gradient_scratch,
      NetworkGradient<T>{shape_, targeted_batch(), parameters_k, {}, scale(), out, {}});
}

template class ConvNet<float>;
template class ConvNet<double>;

}  // namespace clout
