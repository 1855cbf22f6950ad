#include <algorithm>
#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <cmath>
#include <limits>

namespace clout::cpu {
namespace {

constexpr auto kRunning = static_cast<std::int32_t>(ColumnStatus::running);
constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool any_runs(const BlockGradientState& state) {
  return std::find(state.status, state.status + state.columns, kRunning) != state.status + state.columns;
}

// The lower triangle of a becomes its Cholesky factor L; pivots from `lowest` to `least` are left out, and with them what is
// below: zeros. Pivots below that become NaN, and NaN stays.
void factorise(double* a, Index m, double lowest, double least) {
  for (Index j = 0; j < m; ++j) {
    const double pivot = a[j * m + j], root = lowest <= pivot && pivot <= least ? 0 : std::sqrt(pivot);
    a[j * m + j] = root;
    for (Index i = j + 1; i < m; ++i) a[i * m + j] = root == 0 ? 0 : a[i * m + j] / root;
    for (Index i = j + 1; i < m; ++i)
      for (Index l = j + 1; l <= i; ++l) a[i * m + l] -= a[i * m + j] * a[l * m + j];
  }
}

// N ← L⁻¹, lower, with zeros in the rows that L is without.
void invert(const double* l, Index m, double* n) {
  for (Index c = 0; c < m; ++c)
    for (Index i = 0; i < m; ++i) {
      double sum = i == c ? 1 : 0;
      for (Index e = c; e < i; ++e) sum -= l[i * m + e] * n[e * m + c];
      n[i * m + c] = i < c || l[i * m + i] == 0 ? 0 : sum / l[i * m + i];
    }
}

double largest_diagonal(const double* a, Index m) {
  double largest = 0;
  for (Index i = 0; i < m; ++i) largest = std::max(largest, a[i * m + i]);
  return largest;
}

// One pass over the basis: L of the gram matrix in work, and its inverse.
void pass(const BlockGradientState& state, double least) {
  const Index m = state.rank;
  std::copy_n(state.gram, m * m, state.work);
  factorise(state.work, m, -kInfinity, least);
  invert(state.work, m, state.inverse);
}

// out ← L·B, or L·Bᵀ, for a lower triangle L.
template <bool kTransposed>
void triangle_times(const double* l, const double* b, Index m, double* out) {
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j) {
      double sum = 0;
      for (Index e = 0; e <= i; ++e) sum += l[i * m + e] * (kTransposed ? b[j * m + e] : b[e * m + j]);
      out[i * m + j] = sum;
    }
}

bool is_live(const BlockGradientState& state, Index i) { return state.factor[i * state.rank + i] != 0; }

// N in factor: N·P is an orthonormal basis of the directions, with zeros where one depends on those before it.
void orthonormalise_directions(const BlockGradientState& state) {
  const Index m = state.rank;
  const auto scale = [&](Index i) {
    const double length = state.lengths[i * m + i];
    return length == 0 ? 0 : 1 / std::sqrt(length);
  };
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j) state.work[i * m + j] = scale(i) * state.lengths[i * m + j] * scale(j);
  factorise(state.work, m, -kInfinity, state.kDependent);
  invert(state.work, m, state.factor);
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j <= i; ++j) state.factor[i * m + j] *= scale(j);
}

// G = N·PᵀW·Nᵀ, the curvature of that basis, in work.
void curvature_of_basis(const BlockGradientState& state) {
  const Index m = state.rank;
  triangle_times<false>(state.factor, state.curvature, m, state.step);
  triangle_times<true>(state.factor, state.step, m, state.work);  // N·(N·PᵀW)ᵀ, and PᵀW is symmetric
}

void meet_quotients(const BlockGradientState& state) {
  for (Index i = 0; i < state.rank; ++i) {
    if (!is_live(state, i)) continue;
    const double quotient = state.work[i * state.rank + i];
    state.quotients[0] = std::fmin(state.quotients[0], quotient);
    state.quotients[1] = std::fmax(state.quotients[1], quotient);
  }
}

