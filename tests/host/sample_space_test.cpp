// The n × n form of a logistic regression's Hessian, against the explicit one in long double.

#include <gtest/gtest.h>

#include <clout/engine/influence.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/sample_space.hpp>
#include <clout/models/margin_classifier.hpp>
#include <cmath>
#include <random>

namespace clout::test {
namespace {

using Real = long double;

struct Case {
  Index n, d;
  SparseRows<double> x;
  std::vector<std::int32_t> labels;
  std::vector<double> w, margins;

  // `size` decides how sure the model is.
  Case(Index examples, Index features, double size) : n(examples), d(features) {
    std::mt19937 random(3);
    x.columns = d;
    for (Index i = 0; i < n; ++i) {
      for (Index f = 0; f < d; ++f)
        if (random() % 4 == 0) {
          x.places.push_back(static_cast<std::uint32_t>(f));
          x.values.push_back(1 + static_cast<double>(random() % 4));
        }
      x.starts.push_back(static_cast<Index>(x.values.size()));
      labels.push_back(static_cast<std::int32_t>(random() % 2));
    }
    for (Index f = 0; f < d; ++f) w.push_back(size * (static_cast<double>(random() % 1000) / 500 - 1));
    margins = outputs_of(x, w);
    for (Index i = 0; i < n; ++i)
      if (labels[static_cast<std::size_t>(i)] == 0) margins[static_cast<std::size_t>(i)] *= -1;
  }
  std::vector<Real> row(Index i) const {
    std::vector<Real> dense(static_cast<std::size_t>(d));
    for (auto at = static_cast<std::size_t>(x.starts[static_cast<std::size_t>(i)]);
         at < static_cast<std::size_t>(x.starts[static_cast<std::size_t>(i + 1)]); ++at)
      dense[x.places[at]] = x.values[at];
    return dense;
  }
  // (1/n) δᵢ² xᵢᵀ H⁻¹ xᵢ by elimination on the p × p matrix.
  std::vector<Real> self_influence(Real l2) const {
    const auto p = static_cast<std::size_t>(d);
    std::vector<std::vector<Real>> h(p, std::vector<Real>(p));
    for (std::size_t f = 0; f < p; ++f) h[f][f] = l2;
    for (Index i = 0; i < n; ++i) {
      const std::vector<Real> xi = row(i);
      const Real e = std::exp(-std::abs(static_cast<Real>(margins[static_cast<std::size_t>(i)])));
      const Real c = e / ((1 + e) * (1 + e)) / static_cast<Real>(n);
      for (std::size_t f = 0; f < p; ++f)
        for (std::size_t g = 0; g < p; ++g) h[f][g] += c * xi[f] * xi[g];
    }
    std::vector<Real> values;
    for (Index i = 0; i < n; ++i) {
      const std::vector<Real> xi = row(i), s = solved(h, xi);
      Real form = 0;
      for (std::size_t f = 0; f < p; ++f) form += xi[f] * s[f];
      const Real slope = 1 / (1 + std::exp(static_cast<Real>(margins[static_cast<std::size_t>(i)])));
      values.push_back(slope * slope * form / static_cast<Real>(n));
    }
    return values;
  }
  static std::vector<Real> solved(std::vector<std::vector<Real>> h, std::vector<Real> b) {
    const std::size_t p = b.size();
    for (std::size_t k = 0; k < p; ++k)
      for (std::size_t i = k + 1; i < p; ++i) {
        const Real factor = h[i][k] / h[k][k];
        for (std::size_t j = k; j < p; ++j) h[i][j] -= factor * h[k][j];
        b[i] -= factor * b[k];
      }
    for (std::size_t k = p; k-- > 0;) {
      for (std::size_t j = k + 1; j < p; ++j) b[k] -= h[k][j] * b[j];
      b[k] /= h[k][k];
    }
    return b;
  }
};

constexpr double kL2 = 1e-3;

// Fewer examples than features and more; unsure, and so sure that some are wrong beyond a margin of −7.
TEST(SampleSpace, SelfInfluenceIsTheExplicitHessians) {
  for (const auto& [n, d] : {std::pair<Index, Index>{12, 40}, {40, 12}, {1, 3}})
    for (const double size : {0.1, 2.0, 20.0}) {
      const Case c(n, d, size);
      SampleSpace space(c.x);
      space.factorise(c.margins, kL2);
      const std::vector<double> got = space.self_influence();
      const std::vector<Real> expected = c.self_influence(kL2);
      for (std::size_t i = 0; i < got.size(); ++i) {
        // M's condition is at most 1 + λ_max(K)/(4nλ), and 1 − nλ(M⁻¹)ᵢᵢ and K − ‖·‖² lose it: n roundings of it, times
        // what stands before.
        Real norms = 0;
        for (Index j = 0; j < n; ++j)
          for (const Real value : c.row(j)) norms += value * value;
        const Real condition = 1 + norms / (4 * static_cast<Real>(n) * kL2);
        const Real before =
            c.margins[i] >= -7 ? std::exp(-static_cast<Real>(c.margins[i])) : norms / kL2 / static_cast<Real>(n);
        const Real bound = static_cast<Real>(n) * 0x1p-52L * condition * before;
        ASSERT_NEAR(got[i], static_cast<double>(expected[i]), static_cast<double>(bound))
            << "n " << n << ", d " << d << ", size " << size << ", example " << i << ", margin " << c.margins[i];
      }
    }
}

// The certified loop takes its residuals from the model's own Hessian.
TEST(SampleSpace, SolverIsCertified) {
  const Case c(30, 50, 1.0);
  const auto device = make_device("cpu");
  MarginClassifier<double> model(Dataset<double>::from_sparse(*device, c.x, c.labels, 2), MarginLoss::logistic, 1.0,
                                 false, kL2);
  move_to<double>(model, model, c.w);
  const auto space = std::make_shared<SampleSpace>(c.x);
  space->factorise(c.margins, kL2);
  const auto solver = make_sample_space_solver(space, model, 1e-10);
  std::vector<Index> rows;
  for (Index i = 0; i < c.n; ++i) rows.push_back(i);
  const SelfInfluence certified = self_influence(model, *solver, rows);
  EXPECT_NO_THROW(require_certified(certified.report));
  EXPECT_LE(certified.residual, 1e-10);
  const std::vector<Real> expected = c.self_influence(kL2);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    // A residual of r leaves at most r·‖x‖²/λ in the form, δ² ≤ 1.
    Real norm = 0;
    for (const Real value : c.row(static_cast<Index>(i))) norm += value * value;
    EXPECT_NEAR(certified.values[i], static_cast<double>(expected[i]),
                static_cast<double>(1e-10L * norm / kL2 / static_cast<Real>(c.n)));
  }
}

TEST(SampleSpace, AnotherModelsFactorIsFound) {
  const Case c(30, 50, 1.0);
  const auto device = make_device("cpu");
  MarginClassifier<double> model(Dataset<double>::from_sparse(*device, c.x, c.labels, 2), MarginLoss::logistic, 1.0,
                                 false, kL2);
  move_to<double>(model, model, c.w);
  const auto space = std::make_shared<SampleSpace>(c.x);
  space->factorise(std::vector<double>(static_cast<std::size_t>(c.n), 30.0), kL2);  // as if it were sure of everything
  const auto solver = make_sample_space_solver(space, model, 1e-10);
  const std::vector<Index> rows{0, 1};
  EXPECT_THROW(require_certified(self_influence(model, *solver, rows).report), NotCertified);
}

}  // namespace
}  // namespace clout::test
