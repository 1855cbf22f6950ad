// Logistic regression's passes against the oracle, which shares no code with it.

#include <numeric>

#include "models/model_test.hpp"

namespace clout::test {
namespace {

template <class C>
class LogisticRegressionTest : public KernelTest<C> {};
TYPED_TEST_SUITE(LogisticRegressionTest, Cases, CaseName);

TYPED_TEST(LogisticRegressionTest, LossesAndObjective) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : model_cases()) {
    const LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    Guarded<T> losses(this->device(), sizes.n);
    model->losses(losses.view(sizes.n, 1));
    expect_as_oracle("losses", losses.to_host(), c, [](const auto& oracle) { return oracle.losses(); });

    const Buffer<T> theta = upload_rows<T>(this->device(), {c.theta()});
    const std::vector<double> value{objective_value<T>(*model, theta.view(1, model->parameters()))};
    expect_as_oracle("objective", std::vector<T>(value.begin(), value.end()), c,
                     [](const auto& oracle) { return oracle::Vector{oracle.objective()}; });
  }
}

TYPED_TEST(LogisticRegressionTest, Gradient) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : model_cases()) {
    const LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index p = model->parameters();
    ASSERT_EQ(p, static_cast<Index>(c.parameters()));
    Guarded<T> gradient(this->device(), p);
    model->gradient(gradient.view(1, p));
    expect_as_oracle("gradient", gradient.to_host(), c, [](const auto& oracle) { return oracle.gradient(); });
  }
}

TYPED_TEST(LogisticRegressionTest, HessianProduct) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : model_cases())
    for (const auto& [k, damping] : {std::pair<Index, double>{1, 0.0}, {3, 0.375}, {33, 0.0}}) {
      if (k == 33 && sizes.n > 1000) continue;  // the oracle would take minutes
      LogisticCase c(sizes);
      const auto model = c.model<T>(this->device());
      const Index p = model->parameters();
      const oracle::Matrix vectors = c.vectors(k);
      const Buffer<T> v = upload_rows<T>(this->device(), vectors);
      Guarded<T> products(this->device(), k * p);
      model->hessian_product(v.view(k, p), damping, products.view(k, p));
      expect_as_oracle("Hessian product", products.to_host(), c,
                       [&](const auto& oracle) { return oracle.hessian_product(vectors, damping); });
    }
}

TYPED_TEST(LogisticRegressionTest, LossTangents) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : model_cases()) {
    LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index n = sizes.n, k = 3, p = model->parameters();
    const oracle::Matrix vectors = c.vectors(k);
    const Buffer<T> v = upload_rows<T>(this->device(), vectors);
    Guarded<T> tangents(this->device(), n * k);
    model->loss_tangents(v.view(k, p), 0, tangents.view(n, k));
    const std::vector<T> all = tangents.to_host();
    expect_as_oracle("loss tangents", all, c, [&](const auto& oracle) { return oracle.loss_tangents(vectors); });

    const Index first = n / 3, count = n - first;
    Guarded<T> some(this->device(), count * k);
    model->loss_tangents(v.view(k, p), first, some.view(count, k));
    const oracle::Vector window(all.begin() + first * k, all.end());
    EXPECT_LE(relative_error(some.to_host(), window), error_bound<T>(0, sizes)) << "examples from " << first;
  }
}

TYPED_TEST(LogisticRegressionTest, ExampleGradients) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : model_cases()) {
    const LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index p = model->parameters();
    const std::vector<Index> rows{sizes.n - 1, 0, sizes.n / 2, 0};  // in any order, repeated
    const Index m = static_cast<Index>(rows.size());
    Guarded<T> gradients(this->device(), m * p);
    model->example_gradients(rows, gradients.view(m, p));
    expect_as_oracle("example gradients", gradients.to_host(), c,
                     [&](const auto& oracle) { return oracle.example_gradients(rows); });
  }
}

TYPED_TEST(LogisticRegressionTest, ExampleGradientsKeepTheirRelativeAccuracyWhereTheLossVanishes) {
  using T = typename TypeParam::Number;
  // One example, sure of its label: 1 − p_y is far below eps, and must come out of the other classes' p.
  LogisticCase c({1, 1, 3});
  c.set_theta({0, -40, -41});
  oracle::LogisticProblem problem = c.problem();
  problem.x = {1};
  problem.labels = {0};
  const auto model = c.make_model<T>(this->device(), problem);
  Guarded<T> gradients(this->device(), 3);
  model->example_gradients(std::vector<Index>{0}, gradients.view(1, 3));
  const oracle::Vector expected = oracle::example_gradients(problem, c.theta())[0];
  const std::vector<T> actual = gradients.to_host();
  // exp of a logit of 41 that is rounded: 41 eps relative, and a few eps of exp itself.
  for (std::size_t j = 0; j < 3; ++j)
    EXPECT_NEAR(static_cast<double>(actual[j] / expected[j]), 1.0, 64 * std::numeric_limits<T>::epsilon()) << j;
}

