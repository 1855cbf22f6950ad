// The diagonal of a linear model's Hessian and its Kronecker factors, against the oracle's whole Hessian.

#include <clout/models/margin_classifier.hpp>

#include "models/model_test.hpp"

namespace clout::test {
namespace {

template <class C>
class LinearCurvatureTest : public KernelTest<C> {};
TYPED_TEST_SUITE(LinearCurvatureTest, Cases, CaseName);

/// Of the oracle's Hessian without the regulariser, [p][p]: entry (c, u; c′, v), u and v inputs, the bias's the last.
struct Blocks {
  explicit Blocks(const LogisticCase& c)
      : sizes(c.sizes()), matrix(oracle::hessian(c.problem(), c.theta())), inputs(sizes.d + (sizes.bias ? 1 : 0)) {
    for (Index i = 0; i < sizes.classes * sizes.d; ++i)
      matrix[static_cast<std::size_t>(i)][static_cast<std::size_t>(i)] -= c.problem().l2;
  }
  long double operator()(Index c, Index u, Index other, Index v) const {
    return matrix[place(c, u)][place(other, v)];
  }
  std::size_t place(Index c, Index u) const {
    return static_cast<std::size_t>(u < sizes.d ? c * sizes.d + u : sizes.classes * sizes.d + c);
  }
  CaseSizes sizes;
  oracle::Matrix matrix;
  Index inputs;
};

TYPED_TEST(LinearCurvatureTest, TheDiagonalIsTheHessians) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : model_cases()) {
    const LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index p = model->parameters();
    for (const double damping : {0.0, 0.375}) {
      Guarded<T> diagonal(this->device(), p);
      model->hessian_diagonal(damping, diagonal.view(1, p));
      const oracle::Matrix hessian = oracle::hessian(c.problem(), c.theta());
      oracle::Vector expected;
      for (std::size_t i = 0; i < hessian.size(); ++i) expected.push_back(hessian[i][i] + damping);
      EXPECT_LE(relative_error(diagonal.to_host(), expected), error_bound<T>(0, sizes)) << sizes;
    }
  }
}

// tr G = 1, so A is H's trace over the classes; and G the biases' own block of H, but for its trace.
TYPED_TEST(LinearCurvatureTest, KroneckerFactorsAreInTheHessian) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : small_model_cases()) {
    const LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const KroneckerFactors factors = model->kronecker_factors();
    const Blocks hessian(c);
    oracle::Vector inputs;
    for (Index u = 0; u < hessian.inputs; ++u)
      for (Index v = 0; v < hessian.inputs; ++v) {
        long double sum = 0;
        for (Index k = 0; k < sizes.classes; ++k) sum += hessian(k, u, k, v);
        inputs.push_back(sum);
      }
    ASSERT_EQ(factors.inputs.rows, hessian.inputs);
    EXPECT_LE(relative_error(factors.inputs.values, inputs), error_bound<T>(0, sizes)) << sizes;

    ASSERT_EQ(factors.outputs.rows, sizes.classes);
    long double trace = 0;
    for (Index k = 0; k < sizes.classes; ++k) trace += factors.outputs(k, k);
    EXPECT_NEAR(static_cast<double>(trace), 1, 1e-12) << sizes;
    for (Index a = 0; a < sizes.classes; ++a) {  // what all outputs share has no curvature, in single precision, too
      double row = 0;
      for (Index b = 0; b < sizes.classes; ++b) row += factors.outputs(a, b);
      EXPECT_NEAR(row, 0, 1e-15 * static_cast<double>(sizes.classes)) << sizes;
    }
    if (!sizes.bias) continue;
    oracle::Vector outputs;
    for (Index a = 0; a < sizes.classes; ++a)
      for (Index b = 0; b < sizes.classes; ++b) outputs.push_back(hessian(a, sizes.d, b, sizes.d) / inputs.back());
    EXPECT_LE(relative_error(factors.outputs.values, outputs), error_bound<T>(0, sizes)) << sizes;
  }
}

