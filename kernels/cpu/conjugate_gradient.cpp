#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/reductions.hpp>
#include <cmath>
#include <limits>

namespace clout::cpu {
namespace {

// body(j) for the columns that run; all others stay as they are.
template <class T, class Body>
void for_each_running(const Device& device, const ConjugateGradientState<T>& state, Body&& body) {
  parallel_tasks(device, state.x.rows, [&](Index j, int) {
    if (state.status[j] == static_cast<std::int32_t>(ColumnStatus::running)) body(j);
  });
}

template <class T>
void settle(const ConjugateGradientState<T>& state, Index j, ColumnStatus status) {
  state.status[j] = static_cast<std::int32_t>(status);
}

// y ← y + a·x, in double and rounded once.
template <class T>
void add_scaled(double a, const T* x, T* y, Index size) {
  for (Index i = 0; i < size; ++i) y[i] = static_cast<T>(static_cast<double>(y[i]) + a * static_cast<double>(x[i]));
}

}  // namespace

// p = r;  ρ = rᵀr.  2kp flops; bound by memory, as are the steps below.
template <class T>
void cg_start(Device& device, const ConjugateGradientState<T>& state) {
  for_each_running(device, state, [&](Index j) {
    const Index size = state.r.columns;
    std::copy_n(state.r.row(j), size, state.p.row(j));
    const double rho = dot(state.r.row(j), state.r.row(j), size);
    state.rho[j] = rho;
    state.smallest_rayleigh[j] = std::numeric_limits<double>::infinity();
    state.iterations[j] = 0;
    if (!std::isfinite(rho)) settle(state, j, ColumnStatus::not_finite);
    else if (std::sqrt(rho) <= state.target[j]) settle(state, j, ColumnStatus::converged);
  });
}

// α = ρ / pᵀq;  x += α p;  r −= α q.  8kp flops.
template <class T>
void cg_advance(Device& device, const ConjugateGradientState<T>& state) {
  for_each_running(device, state, [&](Index j) {
    const Index size = state.p.columns;
    const double curvature = dot(state.p.row(j), state.q.row(j), size);
    const double squared = dot(state.p.row(j), state.p.row(j), size);
    state.curvature[j] = curvature;
    if (!std::isfinite(curvature) || !std::isfinite(squared)) return settle(state, j, ColumnStatus::not_finite);
    state.smallest_rayleigh[j] = std::min(state.smallest_rayleigh[j], curvature / squared);
    if (curvature <= 0) return settle(state, j, ColumnStatus::negative_curvature);
    const double alpha = state.rho[j] / curvature;
    if (!std::isfinite(alpha)) return settle(state, j, ColumnStatus::not_finite);
    add_scaled(alpha, state.p.row(j), state.x.row(j), size);
    add_scaled(-alpha, state.q.row(j), state.r.row(j), size);
  });
}

// ρ′ = rᵀr;  p = r + (ρ′/ρ) p.  4kp flops.
template <class T>
void cg_direct(Device& device, const ConjugateGradientState<T>& state) {
  for_each_running(device, state, [&](Index j) {
    const Index size = state.r.columns, k = state.x.rows;
    const double rho = state.rho[j], next = dot(state.r.row(j), state.r.row(j), size), beta = next / rho;
    const Index iteration = state.iterations[j]++;
    if (iteration < state.max_iterations) {
      if (state.alpha_history) state.alpha_history[iteration * k + j] = rho / state.curvature[j];
      if (state.beta_history) state.beta_history[iteration * k + j] = beta;
    }
    state.rho[j] = next;
    if (!std::isfinite(next)) return settle(state, j, ColumnStatus::not_finite);
    if (std::sqrt(next) <= state.target[j]) return settle(state, j, ColumnStatus::converged);
    const T* r = state.r.row(j);
    T* p = state.p.row(j);
    for (Index i = 0; i < size; ++i)
      p[i] = static_cast<T>(static_cast<double>(r[i]) + beta * static_cast<double>(p[i]));
  });
}

template void cg_start(Device&, const ConjugateGradientState<float>&);
template void cg_start(Device&, const ConjugateGradientState<double>&);
template void cg_advance(Device&, const ConjugateGradientState<float>&);
template void cg_advance(Device&, const ConjugateGradientState<double>&);
template void cg_direct(Device&, const ConjugateGradientState<float>&);
template void cg_direct(Device&, const ConjugateGradientState<double>&);

}  // namespace clout::cpu
