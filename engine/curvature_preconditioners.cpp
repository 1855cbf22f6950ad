#include <algorithm>
#include <clout/engine/curvature_preconditioners.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>
#include <limits>

namespace clout {
namespace {

/// 1/value; where that is rounding beside the largest, or nothing at all, H has no curvature and residuals have no
/// component, so any positive number does that makes nothing large of what rounding left there. Values were found to
/// `epsilon`.
std::vector<double> inverted(std::vector<double> values, double epsilon = 0) {
  const double largest = *std::max_element(values.begin(), values.end());
  const double in_double = static_cast<double>(values.size()) * std::numeric_limits<double>::epsilon();
  const double least = largest * std::max(in_double, epsilon);
  for (double& value : values) value = value > least ? 1 / value : largest > 0 ? 1 / largest : 1.0;
  return values;
}

template <class T>
Buffer<T> uploaded(Device& device, const std::vector<double>& values) {
  const std::vector<T> rounded(values.begin(), values.end());
  return Buffer<T>(device, std::span<const T>(rounded));
}

/// Of the linear layer that an objective with Kronecker factors is.
LinearShape shape_of(const std::vector<ParameterBlock>& layout) {
  const std::vector<Index>& weight = layout.front().shape;
  return {weight.back(), weight.size() == 2 ? weight.front() : 1, layout.size() == 2};
}

}  // namespace

template <class T>
JacobiPreconditioner<T>::JacobiPreconditioner(HessianOperator<T> hessian) : hessian_(hessian) {
  require(hessian.objective().has_hessian_diagonal(),
          "jacobi: this model's Hessian has no diagonal that is cheap; expected --preconditioner nystrom, or none");
}

template <class T>
std::size_t JacobiPreconditioner<T>::scratch(Index) const {
  if (inverse_.size() > 0) return 0;
  return static_cast<std::size_t>(2 * hessian_.size()) * sizeof(T) + hessian_.objective().diagonal_memory();
}

template <class T>
void JacobiPreconditioner<T>::reserve(Index) {
  if (inverse_.size() > 0) return;
  const Index p = hessian_.size();
  Buffer<T> diagonal(hessian_.device(), p);
  hessian_.objective().hessian_diagonal(hessian_.damping(), diagonal.view(1, p));
  const std::vector<T> host = diagonal.to_host();
  inverse_ = uploaded<T>(hessian_.device(), inverted({host.begin(), host.end()}));
}

template <class T>
void JacobiPreconditioner<T>::apply(MatrixView<const T> r, MatrixView<T> z) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  kernels.combine(device, {1.0, r, 0.0, z});
  // A vector is a matrix of one column, each of whose rows has a factor.
  for (Index j = 0; j < z.rows; ++j)
    kernels.scale_rows(device, {{inverse_.data(), z.columns, 1}, {z.row(j), z.columns, 1}});
}

template <class T>
KroneckerPreconditioner<T>::KroneckerPreconditioner(HessianOperator<T> hessian) : hessian_(hessian) {
  require(hessian.objective().has_kronecker_factors(),
          "kronecker: this model has no Kronecker factors; expected --preconditioner nystrom, or none");
  shape_ = shape_of(hessian.objective().layout());
  inputs_ = shape_.features + (shape_.bias ? 1 : 0);
}

template <class T>
LinearSweep<T> KroneckerPreconditioner<T>::sweep(MatrixView<const T> vectors, MatrixView<T> out) const {
  return {.step = SweepStep::scaled,
          .features = {.values = eigenvectors_.data(), .rows = inputs_, .columns = inputs_},
          .sparse = {},
          .shape = {inputs_, shape_.classes, false},
          .vectors = vectors,
          .probabilities = {inverses_.data(), inputs_, shape_.classes},
          .residuals = {},
          .labels = nullptr,
          .example_weights = nullptr,
          .exclusions = {},
          .scale = 1,
          .out = out,
          .scratch = {}};
}