// With one output there is one factor, and it is all of H.
TYPED_TEST(LinearCurvatureTest, OneOutputsFactorIsItsHessian) {
  using T = typename TypeParam::Number;
  const CaseSizes sizes{kSmall ? 7 : 61, 5, 2, true, false, true};
  const LogisticCase c(sizes);
  MarginClassifier<T> model(c.data<T>(this->device()), MarginLoss::logistic, 1, true, sizes.l2);
  const std::vector<double> numbers{0.5, -0.25, 1.5, 0.75, -1, 0.125};
  const std::vector<T> theta(numbers.begin(), numbers.end());
  const Buffer<T> theta_device(this->device(), std::span<const T>(theta));
  model.set_parameters(theta_device.view(1, 6));
  Buffer<T> hessian(this->device(), 36), diagonal(this->device(), 6);
  model.explicit_hessian(0, hessian.view(6, 6));
  model.hessian_diagonal(0, diagonal.view(1, 6));
  const KroneckerFactors factors = model.kronecker_factors();
  const std::vector<T> whole = hessian.to_host(), places = diagonal.to_host();
  ASSERT_EQ(factors.inputs.rows, 6);
  oracle::Vector expected, own;
  for (std::size_t i = 0; i < 36; ++i)
    expected.push_back(static_cast<long double>(whole[i]) - (i % 7 == 0 && i < 35 ? sizes.l2 : 0));
  for (std::size_t i = 0; i < 6; ++i) own.push_back(whole[7 * i]);
  EXPECT_LE(relative_error(factors.inputs.values, expected), 2 * error_bound<T>(0, sizes));
  EXPECT_LE(relative_error(places, own), 2 * error_bound<T>(0, sizes));
  EXPECT_EQ(factors.outputs.values, std::vector<double>{1});
}

// Rows that were never there with their zeros have a diagonal, and on the CPU the same factors.
TYPED_TEST(LinearCurvatureTest, RowsWithoutZeros) {
  using T = typename TypeParam::Number;
  const CaseSizes sizes{9, 5, 3, true};
  const LogisticCase c(sizes);
  const std::vector<std::int32_t> labels(c.problem().labels.begin(), c.problem().labels.end());
  SparseRows<double> rows{.columns = sizes.d, .starts = {0}};
  for (std::size_t i = 0; i < c.problem().x.size(); ++i) {
    rows.places.push_back(static_cast<std::uint32_t>(i % 5));
    rows.values.push_back(static_cast<double>(c.problem().x[i]));
    if (i % 5 == 4) rows.starts.push_back(static_cast<Index>(rows.values.size()));
  }
  LogisticRegression<T> sparse(Dataset<T>::from_sparse(this->device(), std::move(rows), labels, 3), true,
                               static_cast<double>(c.problem().l2));
  const Buffer<T> theta = upload_rows<T>(this->device(), {c.theta()});
  sparse.set_parameters(theta.view(1, 18));
  Buffer<T> diagonal(this->device(), 18);
  sparse.hessian_diagonal(0, diagonal.view(1, 18));
  const oracle::Matrix hessian = oracle::hessian(c.problem(), c.theta());
  oracle::Vector expected;
  for (std::size_t i = 0; i < 18; ++i) expected.push_back(hessian[i][i]);
  EXPECT_LE(relative_error(diagonal.to_host(), expected), error_bound<T>(0, sizes));
  if (!this->device().info().is_host) EXPECT_THROW(sparse.kronecker_factors(), InvalidInput);
  else {
    const std::vector<double> inputs = c.template model<T>(this->device())->kronecker_factors().inputs.values;
    EXPECT_LE(relative_error(sparse.kronecker_factors().inputs.values, to_long(inputs)), error_bound<T>(0, sizes));
  }
}

// In memory as it is planned, and not in what the results alone take.
TYPED_TEST(LinearCurvatureTest, TakesWhatIsPlanned) {
  using T = typename TypeParam::Number;
  for (const Storage storage : {Storage::dense, Storage::sparse}) {
    if (storage == Storage::sparse && !this->device().info().is_host) continue;  // X is dense for all of this
    const CaseSizes sizes{kSmall ? 21 : 300, 9, 4, true, false, true};
    const LogisticCase c(sizes);
    Device& device = this->device();
    LogisticRegression<T> model(c.data<T>(device).with_storage(storage), true, sizes.l2);
    const Buffer<T> theta = upload_rows<T>(device, {c.theta()});
    const Index p = model.parameters();
    model.set_parameters(theta.view(1, p));
    Buffer<T> matrix(device, p * p), diagonal(device, p);
    model.explicit_hessian(0, matrix.view(p, p));
    const auto expect_planned = [&](const char* what, std::size_t planned, Index results, const std::function<void()>& work) {
      device.set_memory_limit(device.used_memory() + static_cast<std::size_t>(results) * sizeof(T));
      EXPECT_THROW(work(), OutOfMemory) << what;
      device.set_memory_limit(device.used_memory() + planned);
      EXPECT_NO_THROW(work()) << what << ", " << planned;
      device.set_memory_limit(static_cast<std::size_t>(-1));
    };
    expect_planned("kronecker", model.kronecker_memory(), 400, [&] { model.kronecker_factors(); });
    expect_planned("diagonal", model.diagonal_memory(), p, [&] { model.hessian_diagonal(0, diagonal.view(1, p)); });
    expect_planned("leverages", model.leverage_memory(), 16 * sizes.n, [&] {
      model.gradient_forms(matrix.view(p, p), 0, sizes.n);
      model.newton_shifts(matrix.view(p, p), diagonal.view(1, p), 1e-6, 0, sizes.n);
    });
  }
}

}  // namespace
}  // namespace clout::test
