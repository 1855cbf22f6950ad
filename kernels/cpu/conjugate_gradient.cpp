#include <algorithm>
#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/reductions.hpp>
#include <cmath>
#include <limits>

namespace clout::cpu {
namespace {

// Quotients of Rayleigh below this part of another are rounding of a product.
template <class T>
constexpr double kFlat = 64 * static_cast<double>(std::numeric_limits<T>::epsilon());

template <class T>
bool runs(const ConjugateGradientState<T>& state, Index j) {
  return state.status[j] == static_cast<std::int32_t>(ColumnStatus::running);
}

// body(j) for the columns that run; all others stay as they are.
template <class T, class Body>
void for_each_running(const Device& device, const ConjugateGradientState<T>& state, Body&& body) {
  parallel_tasks(device, state.x.rows, [&](Index j, int) {
    if (runs(state, j)) body(j);
  });
}

template <class T>
void settle(const ConjugateGradientState<T>& state, Index j, ColumnStatus status) {
  state.status[j] = static_cast<std::int32_t>(status);
}

template <class T>
const T* preconditioned(const ConjugateGradientState<T>& state, Index j) {
  return state.z.rows > 0 ? state.z.row(j) : state.r.row(j);
}

// Where a column stands with its ρ and its r.
template <class T>
ColumnStatus judge(const ConjugateGradientState<T>& state, Index j) {
  const double rho = state.rho[j];
  if (state.squares) state.squares[j] = dot(state.r.row(j), state.r.row(j), state.r.columns);
  const double squares = state.squares ? state.squares[j] : rho;
  if (!std::isfinite(rho) || !std::isfinite(squares)) return ColumnStatus::not_finite;
  if (std::sqrt(squares) <= state.target[j]) return ColumnStatus::converged;
  return rho > 0 ? ColumnStatus::running : ColumnStatus::stagnated;  // P⁻¹ is no longer definite to rounding
}

// y ← y + a·x, in double and rounded once.
template <class T>
void add_scaled(double a, const T* x, T* y, Index size) {
  for (Index i = 0; i < size; ++i) y[i] = static_cast<T>(static_cast<double>(y[i]) + a * static_cast<double>(x[i]));
}

// out ← out + a Σ c_i v_i over `count` vectors, rows of v: in double and rounded once.
template <class T>
void add_kept(double a, const double* c, const T* v, Index count, T* out, Index size) {
  constexpr Index kTile = 256;
  for (Index first = 0; first < size; first += kTile) {
    const Index length = std::min(kTile, size - first);
    double sums[kTile] = {};
    for (Index i = 0; i < count; ++i)
      for (Index at = 0; at < length; ++at) sums[at] += c[i] * static_cast<double>(v[i * size + first + at]);
    for (Index at = 0; at < length; ++at)
      out[first + at] = static_cast<T>(static_cast<double>(out[first + at]) + a * sums[at]);
  }
}

// c_i = v_iᵀy / p_iᵀq_i for the kept p_i or q_i of column j; returns their number.
template <class T>
Index along_kept(const ConjugateGradientState<T>& state, Index j, const T* v, const T* y, double* c) {
  for (Index i = 0; i < state.kept[j]; ++i)
    c[i] = dot(v + i * state.p.columns, y, state.p.columns) / state.kept_curvature[j * state.kKept + i];
  return state.kept[j];
}

// c = D⁻¹Pᵀr;  x += P c;  r −= Q c, which leaves Pᵀr = 0.  8mp flops for m kept directions.
template <class T>
void project(const ConjugateGradientState<T>& state, Index j) {
  if (!state.kept) return;
  const Index size = state.p.columns, at = j * state.kKept * size;
  double c[ConjugateGradientState<T>::kKept];
  const Index count = along_kept(state, j, state.kept_p + at, state.r.row(j), c);
  add_kept(1, c, state.kept_p + at, count, state.x.row(j), size);
  add_kept(-1, c, state.kept_q + at, count, state.r.row(j), size);
}

// p −= P D⁻¹Qᵀp, which leaves Qᵀp = 0.  4mp flops.
template <class T>
void conjugate(const ConjugateGradientState<T>& state, Index j) {
  if (!state.kept) return;
  const Index size = state.p.columns, at = j * state.kKept * size;
  double c[ConjugateGradientState<T>::kKept];
  const Index count = along_kept(state, j, state.kept_q + at, state.p.row(j), c);
  add_kept(-1, c, state.kept_p + at, count, state.p.row(j), size);
}

// Keeps p, q and their curvature while there is room, but for a curvature that is rounding beside that of the first: a part
// along such a direction, of a singular matrix, would be divided by next to nothing again and again.
template <class T>
void keep(const ConjugateGradientState<T>& state, Index j, double squared) {
  if (!state.kept || state.kept[j] == state.kKept) return;
  const Index size = state.p.columns, first = j * state.kKept;
  const T* p0 = state.kept_p + first * size;
  if (state.kept[j] > 0 && state.curvature[j] * dot(p0, p0, size) < kFlat<T> * state.kept_curvature[first] * squared) return;
  const Index at = first + state.kept[j]++;
  std::copy_n(state.p.row(j), size, state.kept_p + at * size);
  std::copy_n(state.q.row(j), size, state.kept_q + at * size);
  state.kept_curvature[at] = state.curvature[j];
}

}  // namespace

// p = z;  ρ = rᵀz.  2kp flops; bound by memory, as are the steps below.
template <class T>
void cg_start(Device& device, const ConjugateGradientState<T>& state) {
  for_each_running(device, state, [&](Index j) {
    const Index size = state.r.columns;
    std::copy_n(preconditioned(state, j), size, state.p.row(j));
    state.rho[j] = dot(state.r.row(j), preconditioned(state, j), size);
    state.smallest_rayleigh[j] = std::numeric_limits<double>::infinity();
    state.iterations[j] = 0;
    settle(state, j, judge(state, j));
    if (runs(state, j)) conjugate(state, j);
  });
}

// α = ρ / pᵀq;  x += α p;  r −= α q.  8kp flops, beside what kept directions take.
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
    // pᵀr = ρ but for rounding. Where p is little but rounding, made conjugate to what is kept, pᵀr does not overshoot.
    const double alpha = (state.kept ? dot(state.p.row(j), state.r.row(j), size) : state.rho[j]) / curvature;
    if (!std::isfinite(alpha)) return settle(state, j, ColumnStatus::not_finite);
    add_scaled(alpha, state.p.row(j), state.x.row(j), size);
    add_scaled(-alpha, state.q.row(j), state.r.row(j), size);
    keep(state, j, squared);
    project(state, j);
  });
}

