#include <algorithm>
#include <chrono>
#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/training.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

constexpr double kSufficientDecrease = 1e-4;  // Armijo
constexpr int kMaxHalvings = 40;
constexpr Index kMaxInnerIterations = 500;
// Close to the optimum the objective's differences drown in rounding; there a step must make the gradient smaller.
constexpr double kRounding = 1e-13;
// Towards a minimum Newton's steps shrink the gradient ever faster; towards infinity, along e^(−t), by 1/e each.
constexpr double kRunawayRatio = 0.2;
constexpr int kStepsToTell = 8;
constexpr double kGradientRounding = 1e-14;  // below, steps say nothing any more

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
        solver_(HessianOperator<T>(fast, options.damping), kMaxInnerIterations) {}

  void evaluate() {
    move_to(exact_, fast_, theta_);
    exact_.gradient(gradient_.view(1, size()));
    host_gradient_ = gradient_.to_host();
    double squares = 0;
    for (const double g : host_gradient_) squares += g * g;
    norm_ = std::sqrt(squares);
    const Buffer<double> theta(exact_.device(), std::span<const double>(theta_));
    value_ = objective_value<double>(exact_, theta.view(1, size()));
  }

  /// One Newton step; false where no length along the direction helps. `length` is what was taken.
  bool step(double& length) {
    const std::vector<double> direction = newton_direction();
    double slope = 0;
    for (std::size_t i = 0; i < theta_.size(); ++i) slope -= direction[i] * host_gradient_[i];
    if (!(slope < 0)) return false;
    const std::vector<double> start = theta_;
    const double value = value_, norm = norm_;
    length = 1;
    for (int halving = 0; halving < kMaxHalvings; ++halving, length /= 2) {
      for (std::size_t i = 0; i < theta_.size(); ++i) theta_[i] = start[i] - length * direction[i];
      evaluate();
      const bool tells = std::abs(value_ - value) > kRounding * std::max(1.0, std::abs(value));
      if (tells ? value_ <= value + kSufficientDecrease * length * slope : norm_ < norm) return true;
    }
    theta_ = start;
    evaluate();
    return false;
  }

  double value() const { return value_; }
  double norm() const { return norm_; }
  Index products() const { return solver_.products(); }

 private:
  Index size() const { return exact_.parameters(); }

  std::vector<double> newton_direction() {
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

  Objective<double>& exact_;
  Objective<T>& fast_;
  std::vector<double>& theta_;
  Buffer<double> gradient_;
  Buffer<T> residual_, direction_;
  ConjugateGradient<T> solver_;
  std::vector<double> host_gradient_;
  double value_ = 0, norm_ = 0;
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
  bool runs_away = exact.l2() == 0 && newton.norm() > kGradientRounding;  // until a step says otherwise
  int steps_to_tell = kStepsToTell, fast_steps = 0;
  while ((newton.norm() > options.tolerance ||
          (runs_away && newton.norm() > kGradientRounding && steps_to_tell-- > 0)) &&
         static_cast<Index>(report.steps.size()) < options.max_steps) {
    const double before = newton.norm();
    if (progress) progress("train", decades - std::log10(std::max(1.0, before / options.tolerance)), decades);
    if (!std::isfinite(before) || !newton.step(length)) break;
    report.steps.push_back({newton.value(), newton.norm(), length, newton.products()});
    if (before <= kGradientRounding) continue;
    // One fast step may only take back what a bad one before it had lost; two in a row, or one down to rounding, do not.
    fast_steps = newton.norm() <= kRunawayRatio * before ? fast_steps + 1 : 0;
    const bool settles = fast_steps >= 2 || (fast_steps == 1 && newton.norm() <= kGradientRounding);
    runs_away = exact.l2() == 0 && !settles;
  }
  if (progress) progress("train", decades, decades);
  report.gradient_norm = newton.norm();
  report.obstacle = exact.obstacle_to_minimum({});
  if (report.obstacle.empty() && runs_away && newton.norm() <= options.tolerance)
    report.obstacle = "Newton's steps shrink the gradient by a constant factor only: without a regulariser the parameters "
                      "run away (separable classes?); raise --l2";
  report.converged = newton.norm() <= options.tolerance && report.obstacle.empty();
  report.objective = newton.value();
  report.products = newton.products();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

template void move_to(Objective<double>&, Objective<float>&, const std::vector<double>&);
template void move_to(Objective<double>&, Objective<double>&, const std::vector<double>&);
template TrainingReport train(Objective<double>&, Objective<float>&, std::vector<double>&, const TrainingOptions&,
                              const Progress&);
template TrainingReport train(Objective<double>&, Objective<double>&, std::vector<double>&, const TrainingOptions&,
                              const Progress&);

}  // namespace clout
