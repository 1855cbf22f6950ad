#include <lapack.h>

#include <algorithm>
#include <clout/engine/lanczos.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>
#include <numeric>

namespace clout {

template <class T>
void Lanczos<T>::carve(Workspace& w, MatrixView<T>& basis, double*& dots, Index p, Index most_steps) {
  basis = w.matrix<T>(most_steps + 1, p);
  dots = w.matrix<double>(1, most_steps + 1).data;
}

template <class T>
std::size_t Lanczos<T>::memory(Index p, Index most_steps) {
  MatrixView<T> basis;
  double* dots = nullptr;
  return Workspace::plan([&](Workspace& w) { carve(w, basis, dots, p, most_steps); });
}

template <class T>
Lanczos<T>::Lanczos(HessianOperator<T> hessian, Index most_steps)
    : hessian_(hessian), most_steps_(std::min(most_steps, hessian.size())) {
  require(most_steps > 0, "Lanczos: " + std::to_string(most_steps) + " steps; expected at least one");
  memory_ = Workspace(hessian_.device(), [&](Workspace& w) { carve(w, basis_, dots_, hessian_.size(), most_steps_); });
}

template <class T>
void Lanczos<T>::start(MatrixView<const T> vector) {
  Device& device = hessian_.device();
  diagonal_.clear();
  off_diagonal_.clear();
  const double norm = row_norms<T>(device, vector)[0];
  is_finite_ = std::isfinite(norm);
  is_invariant_ = norm == 0;
  if (!is_finished()) device.kernels<T>().combine(device, {1 / norm, vector, 0.0, basis_.rows_from(0, 1)});
}

template <class T>
void Lanczos<T>::advance(Index steps) {
  Device& device = hessian_.device();
  double scale = 0;  // of H, as far as it was seen
  for (std::size_t i = 0; i < diagonal_.size(); ++i) scale = std::max(scale, std::abs(diagonal_[i]) + off_diagonal_[i]);
  for (; steps > 0 && !is_finished(); --steps) {
    const Index m = this->steps();
    const MatrixView<const T> before = basis_.rows_from(0, m + 1);
    const MatrixView<T> w = basis_.rows_from(m + 1, 1);
    hessian_.apply(basis_.rows_from(m, 1), w);  // w = H v;  w −= V(Vᵀw), twice;  α = vᵀHv, β = ‖w‖
    double alpha = project_out<T>(device, before, w, dots_).back();
    alpha += project_out<T>(device, before, w, dots_).back();
    const double beta = row_norms<T>(device, w)[0];
    is_finite_ = std::isfinite(alpha) && std::isfinite(beta);
    if (!is_finite_) return;
    diagonal_.push_back(alpha);
    off_diagonal_.push_back(beta);
    scale = std::max(scale, std::abs(alpha) + beta);
    is_invariant_ = this->steps() == hessian_.size() || beta <= HessianOperator<T>::kRounding * scale;
    if (!is_finished()) device.kernels<T>().combine(device, {0.0, {}, 1 / beta, w});
  }
}

template <class T>
RitzValues Lanczos<T>::ritz() const {
  const std::size_t m = diagonal_.size();
  RitzValues ritz{.values = diagonal_, .bounds = {}, .weights = {}, .vectors = std::vector<double>(m * m)};
  if (m == 0) return ritz;
  // QL by rotations alone: no BLAS whose number of threads could show.
  std::vector<double> off_diagonal(off_diagonal_), work(2 * m);
  const lapack_int order = static_cast<lapack_int>(m);
  lapack_int info = 0;
  LAPACK_dsteqr("I", &order, ritz.values.data(), off_diagonal.data(), ritz.vectors.data(), &order, work.data(), &info);
  if (info != 0) throw NotCertified("Lanczos: the eigenvalues of its tridiagonal matrix were not found");
  for (std::size_t i = 0; i < m; ++i) {
    const double first = ritz.vectors[i * m], last = ritz.vectors[i * m + m - 1];
    ritz.bounds.push_back(std::abs(off_diagonal_.back() * last));
    ritz.weights.push_back(first * first);
  }
  return ritz;
}

template <class T>
void Lanczos<T>::combine_basis(std::span<const double> coordinates, MatrixView<T> out) const {
  Device& device = hessian_.device();
  for (std::size_t i = 0; i < coordinates.size(); ++i)
    device.kernels<T>().combine(device,
                                {coordinates[i], basis_.rows_from(static_cast<Index>(i), 1), i == 0 ? 0.0 : 1.0, out});
}

template <class T>
double Lanczos<T>::trace() const {
  return std::accumulate(diagonal_.begin(), diagonal_.end(), 0.0);
}

template <class T>
std::vector<double> project_out(Device& device, MatrixView<const T> basis, MatrixView<T> w, double* dots) {
  const KernelTable<T>& kernels = device.kernels<T>();
  // w beside every row of the basis: rows that lie on each other.
  kernels.vector_dots(device, {basis, MatrixView<const T>(w.data, basis.rows, w.columns, 0), dots});
  std::vector<double> parts(static_cast<std::size_t>(basis.rows));
  device.copy_to_host(parts.data(), dots, parts.size() * sizeof(double));
  for (Index i = 0; i < basis.rows; ++i)
    kernels.combine(device, {-parts[static_cast<std::size_t>(i)], basis.rows_from(i, 1), 1.0, w});
  return parts;
}

template class Lanczos<float>;
template class Lanczos<double>;
template std::vector<double> project_out(Device&, MatrixView<const float>, MatrixView<float>, double*);
template std::vector<double> project_out(Device&, MatrixView<const double>, MatrixView<double>, double*);

}  // namespace clout
