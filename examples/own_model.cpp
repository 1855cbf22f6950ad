// A model of your own: implement clout::Objective, and every solver of the engine works with it.
//
// The model is ridge regression, ℓᵢ = ½(xᵢ·θ − yᵢ)², written with plain loops for the CPU, whose memory the host can
// read. Training, solving and influence come from the engine; a closed form by elimination checks them.

#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/influence.hpp>
#include <clout/engine/training.hpp>
#include <cmath>
#include <cstdio>
#include <random>

using clout::Index;
using clout::MatrixView;

class RidgeRegression : public clout::Objective<double> {
 public:
  RidgeRegression(clout::Device& device, std::vector<double> x, std::vector<double> y, double l2)
      : device_(device),
        x_(std::move(x)),
        y_(std::move(y)),
        l2_(l2),
        n_(static_cast<Index>(y_.size())),
        d_(static_cast<Index>(x_.size()) / n_),
        theta_(static_cast<std::size_t>(d_)) {
    clout::require(device.info().is_host, "ridge regression: this model is written for the CPU");
  }

  clout::Device& device() const override { return device_; }
  Index parameters() const override { return d_; }
  Index examples() const override { return n_; }
  Index input_size() const override { return d_; }
  double total_weight() const override { return static_cast<double>(n_); }
  double example_weight(Index) const override { return 1.0; }
  double l2() const override { return l2_; }
  std::vector<clout::ParameterBlock> layout() const override { return {{"weight", {d_}, 0, true}}; }

  void set_parameters(MatrixView<const double> theta) override { theta_.assign(theta.data, theta.data + d_); }

  // ℓᵢ = ½ rᵢ²  with rᵢ = xᵢ·θ − yᵢ
  void losses(MatrixView<double> out) override { losses_at({theta_.data(), 1, d_}, out); }
  void losses_at(MatrixView<const double> parameters, MatrixView<double> out) override {
    for (Index i = 0; i < n_; ++i)
      for (Index j = 0; j < parameters.rows; ++j) {
        const double residual = dot(row(i), parameters.row(j)) - y_[static_cast<std::size_t>(i)];
        out(i, j) = 0.5 * residual * residual;
      }
  }

  // ∇R = (1/n) Σ rᵢ xᵢ + λθ
  void gradient(MatrixView<double> out) override {
    for (Index c = 0; c < d_; ++c) out(0, c) = l2_ * theta_[static_cast<std::size_t>(c)];
    for (Index i = 0; i < n_; ++i) add(residual(i) / total_weight(), row(i), out.row(0));
  }
  // (∇²R + damping·I) v = (1/n) Σ xᵢ (xᵢ·v) + (λ + damping) v
  void hessian_product(MatrixView<const double> vectors, double damping, MatrixView<double> out) override {
    for (Index j = 0; j < vectors.rows; ++j) {
      for (Index c = 0; c < d_; ++c) out(j, c) = (l2_ + damping) * vectors(j, c);
      for (Index i = 0; i < n_; ++i) add(dot(row(i), vectors.row(j)) / total_weight(), row(i), out.row(j));
    }
  }
  // v·∇ℓᵢ = rᵢ xᵢ·v
  void loss_tangents(MatrixView<const double> vectors, Index first, MatrixView<double> out) override {
    for (Index i = 0; i < out.rows; ++i)
      for (Index j = 0; j < vectors.rows; ++j) out(i, j) = residual(first + i) * dot(row(first + i), vectors.row(j));
  }
  // ∇ℓᵢ = rᵢ xᵢ
  void example_gradients(std::span<const Index> rows, MatrixView<double> out) override {
    for (Index m = 0; m < out.rows; ++m) {
      const Index i = rows[static_cast<std::size_t>(m)];
      for (Index c = 0; c < d_; ++c) out(m, c) = residual(i) * row(i)[c];
    }
  }
  // ∇ₓ(v·∇ℓᵢ) = (xᵢ·v) θ + rᵢ v
  void input_gradients(MatrixView<const double> vectors, Index first, Index count, MatrixView<double> out) override {
    for (Index j = 0; j < vectors.rows; ++j)
      for (Index i = 0; i < count; ++i) {
        const double along = dot(row(first + i), vectors.row(j));
        for (Index c = 0; c < d_; ++c)
          out(j, i * d_ + c) = along * theta_[static_cast<std::size_t>(c)] + residual(first + i) * vectors(j, c);
      }
  }

