// cg_start, cg_advance, cg_direct: driven to convergence, and what each settles.

#include "problem.hpp"

namespace clout::test {
namespace {

constexpr auto kRunning = static_cast<std::int32_t>(ColumnStatus::running);
constexpr auto kConverged = static_cast<std::int32_t>(ColumnStatus::converged);
constexpr auto kNegative = static_cast<std::int32_t>(ColumnStatus::negative_curvature);
constexpr auto kNotFinite = static_cast<std::int32_t>(ColumnStatus::not_finite);

// Everything that a solve changes, on the host.
template <class T>
struct Snapshot {
  std::vector<T> x, r, p;
  std::vector<double> rho, curvature, rayleigh;
  std::vector<std::int32_t> status, iterations;
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
  struct Kept {
    std::vector<T> p, q;
    std::vector<double> curvature;
    std::vector<std::int32_t> count;
  };
  Kept kept() const { return {kept_p_.to_host(), kept_q_.to_host(), kept_curvature_.to_host(), kept_.to_host()}; }
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
std::vector<Real> spread_matrix(Index size) {
  std::vector<Real> a(static_cast<std::size_t>(size * size));
  for (Index i = 0; i < size; ++i) a[i * size + i] = std::pow(10.0, -4 * static_cast<double>(i) / static_cast<double>(size));
  return a;
}

// I + BBᵀ/size, or its negative in one direction.
std::vector<Real> random_matrix(Index size) {
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

template <class C>
using ConjugateGradientTest = KernelTest<C>;
TYPED_TEST_SUITE(ConjugateGradientTest, Cases, CaseName);

// The eigenvalues lie in [1, 1 + 4): ‖x − x*‖ ≤ ‖b − A x‖, which is the recursive residual up to its drift.
TYPED_TEST(ConjugateGradientTest, ConvergesToTheSolution) {
  using T = typename TypeParam::Number;
  for (const auto& [k, size] : std::vector<std::pair<Index, Index>>{{1, 1}, {1, 33}, {5, 61}, {9, 17}}) {
    const auto matrix = random_matrix(size);
    const auto right = random_right<T>(k, size);
    const double tolerance = 50 * static_cast<double>(std::numeric_limits<T>::epsilon());
    Solve<T> solve(this->device(), matrix, right, k, size, tolerance);
    solve.start();
    solve.iterate(kSmall ? 40 : 60);
    const auto after = solve.look();
    for (Index j = 0; j < k; ++j) {
      ASSERT_EQ(after.status[j], kConverged);
      ASSERT_LE(std::sqrt(after.rho[j]), tolerance);
      ASSERT_GE(after.rayleigh[j], 1 - 1e-6);
      ASSERT_GE(after.iterations[j], 1);
      Real residual = 0;
      for (Index i = 0; i < size; ++i) {
        Real sum = static_cast<Real>(right[j * size + i]);
        for (Index l = 0; l < size; ++l) sum -= matrix[i * size + l] * static_cast<Real>(after.x[j * size + l]);
        residual += sum * sum;
      }
      // Drift: at most about eps·(‖A‖‖x‖ + ‖r‖) per iteration (Greenbaum 1997), with ‖A‖ < 5, ‖x‖ ≤ √size.
      const double drift =
          std::numeric_limits<T>::epsilon() * 6 * std::sqrt(static_cast<double>(size)) * (after.iterations[j] + 1);
      ASSERT_LE(std::sqrt(residual), tolerance + drift) << "column " << j << " of " << k << " × " << size;
    }
  }
}

TYPED_TEST(ConjugateGradientTest, FinishedColumnsAreFrozen) {
  using T = typename TypeParam::Number;
  const Index k = 4, size = 29;
  auto right = random_right<T>(k, size);
  for (Index i = 0; i < size; ++i) right[2 * size + i] *= T(1e-3);  // done earlier than the others
  Solve<T> solve(this->device(), random_matrix(size), right, k, size, 1e-3);
  solve.start();
  solve.iterate(2);
  const auto before = solve.look();
  std::vector<Index> done, running;
  for (Index j = 0; j < k; ++j) (before.status[j] == kConverged ? done : running).push_back(j);
  ASSERT_FALSE(done.empty());
  ASSERT_FALSE(running.empty());
  solve.iterate(2);
  const auto after = solve.look();
  const auto same = [&](const auto& a, const auto& b, Index j, Index width) {
    return std::equal(a.begin() + j * width, a.begin() + (j + 1) * width, b.begin() + j * width);
  };
  for (Index j = 0; j < k; ++j) {
    const bool frozen = before.status[j] == kConverged;
    ASSERT_EQ(same(before.x, after.x, j, size), frozen) << j;
    ASSERT_EQ(same(before.r, after.r, j, size), frozen) << j;
    ASSERT_EQ(same(before.p, after.p, j, size), frozen) << j;
    ASSERT_EQ(before.rho[j] == after.rho[j], frozen) << j;
    ASSERT_EQ(before.curvature[j] == after.curvature[j], frozen) << j;
    ASSERT_EQ(before.iterations[j] == after.iterations[j], frozen) << j;
  }
}

TYPED_TEST(ConjugateGradientTest, HistoriesHoldTheCoefficients) {
  using T = typename TypeParam::Number;
  const Index k = 2, size = 23;
  Solve<T> solve(this->device(), random_matrix(size), random_right<T>(k, size), k, size, 0);
  solve.start();
  std::vector<double> alphas, betas;
  for (int i = 0; i < Solve<T>::kMost + 2; ++i) {  // the histories end before
    const auto before = solve.look();
    solve.iterate(1);
    const auto after = solve.look();
    for (Index j = 0; j < k; ++j) {
      alphas.push_back(before.rho[j] / after.curvature[j]);
      betas.push_back(after.rho[j] / before.rho[j]);
    }
  }
  alphas.resize(Solve<T>::kMost * k);
  betas.resize(Solve<T>::kMost * k);
  EXPECT_EQ(solve.alphas(), alphas);
  EXPECT_EQ(solve.betas(), betas);
}

TYPED_TEST(ConjugateGradientTest, ZeroRightHandSideIsDoneAtOnce) {
  using T = typename TypeParam::Number;
  const Index size = 12;
  auto right = random_right<T>(2, size);
  std::fill(right.begin(), right.begin() + size, T(0));
  Solve<T> solve(this->device(), random_matrix(size), right, 2, size, 0);
  solve.start();
  const auto after = solve.look();
  EXPECT_EQ(after.status, (std::vector<std::int32_t>{kConverged, kRunning}));
  EXPECT_EQ(after.iterations, (std::vector<std::int32_t>{0, 0}));
  EXPECT_EQ(after.rho[0], 0.0);
  EXPECT_EQ(after.rayleigh[1], std::numeric_limits<double>::infinity());
  EXPECT_EQ(after.p, right);
}

TYPED_TEST(ConjugateGradientTest, NegativeCurvatureNamesTheRayleighQuotient) {
  using T = typename TypeParam::Number;
  const Index size = 4;
  std::vector<Real> matrix(16);
  const Real diagonal[] = {1, 2, -3, 1};
  for (Index i = 0; i < size; ++i) matrix[i * size + i] = diagonal[i];
  const std::vector<T> right = {0, 0, 2, 0, 1, 1, 0, 0};  // column 0 meets −3 at once, column 1 never
  Solve<T> solve(this->device(), matrix, right, 2, size, 0);
  solve.start();
  solve.iterate(1);
  const auto after = solve.look();
  EXPECT_EQ(after.status, (std::vector<std::int32_t>{kNegative, kRunning}));
  EXPECT_EQ(after.rayleigh[0], -3.0);
  EXPECT_EQ(after.curvature[0], -12.0);
  EXPECT_EQ(after.rayleigh[1], 1.5);
  EXPECT_EQ(after.iterations, (std::vector<std::int32_t>{0, 1}));
  for (Index i = 0; i < size; ++i) EXPECT_EQ(after.x[i], T(0));
}

TYPED_TEST(ConjugateGradientTest, NanIsFoundWhereverItIs) {
  using T = typename TypeParam::Number;
  const Index size = 40;
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
    auto right = random_right<T>(2, size);
    right[size + 37] = bad;
    Solve<T> at_start(this->device(), random_matrix(size), right, 2, size, 1e-3);
    at_start.start();
    EXPECT_EQ(at_start.look().status, (std::vector<std::int32_t>{kRunning, kNotFinite}));

    auto matrix = random_matrix(size);
    matrix[5] = static_cast<Real>(bad);
    Solve<T> on_the_way(this->device(), matrix, random_right<T>(2, size), 2, size, 1e-3);
    on_the_way.start();
    on_the_way.iterate(1);
    EXPECT_EQ(on_the_way.look().status, (std::vector<std::int32_t>{kNotFinite, kNotFinite}));
  }
}

// pᵀq_i = 0 and rᵀp_i = 0 for all that is kept, but for rounding of p and r themselves; a column that does not run keeps
// nothing.
TYPED_TEST(ConjugateGradientTest, LaterDirectionsStayConjugateToTheFirst) {
  using T = typename TypeParam::Number;
  const Index k = 3, size = 67, iterations = 80;  // r has fallen far by then
  auto right = random_right<T>(k, size);
  std::fill(right.begin() + size, right.begin() + 2 * size, T(0));  // column 1 is done at once
  Solve<T> solve(this->device(), spread_matrix(size), right, k, size, 0);
  solve.keep();
  solve.start();
  solve.iterate(2);
  const auto early = solve.kept();
  EXPECT_EQ(early.count, (std::vector<std::int32_t>{2, 0, 2}));
  solve.iterate(iterations - 2);
  const auto kept = solve.kept();
  const auto all = static_cast<std::int32_t>(Solve<T>::kKept);
  EXPECT_EQ(kept.count, (std::vector<std::int32_t>{all, 0, all}));
  EXPECT_TRUE(std::isnan(kept.p[Solve<T>::kKept * size]));  // column 1's are as they were
  const auto after = solve.look();
  const Real eps = std::numeric_limits<T>::epsilon();
  for (const Index j : {Index{0}, Index{2}}) {
    ASSERT_EQ(after.status[j], kRunning);
    for (Index i = 0; i < Solve<T>::kKept; ++i) {
      const Index at = (j * Solve<T>::kKept + i) * size;
      if (i < 2) {
        EXPECT_TRUE(std::equal(kept.p.begin() + at, kept.p.begin() + at + size, early.p.begin() + at));
      }
      EXPECT_NEAR(kept.curvature[at / size], static_cast<double>(row_dot(kept.p, at, kept.q, at, size)),
                  1e-12 * kept.curvature[at / size]);
      const auto cosine = [&](const std::vector<T>& a, const std::vector<T>& b) {
        return std::abs(row_dot(a, at, b, j * size, size)) /
               std::sqrt(row_dot(a, at, a, at, size) * row_dot(b, j * size, b, j * size, size));
      };
      EXPECT_LE(cosine(kept.q, after.p), 16 * eps) << i;
      EXPECT_LE(cosine(kept.p, after.r), 16 * eps) << i;
    }
  }
}

// What is left of the same right-hand side, or another: its part along the kept directions is solved for at once.
TYPED_TEST(ConjugateGradientTest, AStartGoesOnWithWhatWasKept) {
  using T = typename TypeParam::Number;
  const Index size = 9;  // fewer than are kept: nothing is left to iterate for
  const auto matrix = random_matrix(size);
  Solve<T> solve(this->device(), matrix, random_right<T>(2, size), 2, size, 0);
  solve.keep();
  solve.start();
  solve.iterate(size);
  auto right = random_right<T>(4, size);
  right.erase(right.begin(), right.begin() + 2 * size);
  solve.restart(right);
  solve.start();
  const auto after = solve.look();
  const double eps = std::numeric_limits<T>::epsilon();
  for (Index j = 0; j < 2; ++j) {
    const double before = std::sqrt(static_cast<double>(row_dot(right, j * size, right, j * size, size)));
    EXPECT_LE(std::sqrt(after.rho[j]), 200 * eps * before);  // eigenvalues in [1, 5), nine projections
    EXPECT_EQ(after.iterations[j], 0);
    for (Index i = 0; i < size; ++i) {
      Real product = 0;
      for (Index l = 0; l < size; ++l) product += matrix[i * size + l] * static_cast<Real>(after.x[j * size + l]);
      EXPECT_NEAR(static_cast<double>(product), static_cast<double>(right[j * size + i]), 400 * eps * before);
    }
  }
}

// With P = 1e34 A one step is the solution; what is judged is r, not ρ = rᵀz, which is small from the beginning.
TYPED_TEST(ConjugateGradientTest, APreconditionerChangesDirectionsNotWhatIsJudged) {
  using T = typename TypeParam::Number;
  const Index k = 2, size = 31;
  const auto matrix = spread_matrix(size);
  std::vector<Real> diagonal;
  for (Index i = 0; i < size; ++i) diagonal.push_back(1e34L * matrix[i * size + i]);
  const double eps = std::numeric_limits<T>::epsilon(), target = 50 * eps;
  Solve<T> solve(this->device(), matrix, random_right<T>(k, size), k, size, target);
  solve.precondition(diagonal);
  solve.start();
  EXPECT_EQ(solve.look().status, (std::vector<std::int32_t>{kRunning, kRunning}));
  solve.iterate(2);
  const auto after = solve.look();
  for (Index j = 0; j < k; ++j) {
    EXPECT_EQ(after.status[j], kConverged);
    EXPECT_LE(after.iterations[j], 2);
    EXPECT_LE(std::sqrt(static_cast<double>(row_dot(after.r, j * size, after.r, j * size, size))), target);
  }
  for (Real& value : diagonal) value = -value;
  Solve<T> indefinite(this->device(), matrix, random_right<T>(k, size), k, size, target);
  indefinite.precondition(diagonal);
  indefinite.start();
  const auto stagnated = static_cast<std::int32_t>(ColumnStatus::stagnated);
  EXPECT_EQ(indefinite.look().status, (std::vector<std::int32_t>{stagnated, stagnated}));
}

}  // namespace
}  // namespace clout::test