template <class T>
void KroneckerPreconditioner<T>::carve(Workspace& w, Room& room, Index k) const {
  room.turned = w.matrix<T>(k, shape_.classes * inputs_);
  room.solved = w.matrix<T>(k, shape_.classes * inputs_);
  Device& device = hessian_.device();
  room.sweep = w.bytes(device.kernels<T>().linear_sweep_scratch(device, sweep(room.turned, room.solved)));
}

template <class T>
std::size_t KroneckerPreconditioner<T>::scratch(Index k) const {
  if (k <= width_) return 0;
  Room room;
  const std::size_t vectors = Workspace::plan([&](Workspace& w) { carve(w, room, k); }) - memory_.size();
  if (eigenvectors_.size() > 0) return vectors;
  const Index classes = shape_.classes;
  return vectors + static_cast<std::size_t>(inputs_ * (inputs_ + classes)) * sizeof(T) +
         static_cast<std::size_t>(2 * classes * classes) * sizeof(double) + hessian_.objective().kronecker_memory();
}

template <class T>
void KroneckerPreconditioner<T>::make() {
  KroneckerFactors factors = hessian_.objective().kronecker_factors();
  const SymmetricEigen inputs = symmetric_eigen(std::move(factors.inputs));
  const SymmetricEigen outputs = symmetric_eigen(std::move(factors.outputs));
  const double shift = hessian_.objective().l2() + hessian_.damping();
  std::vector<double> values;
  values.reserve(inputs.values.size() * outputs.values.size());
  for (const double a : inputs.values)
    for (const double g : outputs.values) {
      if (!std::isfinite(a) || !std::isfinite(g))
        throw NotCertified("kronecker: the factors of the Hessian are not finite; check --params, or leave --preconditioner out");
      values.push_back(std::max(a, 0.0) * std::max(g, 0.0) + shift);
    }
  Device& device = hessian_.device();
  eigenvectors_ = uploaded<T>(device, inputs.vectors.values);
  // A shift is exact, and more than rounding beside it does no harm.
  const double epsilon = shift > 0 ? 0 : 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
  inverses_ = uploaded<T>(device, inverted(std::move(values), epsilon));
  turn_ = uploaded<double>(device, outputs.vectors.values);
  turn_back_ = uploaded<double>(device, transposed(outputs.vectors).values);
}

template <class T>
void KroneckerPreconditioner<T>::reserve(Index k) {
  if (eigenvectors_.size() == 0) make();
  if (k <= width_) return;
  memory_ = {};  // given back first, so that the two are never held together
  width_ = 0;
  memory_ = Workspace(hessian_.device(), [&](Workspace& w) { carve(w, room_, k); });
  width_ = k;
}

template <class T>
void KroneckerPreconditioner<T>::turn(const ByClass<const T>& from, const Buffer<double>& matrix,
                                      const ByClass<T>& to) const {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  kernels.block_combine(device, {from.weights, matrix.data(), 0.0, to.weights});
  if (shape_.bias) kernels.block_combine(device, {from.biases, matrix.data(), 0.0, to.biases});
}

template <class T>
void KroneckerPreconditioner<T>::apply(MatrixView<const T> r, MatrixView<T> z) {
  const MatrixView<T> turned = room_.turned.rows_from(0, r.rows), solved = room_.solved.rows_from(0, r.rows);
  for (Index j = 0; j < r.rows; ++j) turn(parameters_of(r.row(j)), turn_, inputs_of(turned.row(j)));
  LinearSweep<T> op = sweep(turned, solved);
  op.scratch = room_.sweep;
  Device& device = hessian_.device();
  device.kernels<T>().linear_sweep(device, op);
  for (Index j = 0; j < r.rows; ++j) turn(inputs_of<const T>(solved.row(j)), turn_back_, parameters_of(z.row(j)));
}

template class JacobiPreconditioner<float>;
template class JacobiPreconditioner<double>;
template class KroneckerPreconditioner<float>;
template class KroneckerPreconditioner<double>;

}  // namespace clout
