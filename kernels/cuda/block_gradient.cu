// What is small in block conjugate gradients, so that no step waits for the host: one block of threads for matrices of a few
// dozen rows, in double, in fixed order. The second-level cache holds them.
#include <clout/kernels/cuda/launch.hpp>
#include <cmath>
#include <limits>

namespace clout::cuda {
namespace {

constexpr std::int32_t kRunning = static_cast<std::int32_t>(ColumnStatus::running);
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// body(i, j) for every element of a matrix, shared out over the block.
template <class Body>
__device__ __forceinline__ void for_each_entry(Index rows, Index columns, const Body& body) {
  for (Index at = thread_in_block(); at < rows * columns; at += kThreads) body(at / columns, at % columns);
}

/// The lower triangle of a becomes its Cholesky factor L; pivots from `lowest` to `least` are left out, and with them what is
/// below: zeros. Pivots below that become NaN, and NaN stays. All threads take part, and see the result.
__device__ void factorise(double* a, Index m, double lowest, double least) {
  for (Index j = 0; j < m; ++j) {
    __syncthreads();
    const double pivot = a[j * m + j], root = lowest <= pivot && pivot <= least ? 0 : std::sqrt(pivot);
    __syncthreads();
    for (Index i = j + thread_in_block(); i < m; i += kThreads)
      a[i * m + j] = root == 0 ? 0 : i == j ? root : a[i * m + j] / root;
    __syncthreads();
    for_each_entry(m - j - 1, m - j - 1, [&](Index row, Index column) {
      const Index i = j + 1 + row, l = j + 1 + column;
      if (l <= i) a[i * m + l] = std::fma(-a[i * m + j], a[l * m + j], a[i * m + l]);
    });
  }
  __syncthreads();
}

/// N ← L⁻¹, lower, with zeros in the rows that L is without: a thread for each column.
__device__ void invert(const double* l, Index m, double* n) {
  for (Index c = thread_in_block(); c < m; c += kThreads)
    for (Index i = 0; i < m; ++i) {
      double sum = i == c ? 1 : 0;
      for (Index e = c; e < i; ++e) sum = std::fma(-l[i * m + e], n[e * m + c], sum);
      n[i * m + c] = i < c || l[i * m + i] == 0 ? 0 : sum / l[i * m + i];
    }
  __syncthreads();
}

__device__ double largest_diagonal(const double* a, Index m) {
  double largest = 0;
  for (Index i = 0; i < m; ++i) largest = std::fmax(largest, a[i * m + i]);
  return largest;
}

/// One pass over the basis: L of the gram matrix in work, and its inverse.
__device__ void pass(const BlockGradientState& state, double least) {
  const Index m = state.rank;
  for_each_entry(m, m, [&](Index i, Index j) { state.work[i * m + j] = state.gram[i * m + j]; });
  factorise(state.work, m, -kInfinity, least);
  invert(state.work, m, state.inverse);
}

/// out ← L·B, or L·Bᵀ, for a lower triangle L.
template <bool kTransposed>
__device__ void triangle_times(const double* l, const double* b, Index m, double* out) {
  for_each_entry(m, m, [&](Index i, Index j) {
    double sum = 0;
    for (Index e = 0; e <= i; ++e) sum = std::fma(l[i * m + e], kTransposed ? b[j * m + e] : b[e * m + j], sum);
    out[i * m + j] = sum;
  });
  __syncthreads();
}

__device__ __forceinline__ bool is_live(const BlockGradientState& state, Index i) {
  return state.factor[i * state.rank + i] != 0;
}

/// N in factor: N·P is an orthonormal basis of the directions, with zeros where one depends on those before it.
__device__ void orthonormalise_directions(const BlockGradientState& state) {
  const Index m = state.rank;
  const auto scale = [&](Index i) {
    const double length = state.lengths[i * m + i];
    return length == 0 ? 0 : 1 / std::sqrt(length);
  };
  for_each_entry(m, m, [&](Index i, Index j) { state.work[i * m + j] = scale(i) * state.lengths[i * m + j] * scale(j); });
  factorise(state.work, m, -kInfinity, state.kDependent);
  invert(state.work, m, state.factor);
  for_each_entry(m, m, [&](Index i, Index j) {
    if (j <= i) state.factor[i * m + j] *= scale(j);
  });
  __syncthreads();
}

/// G = N·PᵀW·Nᵀ, the curvature of that basis, in work.
__device__ void curvature_of_basis(const BlockGradientState& state) {
  const Index m = state.rank;
  triangle_times<false>(state.factor, state.curvature, m, state.step);
  triangle_times<true>(state.factor, state.step, m, state.work);  // N·(N·PᵀW)ᵀ, and PᵀW is symmetric
}

/// Whether direction i of L⁻¹·N·P has a part in what a running column lacks. L⁻¹ is in inverse, L⁻¹·N·PᵀQ in step.
__device__ bool is_needed(const BlockGradientState& state, Index i) {
  const Index m = state.rank, k = state.columns;
  double squares = 0;
  for (Index l = 0; l <= i; ++l) squares = std::fma(state.inverse[i * m + l], state.inverse[i * m + l], squares);
  for (Index j = 0; j < k; ++j) {
    double part = 0;
    for (Index e = 0; e < m; ++e) part = std::fma(state.step[i * m + e], state.coefficients[e * k + j], part);
    const double small = state.targets[j] * state.targets[j] * squares / static_cast<double>(4 * m);
    if (state.status[j] == kRunning && !(part * part <= small)) return true;
  }
  return false;
}

/// L of G in work. Directions without curvature but for rounding are taken out of N where no column needs them.
__device__ void factorise_curvature(const BlockGradientState& state, double largest) {
  const Index m = state.rank;
  const double flat = state.least * largest, nothing = state.least * flat;
  factorise(state.work, m, -flat, flat);
  bool is_flat = false;
  for (Index i = 0; i < m; ++i) is_flat = is_flat || (is_live(state, i) && state.work[i * m + i] == 0);
  if (!is_flat) return;
  __syncthreads();
  for (Index i = thread_in_block(); i < m; i += kThreads)
    if (state.work[i * m + i] == 0) state.work[i * m + i] = -1;  // a mark. Its row of L⁻¹ is conjugate to all others
  __syncthreads();
  invert(state.work, m, state.inverse);
  triangle_times<false>(state.factor, state.gram, m, state.to_block);
  triangle_times<false>(state.inverse, state.to_block, m, state.step);
  for (Index i = thread_in_block(); i < m; i += kThreads) {
    if (!(state.work[i * m + i] < 0) || is_needed(state, i)) continue;
    for (Index j = 0; j < m; ++j) state.factor[i * m + j] = 0;
  }
  __syncthreads();
  curvature_of_basis(state);
  factorise(state.work, m, -nothing, nothing);
}

__device__ __forceinline__ bool any_runs(const BlockGradientState& state) {
  bool runs = false;
  for (Index j = 0; j < state.columns; ++j) runs = runs || state.status[j] == kRunning;
  return runs;
}

}  // namespace

// α = (PᵀW)⁻¹ by Cholesky factors, and what it does to corrections and basis.  8m³ + 2m²k flops.
__global__ void __launch_bounds__(kThreads) block_step_kernel(BlockGradientState state) {
  const Index m = state.rank, k = state.columns, kept = *state.kept;
  const bool runs = any_runs(state);
  double smallest = state.quotients[0], largest = state.quotients[1];
  orthonormalise_directions(state);
  curvature_of_basis(state);
  for (Index i = 0; i < m; ++i) {
    if (!runs || !is_live(state, i)) continue;
    const double quotient = state.work[i * m + i];
    smallest = std::fmin(smallest, quotient);
    largest = std::fmax(largest, quotient);
  }
  factorise_curvature(state, largest);
  bool is_definite = true, is_any_live = false;
  for (Index i = 0; i < m; ++i) {
    if (!is_live(state, i)) continue;
    const double root = state.work[i * m + i];
    is_definite = is_definite && std::isfinite(root) && root > 0;
    is_any_live = true;
  }
  const bool moves = runs && is_definite && is_any_live;
  invert(state.work, m, state.inverse);
  triangle_times<false>(state.inverse, state.factor, m, state.step);
  const bool is_kept = moves && kept < state.kKeptSteps && m <= state.kept_width;
  double* kept_inverse = state.kept_inverses + kept * state.kept_width * state.kept_width;
  double* alpha = state.work;  // free by now
  for_each_entry(m, m, [&](Index i, Index j) {
    double sum = 0;
    for (Index l = i > j ? i : j; l < m; ++l) sum = std::fma(state.step[l * m + i], state.step[l * m + j], sum);
    alpha[i * m + j] = moves ? sum : 0;
    if (is_kept) kept_inverse[i * state.kept_width + j] = alpha[i * m + j];
  });
  __syncthreads();
  for_each_entry(m, m, [&](Index i, Index l) {
    double sum = 0;
    for (Index e = 0; e < m; ++e) sum = std::fma(-alpha[l * m + e], state.gram[e * m + i], sum);
    state.to_block[i * m + l] = sum;
  });
  __syncthreads();
  for_each_entry(k, m, [&](Index j, Index l) {
    double sum = 0;
    for (Index i = 0; i < m; ++i) sum = std::fma(-state.to_block[i * m + l], state.coefficients[i * k + j], sum);
    state.to_corrections[j * m + l] = sum;
  });
  for (Index j = thread_in_block(); j < k; j += kThreads) {
    if (state.status[j] != kRunning) continue;
    if (moves) ++state.iterations[j];
    else state.status[j] = static_cast<std::int32_t>(ColumnStatus::negative_curvature);
  }
  if (thread_in_block() == 0) {
    *state.moves = moves;
    state.quotients[0] = smallest;
    state.quotients[1] = largest;
  }
}

void block_step(Device& device, const BlockGradientState& state) {
  launch(on_cuda(device), {Grid{}, kThreads}, block_step_kernel, state);
}

// A thread for each number of P and W.  4 sizeof(T) bytes each.
template <class T>
__global__ void __launch_bounds__(kThreads) block_keep_kernel(BlockKeep<T> op) {
  const BlockGradientState& state = op.state;
  const Index at = thread_in_grid(), kept = *state.kept;
  if (at >= op.p.columns || !*state.moves || kept == state.kKeptSteps || state.rank > state.kept_width) return;
  for (Index i = blockIdx.y; i < state.rank; i += gridDim.y) {
    op.kept_p(kept * state.kept_width + i, at) = op.p(i, at);
    op.kept_w(kept * state.kept_width + i, at) = op.w(i, at);
  }
}

template <class T>
void block_keep(Device& device, const BlockKeep<T>& op) {
  launch(on_cuda(device), over_matrix(op.state.rank, op.p.columns), block_keep_kernel<T>, op);
}

// A thread for each number of A.  2mw² flops for each of the kept steps, w vectors in a slot.
__global__ void __launch_bounds__(kThreads) block_along_kernel(BlockGradientState state) {
  const Index w = state.kept_width, all = state.kKeptSteps * w, at = thread_in_grid();
  if (at >= all) return;
  const double* inverse = state.kept_inverses + at / w * w * w + at % w;
  for (Index i = blockIdx.y; i < state.rank; i += gridDim.y) {
    const double* gram = state.gram + i * all + at / w * w;
    double sum = 0;
    for (Index l = 0; l < w; ++l) sum = std::fma(-gram[l], inverse[l * w], sum);
    state.to_block[i * all + at] = sum;
  }
}

// A thread for each number of CᵀA.  2mk flops for each kept vector.
__global__ void __launch_bounds__(kThreads) block_corrections_kernel(BlockGradientState state) {
  const Index all = state.kKeptSteps * state.kept_width, at = thread_in_grid();
  if (at >= all) return;
  for (Index j = blockIdx.y; j < state.columns; j += gridDim.y) {
    double sum = 0;
    for (Index i = 0; i < state.rank; ++i)
      sum = std::fma(-state.coefficients[i * state.columns + j], state.to_block[i * all + at], sum);
    state.to_corrections[j * all + at] = sum;
  }
}

void block_along(Device& device, const BlockGradientState& state) {
  const Index all = state.kKeptSteps * state.kept_width;
  launch(on_cuda(device), over_matrix(state.rank, all), block_along_kernel, state);
  launch(on_cuda(device), over_matrix(state.columns, all), block_corrections_kernel, state);
}

// m³ flops.
__global__ void __launch_bounds__(kThreads) block_basis_kernel(BlockGradientState state) {
  pass(state, state.least * state.least * largest_diagonal(state.gram, state.rank));
  for_each_entry(state.rank, state.rank, [&](Index i, Index j) {
    state.factor[i * state.rank + j] = state.work[i * state.rank + j];
  });
}

void block_basis(Device& device, const BlockGradientState& state) {
  launch(on_cuda(device), {Grid{}, kThreads}, block_basis_kernel, state);
}

// S = (L L₂)ᵀ, C ← S C, and where the columns stand by it.  2m³ + 2m²k flops.
__global__ void __launch_bounds__(kThreads) block_advance_kernel(BlockGradientState state) {
  const Index m = state.rank, k = state.columns;
  pass(state, state.kRounding);
  for_each_entry(m, m, [&](Index a, Index b) {
    double sum = 0;
    for (Index l = b; l <= a; ++l) sum = std::fma(state.factor[a * m + l], state.work[l * m + b], sum);
    state.step[b * m + a] = sum;
  });
  __syncthreads();
  double* next = state.to_corrections;  // free by now, and as large
  for_each_entry(m, k, [&](Index b, Index j) {
    double sum = 0;
    for (Index a = b; a < m; ++a) sum = std::fma(state.step[b * m + a], state.coefficients[a * k + j], sum);
    next[b * k + j] = sum;
  });
  __syncthreads();
  for (Index j = thread_in_block(); j < k; j += kThreads) {
    double squares = 0;
    for (Index b = 0; b < m; ++b) {
      const double c = state.coefficients[b * k + j] = next[b * k + j];
      squares = std::fma(c, c, squares);
    }
    state.norms[j] = std::sqrt(squares);
  }
  __syncthreads();
  bool is_finite = true;
  for (Index j = 0; j < k; ++j) is_finite = is_finite && (state.status[j] != kRunning || std::isfinite(state.norms[j]));
  __syncthreads();
  for (Index j = thread_in_block(); j < k; j += kThreads) {
    if (state.status[j] != kRunning) continue;
    if (!is_finite) state.status[j] = static_cast<std::int32_t>(ColumnStatus::not_finite);
    else if (state.norms[j] <= state.targets[j]) state.status[j] = static_cast<std::int32_t>(ColumnStatus::converged);
  }
  if (thread_in_block() == 0 && *state.moves && *state.kept < state.kKeptSteps && m <= state.kept_width) ++*state.kept;
}

void block_advance(Device& device, const BlockGradientState& state) {
  launch(on_cuda(device), {Grid{}, kThreads}, block_advance_kernel, state);
}

template void block_keep(Device&, const BlockKeep<float>&);
template void block_keep(Device&, const BlockKeep<double>&);

}  // namespace clout::cuda
