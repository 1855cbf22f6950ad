// network_hessian_product and network_hessian.

#include "network_reference.hpp"

namespace clout::test {
namespace {

template <class C>
class NetworkHessianTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  // Columns of the explicit Hessian: all of a small network's; of others three from each layer, of its weights and
  // its biases.
  static std::vector<Index> columns_of(const NetworkProblem<Number>& problem) {
    std::vector<Index> columns;
    const bool all = problem.p() * problem.options.m * problem.shape.multiply_adds() < 2'000'000;
    for (Index a = 0; all && a < problem.p(); ++a) columns.push_back(a);
    if (all) return columns;
    for (const oracle::Layer& layer : oracle::layers_of(problem.options.network))
      for (const std::size_t a : {(layer.weights + layer.biases) / 2 + 1, layer.biases - 1, layer.biases})
        columns.push_back(static_cast<Index>(a));
    return columns;
  }
  static NetworkProblem<Number> with_unit_vectors(const NetworkProblem<Number>& problem,
                                                  const std::vector<Index>& columns) {
    std::vector<Number> units(columns.size() * static_cast<std::size_t>(problem.p()));
    for (std::size_t j = 0; j < columns.size(); ++j) units[j * problem.p() + columns[j]] = 1;
    return problem.with_vectors(units);
  }
  void compare_hessian(const NetworkProblem<Number>& problem) {
    std::ostringstream what;
    what << "Hessian, " << problem.options;
    const Index p = problem.p();
    const std::vector<Number> hessian = NetworkRun<Number>(this->device(), problem).hessian(0.3);
    Index unequal = 0;
    for (Index a = 0; a < p; ++a)
      for (Index b = 0; b < a; ++b) unequal += hessian[a * p + b] == hessian[b * p + a] ? 0 : 1;
    ASSERT_EQ(unequal, 0) << what.str() << ": not symmetric";
    const std::vector<Index> columns = columns_of(problem);
    const auto units = with_unit_vectors(problem, columns);
    std::vector<Number> got;
    for (const Index column : columns)
      got.insert(got.end(), hessian.begin() + column * p, hessian.begin() + (column + 1) * p);
    expect_close(got, network_closeness(units, [](auto&& network) { return network.product(Curvature::hessian, 0.3); }),
                 what.str());
  }
};
TYPED_TEST_SUITE(NetworkHessianTest, Cases, CaseName);

TYPED_TEST(NetworkHessianTest, ProductMatchesOracle) {
  using T = typename TypeParam::Number;
  unsigned seed = 1;
  for (const NetworkOptions& options : network_options())
    compare_network(this->device(), random_network_problem<T>(options, seed++),
                    [](auto&& network) { return network.product(Curvature::hessian, 1 / 7.0); });
}

TYPED_TEST(NetworkHessianTest, GaussNewtonMatchesOracle) {
  using T = typename TypeParam::Number;
  unsigned seed = 20;
  for (NetworkOptions options : network_options()) {
    options.weights = !options.weights;
    options.strided = !options.strided;
    compare_network(this->device(), random_network_problem<T>(options, seed++),
                    [](auto&& network) { return network.product(Curvature::gauss_newton, 1 / 7.0); });
  }
}

// More examples of the paper's network than one partition holds.
TYPED_TEST(NetworkHessianTest, ManyExamplesOfThePaper) {
  if (kSmall) GTEST_SKIP() << "too large for simulated threads";
  using T = typename TypeParam::Number;
  compare_network(this->device(),
                  random_network_problem<T>({"paper, many", paper(), 31, 45, 1, true, true, true, false}),
                  [](auto&& network) { return network.product(Curvature::hessian, 1 / 7.0); });
}

// Many tangents side by side, and the paper's number of them for a whole register or a part of one.
TYPED_TEST(NetworkHessianTest, AnyNumberOfTangents) {
  using T = typename TypeParam::Number;
  for (const Index k : {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33})
    compare_network(this->device(),
                    random_network_problem<T>({.name = "tangents",
                                               .network = {2, 7, 6, {{3, 3, 2}, {4, 2, 1}}, 3},
                                               .n = 5,
                                               .m = 3 + k % 3,
                                               .k = k,
                                               .gathered = k % 2 == 0,
                                               .bytes = k % 3 == 0,
                                               .weights = true}),
                    [](auto&& network) { return network.product(Curvature::hessian, 2); });
}

TYPED_TEST(NetworkHessianTest, ExplicitMatchesOracle) {
  using T = typename TypeParam::Number;
  unsigned seed = 1;
  auto all = network_options();
  all.push_back({"small paper", small_paper(), 4, 5, 1, true, true, true, true});
  for (NetworkOptions options : all) {
    options.k = 1;
    // A pass per parameter: for small networks only on simulated threads, and once for the paper's.
    const Index parameters = shape_of(options.network).parameters();
    if (parameters > 500 && (kSmall || options.n == 1)) continue;
    this->compare_hessian(random_network_problem<T>(options, seed++));
  }
}

// Held to its own probabilities, an example has no residual, and its Hessian is the Gauss-Newton matrix.
TYPED_TEST(NetworkHessianTest, OwnProbabilitiesAsTargetsGiveGaussNewton) {
  using T = typename TypeParam::Number;
  std::vector<NetworkOptions> all{{.name = "layers",
                                   .network = {2, 7, 6, {{3, 3, 2}, {4, 2, 1}}, 3},
                                   .n = 5,
                                   .m = 7,
                                   .gathered = true,
                                   .weights = true}};
  if (!kSmall) all.push_back({.name = "paper", .network = paper(), .n = 2, .m = 2, .weights = true});
  for (const NetworkOptions& options : all) {
    auto problem = random_network_problem<T>(options, 7);
    auto one_by_one = problem;  // logits of the examples in order
    one_by_one.rows.clear();
    one_by_one.options.m = options.n;
    const std::vector<T> logits = NetworkRun<T>(this->device(), one_by_one).forward();
    const Index classes = problem.shape.classes, p = problem.p();
    for (Index i = 0; i < options.n; ++i) {
      double sum = 0;
      for (Index c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(logits[i * classes + c]));
      for (Index c = 0; c < classes; ++c)
        problem.targets.push_back(static_cast<T>(std::exp(static_cast<double>(logits[i * classes + c])) / sum));
    }
    const std::vector<T> hessian = NetworkRun<T>(this->device(), problem).hessian(0.3);
    const std::vector<Index> columns = this->columns_of(problem);
    const auto units = this->with_unit_vectors(problem, columns);
    std::vector<T> got;
    for (const Index column : columns)
      got.insert(got.end(), hessian.begin() + column * p, hessian.begin() + (column + 1) * p);
    auto expected =
        network_closeness(units, [](auto&& network) { return network.product(Curvature::gauss_newton, 0.3); });
    // Targets are rounded: what that leaves of δ counts as its roundings do in the Hessian.
    const auto roundings = NetworkReference<Spread<T>, T>(units).product(Curvature::hessian, 0.3);
    for (std::size_t i = 0; i < roundings.size(); ++i) expected.exact[i].variance += roundings[i].variance;
    expect_close(got, expected, options.name);
  }
}

TYPED_TEST(NetworkHessianTest, NothingGivesZero) {
  if (kRacesOnly) GTEST_SKIP() << "about values, which are compared without the race detector";
  using T = typename TypeParam::Number;
  const NetworkOptions options{.name = "", .network = small_paper(), .n = 4, .m = 4, .k = 3};
  auto weightless = random_network_problem<T>(options), empty = weightless;
  weightless.weights.assign(4, T(0));
  empty.options.m = 0;
  for (const auto& problem : {weightless, empty}) {
    NetworkRun<T> run(this->device(), problem);
    for (const Curvature curvature : {Curvature::hessian, Curvature::gauss_newton})
      for (const T value : run.product(curvature, 1)) ASSERT_EQ(value, T(0));
    for (const T value : run.hessian(1)) ASSERT_EQ(value, T(0));
  }
}

TYPED_TEST(NetworkHessianTest, NanInOneVectorStaysThere) {
  if (kRacesOnly) GTEST_SKIP() << "about values, which are compared without the race detector";
  using T = typename TypeParam::Number;
  auto problem =
      random_network_problem<T>({.name = "NaN", .network = small_paper(), .n = 6, .m = 6, .k = 5, .bytes = false});
  for (T& value : problem.values) value = std::fabs(value) + T(0.1);
  const auto results = [&] {
    NetworkRun<T> run(this->device(), problem);
    return std::vector{run.product(Curvature::hessian, 1), run.product(Curvature::gauss_newton, 1),
                       run.input_gradients()};
  };
  const auto clean = results();
  problem.vectors[2 * problem.p()] = std::numeric_limits<T>::quiet_NaN();
  const auto got = results();
  for (std::size_t r = 0; r < got.size(); ++r)
    for (Index i = 0; i < std::ssize(got[r]); ++i) {
      if (i / (std::ssize(got[r]) / 5) == 2) continue;
      ASSERT_EQ(got[r][i], clean[r][i]) << "result " << r << " at " << i;
    }
  EXPECT_TRUE(std::isnan(got[0][2 * problem.p()]));
}

}  // namespace
}  // namespace clout::test