// The same of everything else that 1 − p_y enters, at logit gaps of 20 to 70.
TYPED_TEST(LogisticRegressionTest, DerivativesKeepTheirRelativeAccuracyWhereTheLossVanishes) {
  using T = typename TypeParam::Number;
  for (const int gap : {20, 40, 70}) {
    LogisticCase c({1, 1, 3, false, false, false, 0.0});
    c.set_theta({0, static_cast<long double>(-gap), static_cast<long double>(-gap - 1)});
    oracle::LogisticProblem problem = c.problem();
    problem.x = {1};
    problem.labels = {0};
    const auto model = c.make_model<T>(this->device(), problem);
    long double q[] = {1, std::exp(static_cast<long double>(-gap)), std::exp(static_cast<long double>(-gap - 1))};
    const long double sum = q[0] + q[1] + q[2], v[] = {0.25, -1, 0.5};
    for (long double& part : q) part /= sum;
    const long double slopes[] = {-(q[1] + q[2]), q[1], q[2]};
    long double products[3] = {};  // by differences, which do not cancel
    for (std::size_t j = 0; j < 3; ++j)
      for (std::size_t i = 0; i < 3; ++i) products[j] += q[j] * q[i] * (v[j] - v[i]);
    const Buffer<T> vector = upload_rows<T>(this->device(), {{v[0], v[1], v[2]}});
    Guarded<T> gradient(this->device(), 3), product(this->device(), 3), input(this->device(), 1);
    model->gradient(gradient.view(1, 3));
    model->hessian_product(vector.view(1, 3), 0.0, product.view(1, 3));
    model->input_gradients(vector.view(1, 3), 0, 1, input.view(1, 1));
    const std::vector<T> g = gradient.to_host(), h = product.to_host();
    const double bound = 2.0 * (gap + 12) * std::numeric_limits<T>::epsilon();  // exp of a rounded logit
    for (std::size_t j = 0; j < 3; ++j) {
      EXPECT_NEAR(static_cast<double>(g[j] / slopes[j]), 1.0, bound) << "gradient " << j << " at " << gap;
      EXPECT_NEAR(static_cast<double>(h[j] / products[j]), 1.0, bound) << "product " << j << " at " << gap;
    }
    long double expected = 0;  // Σ v_c r_c + θ_c R{r}_c
    for (std::size_t j = 0; j < 3; ++j) expected += v[j] * slopes[j];
    expected += -gap * products[1] - (gap + 1) * products[2];
    EXPECT_NEAR(static_cast<double>(input.to_host()[0] / expected), 1.0, bound) << "input gradient at " << gap;
  }
}

TYPED_TEST(LogisticRegressionTest, InputGradients) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : model_cases()) {
    if (sizes.classes == 100 && !kSmall) continue;  // the oracle would take minutes; K = 100 is in the next test
    LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index n = sizes.n, d = sizes.d, k = 2, p = model->parameters();
    const oracle::Matrix vectors = c.vectors(k);
    const Buffer<T> v = upload_rows<T>(this->device(), vectors);
    Guarded<T> gradients(this->device(), k * n * d);
    model->input_gradients(v.view(k, p), 0, n, gradients.view(k, n * d));
    const std::vector<T> all = gradients.to_host();
    expect_as_oracle("input gradients", all, c, [&](const auto& oracle) { return oracle.input_gradients(vectors); });

    const Index first = n / 3, count = n - first;
    Guarded<T> some(this->device(), k * count * d);
    model->input_gradients(v.view(k, p), first, count, some.view(k, count * d));
    oracle::Vector window;
    for (Index j = 0; j < k; ++j)
      window.insert(window.end(), all.begin() + (j * n + first) * d, all.begin() + (j + 1) * n * d);
    EXPECT_LE(relative_error(some.to_host(), window), error_bound<T>(0, sizes)) << "examples from " << first;
  }
}

