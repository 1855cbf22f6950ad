// The passes over a network against each other: what derivatives are, whatever the oracle says.

#include "network_reference.hpp"

namespace clout::test {
namespace {

std::vector<NetworkOptions> derivative_options() {
  std::vector<NetworkOptions> result = {
      {"small paper", small_paper(), 5, 6, 4, true, true, true, false},
      {"colour", {3, 9, 8, {{4, 4, 1}, {6, 3, 2}}, 7}, 4, 4, 4, false, false, false, true},
      {"stride 3", {2, 11, 8, {{5, 3, 3}, {3, 2, 1}}, 2}, 7, 5, 4, false, false, true, false},
  };
  if (!kSmall) result.push_back({"paper", paper(), 3, 3, 4, true, true, true, false});
  return result;
}

template <class T>
Real dot(const T* a, const T* b, Index count) {
  Real sum = 0;
  for (Index i = 0; i < count; ++i) sum += static_cast<Real>(a[i]) * static_cast<Real>(b[i]);
  return sum;
}

template <class C>
class NetworkDerivativesTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;
  using Problem = NetworkProblem<Number>;

  NetworkRun<Number> run(const Problem& problem) { return {this->device(), problem}; }
  static Closeness<Number> product_closeness(const Problem& problem, Curvature curvature) {
    return network_closeness(problem, [&](auto&& network) { return network.product(curvature, 0.5); });
  }
};
TYPED_TEST_SUITE(NetworkDerivativesTest, Cases, CaseName);

// uᵀHv = vᵀHu, for all pairs of the vectors; the bound is that of the products' entries.
TYPED_TEST(NetworkDerivativesTest, HessianIsSymmetric) {
  using T = typename TypeParam::Number;
  for (const NetworkOptions& options : derivative_options()) {
    const auto problem = random_network_problem<T>(options, 3);
    const Index p = problem.p();
    for (const Curvature curvature : {Curvature::hessian, Curvature::gauss_newton}) {
      const std::vector<T> products = this->run(problem).product(curvature, 0.5);
      const auto closeness = this->product_closeness(problem, curvature);
      for (Index i = 0; i < problem.k(); ++i)
        for (Index j = 0; j < i; ++j) {
          Real bound = 0;
          for (Index a = 0; a < p; ++a)
            bound += std::fabs(problem.vectors[i * p + a]) * closeness.bound(j * p + a) +
                     std::fabs(problem.vectors[j * p + a]) * closeness.bound(i * p + a);
          const Real one = dot(&problem.vectors[i * p], &products[j * p], p);
          const Real other = dot(&problem.vectors[j * p], &products[i * p], p);
          EXPECT_LE(std::fabs(one - other), bound) << options << ": " << i << ", " << j;
        }
      // vᵀGv = Σ w R{a}ᵀ(diag p − ppᵀ)R{a}, a variance for every example.
      for (Index j = 0; curvature == Curvature::gauss_newton && j < problem.k(); ++j)
        EXPECT_GT(dot(&problem.vectors[j * p], &products[j * p], p), 0) << options << ": " << j;
    }
  }
}

// H(2u − 3v/2) = 2Hu − 3/2 Hv. The vectors are multiples of 1/64: their combination is exact.
TYPED_TEST(NetworkDerivativesTest, ProductIsLinear) {
  using T = typename TypeParam::Number;
  for (const NetworkOptions& options : derivative_options()) {
    const auto random = random_network_problem<T>(options, 5);
    const Index p = random.p();
    std::vector<T> vectors(random.vectors.begin(), random.vectors.begin() + 3 * p);
    for (Index a = 0; a < p; ++a) vectors[2 * p + a] = 2 * vectors[a] - T(1.5) * vectors[p + a];
    const auto problem = random.with_vectors(vectors);
    for (const Curvature curvature : {Curvature::hessian, Curvature::gauss_newton}) {
      const std::vector<T> products = this->run(problem).product(curvature, 0.5);
      const auto closeness = this->product_closeness(problem, curvature);
      for (Index a = 0; a < p; ++a) {
        const Real expected = 2 * static_cast<Real>(products[a]) - static_cast<Real>(products[p + a]) * 3 / 2;
        const Real bound = 2 * closeness.bound(a) + 1.5L * closeness.bound(p + a) + closeness.bound(2 * p + a);
        ASSERT_LE(std::fabs(products[2 * p + a] - expected), bound) << options << " at " << a;
      }
    }
  }
}

// k vectors, and k models, side by side give what each gives alone, to rounding.
TYPED_TEST(NetworkDerivativesTest, ColumnsEqualSingleCalls) {
  using T = typename TypeParam::Number;
  for (NetworkOptions options : derivative_options()) {
    options.k = kSmall ? 5 : 9;
    const auto problem = random_network_problem<T>(options, 7);
    const auto products = this->product_closeness(problem, Curvature::hessian);
    const auto gradients = network_closeness(problem, [](auto&& network) { return network.gradient(0); });
    const Index p = problem.p();
    const auto slice = [&](const Closeness<T>& all, Index j) {
      Closeness<T> part = all;
      part.exact.assign(all.exact.begin() + j * p, all.exact.begin() + (j + 1) * p);
      return part;
    };
    expect_close(this->run(problem).product(Curvature::hessian, 0.5), products, "all products");
    expect_close(this->run(problem).gradient(0), gradients, "all gradients");
    for (Index j = 0; j < options.k; ++j) {
      const auto alone = problem.with_vectors(problem.vector(j));
      expect_close(this->run(alone).product(Curvature::hessian, 0.5), slice(products, j), "product alone");
      auto model = alone;
      model.parameters.assign(problem.parameters.begin() + j * p, problem.parameters.begin() + (j + 1) * p);
      expect_close(this->run(model).gradient(0), slice(gradients, j), "gradient alone");
    }
  }
}

// The same call twice, with everything that may take part: the same bits.
TYPED_TEST(NetworkDerivativesTest, RepeatsToTheBit) {
  using T = typename TypeParam::Number;
  auto all = derivative_options();
  all.push_back({"many", {1, 6, 6, {{2, 3, 1}, {3, 2, 2}}, 3}, 90, kSmall ? 45 : 601, 3, true, true, true, true});
  for (const NetworkOptions& options : all) {
    auto problem = random_network_problem<T>(options, 9);
    exclude_some(problem);
    const auto everything = [&] {
      auto network = this->run(problem);
      std::vector results = {network.forward(),
                             network.gradient(0),
                             network.gradient(0.7),
                             network.product(Curvature::hessian, 0.7),
                             network.product(Curvature::gauss_newton, 0.7),
                             network.loss_tangents(),
                             network.example_gradients(),
                             network.input_gradients()};
      if (problem.p() < (kSmall ? 100 : 500)) results.push_back(network.hessian(0.7));
      return results;
    };
    EXPECT_EQ(everything(), everything()) << options;
  }
}

}  // namespace
}  // namespace clout::test
