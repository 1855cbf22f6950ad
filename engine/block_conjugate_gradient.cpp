#include <algorithm>
#include <clout/engine/block_conjugate_gradient.hpp>
#include <clout/engine/small_matrix.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>
#include <limits>

namespace clout {
namespace {

// Directions of a block smaller than this part of the largest are rounding of the working precision, or of the squares
// by which the basis is found.
template <class T>
constexpr double kDependent = 1e-7;
template <>
constexpr double kDependent<float> = 2e-6;

constexpr Index kKeptSteps = BlockGradientState::kKeptSteps;

bool is_running(const ColumnReport& column) { return column.status == ColumnStatus::running; }

template <class V>
void write(Device& device, V* to, const std::vector<V>& values) {
  device.copy_to_device(to, values.data(), values.size() * sizeof(V));
}

}  // namespace

template <class T>
void BlockConjugateGradient<T>::carve(Workspace& w, Block& block, Index width) const {
  for (MatrixView<T>* view : {&block.basis, &block.directions, &block.products, &block.room})
    *view = w.matrix<T>(width, hessian_.size());
  for (MatrixView<T>* view : {&block.kept_p, &block.kept_w}) *view = w.matrix<T>(kKeptSteps * width, hessian_.size());
  BlockGradientState& small = block.small;
  for (double** square : {&small.coefficients, &small.curvature, &small.lengths, &small.work, &small.factor, &small.inverse,
                          &small.step})
    *square = w.matrix<double>(width, width).data;
  for (double** wide : {&small.gram, &small.to_corrections, &small.to_block, &small.kept_inverses})
    *wide = w.matrix<double>(width, kKeptSteps * width).data;
  for (double** column : {&small.norms, &small.targets}) *column = w.matrix<double>(1, width).data;
  for (std::int32_t** column : {&small.status, &small.iterations}) *column = w.matrix<std::int32_t>(1, width).data;
  for (std::int32_t** one : {&small.kept, &small.moves}) *one = w.matrix<std::int32_t>(1, 1).data;
  small.quotients = w.matrix<double>(1, 2).data;
  small.least = kDependent<T>;
}

template <class T>
std::size_t BlockConjugateGradient<T>::scratch(Index width, const void* planned) const {
  const std::size_t products = &hessian_.objective() == planned ? 0 : hessian_.scratch(width);
  if (width <= width_) return products;
  Block block;
  return products + Workspace::plan([&](Workspace& w) { carve(w, block, width); }) - memory_.size();
}

template <class T>
void BlockConjugateGradient<T>::reserve(Index width) {
  hessian_.reserve(width);
  if (width <= width_) return;
  loop_.reset();
  memory_ = {};  // given back first, so that the two are never held together
  width_ = 0;
  memory_ = Workspace(hessian_.device(), [&](Workspace& w) { carve(w, block_, width); });
  width_ = width;
  kept_width_ = 0;
}

template <class T>
void BlockConjugateGradient<T>::products_of(MatrixView<const T> a, MatrixView<const T> b, double* out) {
  Device& device = hessian_.device();
  device.kernels<T>().block_products(device, {a, b, out});
}

template <class T>
typename BlockConjugateGradient<T>::Block BlockConjugateGradient<T>::begin(MatrixView<const T> residuals,
                                                                           const std::vector<double>& targets,
                                                                           MatrixView<T> corrections,
                                                                           const std::vector<ColumnReport>& columns) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  const Index k = residuals.rows;
  Block block = block_;
  block.x = corrections;
  for (MatrixView<T>* view : {&block.basis, &block.directions, &block.products, &block.room}) *view = view->rows_from(0, k);
  block.small.rank = block.small.columns = k;
  kernels.combine(device, {0.0, {}, 0.0, corrections});
  kernels.combine(device, {1.0, residuals, 0.0, block.basis});

