#include <lapack.h>

#include <algorithm>
#include <clout/engine/conjugate_gradient.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>
#include <limits>

namespace clout {
namespace {

// Iterations between two looks of the host where the loop is its own.
constexpr Index kCheckEvery = 4;

}  // namespace

template <class T>
void ConjugateGradient<T>::carve(Workspace& w, ConjugateGradientState<T>& state, Index width) const {
  state.r = w.matrix<T>(width, hessian_.size());
  state.p = w.matrix<T>(width, hessian_.size());
  state.q = w.matrix<T>(width, hessian_.size());
  state.rho = w.matrix<double>(1, width).data;
  state.target = w.matrix<double>(1, width).data;
  state.curvature = w.matrix<double>(1, width).data;
  state.smallest_rayleigh = w.matrix<double>(1, width).data;
  state.status = w.matrix<std::int32_t>(1, width).data;
  state.iterations = w.matrix<std::int32_t>(1, width).data;
  state.alpha_history = w.matrix<double>(max_iterations_, width).data;
  state.beta_history = w.matrix<double>(max_iterations_, width).data;
  state.max_iterations = max_iterations_;
  if (preconditioner_) {
    state.z = w.matrix<T>(width, hessian_.size());
    state.squares = w.matrix<double>(1, width).data;
  }
  const Index kept = width * state.kKept;
  state.kept_p = w.matrix<T>(kept, hessian_.size()).data;
  state.kept_q = w.matrix<T>(kept, hessian_.size()).data;
  state.kept_curvature = w.matrix<double>(1, kept).data;
  state.kept = w.matrix<std::int32_t>(1, width).data;
}

template <class T>
std::size_t ConjugateGradient<T>::scratch(Index width, const void* planned) const {
  const std::size_t products = (&hessian_.objective() == planned ? 0 : hessian_.scratch(width)) +
                               (preconditioner_ ? preconditioner_->scratch(width) : 0);
  if (width <= scratch_.width) return products;
  ConjugateGradientState<T> state;
  return products + Workspace::plan([&](Workspace& w) { carve(w, state, width); }) - scratch_.memory.size();
}

template <class T>
void ConjugateGradient<T>::reserve(Index width) {
  if (preconditioner_) preconditioner_->reserve(width);
  hessian_.reserve(width);
  if (width <= scratch_.width) return;
  loop_.reset();
  scratch_.memory = {};  // given back first, so that the two are never held together
  scratch_.width = 0;
  scratch_.memory = Workspace(hessian_.device(), [&](Workspace& w) { carve(w, scratch_.state, width); });
  scratch_.width = width;
}

template <class T>
void ConjugateGradient<T>::show_loop(const ConjugateGradientState<T>& state) {
  if (loop_ && loop_x_.data == state.x.data && loop_x_.rows == state.x.rows) return;
  Device& device = hessian_.device();
  const auto iteration = [this, state, &device, &kernels = device.kernels<T>()] {
    hessian_.multiply(state.p, state.q);  // q = (H + damping·I) p
    kernels.cg_advance(device, state);    // α = ρ / pᵀq;  x += α p;  r −= α q
    if (preconditioner_) preconditioner_->apply(state.r, state.z);
    kernels.cg_direct(device, state);     // z = P⁻¹r;  β = rᵀz / ρ;  p = z + β p
  };
  loop_.reset();
  loop_ = make_loop(device, state.status, state.x.rows, iteration,
                    hessian_.objective().can_record() && (!preconditioner_ || preconditioner_->can_record()), kCheckEvery);
  loop_x_ = state.x;
}

template <class T>
void ConjugateGradient<T>::iterate(const ConjugateGradientState<T>& state, const std::vector<double>& targets) {
  show_loop(state);
  const auto look = [&] {
    if (look_) look_(share_done(state, targets));
  };
  hessian_.count(run_with_looks(*loop_, max_iterations_, look) * state.x.rows);
}

template <class T>
double ConjugateGradient<T>::share_done(const ConjugateGradientState<T>& state,
                                        const std::vector<double>& targets) const {
  const auto status = read(hessian_.device(), state.status, state.x.rows);
  const auto squares = read(hessian_.device(), preconditioner_ ? state.squares : state.rho, state.x.rows);
  double least = 1;
  for (std::size_t j = 0; j < targets.size(); ++j)
    if (status[j] == static_cast<std::int32_t>(ColumnStatus::running) && targets[j] > 0 && targets[j] < 1)
      least = std::min(least, std::max(0.0, 0.5 * std::log(squares[j]) / std::log(targets[j])));
  return least;
}

template <class T>
void ConjugateGradient<T>::correct(MatrixView<const T> residuals, const std::vector<double>& targets,
                                   MatrixView<T> corrections, std::vector<ColumnReport>& columns) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  const Index k = residuals.rows;
  reserve(k);
  ConjugateGradientState<T> state = scratch_.state;
  state.x = corrections;
  for (MatrixView<T>* view : {&state.r, &state.p, &state.q}) *view = view->rows_from(0, k);
  if (preconditioner_) state.z = state.z.rows_from(0, k);

