#include <algorithm>
#include <clout/engine/block_conjugate_gradient.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

// Directions of a block smaller than this part of the largest are rounding of the working precision, or of the squares
// by which the basis is found.
template <class T>
constexpr double kDependent = 1e-7;
template <>
constexpr double kDependent<float> = 2e-6;

bool is_running(const ColumnReport& column) { return column.status == ColumnStatus::running; }

SmallMatrix negative(SmallMatrix a) {
  for (double& value : a.values) value = -value;
  return a;
}

SmallMatrix identity(Index size) {
  SmallMatrix one(size, size);
  for (Index i = 0; i < size; ++i) one(i, i) = 1;
  return one;
}

}  // namespace

template <class T>
void BlockConjugateGradient<T>::carve(Workspace& w, Block& block, Index width) const {
  for (MatrixView<T>* view : {&block.basis, &block.directions, &block.products, &block.room})
    *view = w.matrix<T>(width, hessian_.size());
  for (MatrixView<T>* view : {&block.kept_p, &block.kept_w}) *view = w.matrix<T>(kKeptSteps * width, hessian_.size());
  block.small = w.matrix<double>(width, kKeptSteps * width).data;
  block.width = width;
}

template <class T>
std::size_t BlockConjugateGradient<T>::scratch(Index width, const void* planned) const {
  const std::size_t products = &hessian_.objective() == planned ? 0 : hessian_.scratch(width);
  if (width <= block_.width) return products;
  Block block;
  return products + Workspace::plan([&](Workspace& w) { carve(w, block, width); }) - memory_.size();
}

template <class T>
void BlockConjugateGradient<T>::reserve(Index width) {
  hessian_.reserve(width);
  if (width <= block_.width) return;
  memory_ = {};  // given back first, so that the two are never held together
  memory_ = Workspace(hessian_.device(), [&](Workspace& w) { carve(w, block_, width); });
}

template <class T>
SmallMatrix BlockConjugateGradient<T>::gram(MatrixView<const T> a, MatrixView<const T> b) {
  Device& device = hessian_.device();
  SmallMatrix products(a.rows, b.rows);
  device.kernels<T>().block_products(device, {a, b, block_.small});
  device.copy_to_host(products.values.data(), block_.small, products.values.size() * sizeof(double));
  return products;
}

template <class T>
void BlockConjugateGradient<T>::combine(const SmallMatrix& coefficients, MatrixView<const T> x, double b,
                                        MatrixView<T> out) {
  Device& device = hessian_.device();
  device.copy_to_device(block_.small, coefficients.values.data(), coefficients.values.size() * sizeof(double));
  device.kernels<T>().block_combine(device, {x, block_.small, b, out});
}

template <class T>
SmallMatrix BlockConjugateGradient<T>::spread(Index m, double smallest) {
  const MatrixView<T> rows = block_.basis.rows_from(0, m);
  const SymmetricEigen eigen = symmetric_eigen(gram(rows, rows));
  const double least = smallest * smallest * std::max(eigen.values.back(), 0.0);
  const Index first = std::upper_bound(eigen.values.begin(), eigen.values.end(), least) - eigen.values.begin();
  SmallMatrix factor(m - first, m), inverse(m - first, m);  // diag(√λ) V and diag(1/√λ) V
  for (Index i = 0; i < factor.rows; ++i) {
    const double root = std::sqrt(eigen.values[static_cast<std::size_t>(first + i)]);
    for (Index j = 0; j < m; ++j) {
      factor(i, j) = root * eigen.vectors(first + i, j);
      inverse(i, j) = eigen.vectors(first + i, j) / root;
    }
  }
  if (factor.rows == 0) return factor;
  const MatrixView<T> out = block_.room.rows_from(0, factor.rows);
  combine(inverse, rows, 0, out);
  std::swap(block_.basis, block_.room);
  return factor;
}

template <class T>
SmallMatrix BlockConjugateGradient<T>::orthonormalize(Index m) {
  const SmallMatrix first = spread(m, kDependent<T>);
  if (first.rows == 0) return first;
  // Squares of numbers that differ by 1e7 have lost orthogonality; those of a basis that is nearly one do not.
  return spread(first.rows, 0) * first;
}

