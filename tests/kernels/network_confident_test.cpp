// Networks that are sure of an example: 1 − p_y is far below eps, and what depends on it must come out of the other
// classes' p.

#include "network_run.hpp"

namespace clout::test {
namespace {

template <class C>
class NetworkConfidentTest : public KernelTest<C> {};
TYPED_TEST_SUITE(NetworkConfidentTest, Cases, CaseName);

/// All parameters zero but the head's biases, 0, −40, −41, −42, …: logits are the biases, and every hidden value is zero.
template <class T>
NetworkProblem<T> confident_problem(const oracle::Network& network) {
  auto problem = random_network_problem<T>({.name = "confident", .network = network, .n = 3, .m = 3, .k = 2});
  const Index p = problem.p(), classes = problem.shape.classes;
  problem.parameters.assign(problem.parameters.size(), T(0));
  for (Index j = 0; j < 2; ++j)
    for (Index c = 0; c < classes; ++c) {
      const auto bias = static_cast<std::size_t>((j + 1) * p - classes + c);
      if (c > 0) problem.parameters[bias] = static_cast<T>(-39 - c);
      problem.vectors[bias] = c == 0 ? T(-1) : static_cast<T>(c + j) / 4;
    }
  problem.labels.assign(3, 0);
  return problem;
}

// exp of logits of some 50: 50 eps relative where they are rounded, and a few eps of exp itself.
template <class T>
void expect_near(const std::vector<T>& actual, std::size_t at, long double expected, const char* what, Index c) {
  EXPECT_NEAR(static_cast<double>(actual[at] / expected), 1.0, 80 * std::numeric_limits<T>::epsilon()) << what << ", " << c;
}

TYPED_TEST(NetworkConfidentTest, KeepsItsRelativeAccuracy) {
  using T = typename TypeParam::Number;
  for (const oracle::Network& network : {small_paper(), paper()}) {
    const NetworkProblem<T> problem = confident_problem<T>(network);
    const Index p = problem.p(), classes = problem.shape.classes;
    std::vector<long double> q{1};  // p, but for a factor of 1 − 1e-17
    for (Index c = 1; c < classes; ++c) q.push_back(std::exp(static_cast<long double>(-39 - c)));
    NetworkRun<T> run(this->device(), problem);
    const auto gradient = run.gradient(1.0), examples = run.example_gradients(), tangents = run.loss_tangents();
    const auto hessian = run.product(Curvature::hessian, 1.0), ggn = run.product(Curvature::gauss_newton, 1.0);
    for (Index j = 0; j < 2; ++j) {
      const auto row = static_cast<std::size_t>((j + 1) * p - classes);  // of the head's biases
      const auto v = [&](Index c) { return static_cast<long double>(problem.vectors[row + static_cast<std::size_t>(c)]); };
      long double others = 0, tangent = 0;
      for (Index c = 1; c < classes; ++c) {
        others += q[static_cast<std::size_t>(c)];
        tangent += q[static_cast<std::size_t>(c)] * (v(c) - v(0));
      }
      for (Index c = 0; c < classes; ++c) {
        const auto at = row + static_cast<std::size_t>(c), class_c = static_cast<std::size_t>(c);
        expect_near(gradient, at, 3 * (c == 0 ? -others : q[class_c]), "gradient", c);
        expect_near(examples, at, c == 0 ? -others : q[class_c], "example gradient", c);
        // Σ_c′ p_c p_c′ (v_c − v_c′): of second order in q but for c′ = 0.
        const long double product = c == 0 ? -tangent : q[class_c] * (v(c) - v(0));
        expect_near(hessian, at, 3 * product, "Hessian product", c);
        expect_near(ggn, at, 3 * product, "Gauss-Newton product", c);
      }
      for (Index i = 0; i < 3; ++i)
        expect_near(tangents, static_cast<std::size_t>(i * 2 + j), tangent, "loss tangent", j);
    }
  }
}

}  // namespace
}  // namespace clout::test