  std::vector<std::int32_t> status(columns.size());
  std::vector<double> goals(targets);
  for (std::size_t j = 0; j < columns.size(); ++j) {
    status[j] = static_cast<std::int32_t>(columns[j].status);
    goals[j] = std::max(goals[j], kReachable<T>);
  }
  device.copy_to_device(state.status, status.data(), status.size() * sizeof(status[0]));
  device.copy_to_device(state.target, goals.data(), goals.size() * sizeof(double));
  kernels.combine(device, {0.0, {}, 0.0, state.x});
  kernels.combine(device, {0.0, {}, 0.0, state.p});
  kernels.combine(device, {1.0, residuals, 0.0, state.r});

  // Residuals that the last corrections left go on with the directions of those. Of others there is nothing to start from.
  const bool goes_on = std::any_of(columns.begin(), columns.end(), [](const ColumnReport& c) { return c.refinements > 0; });
  ConjugateGradientState<T> first = state;
  if (goes_on) {
    kernels.cg_project(device, state);
  } else {
    const std::vector<std::int32_t> none(columns.size(), 0);
    device.copy_to_device(state.kept, none.data(), none.size() * sizeof(none[0]));
    first.kept = nullptr;
  }
  if (preconditioner_) preconditioner_->apply(state.r, state.z);
  kernels.cg_start(device, first);
  iterate(state, goals);
  report(state, columns);
}

template <class T>
double ConjugateGradient<T>::largest_kept_quotient(const ConjugateGradientState<T>& state, Index column) const {
  Device& device = hessian_.device();
  const Index count = read(device, state.kept + column, 1)[0], first = column * state.kKept;
  double largest = std::numeric_limits<double>::quiet_NaN();
  if (count == 0) return largest;
  const auto norms = row_norms<T>(device, {state.kept_p + first * hessian_.size(), count, hessian_.size()});
  const auto curvatures = read(device, state.kept_curvature + first, count);
  for (std::size_t i = 0; i < norms.size(); ++i) largest = std::fmax(largest, curvatures[i] / (norms[i] * norms[i]));
  return largest;
}

