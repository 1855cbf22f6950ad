// What is small in block conjugate gradients, so that no step waits for the host: one block of threads for matrices of a few
// dozen rows, in double, in fixed order. The second-level cache holds them.
#include <clout/kernels/cuda/launch.hpp>
#include <cmath>

namespace clout::cuda {
namespace {

constexpr std::int32_t kRunning = static_cast<std::int32_t>(ColumnStatus::running);

/// body(i, j) for every element of a matrix, shared out over the block.
template <class Body>
__device__ __forceinline__ void for_each_entry(Index rows, Index columns, const Body& body) {
  for (Index at = thread_in_block(); at < rows * columns; at += kThreads) body(at / columns, at % columns);
}

/// The lower triangle of a becomes its Cholesky factor L; pivots that are at most `least` are left out, and with them what is
/// below: zeros. NaN stays. All threads take part, and see the result.
__device__ void factorise(double* a, Index m, double least) {
  for (Index j = 0; j < m; ++j) {
    __syncthreads();
    const double pivot = a[j * m + j], root = pivot <= least ? 0 : std::sqrt(pivot);
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

/// One pass over the basis: L of the gram matrix in work, and its inverse.
__device__ void pass(const BlockGradientState& state, double least) {
  const Index m = state.rank;
  double largest = 0;
  for (Index i = 0; i < m; ++i) largest = std::fmax(largest, state.gram[i * m + i]);
  for_each_entry(m, m, [&](Index i, Index j) { state.work[i * m + j] = state.gram[i * m + j]; });
  factorise(state.work, m, least * least * largest);
  invert(state.work, m, state.inverse);
}

__device__ __forceinline__ bool is_live(const BlockGradientState& state, Index i) {
  return state.lengths[i * state.rank + i] != 0;
}

__device__ __forceinline__ bool any_runs(const BlockGradientState& state) {
  bool runs = false;
  for (Index j = 0; j < state.columns; ++j) runs = runs || state.status[j] == kRunning;
  return runs;
}

}  // namespace

// α = (PᵀW)⁻¹ by its Cholesky factor, and what it does to corrections and basis.  4m³ + 2m²k flops.
__global__ void __launch_bounds__(kThreads) block_step_kernel(BlockGradientState state) {
  const Index m = state.rank, k = state.columns, kept = *state.kept;
  const bool runs = any_runs(state);
  for_each_entry(m, m, [&](Index i, Index j) {
    state.work[i * m + j] = i == j && !is_live(state, i) ? 1.0 : state.curvature[i * m + j];
  });
  factorise(state.work, m, 0);
  double smallest = state.quotients[0], largest = state.quotients[1];
  for (Index i = 0; i < m; ++i) {
    if (!runs || !is_live(state, i)) continue;
    const double quotient = state.curvature[i * m + i] / state.lengths[i * m + i];
    smallest = std::fmin(smallest, quotient);
    largest = std::fmax(largest, quotient);
  }
  bool is_definite = true;
  for (Index i = 0; i < m; ++i) {
    const double root = state.work[i * m + i], flat = state.least * state.least * largest * state.lengths[i * m + i];
    is_definite = is_definite && std::isfinite(root) && (root * root > flat || !is_live(state, i));
  }
  const bool moves = runs && is_definite;
  invert(state.work, m, state.inverse);
  const bool is_kept = moves && kept < state.kKeptSteps && m <= state.kept_width;
  double* kept_inverse = state.kept_inverses + kept * state.kept_width * state.kept_width;
  double* alpha = state.step;  // free by now
  for_each_entry(m, m, [&](Index i, Index j) {
    double sum = 0;
    for (Index l = i > j ? i : j; l < m; ++l) sum = std::fma(state.inverse[l * m + i], state.inverse[l * m + j], sum);
    alpha[i * m + j] = moves && is_live(state, i) && is_live(state, j) ? sum : 0;
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
  pass(state, state.least);
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
  pass(state, 0);
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
