// ConvNet: what the model adds to the kernels (regulariser, weights, scale), the explicit Hessian, damped solves.

#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/direct_solver.hpp>
#include <numeric>

#include "kernels/backend.hpp"
#include "support/eigenvalues.hpp"
#include "support/evaluate.hpp"
#include "support/network_case.hpp"

namespace clout::test {
namespace {

// Norm-wise. Seven sums in a row of at most 72 products each, and as many tanh: a random walk of that length, four times.
template <class T>
constexpr double kBound = 4 * 24 * static_cast<double>(std::numeric_limits<T>::epsilon());

std::size_t examples() { return kSmall ? 3 : 21; }

template <class C>
class ConvNetTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  oracle::Vector row(Buffer<Number>& buffer) {
    const std::vector<Number> host = buffer.to_host();
    return {host.begin(), host.end()};
  }
};
TYPED_TEST_SUITE(ConvNetTest, Cases, CaseName);

TYPED_TEST(ConvNetTest, GradientAndProductsCarryTheRegulariser) {
  using T = typename TypeParam::Number;
  for (const bool weighted : {false, true}) {
    NetworkCase c(examples(), weighted);
    const auto p = static_cast<Index>(c.parameters());
    const auto net = c.template model<T>(this->device());
    Buffer<T> out(this->device(), p);
    net->gradient(out.view(1, p));
    const oracle::Vector slope =
        oracle::add_scaled(oracle::gradient(c.problem(), c.theta()), 1, c.regularizer(c.theta()));
    EXPECT_LE(relative_error(this->row(out), slope), kBound<T>);

    const oracle::Vector v = c.vector();
    const Buffer<T> vectors = upload_rows<T>(this->device(), {v});
    for (const Curvature curvature : {Curvature::hessian, Curvature::gauss_newton}) {
      const auto curved = c.template model<T>(this->device(), curvature);
      curved->hessian_product(vectors.view(1, p), 0.25, out.view(1, p));
      const bool exact = curvature == Curvature::hessian;
      oracle::Vector product = exact ? oracle::hvp(c.problem(), c.theta(), v) : oracle::gauss_newton(c.problem(), c.theta(), v);
      product = oracle::add_scaled(oracle::add_scaled(product, 1, c.regularizer(v)), 0.25L, v);
      EXPECT_LE(relative_error(this->row(out), product), kBound<T>) << (exact ? "Hessian" : "Gauss-Newton");
    }
  }
}

// Each example as a batch of its own: their mean is the product. Groups have vectors and rows of their own.
TYPED_TEST(ConvNetTest, BatchProductsAddUpToTheProduct) {
  using T = typename TypeParam::Number;
  NetworkCase c(examples(), true);
  const auto p = static_cast<Index>(c.parameters()), n = static_cast<Index>(examples());
  const oracle::Vector v = c.vector(), other = c.vector();
  std::vector<Index> rows(static_cast<std::size_t>(n));
  std::iota(rows.rbegin(), rows.rend(), Index{0});  // backwards
  rows.insert(rows.end(), rows.begin(), rows.end());
  const Buffer<Index> numbers(this->device(), std::span<const Index>(rows));
  for (const Curvature curvature : {Curvature::hessian, Curvature::gauss_newton}) {
    const auto net = c.template model<T>(this->device(), curvature);
    const Buffer<T> one = upload_rows<T>(this->device(), {v}), two = upload_rows<T>(this->device(), {v, other});
    Buffer<T> expected(this->device(), 2 * p), pair(this->device(), 2 * p), single(this->device(), n * p);
    net->hessian_product(two.view(2, p), 0.0, expected.view(2, p));
    this->kernels().add_regularizer(this->device(), {net->shape().regularized(), -net->l2(), 0.0, two.view(2, p), expected.view(2, p)});
    net->batch_hessian_products(two.view(2, p), numbers.data(), 2, n, pair.view(2, p));
    EXPECT_LE(relative_error(this->row(pair), this->row(expected)), 2 * kBound<T>);

    const Buffer<T> repeated = upload_rows<T>(this->device(), oracle::Matrix(static_cast<std::size_t>(n), v));
    net->batch_hessian_products(repeated.view(n, p), numbers.data(), n, 1, single.view(n, p));
    const oracle::Vector all = this->row(single), sum = this->row(expected);
    oracle::Vector mean(static_cast<std::size_t>(p));
    long double sizes = 0;
    for (Index g = 0; g < n; ++g) {
      const oracle::Vector own(all.begin() + g * p, all.begin() + (g + 1) * p);
      mean = oracle::add_scaled(mean, 1 / static_cast<long double>(n), own);
      sizes += oracle::norm(own) / static_cast<long double>(n);
    }
    const oracle::Vector off = oracle::add_scaled(mean, -1, {sum.begin(), sum.begin() + p});
    EXPECT_LE(static_cast<double>(oracle::norm(off) / sizes), 2 * kBound<T>);
  }
}

TYPED_TEST(ConvNetTest, ExplicitHessianIsWhatProductsAre) {
  using T = typename TypeParam::Number;
  NetworkCase c(examples(), true);
  const auto p = static_cast<Index>(c.parameters());
  for (const Curvature curvature : {Curvature::hessian, Curvature::gauss_newton}) {
    const auto net = c.template model<T>(this->device(), curvature);
    Buffer<T> matrix(this->device(), p * p), by_products(this->device(), p * p);
    net->explicit_hessian(0.125, matrix.view(p, p));
    net->Objective<T>::explicit_hessian(0.125, by_products.view(p, p));
    EXPECT_LE(relative_error(this->row(matrix), this->row(by_products)), kBound<T>);
  }
}

// A damping that makes H positive definite: CG and the factor agree to what both certify. Less: refused, with the reason.
TYPED_TEST(ConvNetTest, DampedSolvesAgreeAndIndefiniteOnesAreRefused) {
  using T = typename TypeParam::Number;
  NetworkCase c(examples());
  const auto p = static_cast<Index>(c.parameters());
  const auto exact = c.template model<double>(this->device());
  const auto fast = c.template model<T>(this->device());
  Buffer<double> hessian(this->device(), p * p);
  exact->explicit_hessian(0, hessian.view(p, p));
  const std::vector<double> host = hessian.to_host();
  oracle::Matrix rows;
  for (Index i = 0; i < p; ++i) rows.emplace_back(host.begin() + i * p, host.begin() + (i + 1) * p);
  const oracle::Vector values = eigenvalues(rows);
  const double smallest = static_cast<double>(values.front()), largest = static_cast<double>(values.back());
  ASSERT_LT(smallest, -1e-3);  // or there is nothing to refuse

  const double damping = 0.01 - 2 * smallest, tolerance = 1e-10;
  const Buffer<double> vectors = upload_rows<double>(this->device(), {c.vector(), c.vector()});
  Buffer<double> by_cg(this->device(), 2 * p), by_factor(this->device(), 2 * p);
  const auto cg = make_conjugate_gradient<T>(*fast, *exact, damping, tolerance, 4000);
  EXPECT_TRUE(cg->solve(vectors.view(2, p), by_cg.view(2, p)).certified());
  const auto direct =
      make_direct_solver<T>(std::make_shared<const HessianFactor<T>>(*fast, damping), *exact, damping, tolerance);
  EXPECT_TRUE(direct->solve(vectors.view(2, p), by_factor.view(2, p)).certified());
  const double condition = (largest + damping) / (smallest + damping);
  const std::vector<double> one = by_cg.to_host(), two = by_factor.to_host();
  EXPECT_LE(relative_error(one, to_long(two)), 2 * condition * tolerance);

  const auto indefinite = make_conjugate_gradient<T>(*fast, *exact, -smallest / 4, tolerance, 4000);
  const SolveReport report = indefinite->solve(vectors.view(2, p), by_cg.view(2, p));
  EXPECT_FALSE(report.certified());
  EXPECT_NE(report.first_failure().find("not positive definite"), std::string::npos) << report.first_failure();
  EXPECT_THROW(HessianFactor<T>(*fast, -smallest / 4), NotCertified);
}

TYPED_TEST(ConvNetTest, InitialParametersAreCutNormals) {
  const NetworkShape shape = paper_network();
  const std::vector<double> theta = initial_parameters(shape, 7), again = initial_parameters(shape, 7);
  EXPECT_EQ(theta, again);
  EXPECT_NE(theta, initial_parameters(shape, 8));
  const ParameterRanges weights = shape.regularized();
  for (int l = 0; l < weights.count; ++l) {
    const auto [begin, end] = weights.range[l];
    const double deviation = l < 6 ? 2 / std::sqrt(static_cast<double>((end - begin) / shape.convolution[l].out))
                                   : 1 / std::sqrt(10.0);
    double squares = 0;
    for (Index i = begin; i < end; ++i) {
      ASSERT_LE(std::abs(theta[static_cast<std::size_t>(i)]), 2 * deviation);
      squares += theta[static_cast<std::size_t>(i)] * theta[static_cast<std::size_t>(i)];
    }
    // A normal cut at 2 has the variance 0.774; the mean of m squares strays by about √(1/m) of it: five times that.
    const double count = static_cast<double>(end - begin);
    EXPECT_NEAR(squares / count / (deviation * deviation), 0.774, 5 * 0.774 * std::sqrt(1 / count)) << "layer " << l;
  }
  for (Index i = 0; i < shape.parameters(); ++i)
    ASSERT_TRUE(weights.contains(i) || theta[static_cast<std::size_t>(i)] == 0);
}

TYPED_TEST(ConvNetTest, RefusesDataOfAnotherSize) {
  using T = typename TypeParam::Number;
  const std::vector<double> x(2 * 71);
  const Dataset<T> data = Dataset<T>::from_values(this->device(), x, std::vector<std::int32_t>{0, 1}, 71, 3);
  EXPECT_NE(refusal([&] { ConvNet<T>(data, NetworkCase::shape(), 0.1); }).find("expected 72 and 3"), std::string::npos);
}

}  // namespace
}  // namespace clout::test
