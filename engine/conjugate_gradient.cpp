#include <lapack.h>

#include <algorithm>
#include <clout/engine/conjugate_gradient.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

// How often the host reads the columns' states; more often would make a GPU wait, less often wastes products.
constexpr Index kCheckEvery = 4;

// Below this relative residual single-precision CG only moves rounding around.
template <class T>
constexpr double kReachable = 0;
template <>
constexpr double kReachable<float> = 3e-6;

bool any_running(const std::vector<std::int32_t>& status) {
  return std::any_of(status.begin(), status.end(),
                     [](std::int32_t s) { return s == static_cast<std::int32_t>(ColumnStatus::running); });
}

template <class V>
std::vector<V> read(Device& device, const V* data, Index count) {
  std::vector<V> host(static_cast<std::size_t>(count));
  device.copy_to_host(host.data(), data, host.size() * sizeof(V));
  return host;
}

}  // namespace

template <class T>
void ConjugateGradient<T>::reserve(Index width) {
  if (width <= scratch_.width) return;
  const Index p = hessian_.size();
  ConjugateGradientState<T>& s = scratch_.state;
  scratch_.memory = Workspace(hessian_.device(), [&](Workspace& w) {
    s.r = w.matrix<T>(width, p);
    s.p = w.matrix<T>(width, p);
    s.q = w.matrix<T>(width, p);
    s.rho = w.matrix<double>(1, width).data;
    s.target = w.matrix<double>(1, width).data;
    s.curvature = w.matrix<double>(1, width).data;
    s.smallest_rayleigh = w.matrix<double>(1, width).data;
    s.status = w.matrix<std::int32_t>(1, width).data;
    s.iterations = w.matrix<std::int32_t>(1, width).data;
    s.alpha_history = w.matrix<double>(max_iterations_, width).data;
    s.beta_history = w.matrix<double>(max_iterations_, width).data;
  });
  s.max_iterations = max_iterations_;
  scratch_.width = width;
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

  kernels.cg_start(device, state);
  status = read(device, state.status, k);
  for (Index iteration = 0; iteration < max_iterations_ && any_running(status); ++iteration) {
    hessian_.apply(state.p, state.q);   // q = (H + damping·I) p
    kernels.cg_advance(device, state);  // α = ρ / pᵀq;  x += α p;  r −= α q
    kernels.cg_direct(device, state);   // β = rᵀr / ρ;  p = r + β p
    if ((iteration + 1) % kCheckEvery == 0) status = read(device, state.status, k);
  }
  report(state, columns);
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

    std::vector<double> a, b;
    for (Index i = 0; i < iterations[j]; ++i) {
      a.push_back(alpha[static_cast<std::size_t>(i * k) + j]);
      b.push_back(beta[static_cast<std::size_t>(i * k) + j]);
    }
    if (a.empty()) continue;
    const RitzEstimates ritz = ritz_estimates(a, b);
    column.smallest_eigenvalue = std::fmin(column.smallest_eigenvalue, ritz.smallest);
    column.largest_eigenvalue = std::fmax(column.largest_eigenvalue, ritz.largest);
  }
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
                                                double tolerance, Index max_iterations, Progress progress) {
  auto inner = std::make_unique<ConjugateGradient<T>>(HessianOperator<T>(fast, damping), max_iterations);
  return std::make_unique<CertifiedSolver<T>>(HessianOperator<double>(exact, damping), std::move(inner), tolerance,
                                              std::move(progress));
}

template class ConjugateGradient<float>;
template class ConjugateGradient<double>;
template std::unique_ptr<Solver> make_conjugate_gradient(Objective<float>&, Objective<double>&, double, double, Index,
                                                         Progress);
template std::unique_ptr<Solver> make_conjugate_gradient(Objective<double>&, Objective<double>&, double, double, Index,
                                                         Progress);

}  // namespace clout