// Whether direction i of L⁻¹·N·P has a part in what a running column lacks. L⁻¹ is in inverse, L⁻¹·N·PᵀQ in step.
bool is_needed(const BlockGradientState& state, Index i) {
  const Index m = state.rank, k = state.columns;
  double squares = 0;
  for (Index l = 0; l <= i; ++l) squares += state.inverse[i * m + l] * state.inverse[i * m + l];
  for (Index j = 0; j < k; ++j) {
    double part = 0;
    for (Index e = 0; e < m; ++e) part += state.step[i * m + e] * state.coefficients[e * k + j];
    const double small = state.targets[j] * state.targets[j] * squares / static_cast<double>(4 * m);
    if (state.status[j] == kRunning && !(part * part <= small)) return true;
  }
  return false;
}

// L of G in work. Directions without curvature but for rounding are taken out of N where no column needs them.
void factorise_curvature(const BlockGradientState& state) {
  const Index m = state.rank;
  const double largest = state.quotients[1];
  const double flat = state.least * largest, nothing = state.least * flat;
  factorise(state.work, m, -flat, flat);
  bool is_flat = false;
  for (Index i = 0; i < m; ++i) {
    if (state.work[i * m + i] != 0) continue;
    state.work[i * m + i] = -1;  // a mark. Below it are zeros: its row of L⁻¹ is conjugate to all others
    is_flat = is_flat || is_live(state, i);
  }
  if (is_flat) {
    invert(state.work, m, state.inverse);
    triangle_times<false>(state.factor, state.gram, m, state.to_block);
    triangle_times<false>(state.inverse, state.to_block, m, state.step);
    for (Index i = 0; i < m; ++i)
      if (state.work[i * m + i] < 0 && !is_needed(state, i)) std::fill_n(state.factor + i * m, m, 0.0);
    curvature_of_basis(state);
    factorise(state.work, m, -nothing, nothing);
  }
}

// Columns stand where their residuals' norms say.
void judge(const BlockGradientState& state) {
  bool is_finite = true;
  for (Index j = 0; j < state.columns; ++j) {
    double squares = 0;
    for (Index i = 0; i < state.rank; ++i) squares += std::pow(state.coefficients[i * state.columns + j], 2);
    state.norms[j] = std::sqrt(squares);
    is_finite = is_finite && (state.status[j] != kRunning || std::isfinite(squares));
  }
  for (Index j = 0; j < state.columns; ++j) {
    if (state.status[j] != kRunning) continue;
    if (!is_finite) state.status[j] = static_cast<std::int32_t>(ColumnStatus::not_finite);
    else if (state.norms[j] <= state.targets[j]) state.status[j] = static_cast<std::int32_t>(ColumnStatus::converged);
  }
}

}  // namespace