TYPED_TEST(LogisticRegressionTest, InputGradientsOfManyClasses) {
  using T = typename TypeParam::Number;
  LogisticCase c({4, 3, 100, true});
  const auto model = c.model<T>(this->device());
  const oracle::Matrix vectors = c.vectors(2);
  const Buffer<T> v = upload_rows<T>(this->device(), vectors);
  Guarded<T> gradients(this->device(), 2 * 4 * 3);
  model->input_gradients(v.view(2, model->parameters()), 0, 4, gradients.view(2, 4 * 3));
  expect_as_oracle("input gradients", gradients.to_host(), c,
                   [&](const auto& oracle) { return oracle.input_gradients(vectors); });
}

TYPED_TEST(LogisticRegressionTest, ExplicitHessian) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : small_model_cases()) {
    const LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index p = model->parameters();
    Guarded<T> hessian(this->device(), p * p);
    model->explicit_hessian(0.25, hessian.view(p, p));
    oracle::Matrix units(c.parameters(), oracle::Vector(c.parameters()));
    for (std::size_t j = 0; j < units.size(); ++j) units[j][j] = 1;
    const std::vector<T> host = hessian.to_host();
    expect_as_oracle("explicit Hessian", host, c,
                     [&](const auto& oracle) { return oracle.hessian_product(units, 0.25); });
    for (Index row = 0; row < p; ++row)
      for (Index column = 0; column < row; ++column)
        ASSERT_EQ(host[static_cast<std::size_t>(row * p + column)], host[static_cast<std::size_t>(column * p + row)])
            << sizes << " at " << row << ", " << column;
  }
}

TYPED_TEST(LogisticRegressionTest, LossesElsewhere) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : model_cases()) {
    LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index n = sizes.n, k = 3, p = model->parameters();
    const oracle::Matrix elsewhere = c.vectors(k, 0.5);
    const Buffer<T> parameters = upload_rows<T>(this->device(), elsewhere);
    Guarded<T> losses(this->device(), n * k);
    model->losses_at(parameters.view(k, p), losses.view(n, k));
    const auto at_all = [&]<class S>(const Evaluate<S>&) {
      oracle::Vector out(static_cast<std::size_t>(n * k));
      for (std::size_t j = 0; j < elsewhere.size(); ++j) {
        const oracle::Vector one = Evaluate<S>(c.problem(), elsewhere[j]).losses();
        for (std::size_t i = 0; i < one.size(); ++i) out[i * elsewhere.size() + j] = one[i];
      }
      return out;
    };
    expect_as_oracle("losses elsewhere", losses.to_host(), c, at_all);
    Guarded<T> here(this->device(), n);  // and θ has not moved
    model->losses(here.view(n, 1));
    expect_as_oracle("losses", here.to_host(), c, [](const auto& oracle) { return oracle.losses(); });
  }
}

TYPED_TEST(LogisticRegressionTest, SaysWhatItIs) {
  using T = typename TypeParam::Number;
  const LogisticCase c({5, 4, 3, true, false, true, 0.25});
  const auto model = c.model<T>(this->device());
  EXPECT_EQ(model->parameters(), 15);
  EXPECT_EQ(model->examples(), 5);
  EXPECT_EQ(model->input_size(), 4);
  EXPECT_EQ(model->l2(), 0.25);
  EXPECT_DOUBLE_EQ(model->total_weight(), static_cast<double>(c.problem().total_weight()));
  EXPECT_EQ(model->example_weight(3), 0.0);
  const std::vector<ParameterBlock> layout = model->layout();
  ASSERT_EQ(layout.size(), 2u);
  EXPECT_EQ(layout[0].shape, (std::vector<Index>{3, 4}));
  EXPECT_TRUE(layout[0].regularized);
  EXPECT_EQ(layout[1].offset, 12);
  EXPECT_FALSE(layout[1].regularized);
}

