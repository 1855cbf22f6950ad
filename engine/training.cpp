#include <algorithm>
#include <chrono>
#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/direct_solver.hpp>
#include <clout/engine/scaling.hpp>
#include <clout/engine/training.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>
#include <deque>

namespace clout {
namespace {

constexpr double kSufficientDecrease = 1e-4;  // Armijo
constexpr int kMaxHalvings = 40;
constexpr Index kMaxInnerIterations = 500;
// Close to the optimum the objective's differences drown in rounding; there a step must make the gradient smaller.
constexpr double kRounding = 1e-13;
// Towards a minimum the curvature along a Newton step is the same at both its ends, ever more exactly; towards infinity,
// along e^(−t), a step has length 1 and ends at 1/e of the curvature, however small the gradient has become.
constexpr double kLeastCurvatureKept = 0.7;
constexpr int kStepsToTell = 16;  // beyond the tolerance
constexpr Index kMostExact = 2048;  // parameters, for Newton's exact directions where there is no regulariser
constexpr std::size_t kStepsRemembered = 4;  // their sum is where θ goes, whatever rounding does to a single one

template <class T>
bool same_objective(Objective<double>& exact, Objective<T>& fast) {
  return static_cast<void*>(&exact) == static_cast<void*>(&fast);
}

}  // namespace

template <class T>
void move_to(Objective<double>& exact, Objective<T>& fast, const std::vector<double>& theta) {
  const Index p = exact.parameters();
  ensure(static_cast<Index>(theta.size()) == p, "parameter vector of another length");
  const Buffer<double> in_double(exact.device(), std::span<const double>(theta));
  exact.set_parameters(in_double.view(1, p));
  if (same_objective(exact, fast)) return;
  const std::vector<T> rounded(theta.begin(), theta.end());
  const Buffer<T> in_t(fast.device(), std::span<const T>(rounded));
  fast.set_parameters(in_t.view(1, p));
}

namespace {

template <class T>
class Newton {
 public:
  Newton(Objective<double>& exact, Objective<T>& fast, std::vector<double>& theta, const TrainingOptions& options)
      : exact_(exact),
        fast_(fast),
        theta_(theta),
        gradient_(exact.device(), exact.parameters()),
        residual_(exact.device(), exact.parameters()),
        direction_(exact.device(), exact.parameters()),
        solver_(HessianOperator<T>(fast, options.damping), kMaxInnerIterations),
        tolerance_(options.tolerance),
        watches_curvature_(exact.l2() == 0) {}

  void evaluate() {
    move_to(exact_, fast_, theta_);
    exact_.gradient(gradient_.view(1, size()));
    host_gradient_ = gradient_.to_host();
    norm_ = scaled_norm(host_gradient_);
    const Buffer<double> theta(exact_.device(), std::span<const double>(theta_));
    value_ = objective_value<double>(exact_, theta.view(1, size()));
  }

  /// One Newton step; false where no length along the direction helps. `length` is what was taken.
  bool step(double& length) {
    const std::vector<double> direction = newton_direction(watches_curvature_);
    double slope = 0;
    for (std::size_t i = 0; i < theta_.size(); ++i) slope -= direction[i] * host_gradient_[i];
    if (!(slope < 0)) return false;
    const std::vector<double> start = theta_;
    const double value = value_, norm = norm_;
    length = 1;
    const double curvature = watches_curvature_ ? curvature_along(direction) : 0;
    for (int halving = 0; halving < kMaxHalvings; ++halving, length /= 2) {
      for (std::size_t i = 0; i < theta_.size(); ++i) theta_[i] = start[i] - length * direction[i];
      evaluate();
      if (watches_curvature_ && halving == 0) judge(curvature_along(direction) / curvature);
      const bool tells = std::abs(value_ - value) > kRounding * std::max(1.0, std::abs(value));
      if (!(tells ? value_ <= value + kSufficientDecrease * length * slope : norm_ < norm)) continue;
      before_.push_back(start);
      if (before_.size() > kStepsRemembered) before_.pop_front();
      return true;
    }
    theta_ = start;
    evaluate();
    return false;
  }

  /// Whether a quadratic describes the objective as far as Newton's steps go. One step that says so may only take back
  /// what a bad one before it (of rounding) had lost: it takes two, or that no step says otherwise.
  bool is_settled() const { return settled_ >= 2 || (settled_ == 1 && !was_unsettled_); }
  /// Whether the regulariser's part of the gradient, λ‖θ‖ at most, is lost in the tolerance: then a small gradient says no
  /// more of a minimum than without one.
  bool is_unregularized() const {
    double squares = 0;
    for (const double value : theta_) squares += value * value;
    return exact_.l2() * std::sqrt(squares) <= tolerance_;
  }
  /// Objective::obstacle_along where the last steps went, and along θ.
  std::string obstacle() {
    std::vector<double> went = theta_;
    if (!before_.empty())
      for (std::size_t i = 0; i < went.size(); ++i) went[i] -= before_.front()[i];
    for (const std::vector<double>& direction : {went, theta_}) {
      const Buffer<double> vector(exact_.device(), std::span<const double>(direction));
      const std::string found = exact_.obstacle_along(vector.view(1, size()));
      if (!found.empty() && exact_.l2() > 0)
        return "the regulariser is lost in the tolerance, and without one there is no minimum: lower --tolerance, or raise --l2";
      if (!found.empty()) return found;
    }
    return {};
  }
  /// Length of the next step for what is left of the gradient, relative to that.
  double gain() {
    if (!(norm_ > 0)) return 0;
    double squares = 0;
    for (const double d : newton_direction(true)) squares += (d / norm_) * (d / norm_);
    return std::sqrt(squares);
  }
  double value() const { return value_; }
  double norm() const { return norm_; }
  Index products() const { return solver_.products(); }

