// Matrices near the Hessian of a linear model: its diagonal, and Kronecker factors.

#include <algorithm>
#include <clout/kernels/kernel_table.hpp>
#include <clout/models/linear_model.hpp>
#include <clout/models/shapes.hpp>

namespace clout {
namespace {

// Rows of X whose squares are there at once.
constexpr Index kSquareRows = 4096;
// Beyond, A's eigenvectors take minutes and its memory gigabytes.
constexpr Index kMostInputs = 8192;

}  // namespace

template <class T>
SoftmaxHessian<T> LinearModel<T>::hessian_operation(LinearShape shape, MatrixView<const T> probabilities,
                                                    MatrixView<T> out) const {
  return {.features = takes_entries() ? data_.product_view() : data_.view(),
          .sparse = takes_entries() ? data_.sparse_view() : SparseFeatures<T>{},
          .shape = shape,
          .probabilities = probabilities,
          .example_weights = data_.weights(),
          .scale = static_cast<T>(data_.weight_unit() / total_weight()),
          .out = out,
          .scratch = {}};
}

template <class T>
void LinearModel<T>::run_hessian(SoftmaxHessian<T> op) {
  const std::size_t bytes = kernels().softmax_hessian_scratch(device(), op);
  Buffer<std::byte> scratch(device(), static_cast<Index>(bytes));
  op.scratch = {scratch.data(), bytes};
  kernels().softmax_hessian(device(), op);
}

template <class T>
std::vector<T> LinearModel<T>::curvature_diagonals(Index first, Index count) {
  const bool is_softmax = tangent_step() == SweepStep::tangent;  // S = diag p − ppᵀ; else one output, S its coefficient
  std::vector<T> diagonals = to_host(device(), coefficients().rows_from(first, count));
  if (is_softmax)
    for (T& p : diagonals) p *= 1 - p;
  return diagonals;
}

template <class T>
LinearSweep<T> LinearModel<T>::squares_sweep(const T* squares, Index first, MatrixView<const T> residuals,
                                             MatrixView<T> out) const {
  return {.step = SweepStep::given,
          .features = {.values = squares, .rows = residuals.rows, .columns = data_.features()},
          .sparse = {},
          .shape = shape_,
          .vectors = {nullptr, 1, parameters()},
          .probabilities = {},
          .residuals = residuals,
          .labels = nullptr,
          .example_weights = data_.weights() ? data_.weights() + first : nullptr,
          .exclusions = {},
          .scale = static_cast<T>(data_.weight_unit() / total_weight()),
          .out = out,
          .scratch = {}};
}

// Σ wᵢ sᵢ ⊗ x′ᵢ∘x′ᵢ, block by block.
template <class T>
void LinearModel<T>::hessian_diagonal(double damping, MatrixView<T> out) {
  const Index n = examples(), d = data_.features(), p = parameters(), classes = shape_.classes;
  expect_shape("diagonal of a Hessian", out.rows, out.columns, 1, p);
  const Index rows = std::min(kSquareRows, n);
  Buffer<T> squares(device(), rows * d), diagonals(device(), rows * classes), part(device(), p), ones(device(), p);
  const std::vector<T> all_ones(static_cast<std::size_t>(p), T(1));
  ones.upload(std::span<const T>(all_ones));
  kernels().combine(device(), {0.0, {}, 0.0, out});
  for (Index first = 0; first < n; first += rows) {
    const Index count = std::min(rows, n - first);
    const std::vector<double> x = data_.host_features(first, count);
    std::vector<T> squared(x.size());
    std::transform(x.begin(), x.end(), squared.begin(), [](double value) { return static_cast<T>(value * value); });
    squares.upload(std::span<const T>(squared));
    const std::vector<T> s = curvature_diagonals(first, count);
    diagonals.upload(std::span<const T>(s));
    run_sweep(squares_sweep(squares.data(), first, diagonals.view(count, classes), part.view(1, p)));
    kernels().combine(device(), {1.0, part.view(1, p), 1.0, out});
  }
  kernels().add_regularizer(device(), {shape_.regularized(), l2_, damping, ones.view(1, p), out});
}

template <class T>
std::size_t LinearModel<T>::diagonal_memory() const {
  const Index rows = std::min(kSquareRows, examples()), d = data_.features(), p = parameters();
  const auto sweep = squares_sweep(nullptr, 0, {nullptr, rows, shape_.classes}, {nullptr, 1, p});
  return static_cast<std::size_t>(rows * (d + shape_.classes) + 2 * p) * sizeof(T) +
         kernels().linear_sweep_scratch(device(), sweep);
}

template <class T>
typename LinearModel<T>::Curvatures LinearModel<T>::curvatures() {
  const Index n = examples(), classes = shape_.classes;
  const bool is_softmax = tangent_step() == SweepStep::tangent;
  const std::vector<T> coefficients_host = to_host(device(), coefficients());
  Curvatures found{.traces = std::vector<double>(static_cast<std::size_t>(n)), .mean = SmallMatrix(classes, classes)};
  std::vector<double> p(static_cast<std::size_t>(classes));
  for (Index i = 0; i < n; ++i) {
    for (Index c = 0; c < classes; ++c)
      p[static_cast<std::size_t>(c)] = static_cast<double>(coefficients_host[static_cast<std::size_t>(i * classes + c)]);
    const double weight = example_weight(i) / total_weight();
    double trace = 0;
    for (Index a = 0; a < classes; ++a) {
      const double pa = p[static_cast<std::size_t>(a)];
      if (!is_softmax) {
        trace += pa;
        found.mean(a, a) += weight * pa;
      }
      // p(1 − p) is what the other classes take: so the sum over the classes is zero to the last digit in single, too.
      for (Index b = 0; b < a; ++b) {
        const double across = pa * p[static_cast<std::size_t>(b)];
        trace += 2 * across;
        for (const Index c : {a, b}) found.mean(c, c) += weight * across;
        found.mean(a, b) -= weight * across;
        found.mean(b, a) -= weight * across;
      }
    }
    found.traces[static_cast<std::size_t>(i)] = trace;
  }
  return found;
}

template <class T>
KroneckerFactors LinearModel<T>::kronecker_factors() {
  const Index n = examples(), d = data_.features(), inputs = d + (shape_.bias ? 1 : 0);
  require(inputs <= kMostInputs, "Kronecker factors of " + std::to_string(d) + " features; expected at most " +
                                     std::to_string(kMostInputs - 1));
  Curvatures found = curvatures();
  double mean_trace = 0;
  for (Index c = 0; c < shape_.classes; ++c) mean_trace += found.mean(c, c);
  for (double& value : found.mean.values) value = mean_trace > 0 ? value / mean_trace : 0.0;

  // A is what two classes with "probabilities" tr Sᵢ and 1 have as the block between them, with the other sign.
  const LinearShape two = two_classes();
  std::vector<T> pairs;
  pairs.reserve(static_cast<std::size_t>(2 * n));
  for (const double trace : found.traces) pairs.insert(pairs.end(), {static_cast<T>(trace), T(1)});
  const Buffer<T> pairs_device(device(), std::span<const T>(pairs));
  Buffer<T> matrix(device(), two.parameters() * two.parameters());
  run_hessian(hessian_operation(two, pairs_device.view(n, 2), matrix.view(two.parameters(), two.parameters())));

  KroneckerFactors factors{.outputs = std::move(found.mean), .inputs = SmallMatrix(inputs, inputs)};
  const std::vector<T> host = matrix.to_host();
  const auto place = [&](Index c, Index input) { return input < d ? c * d + input : 2 * d + c; };
  for (Index u = 0; u < inputs; ++u)
    for (Index v = 0; v < inputs; ++v)
      factors.inputs(u, v) =
          -static_cast<double>(host[static_cast<std::size_t>(place(0, u) * two.parameters() + place(1, v))]);
  return factors;
}

template <class T>
std::size_t LinearModel<T>::kronecker_memory() const {
  const Index size = two_classes().parameters();
  return static_cast<std::size_t>(2 * examples() + size * size) * sizeof(T) +
         kernels().softmax_hessian_scratch(device(), hessian_operation(two_classes(), {}, {}));
}

template void LinearModel<float>::hessian_diagonal(double, MatrixView<float>);
template void LinearModel<double>::hessian_diagonal(double, MatrixView<double>);
template std::size_t LinearModel<float>::diagonal_memory() const;
template std::size_t LinearModel<double>::diagonal_memory() const;
template KroneckerFactors LinearModel<float>::kronecker_factors();
template KroneckerFactors LinearModel<double>::kronecker_factors();
template std::size_t LinearModel<float>::kronecker_memory() const;
template std::size_t LinearModel<double>::kronecker_memory() const;
template SoftmaxHessian<float> LinearModel<float>::hessian_operation(LinearShape, MatrixView<const float>,
                                                                     MatrixView<float>) const;
template SoftmaxHessian<double> LinearModel<double>::hessian_operation(LinearShape, MatrixView<const double>,
                                                                       MatrixView<double>) const;
template void LinearModel<float>::run_hessian(SoftmaxHessian<float>);
template void LinearModel<double>::run_hessian(SoftmaxHessian<double>);

}  // namespace clout