  std::vector<std::int32_t> status;
  std::vector<double> goals, identity(static_cast<std::size_t>(k * k));
  for (std::size_t j = 0; j < columns.size(); ++j) {
    status.push_back(static_cast<std::int32_t>(columns[j].status));
    goals.push_back(std::max(targets[j], kReachable<T>));
    identity[j * (columns.size() + 1)] = 1;
  }
  write(device, block.small.status, status);
  write(device, block.small.targets, goals);
  write(device, block.small.coefficients, identity);
  write(device, block.small.iterations, std::vector<std::int32_t>(columns.size(), 0));
  write(device, block.small.moves, std::vector<std::int32_t>{0});
  const double infinity = std::numeric_limits<double>::infinity();
  write(device, block.small.quotients, std::vector<double>{infinity, -infinity});
  return block;
}

template <class T>
void BlockConjugateGradient<T>::forget(const Block& block) {
  Device& device = hessian_.device();
  kept_width_ = 0;
  for (const MatrixView<T>& view : {block.kept_p, block.kept_w})
    device.kernels<T>().combine(device, {0.0, {}, 0.0, view});
  write(device, block.small.kept, std::vector<std::int32_t>{0});
  write(device, block.small.kept_inverses, std::vector<double>(static_cast<std::size_t>(kKeptSteps * width_ * width_)));
}

template <class T>
void BlockConjugateGradient<T>::pack(Block& block) {
  Device& device = hessian_.device();
  const Index k = block.small.rank;
  const auto step = read(device, block.small.step, k * k);
  const auto coefficients = read(device, block.small.coefficients, k * block.small.columns);
  std::vector<double> left;
  Index m = 0;
  for (Index i = 0; i < k; ++i) {
    if (step[static_cast<std::size_t>(i * k + i)] == 0) continue;
    if (i != m)
      device.kernels<T>().combine(device, {1.0, block.basis.rows_from(i, 1), 0.0, block.basis.rows_from(m, 1)});
    const auto row = coefficients.begin() + i * block.small.columns;
    left.insert(left.end(), row, row + block.small.columns);
    ++m;
  }
  write(device, block.small.coefficients, left);
  block.small.rank = m;
  for (MatrixView<T>* view : {&block.basis, &block.directions, &block.products, &block.room}) *view = view->rows_from(0, m);
}

template <class T>
void BlockConjugateGradient<T>::move(const Block& block) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  const BlockGradientState& small = block.small;
  products_of(block.directions, block.products, small.curvature);
  products_of(block.directions, block.directions, small.lengths);
  // PᵀQ is 1 but for rounding. Where directions are little else, made conjugate to what is kept, it keeps steps in bounds.
  products_of(block.directions, block.basis, small.gram);
  kernels.block_step(device, small);
  kernels.block_combine(device, {block.directions, small.to_corrections, 1, block.x});  // X += P α C
  kernels.block_combine(device, {block.products, small.to_block, 1, block.basis});      // Q − W α
  kernels.block_keep(device, {block.directions, block.products, block.kept_p, block.kept_w, small});
}

template <class T>
void BlockConjugateGradient<T>::project(const Block& block) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  products_of(block.basis, block.kept_p, block.small.gram);
  kernels.block_along(device, block.small);
  kernels.block_combine(device, {block.kept_p, block.small.to_corrections, 1, block.x});
  kernels.block_combine(device, {block.kept_w, block.small.to_block, 1, block.basis});
}

template <class T>
void BlockConjugateGradient<T>::orthonormalize(const Block& block) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  products_of(block.basis, block.basis, block.small.gram);
  kernels.block_basis(device, block.small);
  kernels.block_combine(device, {block.basis, block.small.inverse, 0, block.room});
  // Squares of numbers that differ by 1e7 have lost orthogonality; those of a basis that is nearly one do not. What has lost
  // most of its length there was rounding in the first place.
  products_of(block.room, block.room, block.small.gram);
  kernels.block_advance(device, block.small);
  kernels.block_combine(device, {block.room, block.small.inverse, 0, block.basis});
}

template <class T>
void BlockConjugateGradient<T>::conjugate(const Block& block) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  products_of(block.directions, block.kept_w, block.small.gram);
  kernels.block_along(device, block.small);
  kernels.block_combine(device, {block.kept_p, block.small.to_block, 1, block.directions});
}

