#include <algorithm>
#include <clout/engine/preconditioner.hpp>
#include <clout/engine/random_vectors.hpp>
#include <clout/engine/small_matrix.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

// Of the sketch's norm: what keeps its core positive definite to rounding of the working precision, and of the squares by
// which eigenvalues are found in double.
template <class T>
constexpr double kShift = 1e-8;
template <>
constexpr double kShift<float> = 1e-6;
// Eigenvalues below this part of the largest are not told from rounding, and are left to conjugate gradients.
constexpr double kLeast = 1e-5;

/// What H + damping·I has on its diagonal whatever the data.
template <class T>
double known_diagonal(const HessianOperator<T>& hessian) {
  const std::vector<ParameterBlock> layout = hessian.objective().layout();
  const bool is_on_all =
      std::all_of(layout.begin(), layout.end(), [](const ParameterBlock& block) { return block.regularized; });
  return hessian.damping() + (is_on_all ? hessian.objective().l2() : 0.0);
}

/// V diag(f(values)) Vᵀ of A = V diag(values) Vᵀ.
template <class Function>
SmallMatrix of_eigenvalues(const SymmetricEigen& eigen, Function&& function) {
  SmallMatrix scaled = eigen.vectors;
  for (Index i = 0; i < scaled.rows; ++i)
    for (Index j = 0; j < scaled.columns; ++j) scaled(i, j) *= function(eigen.values[static_cast<std::size_t>(i)]);
  return transposed(eigen.vectors) * scaled;
}

}  // namespace

template <class T>
NystromPreconditioner<T>::NystromPreconditioner(HessianOperator<T> hessian, Index rank, std::uint64_t seed)
    : hessian_(hessian), rank_(rank), seed_(seed), shift_(known_diagonal(hessian)) {
  require(rank >= 1 && rank <= hessian.size(), "Nystrom preconditioner: rank " + std::to_string(rank) +
                                                   "; expected 1 to the number of parameters, " +
                                                   std::to_string(hessian.size()));
}

template <class T>
void NystromPreconditioner<T>::carve(Workspace& w, Room& room, Index k) const {
  room.sketch = w.matrix<T>(rank_, hessian_.size());
  room.products = w.matrix<T>(rank_, hessian_.size());
  room.small = w.matrix<double>(rank_, std::max(rank_, k)).data;
}

template <class T>
std::size_t NystromPreconditioner<T>::scratch(Index k) const {
  if (k <= width_) return 0;
  Room room;
  return Workspace::plan([&](Workspace& w) { carve(w, room, k); }) - memory_.size() + hessian_.scratch(rank_);
}

template <class T>
void NystromPreconditioner<T>::reserve(Index k) {
  if (k > width_) {
    memory_ = {};  // given back first, so that the two are never held together
    memory_ = Workspace(hessian_.device(), [&](Workspace& w) { carve(w, room_, k); });
    width_ = k;
    is_made_ = false;
  }
  if (!is_made_) make();
}

template <class T>
void NystromPreconditioner<T>::make() {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  const Index p = hessian_.size();
  const auto gram = [&](MatrixView<const T> a, MatrixView<const T> b) {
    SmallMatrix products(a.rows, b.rows);
    kernels.block_products(device, {a, b, room_.small});
    device.copy_to_host(products.values.data(), room_.small, products.values.size() * sizeof(double));
    return products;
  };
  const auto combine = [&](const SmallMatrix& c, MatrixView<const T> x, MatrixView<T> out) {
    device.copy_to_device(room_.small, c.values.data(), c.values.size() * sizeof(double));
    kernels.block_combine(device, {x, room_.small, 0, out});
  };

  // Ω: orthonormal rows that span as many normal vectors.
  std::vector<T> normals(static_cast<std::size_t>(rank_ * p));
  RandomSequence random = probe_sequence(seed_, ProbeSection::nystrom);
  for (T& value : normals) value = static_cast<T>(random_normal(random));
  const MatrixView<T> sketch = room_.sketch, products = room_.products;
  device.copy_to_device(products.data, normals.data(), normals.size() * sizeof(T));
  combine(of_eigenvalues(symmetric_eigen(gram(products, products)), [](double x) { return 1 / std::sqrt(x); }), products,
          sketch);

  hessian_.reserve(rank_);
  hessian_.apply(sketch, products);
  kernels.combine(device, {-shift_, sketch, 1.0, products});  // Y = (H − μI) Ω
  double squares = 0;
  const SmallMatrix plain = gram(products, products);
  for (Index i = 0; i < rank_; ++i) squares += plain(i, i);
  const double nu = kShift<T> * std::sqrt(squares);
  kernels.combine(device, {nu, sketch, 1.0, products});  // Y + νΩ

  // With C = (Ω Yᵀ)^(−1/2), rows B = C Y: H − μI + νI ≈ BᵀB, whose eigenvalues are those of B Bᵀ.
  SmallMatrix core = gram(sketch, products);
  const SmallMatrix across = transposed(core);
  for (std::size_t i = 0; i < core.values.size(); ++i) core.values[i] = (core.values[i] + across.values[i]) / 2;
  const SymmetricEigen core_eigen = symmetric_eigen(std::move(core));
  if (squares > 0 && !(core_eigen.values.front() > 0))
    throw NotCertified("nystrom: the Hessian is not positive semidefinite along the sketch (Rayleigh quotient " +
                       std::to_string(core_eigen.values.front() - nu) +
                       "), or not finite; leave --preconditioner out, or use --curvature ggn where there is one");
  SmallMatrix to_basis(rank_, rank_);
  if (squares > 0) {
    const SmallMatrix root = of_eigenvalues(core_eigen, [](double x) { return 1 / std::sqrt(x); });
    const SymmetricEigen found = symmetric_eigen(root * gram(products, products) * root);
    const double largest = found.values.back() - nu;
    const double least = std::max(found.values.front() - nu, kLeast * largest);
    to_basis = found.vectors * root;  // rows: √(Λ_i + ν) u_i in terms of Y
    for (Index i = 0; i < rank_; ++i) {
      const double value = found.values[static_cast<std::size_t>(i)];
      const double weight = std::max(0.0, 1 - (least + shift_) / (value - nu + shift_));
      for (Index j = 0; j < rank_; ++j) to_basis(i, j) *= value - nu > least ? std::sqrt(weight / value) : 0.0;
    }
  }
  combine(to_basis, products, sketch);
  factor_ = sketch;
  is_made_ = true;
}

template <class T>
void NystromPreconditioner<T>::apply(MatrixView<const T> r, MatrixView<T> z) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  kernels.combine(device, {-1.0, r, 0.0, z});
  kernels.block_products(device, {z, factor_, room_.small});  // −Fr
  kernels.combine(device, {1.0, r, 0.0, z});
  kernels.block_combine(device, {factor_, room_.small, 1.0, z});  // r − FᵀFr
}

template <class T>
void FactorPreconditioner<T>::apply(MatrixView<const T> r, MatrixView<T> z) {
  Device& device = factor_->device();
  device.kernels<T>().combine(device, {1.0, r, 0.0, z});
  factor_->solve(z);
}

template class NystromPreconditioner<float>;
template class NystromPreconditioner<double>;
template class FactorPreconditioner<float>;
template class FactorPreconditioner<double>;

}  // namespace clout
