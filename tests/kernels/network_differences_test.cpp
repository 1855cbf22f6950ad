// The derivatives of a network against 4-point differences, in double, where there are digits to lose.

#include <array>

#include "network_reference.hpp"

namespace clout::test {
namespace {

/// A number on a device, and how far off it may be.
struct Uncertain {
  Real value = 0, bound = 0;
};

// f(0), f(h), f(−h), f(2h), f(−2h), f(4h), f(−4h)
constexpr double kStep = 1.0 / 4096;
constexpr std::array<double, 7> kSteps = {0, kStep, -kStep, 2 * kStep, -2 * kStep, 4 * kStep, -4 * kStep};

/// f′(0) by four points. Rounding: the weights' share of each bound. Truncation: h⁴/30 f⁽⁵⁾, to leading order a
/// fifteenth of what doubling h changes; the whole change is the bound.
Uncertain four_point(const std::array<Uncertain, 7>& f) {
  const auto with = [&](std::size_t first, Real h) {
    return (8 * (f[first].value - f[first + 1].value) - (f[first + 2].value - f[first + 3].value)) / (12 * h);
  };
  const Real value = with(1, kStep), rounding = 8 * (f[1].bound + f[2].bound) + f[3].bound + f[4].bound;
  return {value, rounding / (12 * kStep) + std::fabs(value - with(3, 2 * kStep))};
}

void expect_same(Uncertain difference, Uncertain derivative, const std::string& what) {
  const Real bound = difference.bound + derivative.bound;
  ASSERT_LE(std::fabs(difference.value - derivative.value), bound)
      << what << ": " << derivative.value << ", by differences " << difference.value;
  ASSERT_LE(bound, 1e-7L) << what << ": too blunt to tell";
}

std::vector<NetworkOptions> difference_options() {
  std::vector<NetworkOptions> result = {
      {"small paper", small_paper(), 5, 6, 7, true, false, true, false},
      {"colour", {3, 9, 8, {{4, 4, 1}, {6, 3, 2}}, 7}, 4, 4, 7, false, false, false, true},
      {"stride 3", {2, 11, 8, {{5, 3, 3}, {3, 2, 1}}, 2}, 7, 5, 7, false, false, true, false},
  };
  if (!kSmall) result.push_back({"paper", paper(), 2, 2, 7, true, false, true, false});
  return result;
}

/// Seven models: θ + h·v for the steps. θ is made of multiples of 2⁻³⁰ and v of 1/64: the sums are exact.
NetworkProblem<double> along(NetworkProblem<double> problem, const std::vector<double>& v) {
  const Index p = problem.p();
  std::vector<double> moved;
  for (const double h : kSteps)
    for (Index a = 0; a < p; ++a)
      moved.push_back(std::ldexp(std::round(std::ldexp(problem.parameters[a], 30)), -30) + h * v[a]);
  problem.parameters = moved;
  return problem;
}

Real cross_entropy(const double* logits, Index classes, Index label) {
  Real sum = 0;
  for (Index c = 0; c < classes; ++c) sum += std::exp(static_cast<Real>(logits[c]) - logits[label]);
  return std::log(sum);
}

template <class C>
class NetworkDifferencesTest : public KernelTest<C> {
 protected:
  template <class Of>
  std::vector<Uncertain> evaluate(const NetworkProblem<double>& problem, const Of& of) {
    const std::vector<double> got = of(NetworkRun<double>(this->device(), problem));
    const auto closeness = network_closeness(problem, of);
    std::vector<Uncertain> result;
    for (std::size_t i = 0; i < got.size(); ++i) result.push_back({got[i], closeness.bound(i)});
    return result;
  }
};
TYPED_TEST_SUITE(NetworkDifferencesTest, DoubleCases, CaseName);

// v·Σ w∇ℓ, and every vᵢ·∇ℓᵢ, from the logits alone: ℓ moves by at most twice what a logit does.
TYPED_TEST(NetworkDifferencesTest, GradientIsThatOfTheLoss) {
  for (const NetworkOptions& options : difference_options()) {
    const auto random = random_network_problem<double>(options, 11);
    const std::vector<double> v = random.vector(0);
    const auto models = along(random, v);
    const Index p = random.p(), classes = random.shape.classes;
    const auto logits = this->evaluate(models, [](auto&& network) { return network.forward(); });
    const auto tangents =
        this->evaluate(models.with_vectors(v), [](auto&& network) { return network.loss_tangents(); });
    const auto gradient = this->evaluate(models, [](auto&& network) { return network.gradient(1); });
    Uncertain sum, by_gradient;
    for (Index place = 0; place < options.m; ++place) {
      std::array<Uncertain, 7> losses;
      const Index example = random.example(place);
      for (Index j = 0; j < 7; ++j) {
        std::vector<double> a;
        for (Index c = 0; c < classes; ++c) {
          const Uncertain& logit = logits[(place * 7 + j) * classes + c];
          a.push_back(static_cast<double>(logit.value));
          losses[j].bound = std::max(losses[j].bound, 2 * logit.bound);
        }
        losses[j].value = cross_entropy(a.data(), classes, random.labels[example]);
      }
      const Uncertain difference = four_point(losses);
      expect_same(difference, tangents[place], std::string("loss tangent, ") + options.name);
      sum.value += random.weight(example) * difference.value;
      sum.bound += random.weight(example) * difference.bound;
    }
    for (Index a = 0; a < p; ++a) {
      by_gradient.value += v[a] * gradient[a].value;
      by_gradient.bound += std::fabs(v[a]) * gradient[a].bound;
    }
    expect_same(sum, by_gradient, std::string("gradient, ") + options.name);
  }
}

// Every entry of (Σ w∇²ℓ)v from gradients.
TYPED_TEST(NetworkDifferencesTest, ProductIsThatOfTheGradient) {
  for (const NetworkOptions& options : difference_options()) {
    const auto random = random_network_problem<double>(options, 13);
    const std::vector<double> v = random.vector(1);
    const auto models = along(random, v);
    const Index p = random.p();
    const auto gradients = this->evaluate(models, [](auto&& network) { return network.gradient(0.5); });
    const auto product =
        this->evaluate(models.with_vectors(v), [](auto&& network) { return network.product(Curvature::hessian, 0.5); });
    for (Index a = 0; a < p; ++a) {
      std::array<Uncertain, 7> f;
      for (Index j = 0; j < 7; ++j) f[j] = gradients[j * p + a];
      expect_same(four_point(f), product[a], std::string(options.name) + " at " + std::to_string(a));
    }
  }
}

// ∇ₓ(v·∇ℓᵢ)·y from the loss tangents of moved inputs: "as the network sees them" is scale times what is stored.
TYPED_TEST(NetworkDifferencesTest, InputGradientIsThatOfTheLossTangent) {
  for (const NetworkOptions& options : difference_options()) {
    const auto random = random_network_problem<double>(options, 17);
    auto problem = random.with_vectors(random.vector(2));
    for (double& x : problem.values) x = std::ldexp(std::round(std::ldexp(x, 30)), -30);
    const Index d = random.shape.input_size();
    std::vector<double> y;
    for (Index i = 0; i < std::ssize(problem.values); ++i) y.push_back(static_cast<double>(i * 29 % 65 - 32) / 64);
    std::array<std::vector<Uncertain>, 7> tangents;
    for (std::size_t j = 0; j < 7; ++j) {
      auto moved = problem;
      for (std::size_t i = 0; i < y.size(); ++i) moved.values[i] += kSteps[j] * y[i];
      tangents[j] = this->evaluate(moved, [](auto&& network) { return network.loss_tangents(); });
    }
    const auto by_inputs = this->evaluate(problem, [](auto&& network) { return network.input_gradients(); });
    for (Index place = 0; place < options.m; ++place) {
      std::array<Uncertain, 7> f;
      for (std::size_t j = 0; j < 7; ++j) f[j] = tangents[j][place];
      Uncertain derivative;
      for (Index i = 0; i < d; ++i) {
        const Real along_stored = problem.feature_scale * y[problem.example(place) * d + i];
        derivative.value += along_stored * by_inputs[place * d + i].value;
        derivative.bound += std::fabs(along_stored) * by_inputs[place * d + i].bound;
      }
      expect_same(four_point(f), derivative, std::string(options.name) + ", place " + std::to_string(place));
    }
  }
}

}  // namespace
}  // namespace clout::test
