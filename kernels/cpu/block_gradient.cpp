#include <algorithm>
#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <cmath>

namespace clout::cpu {
namespace {

constexpr auto kRunning = static_cast<std::int32_t>(ColumnStatus::running);

bool any_runs(const BlockGradientState& state) {
  return std::find(state.status, state.status + state.columns, kRunning) != state.status + state.columns;
}

// The lower triangle of a becomes its Cholesky factor L; pivots that are at most `least` are left out, and with them what is
// below: zeros. NaN stays.
void factorise(double* a, Index m, double least) {
  for (Index j = 0; j < m; ++j) {
    const double pivot = a[j * m + j], root = pivot <= least ? 0 : std::sqrt(pivot);
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
  factorise(state.work, m, least * least * largest_diagonal(state.gram, m));
  invert(state.work, m, state.inverse);
}

bool is_live(const BlockGradientState& state, Index i) { return state.lengths[i * state.rank + i] != 0; }

void meet_quotients(const BlockGradientState& state) {
  for (Index i = 0; i < state.rank; ++i) {
    if (!is_live(state, i)) continue;
    const double quotient = state.curvature[i * state.rank + i] / state.lengths[i * state.rank + i];
    state.quotients[0] = std::fmin(state.quotients[0], quotient);
    state.quotients[1] = std::fmax(state.quotients[1], quotient);
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
  std::copy_n(state.curvature, m * m, state.work);
  for (Index i = 0; i < m; ++i)
    if (!is_live(state, i)) state.work[i * m + i] = 1;  // the rest of its row is zero
  factorise(state.work, m, 0);
  if (runs) meet_quotients(state);
  bool is_definite = true;
  for (Index i = 0; i < m; ++i) {
    const double root = state.work[i * m + i], flat = state.least * state.least * state.quotients[1] * state.lengths[i * m + i];
    is_definite = is_definite && std::isfinite(root) && (root * root > flat || !is_live(state, i));
  }
  const bool moves = *state.moves = runs && is_definite;
  invert(state.work, m, state.inverse);
  double* alpha = state.step;  // free by now
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j) {
      double sum = 0;
      for (Index l = std::max(i, j); l < m; ++l) sum += state.inverse[l * m + i] * state.inverse[l * m + j];
      alpha[i * m + j] = moves && is_live(state, i) && is_live(state, j) ? sum : 0;
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
  pass(state, state.least);
  std::copy_n(state.work, state.rank * state.rank, state.factor);
}

void block_advance(Device&, const BlockGradientState& state) {
  const Index m = state.rank, k = state.columns;
  pass(state, 0);
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