// m³ flops, as all that is small: the host's one thread.
void block_step(Device&, const BlockGradientState& state) {
  const Index m = state.rank, k = state.columns;
  const bool runs = any_runs(state);
  orthonormalise_directions(state);
  curvature_of_basis(state);
  if (runs) meet_quotients(state);
  factorise_curvature(state);
  bool is_definite = true, is_any_live = false;
  for (Index i = 0; i < m; ++i) {
    if (!is_live(state, i)) continue;
    const double root = state.work[i * m + i];
    is_definite = is_definite && std::isfinite(root) && root > 0;
    is_any_live = true;
  }
  const bool moves = (*state.moves = runs && is_definite && is_any_live);
  invert(state.work, m, state.inverse);
  triangle_times<false>(state.inverse, state.factor, m, state.step);
  double* alpha = state.work;  // free by now
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j) {
      double sum = 0;
      for (Index l = std::max(i, j); l < m; ++l) sum += state.step[l * m + i] * state.step[l * m + j];
      alpha[i * m + j] = moves ? sum : 0;
    }
  for (Index i = 0; i < m; ++i)
    for (Index l = 0; l < m; ++l) {
      double sum = 0;
      for (Index e = 0; e < m; ++e) sum -= alpha[l * m + e] * state.gram[e * m + i];
      state.to_block[i * m + l] = sum;
    }
  for (Index j = 0; j < k; ++j)
    for (Index l = 0; l < m; ++l) {
      double sum = 0;
      for (Index i = 0; i < m; ++i) sum -= state.to_block[i * m + l] * state.coefficients[i * k + j];
      state.to_corrections[j * m + l] = sum;
    }
  for (Index j = 0; j < k; ++j) {
    if (state.status[j] != kRunning) continue;
    if (moves) ++state.iterations[j];
    else state.status[j] = static_cast<std::int32_t>(ColumnStatus::negative_curvature);
  }
  if (!moves || *state.kept == state.kKeptSteps || m > state.kept_width) return;
  double* inverse = state.kept_inverses + *state.kept * state.kept_width * state.kept_width;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j) inverse[i * state.kept_width + j] = alpha[i * m + j];
}

template <class T>
void block_keep(Device& device, const BlockKeep<T>& op) {
  const BlockGradientState& state = op.state;
  if (!*state.moves || *state.kept == state.kKeptSteps || state.rank > state.kept_width) return;
  const Index first = *state.kept * state.kept_width;
  parallel_tasks(device, state.rank, [&](Index i, int) {
    std::copy_n(op.p.row(i), op.p.columns, op.kept_p.row(first + i));
    std::copy_n(op.w.row(i), op.w.columns, op.kept_w.row(first + i));
  });
}

// 2mw(w + k) flops for each of the kept steps, w vectors in a slot.
void block_along(Device& device, const BlockGradientState& state) {
  const Index w = state.kept_width, all = state.kKeptSteps * w, m = state.rank, k = state.columns;
  parallel_tasks(device, m, [&](Index i, int) {
    for (Index at = 0; at < all; ++at) {
      const double* inverse = state.kept_inverses + at / w * w * w;
      double sum = 0;
      for (Index l = 0; l < w; ++l) sum -= state.gram[i * all + at / w * w + l] * inverse[l * w + at % w];
      state.to_block[i * all + at] = sum;
    }
  });
  parallel_tasks(device, k, [&](Index j, int) {
    double* to = state.to_corrections + j * all;
    std::fill_n(to, all, 0.0);
    for (Index i = 0; i < m; ++i)
      for (Index at = 0; at < all; ++at) to[at] -= state.coefficients[i * k + j] * state.to_block[i * all + at];
  });
}

void block_basis(Device&, const BlockGradientState& state) {
  pass(state, state.least * state.least * largest_diagonal(state.gram, state.rank));
  std::copy_n(state.work, state.rank * state.rank, state.factor);
}

void block_advance(Device&, const BlockGradientState& state) {
  const Index m = state.rank, k = state.columns;
  pass(state, state.kRounding);
  for (Index a = 0; a < m; ++a)
    for (Index b = 0; b < m; ++b) {
      double sum = 0;
      for (Index l = b; l <= a; ++l) sum += state.factor[a * m + l] * state.work[l * m + b];
      state.step[b * m + a] = sum;
    }
  double* next = state.to_corrections;  // free by now, and as large
  for (Index b = 0; b < m; ++b)
    for (Index j = 0; j < k; ++j) {
      double sum = 0;
      for (Index a = b; a < m; ++a) sum += state.step[b * m + a] * state.coefficients[a * k + j];
      next[b * k + j] = sum;
    }
  std::copy_n(next, m * k, state.coefficients);
  judge(state);
  if (*state.moves && *state.kept < state.kKeptSteps && m <= state.kept_width) ++*state.kept;
}

template void block_keep(Device&, const BlockKeep<float>&);
template void block_keep(Device&, const BlockKeep<double>&);

}  // namespace clout::cpu