template <class T>
void BlockConjugateGradient<T>::keep(const SmallMatrix& alpha) {
  if (static_cast<Index>(kept_.size()) == kKeptSteps) return;
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  const Index m = alpha.rows;
  kernels.combine(device, {1.0, block_.directions.rows_from(0, m), 0.0, block_.kept_p.rows_from(kept_rows_, m)});
  kernels.combine(device, {1.0, block_.products.rows_from(0, m), 0.0, block_.kept_w.rows_from(kept_rows_, m)});
  kept_.push_back(alpha);
  kept_rows_ += m;
}

template <class T>
SmallMatrix BlockConjugateGradient<T>::along_kept(SmallMatrix g) const {
  Index first = 0;
  for (const SmallMatrix& inverse : kept_) {
    SmallMatrix part(g.rows, inverse.rows);
    for (Index i = 0; i < part.rows; ++i)
      for (Index j = 0; j < part.columns; ++j) part(i, j) = g(i, first + j);
    part = part * inverse;
    for (Index i = 0; i < part.rows; ++i)
      for (Index j = 0; j < part.columns; ++j) g(i, first + j) = part(i, j);
    first += inverse.rows;
  }
  return g;
}

template <class T>
void BlockConjugateGradient<T>::project(const SmallMatrix& c, MatrixView<T> corrections) {
  if (kept_rows_ == 0) return;
  const MatrixView<T> basis = block_.basis.rows_from(0, c.rows), p = block_.kept_p.rows_from(0, kept_rows_);
  const SmallMatrix along = along_kept(gram(basis, p));
  combine(transposed(c) * along, p, 1, corrections);
  combine(negative(along), block_.kept_w.rows_from(0, kept_rows_), 1, basis);
}

template <class T>
void BlockConjugateGradient<T>::conjugate(Index m) {
  if (kept_rows_ == 0 || m == 0) return;
  const MatrixView<T> p = block_.directions.rows_from(0, m);
  const SmallMatrix along = along_kept(gram(p, block_.kept_w.rows_from(0, kept_rows_)));
  combine(negative(along), block_.kept_p.rows_from(0, kept_rows_), 1, p);
}

template <class T>
void BlockConjugateGradient<T>::meet(const SmallMatrix& curvature, Quotients& met) {
  Device& device = hessian_.device();
  const MatrixView<T> p = block_.directions.rows_from(0, curvature.rows);
  device.kernels<T>().vector_dots(device, {p, p, block_.small});
  std::vector<double> squares(static_cast<std::size_t>(curvature.rows));
  device.copy_to_host(squares.data(), block_.small, squares.size() * sizeof(double));
  for (Index i = 0; i < curvature.rows; ++i) {
    const double quotient = curvature(i, i) / squares[static_cast<std::size_t>(i)];
    met.smallest = std::fmin(met.smallest, quotient);
    met.largest = std::fmax(met.largest, quotient);
  }
}

template <class T>
void BlockConjugateGradient<T>::refuse(const SmallMatrix& curvature, Quotients met, std::vector<ColumnReport>& columns) {
  const MatrixView<T> p = block_.directions.rows_from(0, curvature.rows);
  const SymmetricEigen lengths = symmetric_eigen(gram(p, p));
  // In an orthonormal basis of the directions' span: L⁻¹ᐟ² V G Vᵀ L⁻¹ᐟ².
  SmallMatrix basis = lengths.vectors;
  for (Index i = 0; i < basis.rows; ++i)
    for (Index j = 0; j < basis.columns; ++j) basis(i, j) /= std::sqrt(lengths.values[static_cast<std::size_t>(i)]);
  const SymmetricEigen quotients = symmetric_eigen(basis * curvature * transposed(basis));
  const bool is_finite = std::isfinite(quotients.values.front());
  for (ColumnReport& column : columns) {
    if (!is_running(column)) continue;
    column.status = is_finite ? ColumnStatus::negative_curvature : ColumnStatus::not_finite;
    column.smallest_rayleigh = std::fmin(column.smallest_rayleigh, quotients.values.front());
    column.largest_eigenvalue = std::fmax(column.largest_eigenvalue, std::fmax(met.largest, quotients.values.back()));
  }
}