template <class T>
void BlockConjugateGradient<T>::step(const Block& block) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  hessian_.multiply(block.directions, block.products);
  move(block);
  project(block);
  orthonormalize(block);
  kernels.block_combine(device, {block.directions, block.small.step, 0, block.room});  // P′ = Q′ + S P
  kernels.combine(device, {1.0, block.room, 0.0, block.directions});
  kernels.combine(device, {1.0, block.basis, 1.0, block.directions});
  conjugate(block);
}

template <class T>
void BlockConjugateGradient<T>::show_loop(const Block& block) {
  const auto is_same = [&](const Block& other) {
    return other.x.data == block.x.data && other.small.rank == block.small.rank &&
           other.small.columns == block.small.columns && other.small.kept_width == block.small.kept_width;
  };
  if (loop_ && is_same(shown_)) return;
  loop_.reset();
  // A step beyond the end would overwrite what refuse() reads.
  loop_ = make_loop(hessian_.device(), block.small.status, block.small.columns, [this, block] { step(block); },
                    hessian_.objective().can_record(), 1);
  shown_ = block;
}

template <class T>
typename BlockConjugateGradient<T>::Block BlockConjugateGradient<T>::run(MatrixView<const T> residuals,
                                                                         const std::vector<double>& targets,
                                                                         MatrixView<T> corrections,
                                                                         const std::vector<ColumnReport>& columns,
                                                                         bool goes_on) {
  Device& device = hessian_.device();
  Block block = begin(residuals, targets, corrections, columns);
  if (!goes_on) forget(block_);
  const auto resize_slots = [&](Index width) {
    kept_width_ = block.small.kept_width = width;
    for (MatrixView<T>* view : {&block.kept_p, &block.kept_w}) *view = view->rows_from(0, kKeptSteps * width);
  };
  if (goes_on) {
    resize_slots(kept_width_);
    project(block);
  }
  orthonormalize(block);
  pack(block);
  if (block.small.rank == 0) return block;
  if (!goes_on) resize_slots(block.small.rank);
  device.kernels<T>().combine(device, {1.0, block.basis, 0.0, block.directions});
  if (goes_on) conjugate(block);
  show_loop(block);
  const auto look = [&] {
    if (look_) look_(share_done(block));
  };
  hessian_.count(run_with_looks(*loop_, max_iterations_, look) * block.small.rank);
  return block;
}

template <class T>
void BlockConjugateGradient<T>::correct(MatrixView<const T> residuals, const std::vector<double>& targets,
                                        MatrixView<T> corrections, std::vector<ColumnReport>& columns) {
  reserve(residuals.rows);
  // What is left of the same right-hand sides goes on with the directions of the last rounds.
  const bool goes_on = kept_width_ > 0 && std::any_of(columns.begin(), columns.end(), [](const ColumnReport& column) {
    return column.refinements > 0;
  });
  Block block = run(residuals, targets, corrections, columns, goes_on);
  // Where those hold nearly all there is, what is new is rounding, and may grow without end.
  if (goes_on && !failures(block, columns).empty()) block = run(residuals, targets, corrections, columns, false);
  const std::vector<std::size_t> failed = failures(block, columns);
  report(block, columns);
  if (columns.size() == 1) return;
  // A column that H does not curve for ends all that share its directions: each of them is looked at by itself.
  for (const std::size_t j : failed) {
    const auto row = static_cast<Index>(j);
    std::vector<ColumnReport> alone{columns[j]};
    alone[0].status = ColumnStatus::running;
    report(run(residuals.rows_from(row, 1), {targets[j]}, corrections.rows_from(row, 1), alone, false), alone);
    columns[j] = alone[0];
  }
  if (!failed.empty()) kept_width_ = 0;  // what is kept now is one column's
}

template <class T>
std::vector<std::size_t> BlockConjugateGradient<T>::failures(const Block& block, const std::vector<ColumnReport>& columns) {
  const auto outcomes = read(hessian_.device(), block.small.status, block.small.columns);
  std::vector<std::size_t> failed;
  for (std::size_t j = 0; j < columns.size(); ++j)
    if (is_running(columns[j]) && (outcomes[j] == static_cast<std::int32_t>(ColumnStatus::not_finite) ||
                                   outcomes[j] == static_cast<std::int32_t>(ColumnStatus::negative_curvature)))
      failed.push_back(j);
  return failed;
}