// ρ′ = rᵀz;  p = z + (ρ′/ρ) p.  4kp flops, 6kp with a preconditioner.
template <class T>
void cg_direct(Device& device, const ConjugateGradientState<T>& state) {
  for_each_running(device, state, [&](Index j) {
    const Index size = state.r.columns, k = state.x.rows;
    const double rho = state.rho[j], next = dot(state.r.row(j), preconditioned(state, j), size), beta = next / rho;
    const Index iteration = state.iterations[j]++;
    if (iteration < state.max_iterations) {
      if (state.alpha_history) state.alpha_history[iteration * k + j] = rho / state.curvature[j];
      if (state.beta_history) state.beta_history[iteration * k + j] = beta;
    }
    state.rho[j] = next;
    settle(state, j, judge(state, j));
    if (!runs(state, j)) return;
    const T* z = preconditioned(state, j);
    T* p = state.p.row(j);
    for (Index i = 0; i < size; ++i)
      p[i] = static_cast<T>(static_cast<double>(z[i]) + beta * static_cast<double>(p[i]));
    conjugate(state, j);
  });
}

template <class T>
void cg_project(Device& device, const ConjugateGradientState<T>& state) {
  for_each_running(device, state, [&](Index j) { project(state, j); });
}

template void cg_start(Device&, const ConjugateGradientState<float>&);
template void cg_start(Device&, const ConjugateGradientState<double>&);
template void cg_advance(Device&, const ConjugateGradientState<float>&);
template void cg_advance(Device&, const ConjugateGradientState<double>&);
template void cg_direct(Device&, const ConjugateGradientState<float>&);
template void cg_direct(Device&, const ConjugateGradientState<double>&);
template void cg_project(Device&, const ConjugateGradientState<float>&);
template void cg_project(Device&, const ConjugateGradientState<double>&);

}  // namespace clout::cpu
