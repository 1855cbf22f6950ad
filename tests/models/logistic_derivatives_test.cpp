// The five tests of derivatives: differences of values, differences of gradients, symmetry, linearity, closed form.

#include "models/model_test.hpp"

namespace clout::test {
namespace {

template <class C>
class LogisticDerivativesTest : public KernelTest<C> {
 protected:
  template <class T>
  std::vector<T> products(LogisticRegression<T>& model, const oracle::Matrix& vectors) {
    const Index k = static_cast<Index>(vectors.size()), p = model.parameters();
    const Buffer<T> v = upload_rows<T>(this->device(), vectors);
    Guarded<T> out(this->device(), k * p);
    model.hessian_product(v.view(k, p), 0.0, out.view(k, p));
    return out.to_host();
  }
};
TYPED_TEST_SUITE(LogisticDerivativesTest, Cases, CaseName);

// Moves to θ + step·u for the four steps of f'(0) = (8 (f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h + O(h⁴), and adds up.
constexpr double kStep = 1e-3;
template <class Add>
void four_points(LogisticRegression<double>& model, const LogisticCase& c, const oracle::Vector& u, Add&& add) {
  for (const auto& [steps, factor] : {std::pair{1, 8.0}, {-1, -8.0}, {2, -1.0}, {-2, 1.0}}) {
    const oracle::Vector moved = oracle::add_scaled(c.theta(), steps * kStep, u);
    const Buffer<double> theta = upload_rows<double>(model.device(), {moved});
    model.set_parameters(theta.view(1, model.parameters()));
    add(factor / (12 * kStep), theta.view(1, model.parameters()));
  }
}
// The rest term is h⁴ |f⁽⁵⁾| / 30; derivatives of log-softmax along u are of the order of |x·u|⁵, which is below 1e3
// for these draws. Rounding adds 18 eps |f| / 12h, which is some 1e-12.
constexpr double kDifferenceBound = 1e3 * kStep * kStep * kStep * kStep / 30 + 1e-11;

TYPED_TEST(LogisticDerivativesTest, GradientIsTheDifferenceOfValues) {
  if (sizeof(typename TypeParam::Number) == 4) GTEST_SKIP() << "differences are taken in double alone";
  for (const CaseSizes& sizes : small_model_cases()) {
    LogisticCase c(sizes);
    const auto model = c.model<double>(this->device());
    const Index p = model->parameters();
    Guarded<double> gradient(this->device(), p);
    model->gradient(gradient.view(1, p));
    oracle::Vector u = c.vector();
    const long double length = oracle::norm(u);
    for (long double& value : u) value /= length;
    double difference = 0;
    four_points(*model, c, u, [&](double factor, MatrixView<const double> theta) {
      difference += factor * objective_value<double>(*model, theta);
    });
    EXPECT_NEAR(difference, static_cast<double>(oracle::dot(to_long(gradient.to_host()), u)), kDifferenceBound)
        << sizes;
  }
}

TYPED_TEST(LogisticDerivativesTest, HessianProductIsTheDifferenceOfGradients) {
  if (sizeof(typename TypeParam::Number) == 4) GTEST_SKIP() << "differences are taken in double alone";
  for (const CaseSizes& sizes : small_model_cases()) {
    LogisticCase c(sizes);
    const auto model = c.model<double>(this->device());
    const Index p = model->parameters();
    oracle::Vector u = c.vector();
    const long double length = oracle::norm(u);
    for (long double& value : u) value /= length;
    const Buffer<double> v = upload_rows<double>(this->device(), {u});
    Guarded<double> product(this->device(), p), gradient(this->device(), p);
    model->hessian_product(v.view(1, p), 0.0, product.view(1, p));
    oracle::Vector difference(c.parameters());
    four_points(*model, c, u, [&](double factor, MatrixView<const double>) {
      model->gradient(gradient.view(1, p));
      difference = oracle::add_scaled(difference, factor, to_long(gradient.to_host()));
    });
    const oracle::Vector error = oracle::add_scaled(difference, -1, to_long(product.to_host()));
    EXPECT_LE(static_cast<double>(oracle::norm(error)), kDifferenceBound * std::sqrt(static_cast<double>(p))) << sizes;
  }
}

TYPED_TEST(LogisticDerivativesTest, HessianIsSymmetric) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : model_cases()) {
    LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const oracle::Matrix uv = c.vectors(2);
    const std::vector<T> products = this->products(*model, uv);
    const auto middle = products.begin() + model->parameters();
    const oracle::Vector hu(products.begin(), middle), hv(middle, products.end());
    const double size = static_cast<double>(oracle::norm(uv[0]) * oracle::norm(hv));
    EXPECT_NEAR(static_cast<double>(oracle::dot(uv[0], hv) - oracle::dot(uv[1], hu)) / size, 0,
                2 * error_bound<T>(0, sizes))
        << sizes;
  }
}

