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

/// Where a column stands with ρ = rᵀz and rᵀr.
__device__ __forceinline__ std::int32_t judge(double rho, double squares, double target) {
  if (!std::isfinite(rho) || !std::isfinite(squares)) return code(ColumnStatus::not_finite);
  if (std::sqrt(squares) <= target) return code(ColumnStatus::converged);
  return code(rho > 0 ? ColumnStatus::running : ColumnStatus::stagnated);  // P⁻¹ is no longer definite to rounding
}

template <class T>
__device__ __forceinline__ const T* preconditioned(const ConjugateGradientState<T>& state, Index column) {
  return state.z.rows > 0 ? state.z.row(column) : state.r.row(column);
}

/// Quotients of Rayleigh below this part of another are rounding of a product.
template <class T>
constexpr double kFlat = 64 * static_cast<double>(std::numeric_limits<T>::epsilon());

/// Coefficients along a column's kept directions.
struct alignas(16) KeptCoefficients {
  double of[ConjugateGradientState<double>::kKept];
};
static_assert(kColumnThreads / kWarpSize >= ConjugateGradientState<double>::kKept, "a warp for each kept direction");

/// c_i = v_iᵀy / p_iᵀq_i for the first `count` kept p_i or q_i: a warp each, known to the whole block.
template <class T>
__device__ __forceinline__ void along_kept(const ConjugateGradientState<T>& state, const T* v, const T* y, Index count,
                                           KeptCoefficients& c) {
  const int i = warp_in_block();
  const Index length = i < count ? state.p.columns : 0;
  double sum = 0;
  for (Index at = lane_in_warp(); at < length; at += kWarpSize)
    sum = std::fma(static_cast<double>(v[i * state.p.columns + at]), static_cast<double>(y[at]), sum);
  sum = warp_sum(sum);
  if (i < count && lane_in_warp() == 0) c.of[i] = sum / state.kept_curvature[Index{blockIdx.x} * state.kKept + i];
  __syncthreads();
}

/// out ← out + a Σ c_i v_i, in double and rounded once.
template <class T>
__device__ __forceinline__ void add_kept(double a, const KeptCoefficients& c, const T* v, Index count, T* out,
                                         Index length) {
  for (Index at = thread_in_block(); at < length; at += kColumnThreads) {
    double sum = 0;
#pragma unroll 4
    for (Index i = 0; i < count; ++i) sum = std::fma(c.of[i], static_cast<double>(v[i * length + at]), sum);
    out[at] = static_cast<T>(std::fma(a, sum, static_cast<double>(out[at])));
  }
}

}  // namespace

// Keeps p, q and their curvature while there is room, but for a curvature that is rounding beside that of the first: a part
// along such a direction, of a singular matrix, would be divided by next to nothing again and again.  4p flops.
template <class T>
__global__ void __launch_bounds__(kColumnThreads) cg_keep_kernel(ConjugateGradientState<T> state) {
  auto& sums = shared_storage<BlockSums>();
  const Index column = blockIdx.x, size = state.p.columns, first = column * state.kKept, count = state.kept[column];
  const bool has_room = state.status[column] == code(ColumnStatus::running) && count < state.kKept;
  const Index compared = has_room && count > 0 ? size : 0;
  const T *p = state.p.row(column), *q = state.q.row(column), *p0 = state.kept_p + first * size;
  const double squared = dot(p, p, compared, sums), of_first = dot(p0, p0, compared, sums);
  const double curvature = state.curvature[column];
  const bool is_flat = compared > 0 && curvature * of_first < kFlat<T> * state.kept_curvature[first] * squared;
  if (!has_room || is_flat) return;  // the whole block, behind its last barrier
  const Index at = first + count;
  for (Index i = thread_in_block(); i < size; i += kColumnThreads) {
    state.kept_p[at * size + i] = p[i];
    state.kept_q[at * size + i] = q[i];
  }
  if (thread_in_block() == 0) {
    state.kept_curvature[at] = curvature;
    state.kept[column] = static_cast<std::int32_t>(count + 1);
  }
}

// c = D⁻¹Pᵀr;  x += P c;  r −= Q c, which leaves Pᵀr = 0.  8mp flops for m kept directions; P is read twice, Q once.
template <class T>
__global__ void __launch_bounds__(kColumnThreads) cg_project_kernel(ConjugateGradientState<T> state) {
  auto& c = shared_storage<KeptCoefficients>();
  const Index column = blockIdx.x, size = state.p.columns, at = column * state.kKept * size;
  const bool runs = state.status[column] == code(ColumnStatus::running);
  const Index count = runs ? state.kept[column] : 0;
  T *x = state.x.row(column), *r = state.r.row(column);
  along_kept(state, state.kept_p + at, r, count, c);
  if (count > 0) {
    add_kept(1, c, state.kept_p + at, count, x, size);
    add_kept(-1, c, state.kept_q + at, count, r, size);
  }
}

// c = D⁻¹Qᵀp;  p −= P c, which leaves Qᵀp = 0.  4mp flops; P and Q are read once.
template <class T>
__global__ void __launch_bounds__(kColumnThreads) cg_conjugate_kernel(ConjugateGradientState<T> state) {
  auto& c = shared_storage<KeptCoefficients>();
  const Index column = blockIdx.x, size = state.p.columns, at = column * state.kKept * size;
  const bool runs = state.status[column] == code(ColumnStatus::running);
  const Index count = runs ? state.kept[column] : 0;
  T* p = state.p.row(column);
  along_kept(state, state.kept_q + at, p, count, c);
  if (count > 0) add_kept(-1, c, state.kept_p + at, count, p, size);
}

