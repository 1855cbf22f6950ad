// Retraining without examples: its functions against the oracle's objective without them, and the symmetry of
// the biases.

#include <clout/engine/direct_solver.hpp>

#include "models/model_test.hpp"

namespace clout::test {
namespace {

template <class C>
class LogisticRemovalsTest : public KernelTest<C> {};
TYPED_TEST_SUITE(LogisticRemovalsTest, Cases, CaseName);

std::vector<CaseSizes> removal_cases() {
  return {{6, 3, 2}, {17, 5, 3, true}, {23, 9, 10, true, true, true}, {11, 4, 3, false, false, true}};
}
// Nothing, one, the last, several, one of weight zero where there are weights: case 3 of every four.
const std::vector<std::vector<Index>> kGroups{{}, {0}, {5}, {4, 1, 2}, {3}, {3, 0}};
constexpr Index kModels = 6;

std::vector<std::size_t> as_sizes(const std::vector<Index>& group) { return {group.begin(), group.end()}; }

/// W_j / W
long double share_left(const oracle::LogisticProblem& problem, const std::vector<Index>& group) {
  return oracle::without(problem, as_sizes(group)).total_weight() / problem.total_weight();
}

template <class T>
double removal_bound(const CaseSizes& sizes) {
  // Both sides are sums over n terms whose errors walk; the removed terms are subtracted from the whole: four times
  // more.
  return 4 * error_bound<T>(0, sizes);
}

/// Rows [models][p] against expected(set of examples, model).
template <class T, class Expected>
void expect_models(const std::vector<T>& rows, const std::vector<std::vector<Index>>& groups, const CaseSizes& sizes,
                   const Expected& expected) {
  const Index p = static_cast<Index>(rows.size() / groups.size());
  for (std::size_t j = 0; j < groups.size(); ++j) {
    const std::vector<T> actual(rows.begin() + static_cast<Index>(j) * p, rows.begin() + static_cast<Index>(j + 1) * p);
    EXPECT_LE(relative_error(actual, expected(groups[j], j)), removal_bound<T>(sizes)) << sizes << ", set " << j;
  }
}

template <class T>
void check_constants(Device& device, const CaseSizes& sizes, const std::vector<std::vector<Index>>& groups) {
  const LogisticCase c(sizes);
  const auto model = c.model<T>(device);
  const Index p = model->parameters(), models = std::ssize(groups);
  Guarded<T> constants(device, models * p);
  model->removal_constants(Removals(device, groups, sizes.n), constants.view(models, p));
  expect_models(constants.to_host(), groups, sizes, [&](const std::vector<Index>& group, std::size_t) {
    oracle::Vector expected = oracle::gradient(oracle::without(c.problem(), as_sizes(group)), c.theta());
    for (long double& value : expected) value *= share_left(c.problem(), group);
    return expected;
  });
}

TYPED_TEST(LogisticRemovalsTest, Constants) {
  for (const CaseSizes& sizes : removal_cases()) check_constants<typename TypeParam::Number>(this->device(), sizes, kGroups);
}

// More entries than examples: they are swept over instead.
TYPED_TEST(LogisticRemovalsTest, ConstantsWithoutMostExamples) {
  for (const CaseSizes& sizes : {CaseSizes{8, 3, 2}, {8, 5, 3, true, false, true}})
    check_constants<typename TypeParam::Number>(this->device(), sizes, {{0, 1, 2, 3, 4}, {7, 6, 5}, {2, 0, 4}});
}

TYPED_TEST(LogisticRemovalsTest, DifferencesKeepTheirRelativeAccuracyHoweverSmall) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : removal_cases())
    for (const double scale : {0.5, 1e-5}) {
      LogisticCase c(sizes);
      const auto model = c.model<T>(this->device());
      const Index p = model->parameters();
      const Removals removals(this->device(), kGroups, sizes.n);
      const oracle::Matrix offsets = c.vectors(kModels, scale);
      const Buffer<T> delta = upload_rows<T>(this->device(), offsets);
      Guarded<T> differences(this->device(), kModels * p);
      model->removal_differences(removals, delta.view(kModels, p), differences.view(kModels, p));
      const std::vector<T> host = differences.to_host();
      for (std::size_t j = 0; j < kGroups.size(); ++j) {
        const oracle::LogisticProblem left = oracle::without(c.problem(), as_sizes(kGroups[j]));
        const oracle::Vector there = oracle::gradient(left, oracle::add_scaled(c.theta(), 1, offsets[j]));
        oracle::Vector expected = oracle::add_scaled(there, -1, oracle::gradient(left, c.theta()));
        for (long double& value : expected) value *= share_left(c.problem(), kGroups[j]);
        const std::vector<T> actual(host.begin() + static_cast<Index>(j) * p,
                                    host.begin() + static_cast<Index>(j + 1) * p);
        // The oracle's own subtraction loses 1e-19 / 1e-5.
        EXPECT_LE(relative_error(actual, expected), removal_bound<T>(sizes))
            << sizes << ", set " << j << ", offsets of " << scale;
      }
    }
}

TYPED_TEST(LogisticRemovalsTest, GradientsFromScratch) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : removal_cases()) {
    LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index p = model->parameters();
    const Removals removals(this->device(), kGroups, sizes.n);
    const oracle::Matrix elsewhere = c.vectors(kModels, 0.5);
    const Buffer<T> parameters = upload_rows<T>(this->device(), elsewhere);
    Guarded<T> gradients(this->device(), kModels * p);
    model->gradients_without(removals, parameters.view(kModels, p), gradients.view(kModels, p));
    expect_models(gradients.to_host(), kGroups, sizes, [&](const std::vector<Index>& group, std::size_t j) {
      return oracle::gradient(oracle::without(c.problem(), as_sizes(group)), elsewhere[j]);
    });
  }
}

