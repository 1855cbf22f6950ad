// Conjugate gradients, step by step, for k right-hand sides side by side. A block has a column to itself, so every
// scalar of the textbook stays on the device and a frozen column costs nothing. Dots in double, in a fixed order.
#include <clout/kernels/cuda/launch.hpp>
#include <clout/kernels/cuda/reductions.hpp>
#include <limits>

namespace clout::cuda {
namespace {

__device__ __forceinline__ std::int32_t code(ColumnStatus status) { return static_cast<std::int32_t>(status); }

/// Σ a_i b_i over [0, length), the same bits in every thread.
template <class T>
__device__ __forceinline__ double dot(const T* a, const T* b, Index length, BlockSums& sums) {
  double sum = 0;
  for (Index i = thread_in_block(); i < length; i += kColumnThreads)
    sum = std::fma(static_cast<double>(a[i]), static_cast<double>(b[i]), sum);
  return block_sum(sum, sums);
}

/// Where a column stands with ρ = rᵀr.
__device__ __forceinline__ std::int32_t judge(double rho, double target) {
  if (!std::isfinite(rho)) return code(ColumnStatus::not_finite);
  return code(std::sqrt(rho) <= target ? ColumnStatus::converged : ColumnStatus::running);
}

}  // namespace

// p = r, ρ = rᵀr, smallest_rayleigh = +∞, iterations = 0; converged where √ρ ≤ target already.  2p flops.
// Columns that come in settled stay as they are.
template <class T>
__global__ void __launch_bounds__(kColumnThreads) cg_start_kernel(ConjugateGradientState<T> state) {
  auto& sums = shared_storage<BlockSums>();
  const Index column = blockIdx.x;
  const bool runs = state.status[column] == code(ColumnStatus::running);
  const Index length = runs ? state.x.columns : 0;
  const T* r = state.r.row(column);
  T* p = state.p.row(column);
  const double rho = dot(r, r, length, sums);
  for (Index i = thread_in_block(); i < length; i += kColumnThreads) p[i] = r[i];
  if (runs && thread_in_block() == 0) {
    state.rho[column] = rho;
    state.smallest_rayleigh[column] = std::numeric_limits<double>::infinity();
    state.iterations[column] = 0;
    state.status[column] = judge(rho, state.target[column]);
  }
}

template <class T>
void cg_start(Device& device, const ConjugateGradientState<T>& state) {
  launch(on_cuda(device), {Grid{state.x.rows}, kColumnThreads, sizeof(BlockSums)}, cg_start_kernel<T>, state);
}

// curvature = pᵀq;  ≤ 0: negative curvature;  else α = ρ / curvature, x += αp, r −= αq.
// 8p flops; p and q are read twice, x and r read and written once.
template <class T>
__global__ void __launch_bounds__(kColumnThreads) cg_advance_kernel(ConjugateGradientState<T> state) {
  auto& sums = shared_storage<BlockSums>();
  const Index column = blockIdx.x;
  const bool runs = state.status[column] == code(ColumnStatus::running);
  const Index length = runs ? state.x.columns : 0;
  const T *p = state.p.row(column), *q = state.q.row(column);
  const double curvature = dot(p, q, length, sums), squared = dot(p, p, length, sums);
  const double alpha = state.rho[column] / curvature;
  const bool is_finite = std::isfinite(curvature) && std::isfinite(squared);
  const bool advances = runs && is_finite && curvature > 0 && std::isfinite(alpha);
  if (advances) {
    T *x = state.x.row(column), *r = state.r.row(column);
    for (Index i = thread_in_block(); i < length; i += kColumnThreads) {
      x[i] = static_cast<T>(std::fma(alpha, static_cast<double>(p[i]), static_cast<double>(x[i])));
      r[i] = static_cast<T>(std::fma(-alpha, static_cast<double>(q[i]), static_cast<double>(r[i])));
    }
  }
  if (runs && thread_in_block() == 0) {
    const double rayleigh = curvature / squared;
    state.curvature[column] = curvature;
    if (is_finite && rayleigh < state.smallest_rayleigh[column]) state.smallest_rayleigh[column] = rayleigh;
    if (!advances)
      state.status[column] =
          code(is_finite && curvature <= 0 ? ColumnStatus::negative_curvature : ColumnStatus::not_finite);
  }
}

template <class T>
void cg_advance(Device& device, const ConjugateGradientState<T>& state) {
  launch(on_cuda(device), {Grid{state.x.rows}, kColumnThreads, sizeof(BlockSums)}, cg_advance_kernel<T>, state);
}

// ρ′ = rᵀr, β = ρ′/ρ; histories and the counter are written;  √ρ′ ≤ target: converged, else p = r + βp.
// 4p flops; r is read twice, p read and written once.
template <class T>
__global__ void __launch_bounds__(kColumnThreads) cg_direct_kernel(ConjugateGradientState<T> state) {
  auto& sums = shared_storage<BlockSums>();
  const Index column = blockIdx.x, columns = state.x.rows;
  const bool runs = state.status[column] == code(ColumnStatus::running);
  const Index length = runs ? state.x.columns : 0;
  const double old_rho = state.rho[column];
  const T* r = state.r.row(column);
  const double rho = dot(r, r, length, sums);
  const double beta = rho / old_rho;
  const std::int32_t status = judge(rho, state.target[column]);
  if (status == code(ColumnStatus::running)) {
    T* p = state.p.row(column);
    for (Index i = thread_in_block(); i < length; i += kColumnThreads)
      p[i] = static_cast<T>(std::fma(beta, static_cast<double>(p[i]), static_cast<double>(r[i])));
  }
  if (runs && thread_in_block() == 0) {
    const Index iteration = state.iterations[column];
    if (iteration < state.max_iterations) {
      const Index at = iteration * columns + column;
      if (state.alpha_history) state.alpha_history[at] = old_rho / state.curvature[column];
      if (state.beta_history) state.beta_history[at] = beta;
    }
    state.iterations[column] = static_cast<std::int32_t>(iteration + 1);
    state.rho[column] = rho;
    state.status[column] = status;
  }
}

template <class T>
void cg_direct(Device& device, const ConjugateGradientState<T>& state) {
  launch(on_cuda(device), {Grid{state.x.rows}, kColumnThreads, sizeof(BlockSums)}, cg_direct_kernel<T>, state);
}

template void cg_start(Device&, const ConjugateGradientState<float>&);
template void cg_start(Device&, const ConjugateGradientState<double>&);
template void cg_advance(Device&, const ConjugateGradientState<float>&);
template void cg_advance(Device&, const ConjugateGradientState<double>&);
template void cg_direct(Device&, const ConjugateGradientState<float>&);
template void cg_direct(Device&, const ConjugateGradientState<double>&);

}  // namespace clout::cuda