template <class T>
void BlockConjugateGradient<T>::correct(MatrixView<const T> residuals, const std::vector<double>& targets,
                                        MatrixView<T> corrections, std::vector<ColumnReport>& columns) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  const Index k = residuals.rows;
  reserve(k);
  kernels.combine(device, {0.0, {}, 0.0, corrections});
  kernels.combine(device, {1.0, residuals, 0.0, block_.basis.rows_from(0, k)});
  std::vector<bool> is_open;  // and above its target
  for (const ColumnReport& column : columns) is_open.push_back(is_running(column));

  // What is left of the same right-hand sides goes on with the directions of the last rounds.
  if (std::none_of(columns.begin(), columns.end(), [](const ColumnReport& column) { return column.refinements > 0; })) {
    kept_.clear();
    kept_rows_ = 0;
  }
  project(identity(k), corrections);
  SmallMatrix c = orthonormalize(k);  // [m][k]
  if (c.rows > 0) kernels.combine(device, {1.0, block_.basis.rows_from(0, c.rows), 0.0, block_.directions.rows_from(0, c.rows)});
  conjugate(c.rows);
  Quotients met;
  for (Index step = 0;; ++step) {
    const Index m = c.rows;
    double share = 1;
    bool is_finite = true;
    for (std::size_t j = 0; j < columns.size(); ++j) {
      if (!is_open[j]) continue;
      double squares = 0;
      for (Index i = 0; i < m; ++i) squares += c(i, static_cast<Index>(j)) * c(i, static_cast<Index>(j));
      const double target = std::max(targets[j], kReachable<T>), norm = std::sqrt(squares);
      is_finite = is_finite && std::isfinite(norm);
      if (norm <= target) is_open[j] = false;
      else if (target < 1) share = std::min(share, std::clamp(std::log(norm) / std::log(target), 0.0, 1.0));
    }
    if (!is_finite)
      for (ColumnReport& column : columns)
        if (is_running(column)) column.status = ColumnStatus::not_finite;
    if (!is_finite || m == 0 || std::find(is_open.begin(), is_open.end(), true) == is_open.end()) return;
    if (look_) look_(share);
    if (step == max_iterations_) break;

    const MatrixView<T> p = block_.directions.rows_from(0, m), w = block_.products.rows_from(0, m);
    hessian_.apply(p, w);
    const SmallMatrix curvature = gram(p, w), alpha = inverse_of_definite(curvature);
    meet(curvature, met);
    if (alpha.rows == 0) return refuse(curvature, met, columns);
    for (std::size_t j = 0; j < columns.size(); ++j) {
      if (!is_open[j]) continue;
      ++columns[j].iterations;
      columns[j].smallest_rayleigh = std::fmin(columns[j].smallest_rayleigh, met.smallest);
    }
    combine(transposed(alpha * c), p, 1, corrections);  // X += P α C
    combine(negative(alpha), w, 1, block_.basis.rows_from(0, m));  // Q − W α
    keep(alpha);
    project(c, corrections);
    const SmallMatrix s = orthonormalize(m);  // its new basis, [m′][m]
    c = s * c;
    if (s.rows == 0) continue;
    combine(s, p, 0, block_.products.rows_from(0, s.rows));  // P′ = Q′ + S P
    std::swap(block_.directions, block_.products);
    kernels.combine(device, {1.0, block_.basis.rows_from(0, s.rows), 1.0, block_.directions.rows_from(0, s.rows)});
    conjugate(s.rows);
  }
  for (std::size_t j = 0; j < columns.size(); ++j)
    if (is_open[j]) columns[j].status = ColumnStatus::iteration_limit;
}

template <class T>
std::unique_ptr<Solver> make_block_conjugate_gradient(Objective<T>& fast, Objective<double>& exact, double damping,
                                                      double tolerance, Index max_iterations, Progress progress) {
  auto inner = std::make_unique<BlockConjugateGradient<T>>(HessianOperator<T>(fast, damping), max_iterations);
  return std::make_unique<CertifiedSolver<T>>(HessianOperator<double>(exact, damping), std::move(inner), tolerance,
                                              std::move(progress));
}

template class BlockConjugateGradient<float>;
template class BlockConjugateGradient<double>;
template std::unique_ptr<Solver> make_block_conjugate_gradient(Objective<float>&, Objective<double>&, double, double,
                                                               Index, Progress);
template std::unique_ptr<Solver> make_block_conjugate_gradient(Objective<double>&, Objective<double>&, double, double,
                                                               Index, Progress);

}  // namespace clout