TYPED_TEST(LogisticRemovalsTest, HessianProductsFromScratch) {
  using T = typename TypeParam::Number;
  for (const CaseSizes& sizes : removal_cases()) {
    LogisticCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index p = model->parameters();
    const Removals removals(this->device(), kGroups, sizes.n);
    const oracle::Matrix elsewhere = c.vectors(kModels, 0.5), vectors = c.vectors(kModels, 1.0);
    const Buffer<T> parameters = upload_rows<T>(this->device(), elsewhere), v = upload_rows<T>(this->device(), vectors);
    Guarded<T> products(this->device(), kModels * p);
    Guarded<T> curvatures(this->device(), sizes.n * kModels * sizes.classes);
    const MatrixView<T> at_points = curvatures.view(sizes.n, kModels * sizes.classes);
    model->curvatures_at(parameters.view(kModels, p), at_points);
    model->hessian_products_with(at_points, removals, v.view(kModels, p), products.view(kModels, p));
    expect_models(products.to_host(), kGroups, sizes, [&](const std::vector<Index>& group, std::size_t j) {
      return oracle::hvp(oracle::without(c.problem(), as_sizes(group)), elsewhere[j], vectors[j]);
    });
  }
}

TYPED_TEST(LogisticRemovalsTest, RemovingAllTheWeightIsRefused) {
  using T = typename TypeParam::Number;
  LogisticCase c({4, 3, 2, false, false, true});  // the last example has weight 0
  const auto model = c.model<T>(this->device());
  const Index p = model->parameters();
  Buffer<T> room(this->device(), 2 * p);
  for (const std::vector<Index>& group : {std::vector<Index>{0, 1, 2, 3}, {2, 1, 0}}) {
    const Removals removals(this->device(), {group}, 4);
    const auto offsets = room.view(2, p).rows_from(0, 1), out = room.view(2, p).rows_from(1, 1);
    room.upload(std::vector<T>(static_cast<std::size_t>(2 * p)));
    for (const std::string& message : {refusal([&] { model->removal_constants(removals, out); }),
                                       refusal([&] { model->removal_differences(removals, offsets, out); }),
                                       refusal([&] { model->gradients_without(removals, offsets, out); })})
      EXPECT_NE(message.find("something must stay"), std::string::npos) << message;
  }
}

TYPED_TEST(LogisticRemovalsTest, FixingSymmetriesChangesTheBiasesAloneAndNoSolutionForAGradient) {
  using T = typename TypeParam::Number;
  LogisticCase c({31, 4, 3, true, false, true, 0.1});
  const auto model = c.model<T>(this->device());
  const Index p = model->parameters(), weights = 12;
  Buffer<T> matrix(this->device(), p * p);
  model->explicit_hessian(0.0, matrix.view(p, p));
  const std::vector<T> before = matrix.to_host();
  model->fix_symmetries(matrix.view(p, p));
  const std::vector<T> after = matrix.to_host();
  const T added = after.back() - before.back();
  EXPECT_GT(added, 0);
  for (Index row = 0; row < p; ++row)
    for (Index column = 0; column < p; ++column) {
      const auto at = static_cast<std::size_t>(row * p + column);
      const bool biases = row >= weights && column >= weights;
      EXPECT_NEAR(after[at] - before[at], biases ? added : T(0), 8 * std::numeric_limits<T>::epsilon())
          << row << ", " << column;
    }

  // Every gradient is orthogonal to the direction, and what is solved with the fixed matrix solves the singular system.
  const HessianFactor<T> factor(*model, 0.0);
  Buffer<T> solution(this->device(), p);
  model->example_gradients(std::vector<Index>{5}, solution.view(1, p));
  const oracle::Vector gradient = oracle::example_gradients(c.problem(), c.theta())[5];
  factor.solve(solution.view(1, p));
  const oracle::Vector s = to_long(std::vector<double>([&] {
    const std::vector<T> host = solution.to_host();
    return std::vector<double>(host.begin(), host.end());
  }()));
  const oracle::Vector product = oracle::hvp(c.problem(), c.theta(), s);
  // Backward stable: the residual is some eps |H| |s|; |H| is of order 1, and |s| is up to |g| / l2.
  EXPECT_LE(relative_error(product, gradient), 200 * std::numeric_limits<T>::epsilon() / 0.1);
  long double along = 0;
  for (Index j = weights; j < p; ++j) along += s[static_cast<std::size_t>(j)];
  EXPECT_NEAR(static_cast<double>(along / oracle::norm(s)), 0, 200 * std::numeric_limits<T>::epsilon() / 0.1);
}

TYPED_TEST(LogisticRemovalsTest, WithoutABiasThereIsNoSymmetryToFix) {
  using T = typename TypeParam::Number;
  const LogisticCase c({9, 3, 3});
  const auto model = c.model<T>(this->device());
  Buffer<T> matrix(this->device(), 81);
  model->explicit_hessian(0.0, matrix.view(9, 9));
  const std::vector<T> before = matrix.to_host();
  model->fix_symmetries(matrix.view(9, 9));
  EXPECT_EQ(matrix.to_host(), before);
}

}  // namespace
}  // namespace clout::test