TYPED_TEST(LogisticDerivativesTest, ProductsAreLinearAndColumnsAreSingleCalls) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : model_cases()) {
    LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index p = model->parameters();
    oracle::Matrix vectors = c.vectors(sizes.n > 1000 ? 3 : 33);
    vectors[2] = oracle::add_scaled(vectors[0], -0.5L, vectors[1]);
    for (long double& value : vectors[2]) value = static_cast<T>(value);
    const std::vector<T> together = this->products(*model, vectors);
    const auto column = [&](std::size_t j) {
      const auto first = together.begin() + static_cast<std::ptrdiff_t>(j) * p;
      return oracle::Vector(first, first + p);
    };
    const oracle::Vector combined = oracle::add_scaled(column(0), -0.5L, column(1));
    EXPECT_LE(relative_error(column(2), combined), 4 * error_bound<T>(0, sizes)) << sizes;
    for (std::size_t j = 0; j < vectors.size(); j += 4)
      EXPECT_LE(relative_error(this->products(*model, {vectors[j]}), column(j)), error_bound<T>(0, sizes))
          << sizes << " column " << j;
  }
}

// Two classes: with p the probability of class 1, H = [[D, −D], [−D, D]], D = Xᵀ diag(w p (1−p)) X / W.
TYPED_TEST(LogisticDerivativesTest, TwoClassesHaveTheClosedForm) {
  using T = typename TypeParam::Number;
  for (const bool bytes : {false, true}) {
    const LogisticCase c({29, 7, 2, false, bytes, true, 0.125});
    const oracle::LogisticProblem& problem = c.problem();
    const auto model = c.model<T>(this->device());
    const std::size_t d = 7, p = 14;
    oracle::Vector expected(p * p);
    for (std::size_t i = 0; i < problem.examples; ++i) {
      long double margin = 0;
      for (std::size_t j = 0; j < d; ++j) margin += (c.theta()[d + j] - c.theta()[j]) * problem.row(i)[j];
      const long double probability = 1 / (1 + std::exp(-margin));
      const long double scale = problem.weight(i) * probability * (1 - probability) / problem.total_weight();
      for (std::size_t row = 0; row < p; ++row)
        for (std::size_t column = 0; column < p; ++column)
          expected[row * p + column] +=
              (row / d == column / d ? scale : -scale) * problem.row(i)[row % d] * problem.row(i)[column % d];
    }
    for (std::size_t j = 0; j < p; ++j) expected[j * p + j] += problem.l2;
    Guarded<T> hessian(this->device(), static_cast<Index>(p * p));
    model->explicit_hessian(0.0, hessian.view(14, 14));
    EXPECT_LE(relative_error(hessian.to_host(), expected), error_bound<T>(0, c.sizes()));
    oracle::Matrix units(p, oracle::Vector(p));
    for (std::size_t j = 0; j < p; ++j) units[j][j] = 1;
    EXPECT_LE(relative_error(this->products(*model, units), expected), error_bound<T>(0, c.sizes()));
  }
}

}  // namespace
}  // namespace clout::test