namespace {

template <class T>
void keep(Device& device, const ConjugateGradientState<T>& state) {
  if (state.kept)
    launch(on_cuda(device), {Grid{state.x.rows}, kColumnThreads, sizeof(BlockSums)}, cg_keep_kernel<T>, state);
}

template <class T>
void project(Device& device, const ConjugateGradientState<T>& state) {
  if (state.kept)
    launch(on_cuda(device), {Grid{state.x.rows}, kColumnThreads, sizeof(KeptCoefficients)}, cg_project_kernel<T>, state);
}

template <class T>
void conjugate(Device& device, const ConjugateGradientState<T>& state) {
  if (state.kept)
    launch(on_cuda(device), {Grid{state.x.rows}, kColumnThreads, sizeof(KeptCoefficients)}, cg_conjugate_kernel<T>, state);
}

}  // namespace

// p = z, ρ = rᵀz, smallest_rayleigh = +∞, iterations = 0; converged where √rᵀr ≤ target already.  2p flops, 4p with a
// preconditioner.
// Columns that come in settled stay as they are.
template <class T>
__global__ void __launch_bounds__(kColumnThreads) cg_start_kernel(ConjugateGradientState<T> state) {
  auto& sums = shared_storage<BlockSums>();
  const Index column = blockIdx.x;
  const bool runs = state.status[column] == code(ColumnStatus::running);
  const Index length = runs ? state.x.columns : 0;
  const T *r = state.r.row(column), *z = preconditioned(state, column);
  T* p = state.p.row(column);
  const double rho = dot(r, z, length, sums), squares = state.squares ? dot(r, r, length, sums) : rho;
  for (Index i = thread_in_block(); i < length; i += kColumnThreads) p[i] = z[i];
  if (runs && thread_in_block() == 0) {
    state.rho[column] = rho;
    state.smallest_rayleigh[column] = std::numeric_limits<double>::infinity();
    state.iterations[column] = 0;
    if (state.squares) state.squares[column] = squares;
    state.status[column] = judge(rho, squares, state.target[column]);
  }
}

template <class T>
void cg_start(Device& device, const ConjugateGradientState<T>& state) {
  launch(on_cuda(device), {Grid{state.x.rows}, kColumnThreads, sizeof(BlockSums)}, cg_start_kernel<T>, state);
  conjugate(device, state);
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
  // pᵀr = ρ but for rounding. Where p is little but rounding, made conjugate to what is kept, pᵀr does not overshoot.
  const double along = state.kept ? dot(p, state.r.row(column), length, sums) : state.rho[column];
  const double alpha = along / curvature;
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
  keep(device, state);
  project(device, state);
}

// ρ′ = rᵀz, β = ρ′/ρ; histories and the counter are written;  √rᵀr ≤ target: converged, else p = z + βp.
// 4p flops; r is read twice, p read and written once. With a preconditioner 6p flops, and z is read twice.
template <class T>
__global__ void __launch_bounds__(kColumnThreads) cg_direct_kernel(ConjugateGradientState<T> state) {
  auto& sums = shared_storage<BlockSums>();
  const Index column = blockIdx.x, columns = state.x.rows;
  const bool runs = state.status[column] == code(ColumnStatus::running);
  const Index length = runs ? state.x.columns : 0;
  const double old_rho = state.rho[column];
  const T *r = state.r.row(column), *z = preconditioned(state, column);
  const double rho = dot(r, z, length, sums), squares = state.squares ? dot(r, r, length, sums) : rho;
  const double beta = rho / old_rho;
  const std::int32_t status = judge(rho, squares, state.target[column]);
  if (status == code(ColumnStatus::running)) {
    T* p = state.p.row(column);
    for (Index i = thread_in_block(); i < length; i += kColumnThreads)
      p[i] = static_cast<T>(std::fma(beta, static_cast<double>(p[i]), static_cast<double>(z[i])));
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
    if (state.squares) state.squares[column] = squares;
    state.status[column] = status;
  }
}

template <class T>
void cg_direct(Device& device, const ConjugateGradientState<T>& state) {
  launch(on_cuda(device), {Grid{state.x.rows}, kColumnThreads, sizeof(BlockSums)}, cg_direct_kernel<T>, state);
  conjugate(device, state);
}

template <class T>
void cg_project(Device& device, const ConjugateGradientState<T>& state) {
  project(device, state);
}

template void cg_start(Device&, const ConjugateGradientState<float>&);
template void cg_start(Device&, const ConjugateGradientState<double>&);
template void cg_advance(Device&, const ConjugateGradientState<float>&);
template void cg_advance(Device&, const ConjugateGradientState<double>&);
template void cg_direct(Device&, const ConjugateGradientState<float>&);
template void cg_direct(Device&, const ConjugateGradientState<double>&);
template void cg_project(Device&, const ConjugateGradientState<float>&);
template void cg_project(Device&, const ConjugateGradientState<double>&);

}  // namespace clout::cuda
