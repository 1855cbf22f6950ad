#include "oracle/network_oracle.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <type_traits>

// The network's oracle against nested dual numbers of its forward pass, which is held to values worked out by hand and
// to a convolution written the other way round.

namespace oracle {
namespace {

constexpr long double kEps = std::numeric_limits<long double>::epsilon();

// Numbers without a pattern that a wrong index could meet by chance: fractional parts of multiples of the golden ratio.
Vector numbers(std::size_t n, long double size, long double start = 0) {
  Vector result;
  for (std::size_t j = 1; j <= n; ++j) {
    const long double multiple = start + 0.6180339887498949L * static_cast<long double>(j);
    result.push_back(size * (2 * (multiple - std::floor(multiple)) - 1));
  }
  return result;
}

void expect_close(const Vector& actual, const Vector& expected, long double bound) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t j = 0; j < actual.size(); ++j)
    EXPECT_LE(std::fabs(actual[j] - expected[j]), bound) << "entry " << j << ": " << actual[j] << ", " << expected[j];
}

Network paper() { return {1, 28, 28, {{8, 3, 1}, {8, 3, 2}, {8, 3, 1}, {8, 3, 2}, {8, 3, 1}, {10, 1, 1}}, 10}; }

std::vector<Network> tiny_networks() {
  return {{1, 1, 1, {{1, 1, 1}}, 2},
          {2, 5, 4, {{3, 3, 1}, {2, 2, 1}}, 3},
          {3, 8, 5, {{2, 2, 2}, {3, 2, 1}}, 4},
          {1, 11, 8, {{2, 3, 3}, {2, 2, 1}, {3, 1, 1}}, 2}};
}

TEST(NetworkOracle, CountsThePapersNetwork) {
  EXPECT_EQ(parameters(paper()), 2616U);
  std::size_t products = 0;
  for (const Layer& layer : layers_of(paper()))
    for_each_product(layer, [&](std::size_t, std::size_t, std::size_t) { ++products; });
  EXPECT_EQ(products, 201156U);
  EXPECT_EQ(layers_of(paper())[5].out.size(), 40U);
}

// 1×3×4 input 1…12, one 2×2 kernel with stride 2, bias −0.5: windows at columns 0 and 2 of row 0, row 2 has no room.
TEST(NetworkOracle, ConvolvesAsWorkedOutByHand) {
  const Network network{1, 3, 4, {{1, 2, 2}}, 2};
  Vector x;
  for (int j = 1; j <= 12; ++j) x.push_back(j / 10.0L);
  const Vector theta{0.1L, -0.2L, 0.4L, 0.8L, -0.5L, 2, -3, 0.25L, 0.75L};
  const long double first = std::tanh(0.01L - 0.04L + 0.2L + 0.48L - 0.5L);
  const long double second = std::tanh(0.03L - 0.08L + 0.28L + 0.64L - 0.5L);
  const long double mean = (first + second) / 2;
  expect_close(forward(network, theta, x).logits, {2 * mean + 0.25L, -3 * mean + 0.75L}, 8 * kEps);
  const long double gap = 5 * mean - 0.5L;  // between the logits
  const NetworkProblem problem{network, 1, x, {1}, {}};
  expect_close(losses(problem, theta), {gap + std::log1p(std::exp(-gap))}, 8 * kEps);
}

// An output as a sum over all inputs, each asked whether it is in the window: no window is walked.
TEST(NetworkOracle, ConvolvesAsSeenFromTheInput) {
  for (const Network& network : tiny_networks()) {
    const Layer layer = layers_of(network)[0];
    const Vector theta = numbers(parameters(network), 0.7L), x = numbers(network.inputs(), 1, 0.3L);
    Vector a(layer.out.size());
    for (std::size_t o = 0; o < layer.out.channels; ++o)
      for (std::size_t y = 0; y < layer.out.height; ++y)
        for (std::size_t z = 0; z < layer.out.width; ++z) {
          a[layer.out.at(o, y, z)] = theta[layer.biases + o];
          for (std::size_t j = 0; j < x.size(); ++j) {
            const std::size_t plane = layer.in.height * layer.in.width, row = j % plane / layer.in.width;
            const std::size_t column = j % layer.in.width, top = layer.stride * y, left = layer.stride * z;
            if (row < top || column < left || row >= top + layer.kernel || column >= left + layer.kernel) continue;
            const std::size_t tap = (row - top) * layer.kernel + column - left;
            const std::size_t filter = o * layer.in.channels + j / plane;
            a[layer.out.at(o, y, z)] += theta[filter * layer.kernel * layer.kernel + tap] * x[j];
          }
        }
    expect_close(affine(layer, theta, x), a, 100 * kEps);
  }
}

