#pragma once
// Solves by cg_start, cg_advance and cg_direct, driven by the test, which also multiplies.

#include "problem.hpp"

namespace clout::test {

inline constexpr auto kRunning = static_cast<std::int32_t>(ColumnStatus::running);
inline constexpr auto kConverged = static_cast<std::int32_t>(ColumnStatus::converged);
inline constexpr auto kNegative = static_cast<std::int32_t>(ColumnStatus::negative_curvature);
inline constexpr auto kNotFinite = static_cast<std::int32_t>(ColumnStatus::not_finite);

// Everything that a solve changes, on the host.
template <class T>
struct Snapshot {
  std::vector<T> x, r, p;
  std::vector<double> rho, curvature, rayleigh;
  std::vector<std::int32_t> status, iterations;
};

template <class T>
struct Kept {
  std::vector<T> p, q;
  std::vector<double> curvature;
  std::vector<std::int32_t> count;
};

// k solves with one symmetric matrix; q = A p is formed by the test, in long double.
template <class T>
class Solve {
 public:
  Solve(Device& device, std::vector<Real> matrix, const std::vector<T>& right, Index k, Index size, double tolerance)
      : device_(device),
        matrix_(std::move(matrix)),
        k_(k),
        size_(size),
        x_(device, std::vector<T>(right.size())),
        r_(device, right),
        p_(device, k * size),
        q_(device, k * size),
        rho_(device, k),
        target_(device, std::vector<double>(static_cast<std::size_t>(k), tolerance)),
        curvature_(device, k),
        rayleigh_(device, k),
        status_(device, std::vector<std::int32_t>(static_cast<std::size_t>(k), kRunning)),
        iterations_(device, k),
        alpha_(device, kMost * k),
        beta_(device, kMost * k),
        kept_p_(device, k * kKept * size),
        kept_q_(device, k * kKept * size),
        kept_curvature_(device, k * kKept),
        kept_(device, std::vector<std::int32_t>(static_cast<std::size_t>(k))),
        z_(device, k * size),
        squares_(device, k) {}

  /// From now on: the first directions are kept; z = D⁻¹r, which the test forms.
  void keep() { keeps_ = true; }
  void precondition(std::vector<Real> diagonal) { diagonal_ = std::move(diagonal); }
  /// Another right-hand side in the place of r, and x = 0.
  void restart(const std::vector<T>& right) {
    const std::vector<T> zero(right.size());
    const std::vector<std::int32_t> running(static_cast<std::size_t>(k_), kRunning);
    device_.copy_to_device(r_.data(), right.data(), right.size() * sizeof(T));
    device_.copy_to_device(x_.data(), zero.data(), zero.size() * sizeof(T));
    device_.copy_to_device(status_.data(), running.data(), running.size() * sizeof(running[0]));
    kernels().cg_project(device_, state());
  }
  void start() {
    apply();
    kernels().cg_start(device_, state());
  }
  void apply() {
    if (diagonal_.empty()) return;
    auto z = r_.to_host();
    for (std::size_t i = 0; i < z.size(); ++i) z[i] = static_cast<T>(z[i] / diagonal_[i % diagonal_.size()]);
    device_.copy_to_device(z_.data(), z.data(), z.size() * sizeof(T));
  }
  void multiply() {
    const auto p = p_.to_host();
    auto q = q_.to_host();
    for (Index j = 0; j < k_; ++j)
      for (Index i = 0; i < size_; ++i) {
        Real sum = 0;
        for (Index l = 0; l < size_; ++l) sum += matrix_[i * size_ + l] * static_cast<Real>(p[j * size_ + l]);
        q[j * size_ + i] = static_cast<T>(sum);
      }
    device_.copy_to_device(q_.data(), q.data(), q.size() * sizeof(T));
  }
  void advance() { kernels().cg_advance(device_, state()); }
  void direct() { kernels().cg_direct(device_, state()); }
  void iterate(Index times) {
    for (Index i = 0; i < times; ++i) multiply(), advance(), apply(), direct();
  }
  Snapshot<T> look() const {
    return {x_.to_host(),         r_.to_host(),        p_.to_host(),      rho_.to_host(),
            curvature_.to_host(), rayleigh_.to_host(), status_.to_host(), iterations_.to_host()};
  }
  std::vector<double> alphas() const { return alpha_.to_host(); }
  std::vector<double> betas() const { return beta_.to_host(); }
  Kept<T> kept() const { return {kept_p_.to_host(), kept_q_.to_host(), kept_curvature_.to_host(), kept_.to_host()}; }
  static constexpr Index kKept = ConjugateGradientState<T>::kKept;
  static constexpr Index kMost = 5;  // iterations that the histories hold: fewer than are done