TYPED_TEST(LogisticRegressionTest, RefusesWrongShapes) {
  using T = typename TypeParam::Number;
  const LogisticCase c({5, 4, 3});  // p = 12
  const auto model = c.model<T>(this->device());
  Buffer<T> room(this->device(), 1000);
  const auto view = [&](Index rows, Index columns) { return room.view(rows, columns); };
  const auto expect = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos)
        << "refused with \"" << message << "\", expected \"" << part << '"';
  };
  expect(refusal([&] { model->set_parameters(view(1, 13)); }), "parameters: [1][13]; expected [1][12]");
  expect(refusal([&] { model->set_parameters(view(2, 12)); }), "parameters: [2][12]; expected [1][12]");
  expect(refusal([&] { model->losses(view(4, 1)); }), "losses: [4][1]; expected [5][1]");
  expect(refusal([&] { model->gradient(view(12, 1)); }), "gradient: [12][1]; expected [1][12]");
  expect(refusal([&] { model->hessian_product(view(0, 12), 0, view(0, 12)); }), "there are none");
  expect(refusal([&] { model->hessian_product(view(2, 11), 0, view(2, 12)); }), "[2][11]; expected [2][12]");
  expect(refusal([&] { model->hessian_product(view(2, 12), 0, view(3, 12)); }), "[3][12]; expected [2][12]");
  expect(refusal([&] { model->loss_tangents(view(2, 12), 0, view(5, 3)); }), "loss tangents: [5][3]; expected [5][2]");
  expect(refusal([&] { model->input_gradients(view(2, 12), 0, 5, view(2, 19)); }), "[2][19]; expected [2][20]");
  expect(refusal([&] { model->losses_at(view(2, 12), view(5, 1)); }), "[5][1]; expected [5][2]");
  expect(refusal([&] { model->explicit_hessian(0, view(12, 11)); }), "[12][11]; expected [12][12]");
  expect(refusal([&] {
           model->example_gradients(std::vector<Index>{0, 5}, view(2, 12));
         }),
         "example 5 is out of range; expected 0 to 4");
  expect(refusal([&] { model->example_gradients(std::vector<Index>{-1}, view(1, 12)); }), "example -1");
  const Removals removals(this->device(), {{0}, {1, 2}}, 5);
  expect(refusal([&] { model->removal_constants(removals, view(3, 12)); }), "[3][12]; expected [2][12]");
  expect(refusal([&] { model->removal_differences(removals, view(1, 12), view(2, 12)); }), "[1][12]; expected [2][12]");
  expect(refusal([&] { model->gradients_without(removals, view(2, 12), view(1, 12)); }), "[1][12]; expected [2][12]");
  expect(refusal([&] { Removals(this->device(), {{0}, {5}}, 5); }), "index 5 is out of range; expected 0 to 4");
  expect(refusal([&] { Removals(this->device(), {{1, 0, 1}}, 5); }), "index 1 stands twice");
}

TYPED_TEST(LogisticRegressionTest, RefusesBadData) {
  using T = typename TypeParam::Number;
  Device& device = this->device();
  const std::vector<double> x{1, 2, 3, 4};
  const std::vector<std::int32_t> y{0, 1};
  const auto data = [&](std::vector<double> values, std::vector<std::int32_t> labels, Index features, Index classes) {
    return refusal([&] { Dataset<T>::from_values(device, values, labels, features, classes); });
  };
  EXPECT_EQ(data(x, y, 2, 2), "");
  EXPECT_NE(data(x, {0, 2}, 2, 2).find("label [1] is 2; expected 0 to 1"), std::string::npos);
  EXPECT_NE(data(x, {-1, 0}, 2, 2).find("label [0] is -1"), std::string::npos);
  EXPECT_NE(data(x, {}, 2, 2).find("no examples"), std::string::npos);
  EXPECT_NE(data(x, y, 3, 2).find("expected 6"), std::string::npos);
  EXPECT_NE(data(x, y, 2, 1).find("1 classes; expected at least 2"), std::string::npos);
  EXPECT_NE(data({1, 2, std::nan(""), 4}, y, 2, 2).find("feature [1][0] is nan"), std::string::npos);
  if (sizeof(T) == 4) {
    EXPECT_NE(data({1, 1e300, 3, 4}, y, 2, 2).find("feature [0][1]"), std::string::npos);
  }

  const Dataset<T> good = Dataset<T>::from_values(device, x, y, 2, 2);
  const auto weights = [&](std::vector<double> w) { return refusal([&] { good.with_weights(w); }); };
  EXPECT_EQ(weights({0, 1}), "");
  EXPECT_NE(weights({1}).find("1 for 2 examples"), std::string::npos);
  EXPECT_NE(weights({1, -1}).find("weight [1] is -1"), std::string::npos);
  EXPECT_NE(weights({0, 0}).find("all are zero"), std::string::npos);
  EXPECT_NE(weights({1, std::numeric_limits<double>::infinity()}).find("weight [1] is inf"), std::string::npos);
  EXPECT_NE(refusal([&] { LogisticRegression<T>(good, false, -1); }).find("l2"), std::string::npos);
}

}  // namespace
}  // namespace clout::test