template <class T>
double BlockConjugateGradient<T>::share_done(const Block& block) {
  const BlockGradientState& small = block.small;
  const auto status = read(hessian_.device(), small.status, small.columns);
  const auto norms = read(hessian_.device(), small.norms, small.columns);
  const auto targets = read(hessian_.device(), small.targets, small.columns);
  double share = 1;
  for (std::size_t j = 0; j < status.size(); ++j)
    if (status[j] == static_cast<std::int32_t>(ColumnStatus::running) && targets[j] < 1)
      share = std::min(share, std::clamp(std::log(norms[j]) / std::log(targets[j]), 0.0, 1.0));
  return share;
}

template <class T>
void BlockConjugateGradient<T>::report(const Block& block, std::vector<ColumnReport>& columns) {
  Device& device = hessian_.device();
  const auto status = read(device, block.small.status, block.small.columns);
  const auto iterations = read(device, block.small.iterations, block.small.columns);
  const auto quotients = read(device, block.small.quotients, 2);
  bool is_refused = false;
  for (std::size_t j = 0; j < columns.size(); ++j) {
    ColumnReport& column = columns[j];
    if (!is_running(column)) continue;
    column.iterations += iterations[j];
    if (iterations[j] > 0) column.smallest_rayleigh = std::fmin(column.smallest_rayleigh, quotients[0]);
    const auto outcome = static_cast<ColumnStatus>(status[j]);
    // Converged here means: this correction is done. Whether the column is, the true residual decides.
    if (outcome == ColumnStatus::running) column.status = ColumnStatus::iteration_limit;
    else if (outcome != ColumnStatus::converged) column.status = outcome;
    is_refused = is_refused || outcome == ColumnStatus::negative_curvature;
  }
  if (is_refused) refuse(block, columns);
}

template <class T>
void BlockConjugateGradient<T>::refuse(const Block& block, std::vector<ColumnReport>& columns) {
  Device& device = hessian_.device();
  const Index m = block.small.rank;
  SmallMatrix curvature(m, m), lengths(m, m);
  curvature.values = read(device, block.small.curvature, m * m);
  lengths.values = read(device, block.small.lengths, m * m);
  const double met = read(device, block.small.quotients, 2)[1];
  // In an orthonormal basis of the span of the directions, each of length 1: L⁻¹ᐟ² V G Vᵀ L⁻¹ᐟ².
  std::vector<double> scale(static_cast<std::size_t>(m));
  for (Index i = 0; i < m; ++i) scale[static_cast<std::size_t>(i)] = lengths(i, i) > 0 ? 1 / std::sqrt(lengths(i, i)) : 0;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j) {
      const double both = scale[static_cast<std::size_t>(i)] * scale[static_cast<std::size_t>(j)];
      lengths(i, j) *= both;
      curvature(i, j) *= both;
    }
  const SymmetricEigen spread = symmetric_eigen(std::move(lengths));
  const double least = BlockGradientState::kDependent;
  const Index first = std::upper_bound(spread.values.begin(), spread.values.end(), least) - spread.values.begin();
  SmallMatrix basis(m - first, m);
  for (Index i = 0; i < basis.rows; ++i)
    for (Index j = 0; j < m; ++j)
      basis(i, j) = spread.vectors(first + i, j) / std::sqrt(spread.values[static_cast<std::size_t>(first + i)]);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> quotients{nan};
  if (basis.rows > 0) quotients = symmetric_eigen(basis * curvature * transposed(basis)).values;
  for (ColumnReport& column : columns) {
    if (column.status != ColumnStatus::negative_curvature) continue;
    if (!std::isfinite(quotients.front())) column.status = ColumnStatus::not_finite;
    column.smallest_rayleigh = std::fmin(column.smallest_rayleigh, quotients.front());
    column.largest_eigenvalue = std::fmax(column.largest_eigenvalue, std::fmax(met, quotients.back()));
  }
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