template <class T>
void ConjugateGradient<T>::report(const ConjugateGradientState<T>& state, std::vector<ColumnReport>& columns) const {
  Device& device = hessian_.device();
  const Index k = state.x.rows;
  const auto status = read(device, state.status, k);
  const auto iterations = read(device, state.iterations, k);
  const auto rayleigh = read(device, state.smallest_rayleigh, k);
  Index steps = 0;  // of the columns that were started: the others' memory says nothing
  for (std::size_t j = 0; j < columns.size(); ++j)
    if (columns[j].status == ColumnStatus::running) steps = std::max<Index>(steps, iterations[j]);
  const auto alpha = read(device, state.alpha_history, steps * k);
  const auto beta = read(device, state.beta_history, steps * k);
  for (std::size_t j = 0; j < columns.size(); ++j) {
    ColumnReport& column = columns[j];
    if (column.status != ColumnStatus::running) continue;
    column.iterations += iterations[j];
    column.smallest_rayleigh = std::min(column.smallest_rayleigh, rayleigh[j]);
    const auto outcome = static_cast<ColumnStatus>(status[j]);
    // Converged here means: this correction is done. Whether the column is, the true residual decides.
    if (outcome == ColumnStatus::running) column.status = ColumnStatus::iteration_limit;
    else if (outcome != ColumnStatus::converged) column.status = outcome;
    if (preconditioner_ && outcome == ColumnStatus::negative_curvature)
      column.largest_eigenvalue = std::fmax(column.largest_eigenvalue, largest_kept_quotient(state, static_cast<Index>(j)));

    std::vector<double> a, b;
    for (Index i = 0; i < iterations[j]; ++i) {
      a.push_back(alpha[static_cast<std::size_t>(i * k) + j]);
      b.push_back(beta[static_cast<std::size_t>(i * k) + j]);
    }
    if (a.empty() || preconditioner_) continue;  // of P⁻¹H they would be, not of H
    const RitzEstimates ritz = ritz_estimates(a, b);
    column.smallest_eigenvalue = std::fmin(column.smallest_eigenvalue, ritz.smallest);
    column.largest_eigenvalue = std::fmax(column.largest_eigenvalue, ritz.largest);
  }
}

template <class T>
void ConjugateGradient<T>::describe(SolveReport& report) const {
  if (!preconditioner_) return;
  report.preconditioner = preconditioner_->description();
  report.preconditioner_products = preconditioner_->products();
}

RitzEstimates ritz_estimates(const std::vector<double>& alpha, const std::vector<double>& beta) {
  // T_ii = 1/α_i + β_{i−1}/α_{i−1},  T_{i,i+1} = √β_i / α_i.
  const std::size_t m = alpha.size();
  std::vector<double> diagonal(m), off_diagonal(m);
  for (std::size_t i = 0; i < m; ++i) {
    diagonal[i] = 1 / alpha[i] + (i > 0 ? beta[i - 1] / alpha[i - 1] : 0.0);
    off_diagonal[i] = std::sqrt(std::max(beta[i], 0.0)) / alpha[i];
  }
  const lapack_int order = static_cast<lapack_int>(m);
  lapack_int info = 0;
  LAPACK_dsterf(&order, diagonal.data(), off_diagonal.data(), &info);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (info != 0) return {nan, nan};
  return {diagonal.front(), diagonal.back()};
}

template <class T>
std::unique_ptr<Solver> make_conjugate_gradient(Objective<T>& fast, Objective<double>& exact, double damping,
                                                double tolerance, Index max_iterations, Progress progress,
                                                std::shared_ptr<Preconditioner<T>> preconditioner) {
  auto inner = std::make_unique<ConjugateGradient<T>>(HessianOperator<T>(fast, damping), max_iterations,
                                                      std::move(preconditioner));
  return std::make_unique<CertifiedSolver<T>>(HessianOperator<double>(exact, damping), std::move(inner), tolerance,
                                              std::move(progress));
}

template class ConjugateGradient<float>;
template class ConjugateGradient<double>;
template std::unique_ptr<Solver> make_conjugate_gradient(Objective<float>&, Objective<double>&, double, double, Index,
                                                         Progress, std::shared_ptr<Preconditioner<float>>);
template std::unique_ptr<Solver> make_conjugate_gradient(Objective<double>&, Objective<double>&, double, double, Index,
                                                         Progress, std::shared_ptr<Preconditioner<double>>);

}  // namespace clout