// Every derivative of the loss, from (nested) duals of the forward pass alone.
TEST(NetworkOracle, DerivativesAreThoseOfTheForwardPass) {
  for (const Network& network : tiny_networks())
    for (int label = 0; label < 2; ++label) {
      const std::size_t p = parameters(network), d = network.inputs();
      const Vector theta = numbers(p, 0.9L), v = numbers(p, 1, 0.17L), x = numbers(d, 1, 0.4L);
      const auto loss = [&](const auto& t) {
        using S = typename std::decay_t<decltype(t)>::value_type;
        return cross_entropy(forward(network, t, std::vector<S>(x.begin(), x.end())).logits, label);
      };
      const long double bound = 1000 * static_cast<long double>(p) * kEps;  // at most p terms of at most about 10
      const Vector by_parameters = gradient_by_seeds(loss, theta);
      expect_close(loss_derivatives(network, theta, x, label).by_parameters, by_parameters, bound);
      EXPECT_LE(std::fabs(loss_tangent(network, theta, v, x, label) - dot(by_parameters, v)), bound);
      const auto tangents = loss_derivative_tangents(network, theta, v, x, label);
      expect_close(tangents.by_parameters, hvp_by_seeds(loss, theta, v), bound);

      const auto of_inputs = [&](const auto& z) {
        using S = typename std::decay_t<decltype(z)>::value_type;
        return cross_entropy(forward(network, std::vector<S>(theta.begin(), theta.end()), z).logits, label);
      };
      expect_close(loss_derivatives(network, theta, x, label).by_inputs, gradient_by_seeds(of_inputs, x), bound);
      const auto tangent_of_inputs = [&](const auto& z) {  // v·∇θℓ as a function of x
        using S = typename std::decay_t<decltype(z)>::value_type;
        const std::vector<S> at(theta.begin(), theta.end()), along(v.begin(), v.end());
        const std::vector<Dual<S>> inputs(z.begin(), z.end());
        return cross_entropy(forward(network, seeded(at, along), inputs).logits, label).tangent;
      };
      expect_close(tangents.by_inputs, gradient_by_seeds(tangent_of_inputs, x), bound);
    }
}

// JᵀSJ written out, with J and S = ∂p/∂a from seeds.
TEST(NetworkOracle, GaussNewtonIsItsDefinition) {
  for (const Network& network : tiny_networks()) {
    const std::size_t p = parameters(network), classes = network.classes;
    const Vector theta = numbers(p, 0.9L), v = numbers(p, 1, 0.17L), x = numbers(network.inputs(), 1, 0.4L);
    Matrix jacobian;  // [K][p]
    for (std::size_t c = 0; c < classes; ++c)
      jacobian.push_back(gradient_by_seeds(
          [&](const auto& t) {
            using S = typename std::decay_t<decltype(t)>::value_type;
            return forward(network, t, std::vector<S>(x.begin(), x.end())).logits[c];
          },
          theta));
    const Vector q = softmax(forward(network, theta, x).logits), along = multiply(jacobian, v);
    Vector expected(p);
    for (std::size_t c = 0; c < classes; ++c)
      for (std::size_t e = 0; e < classes; ++e)
        expected = add_scaled(expected, ((c == e ? q[c] : 0) - q[c] * q[e]) * along[e], jacobian[c]);
    expect_close(gauss_newton_product(network, theta, v, x), expected, 1000 * static_cast<long double>(p) * kEps);
  }
}

// Weighted means of what single examples give; the paper's network as the large case: symmetry ties its two passes.
TEST(NetworkOracle, MeansAreWeighted) {
  const Network network = tiny_networks()[2];
  const std::size_t p = parameters(network), d = network.inputs();
  NetworkProblem problem{network, 3, numbers(3 * d, 1), {3, 0, 1}, {0.5L, 0, 2}};
  const Vector theta = numbers(p, 0.8L), v = numbers(p, 1, 0.6L);
  const Matrix gradients = example_gradients(problem, theta);
  Vector expected(p);
  for (std::size_t i : {0, 2}) expected = add_scaled(expected, problem.weights[i] / 2.5L, gradients[i]);
  expect_close(gradient(problem, theta), expected, 100 * kEps);
  expect_close(tangent(problem, theta, v), multiply(gradients, v), 1000 * kEps);
  EXPECT_EQ(perturb(problem, theta, v).size(), 3 * d);
  const Vector all = hvp(problem, theta, v), all_gauss_newton = gauss_newton(problem, theta, v);
  NetworkProblem last{network, 1, problem.input(2), {1}, {}}, first{network, 1, problem.input(0), {3}, {}};
  expect_close(all, add_scaled(add_scaled(Vector(p), 0.2L, hvp(first, theta, v)), 0.8L, hvp(last, theta, v)),
               1000 * kEps);
  EXPECT_GE(dot(v, all_gauss_newton), 0);
}

TEST(NetworkOracle, ThePapersHessianIsSymmetric) {
  const std::size_t p = parameters(paper());
  const NetworkProblem problem{paper(), 1, numbers(784, 1), {7}, {}};
  const Vector theta = numbers(p, 0.3L), u = numbers(p, 1, 0.2L), v = numbers(p, 1, 0.7L);
  const Vector hu = hvp(problem, theta, u), hv = hvp(problem, theta, v);
  EXPECT_LE(std::fabs(dot(u, hv) - dot(v, hu)), 1000 * kEps * norm(u) * norm(hv));
  EXPECT_GT(std::fabs(dot(u, hv)), 1e-3L);
}

TEST(NetworkOracle, RefusesWrongShapes) {
  const Network network = tiny_networks()[1];
  const Vector theta(parameters(network));
  EXPECT_THROW(forward(network, Vector(3), Vector(40)), std::invalid_argument);
  EXPECT_THROW(forward(network, theta, Vector(39)), std::invalid_argument);
  EXPECT_THROW(layers_of({1, 2, 5, {{1, 3, 1}}, 2}), std::invalid_argument);
}

}  // namespace
}  // namespace oracle