 private:
  Index size() const { return exact_.parameters(); }

  void judge(double curvature_kept) {
    const bool settles = curvature_kept > kLeastCurvatureKept && curvature_kept < 1 / kLeastCurvatureKept;
    settled_ = settles ? settled_ + 1 : 0;
    was_unsettled_ = was_unsettled_ || !settles;
  }

  /// dᵀHd at θ, in double.
  double curvature_along(const std::vector<double>& d) {
    const Buffer<double> vector(exact_.device(), std::span<const double>(d));
    Buffer<double> product(exact_.device(), size());
    exact_.hessian_product(vector.view(1, size()), 0.0, product.view(1, size()));
    const std::vector<double> hd = product.to_host();
    double sum = 0;
    for (std::size_t i = 0; i < d.size(); ++i) sum += d[i] * hd[i];
    return sum;
  }

  std::vector<double> newton_direction(bool exactly) {
    if (exactly && size() <= kMostExact)
      if (const std::vector<double> exact = exact_direction(); !exact.empty()) return exact;
    // H d = g with ‖g − Hd‖ ≤ η‖g‖; η falls with ‖g‖ for superlinear convergence (Eisenstat & Walker 1996).
    std::vector<T> scaled(host_gradient_.size());
    for (std::size_t i = 0; i < scaled.size(); ++i) scaled[i] = static_cast<T>(host_gradient_[i] / norm_);
    residual_.upload(std::span<const T>(scaled));
    std::vector<ColumnReport> column(1);
    const double forcing = std::clamp(std::sqrt(norm_), 1e-5, 0.1);
    solver_.correct(residual_.view(1, size()), {forcing}, direction_.view(1, size()), column);
    const std::vector<T> d = direction_.to_host();
    std::vector<double> direction(d.size());
    for (std::size_t i = 0; i < d.size(); ++i) direction[i] = static_cast<double>(d[i]) * norm_;
    return direction;
  }

  /// By a factor of the explicit Hessian, which sees directions of next to no curvature too; empty where there is none.
  std::vector<double> exact_direction() {
    try {
      const HessianFactor<double> factor(exact_, 0.0);
      Buffer<double> d(exact_.device(), std::span<const double>(host_gradient_));
      factor.solve(d.view(1, size()));
      std::vector<double> direction = d.to_host();
      return std::all_of(direction.begin(), direction.end(), [](double x) { return std::isfinite(x); })
                 ? direction
                 : std::vector<double>{};
    } catch (const NotCertified&) {
      return {};
    }
  }

  Objective<double>& exact_;
  Objective<T>& fast_;
  std::vector<double>& theta_;
  Buffer<double> gradient_;
  Buffer<T> residual_, direction_;
  ConjugateGradient<T> solver_;
  std::vector<double> host_gradient_;
  double value_ = 0, norm_ = 0;
  double tolerance_;
  bool watches_curvature_;
  int settled_ = 0;  // steps in a row
  bool was_unsettled_ = false;
  std::deque<std::vector<double>> before_;  // θ at the start of the last steps
};

}  // namespace

template <class T>
TrainingReport train(Objective<double>& exact, Objective<T>& fast, std::vector<double>& theta,
                     const TrainingOptions& options, const Progress& progress) {
  require(options.tolerance > 0, "training tolerance: expected a positive gradient norm");
  const auto start = std::chrono::steady_clock::now();
  TrainingReport report;
  Newton<T> newton(exact, fast, theta, options);
  newton.evaluate();
  const double decades = std::max(1e-300, std::log10(std::max(newton.norm(), options.tolerance) / options.tolerance));
  double length = 1;
  // Without a regulariser there may be no minimum, and a gradient of zero alone says that there is one.
  const bool must_tell = newton.norm() > 0 && exact.l2() == 0;
  int steps_to_tell = kStepsToTell;
  report.obstacle = exact.obstacle_to_minimum({});
  for (;;) {
    const double before = newton.norm();
    if (before <= options.tolerance) {
      if (report.obstacle.empty() && newton.is_unregularized()) report.obstacle = newton.obstacle();
      if (!report.obstacle.empty() || newton.is_settled()) break;
      if (!must_tell) break;
      if (steps_to_tell-- == 0) {
        report.obstacle = "no minimum is in sight: the curvature still changes after " + std::to_string(kStepsToTell) +
                          " Newton steps beyond the tolerance; raise --l2";
        break;
      }
    }
    if (progress) progress("train", decades - std::log10(std::max(1.0, before / options.tolerance)), decades);
    const bool may_step = static_cast<Index>(report.steps.size()) < options.max_steps && std::isfinite(before);
    if (!may_step || !newton.step(length)) break;
    report.steps.push_back({newton.value(), newton.norm(), length, newton.products()});
  }
  if (progress) progress("train", decades, decades);
  report.gradient_norm = newton.norm();
  if (options.gain) report.gain = newton.gain();
  report.converged = newton.norm() <= options.tolerance && report.obstacle.empty();
  report.objective = newton.value();
  report.products = newton.products();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

double gradient_norm(Objective<double>& objective) {
  const Index p = objective.parameters();
  Buffer<double> gradient(objective.device(), p);
  objective.gradient(gradient.view(1, p));
  return row_norms<double>(objective.device(), gradient.view(1, p))[0];
}

template void move_to(Objective<double>&, Objective<float>&, const std::vector<double>&);
template void move_to(Objective<double>&, Objective<double>&, const std::vector<double>&);
template TrainingReport train(Objective<double>&, Objective<float>&, std::vector<double>&, const TrainingOptions&,
                              const Progress&);
template TrainingReport train(Objective<double>&, Objective<double>&, std::vector<double>&, const TrainingOptions&,
                              const Progress&);

}  // namespace clout