 private:
  const double* row(Index i) const { return x_.data() + i * d_; }
  double residual(Index i) const { return dot(row(i), theta_.data()) - y_[static_cast<std::size_t>(i)]; }
  double dot(const double* a, const double* b) const {
    double sum = 0;
    for (Index c = 0; c < d_; ++c) sum += a[c] * b[c];
    return sum;
  }
  void add(double scale, const double* from, double* to) const {
    for (Index c = 0; c < d_; ++c) to[c] += scale * from[c];
  }

  clout::Device& device_;
  std::vector<double> x_, y_;  // [n][d], [n]
  double l2_;
  Index n_, d_;
  std::vector<double> theta_;  // [d]
};

// The closed form: H s = b by elimination (H is symmetric positive definite: no pivoting is needed).
std::vector<double> eliminate(std::vector<double> h, std::vector<double> b) {
  const std::size_t p = b.size();
  for (std::size_t k = 0; k < p; ++k)
    for (std::size_t i = k + 1; i < p; ++i) {
      const double factor = h[i * p + k] / h[k * p + k];
      for (std::size_t c = k; c < p; ++c) h[i * p + c] -= factor * h[k * p + c];
      b[i] -= factor * b[k];
    }
  for (std::size_t k = p; k-- > 0;) {
    for (std::size_t c = k + 1; c < p; ++c) b[k] -= h[k * p + c] * b[c];
    b[k] /= h[k * p + k];
  }
  return b;
}

double relative_difference(const std::vector<double>& found, const std::vector<double>& expected) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += (found[i] - expected[i]) * (found[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return std::sqrt(difference / size);
}

int main() try {
  constexpr std::size_t n = 200, d = 7;
  constexpr double l2 = 0.1, tolerance = 1e-12;
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  std::vector<double> x(n * d), y(n);
  for (double& value : x) value = normal(random);
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i * d] - 2 * x[i * d + 1] + 0.1 * normal(random);

  const auto device = clout::make_cpu_device();
  RidgeRegression model(*device, x, y, l2);

  // The engine: train, then influence on the loss of example 0, as if it were a test point, solved with CG.
  std::vector<double> theta(d);
  const auto training = clout::train<double>(model, model, theta, {.tolerance = tolerance});
  const auto solver = clout::make_conjugate_gradient<double>(model, model, /*damping=*/0.0, tolerance);
  const Index asked = 0;
  clout::Influence<double> influence(model, model, *solver, theta);
  const auto solution = influence.inverse_products(std::span(&asked, 1));
  clout::require_certified(solution.report);

  // The closed form: H = XᵀX/n + λI, θ = H⁻¹ Xᵀy/n, s = H⁻¹ ∇ℓ₀.
  std::vector<double> h(d * d), xy(d), gradient(d);
  for (std::size_t a = 0; a < d; ++a) {
    h[a * d + a] = l2;
    for (std::size_t i = 0; i < n; ++i) {
      xy[a] += x[i * d + a] * y[i] / n;
      for (std::size_t b = 0; b < d; ++b) h[a * d + b] += x[i * d + a] * x[i * d + b] / n;
    }
  }
  const std::vector<double> expected_theta = eliminate(h, xy);
  double residual = -y[0];
  for (std::size_t a = 0; a < d; ++a) residual += x[a] * expected_theta[a];
  for (std::size_t a = 0; a < d; ++a) gradient[a] = residual * x[a];

  const double theta_error = relative_difference(theta, expected_theta);
  const double solve_error = relative_difference(solution.values, eliminate(h, gradient));
  const clout::ColumnReport& column = solution.report.columns.front();
  std::printf("trained to gradient norm %.1e; relative difference from the closed form %.1e\n", training.gradient_norm,
              theta_error);
  std::printf("%s: %ld iterations, true residual %.1e; relative difference from the closed form %.1e\n",
              solution.report.solver.c_str(), static_cast<long>(column.iterations), column.relative_residual,
              solve_error);

  // A residual of `tolerance` is an error of at most the condition number times that: about 2 here.
  const bool agrees = training.converged && theta_error <= 10 * tolerance && solve_error <= 10 * tolerance;
  return agrees ? 0 : 1;
} catch (const clout::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.fault());
}