 private:
  const KernelTable<T>& kernels() { return device_.kernels<T>(); }
  ConjugateGradientState<T> state() {
    return {.x = x_.view(k_, size_),
            .r = r_.view(k_, size_),
            .p = p_.view(k_, size_),
            .q = q_.view(k_, size_),
            .z = diagonal_.empty() ? MatrixView<T>{} : z_.view(k_, size_),
            .rho = rho_.data(),
            .squares = diagonal_.empty() ? nullptr : squares_.data(),
            .target = target_.data(),
            .curvature = curvature_.data(),
            .smallest_rayleigh = rayleigh_.data(),
            .status = status_.data(),
            .iterations = iterations_.data(),
            .alpha_history = alpha_.data(),
            .beta_history = beta_.data(),
            .max_iterations = kMost,
            .kept_p = keeps_ ? kept_p_.data() : nullptr,
            .kept_q = keeps_ ? kept_q_.data() : nullptr,
            .kept_curvature = keeps_ ? kept_curvature_.data() : nullptr,
            .kept = keeps_ ? kept_.data() : nullptr};
  }
  Device& device_;
  std::vector<Real> matrix_;
  Index k_, size_;
  Guarded<T> x_, r_, p_, q_;
  Guarded<double> rho_, target_, curvature_, rayleigh_;
  Guarded<std::int32_t> status_, iterations_;
  Guarded<double> alpha_, beta_;
  Guarded<T> kept_p_, kept_q_;
  Guarded<double> kept_curvature_;
  Guarded<std::int32_t> kept_;
  Guarded<T> z_;
  Guarded<double> squares_;
  bool keeps_ = false;
  std::vector<Real> diagonal_;
};

/// Of one row with another, [size] from `a` and `b` on.
template <class T>
Real row_dot(const std::vector<T>& a, Index at_a, const std::vector<T>& b, Index at_b, Index size) {
  Real sum = 0;
  for (Index i = 0; i < size; ++i) sum += static_cast<Real>(a[at_a + i]) * static_cast<Real>(b[at_b + i]);
  return sum;
}

/// Diagonal, from 1 down to 1e-4: what rounding brings back of the large eigenvalues shows after a dozen iterations.
inline std::vector<Real> spread_matrix(Index size) {
  std::vector<Real> a(static_cast<std::size_t>(size * size));
  for (Index i = 0; i < size; ++i) a[i * size + i] = std::pow(10.0, -4 * static_cast<double>(i) / static_cast<double>(size));
  return a;
}

// I + BBᵀ/size, or its negative in one direction.
inline std::vector<Real> random_matrix(Index size) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<Real> b(static_cast<std::size_t>(size * size)), a(b.size());
  for (auto& value : b) value = uniform(random);
  for (Index i = 0; i < size; ++i)
    for (Index j = 0; j < size; ++j) {
      Real sum = i == j ? 1 : 0;
      for (Index l = 0; l < size; ++l) sum += b[i * size + l] * b[j * size + l] / static_cast<Real>(size);
      a[i * size + j] = sum;
    }
  return a;
}

template <class T>
std::vector<T> random_right(Index k, Index size) {
  std::mt19937_64 random(6);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> right(static_cast<std::size_t>(k * size));
  for (auto& value : right) value = static_cast<T>(uniform(random));
  return right;
}

}  // namespace clout::test
