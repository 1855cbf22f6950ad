// Solvers on logistic regression: against the oracle's elimination, and against each other.

#include <clout/engine/curvature_preconditioners.hpp>
#include <map>

#include "engine/solve.hpp"
#include "kernels/backend.hpp"
#include "support/eigenvalues.hpp"
#include "support/evaluate.hpp"

namespace clout::test {
namespace {

const CaseSizes kSizes = kSmall ? CaseSizes{9, 3, 3, false, false, true} : CaseSizes{41, 7, 3, false, false, true};

/// The same problem on the device in the working precision, in double, and as an explicit Hessian of the oracle.
template <class C>
class SolverTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  void set_up(const CaseSizes& sizes = kSizes) {
    problem_ = std::make_unique<LogisticCase>(sizes);
    fast_ = problem_->model<Number>(this->device());
    exact_ = problem_->model<double>(this->device());
    hessian_ = oracle::hessian(problem_->problem(), problem_->theta());
  }
  std::unique_ptr<Solver> cg(double damping, double tolerance, Index limit = 10'000) {
    return make_conjugate_gradient<Number>(*fast_, *exact_, damping, tolerance, limit);
  }
  std::unique_ptr<Solver> preconditioned(double damping, double tolerance,
                                         std::shared_ptr<Preconditioner<Number>> preconditioner) {
    return make_conjugate_gradient<Number>(*fast_, *exact_, damping, tolerance, 10'000, {}, std::move(preconditioner));
  }
  /// Every one there is, by its name.
  std::map<std::string, std::shared_ptr<Preconditioner<Number>>> preconditioners(double damping) {
    const HessianOperator<Number> hessian(*fast_, damping);
    return {{"nystrom, rank 6", std::make_shared<NystromPreconditioner<Number>>(hessian, 6, 0)},
            {"jacobi", std::make_shared<JacobiPreconditioner<Number>>(hessian)},
            {"kronecker", std::make_shared<KroneckerPreconditioner<Number>>(hessian)}};
  }
  std::unique_ptr<Solver> block(double damping, double tolerance, Index limit = 10'000) {
    return make_block_conjugate_gradient<Number>(*fast_, *exact_, damping, tolerance, limit);
  }
  std::unique_ptr<Solver> direct(double damping, double tolerance) {
    return make_direct_solver<Number>(std::make_shared<HessianFactor<Number>>(*fast_, damping), *exact_, damping,
                                      tolerance);
  }
  LogisticCase& problem() { return *problem_; }
  const oracle::Matrix& hessian() const { return hessian_; }
  double residual(double damping, const oracle::Vector& s, const oracle::Vector& v) const {
    return true_residual(hessian_, damping, s, v);
  }

 private:
  std::unique_ptr<LogisticCase> problem_;
  std::unique_ptr<LogisticRegression<Number>> fast_;
  std::unique_ptr<LogisticRegression<double>> exact_;
  oracle::Matrix hessian_;
};
TYPED_TEST_SUITE(SolverTest, Cases, CaseName);

TYPED_TEST(SolverTest, SolutionsAreTheOraclesAndSolversAgree) {
  this->set_up();
  const double tolerance = 1e-10;
  for (const double damping : {0.0, 0.3}) {
    const oracle::Matrix v = this->problem().vectors(5);
    const Solved cg = solve(*this->cg(damping, tolerance), v), direct = solve(*this->direct(damping, tolerance), v);
    const Solved block = solve(*this->block(damping, tolerance), v);
    const double cond = condition(this->hessian(), damping);
    for (const Solved* solved : {&cg, &block, &direct}) {
      EXPECT_TRUE(solved->report.certified()) << solved->report.first_failure();
      EXPECT_EQ(solved->report.first_failure(), "");
      EXPECT_EQ(solved->report.damping, damping);
      EXPECT_EQ(solved->report.tolerance, tolerance);
      EXPECT_EQ(solved->report.columns.size(), v.size());
      EXPECT_NO_THROW(require_certified(solved->report));
      for (std::size_t j = 0; j < v.size(); ++j) {
        EXPECT_LE(this->residual(damping, solved->solutions[j], v[j]), tolerance) << solved->report.solver;
        const oracle::Vector expected = oracle::damped_solve(this->hessian(), v[j], damping);
        EXPECT_LE(relative_error(solved->solutions[j], expected), cond * tolerance) << solved->report.solver;
      }
    }
    EXPECT_EQ(cg.report.solver, "cg");
    EXPECT_EQ(block.report.solver, "block-cg");
    EXPECT_EQ(direct.report.solver, "direct");
    EXPECT_GT(cg.report.products, 0);
    EXPECT_GT(block.report.products, 0);
    EXPECT_GT(direct.report.certifying_products, 0);
    for (std::size_t j = 0; j < v.size(); ++j)
      EXPECT_LE(relative_error(cg.solutions[j], direct.solutions[j]), 2 * cond * tolerance);
  }
}

TYPED_TEST(SolverTest, PreconditionedSolutionsAreTheOracles) {
  const double tolerance = 1e-10, damping = 0.01;
  for (const bool bias : {false, true}) {
    CaseSizes sizes = kSizes;
    sizes.bias = bias;
    this->set_up(sizes);
    const oracle::Matrix v = this->problem().vectors(3);
    for (const auto& [name, preconditioner] : this->preconditioners(damping)) {
      const Solved solved = solve(*this->preconditioned(damping, tolerance, preconditioner), v);
      EXPECT_TRUE(solved.report.certified()) << name << ": " << solved.report.first_failure();
      EXPECT_EQ(solved.report.preconditioner, name);
      EXPECT_EQ(solved.report.preconditioner_products, name.starts_with("nystrom") ? 6 : 0);
      for (std::size_t j = 0; j < v.size(); ++j) {
        EXPECT_LE(this->residual(damping, solved.solutions[j], v[j]), 1.01 * tolerance) << name;
        const oracle::Vector expected = oracle::damped_solve(this->hessian(), v[j], damping);
        EXPECT_LE(relative_error(solved.solutions[j], expected), condition(this->hessian(), damping) * tolerance) << name;
      }
    }
  }
}

TYPED_TEST(SolverTest, ReportedResidualsAreTheTrueOnes) {
  this->set_up();
  const oracle::Matrix v = this->problem().vectors(4);
  for (const double tolerance : {1e-3, 1e-7}) {
    const Solved solved = solve(*this->cg(0.1, tolerance), v);
    for (std::size_t j = 0; j < v.size(); ++j) {
      const double residual = this->residual(0.1, solved.solutions[j], v[j]);
      // Of the residual in double, some 20 eps ‖H‖‖s‖/‖v‖ is rounding: far below 1e-12 here.
      EXPECT_NEAR(solved.report.columns[j].relative_residual, residual, 1e-6 * residual + 1e-12);
    }
    EXPECT_LE(solved.report.max_relative_residual(), tolerance);
  }
}

TYPED_TEST(SolverTest, ZeroAndNotFiniteRightHandSidesStandBesideOthers) {
  this->set_up();
  oracle::Matrix v = this->problem().vectors(5);
  v[1].assign(v[1].size(), 0);
  v[2][1] = std::numeric_limits<long double>::quiet_NaN();
  v[3].back() = std::numeric_limits<long double>::infinity();
  for (const auto& solver : {this->direct(0.0, 1e-10), this->cg(0.0, 1e-10), this->block(0.0, 1e-10)}) {
    const Solved solved = solve(*solver, v);
    const auto& columns = solved.report.columns;
    EXPECT_EQ(columns[1].status, ColumnStatus::converged);
    EXPECT_EQ(columns[1].relative_residual, 0);
    for (const long double value : solved.solutions[1]) EXPECT_EQ(value, 0);
    EXPECT_EQ(columns[2].status, ColumnStatus::not_finite);
    EXPECT_EQ(columns[3].status, ColumnStatus::not_finite);
    EXPECT_FALSE(solved.report.certified());
    EXPECT_NE(solved.report.first_failure().find("right-hand side 2: not_finite"), std::string::npos)
        << solved.report.first_failure();
    EXPECT_THROW(require_certified(solved.report), NotCertified);
    for (const std::size_t j : {std::size_t{0}, std::size_t{4}}) {
      EXPECT_EQ(columns[j].status, ColumnStatus::converged);
      EXPECT_LE(this->residual(0.0, solved.solutions[j], v[j]), 1e-10);
    }
  }
}

TYPED_TEST(SolverTest, TinyAndHugeRightHandSidesAreSolvedAsWell) {
  this->set_up();
  // Out of the range of float; so that squares are out of the range of double; denormal.
  const std::vector<int> exponents{0, -200, 200, -600, 600, -1000, 1000, -1070};
  const oracle::Matrix unit = this->problem().vectors(1);
  oracle::Matrix v;
  for (const int exponent : exponents) {
    v.push_back(unit[0]);
    for (long double& value : v.back()) value = static_cast<double>(std::ldexp(value, exponent));
  }
  for (const auto& solver : {this->cg(0.0, 1e-10), this->block(0.0, 1e-10), this->direct(0.0, 1e-10)}) {
    const Solved solved = solve(*solver, v);
    for (std::size_t j = 0; j < v.size(); ++j) {
      EXPECT_EQ(solved.report.columns[j].status, ColumnStatus::converged) << exponents[j];
      EXPECT_GT(solved.report.columns[j].iterations, 0) << exponents[j];
      if (exponents[j] > -1000) {  // solutions that are numbers of full precision
        EXPECT_LE(this->residual(0.0, solved.solutions[j], v[j]), 1.01e-10) << exponents[j];
      }
    }
  }
}

TYPED_TEST(SolverTest, BlocksOfRightHandSidesDoNotKnowOfEachOther) {
  this->set_up();
  const oracle::Matrix v = this->problem().vectors(35);  // one block of 32, and three
  const oracle::Matrix tail(v.begin() + 32, v.end());
  const auto solver = this->cg(0.05, 1e-9);
  const Solved all = solve(*solver, v), some = solve(*solver, tail), again = solve(*solver, v);
  EXPECT_TRUE(all.report.certified());
  EXPECT_EQ(all.solutions, again.solutions);  // the same bits, run after run
  for (std::size_t j = 0; j < tail.size(); ++j) EXPECT_EQ(all.solutions[32 + j], some.solutions[j]);
}

TYPED_TEST(SolverTest, TheIterationLimitIsReportedWithTheResidualThatWasReached) {
  this->set_up();
  const oracle::Matrix v = this->problem().vectors(3);
  for (const auto& solver : {this->cg(0.0, 1e-10, 2), this->block(0.0, 1e-10, 2)}) {
    const Solved solved = solve(*solver, v);
    EXPECT_FALSE(solved.report.certified());
    for (std::size_t j = 0; j < v.size(); ++j) {
      EXPECT_EQ(solved.report.columns[j].status, ColumnStatus::iteration_limit);
      EXPECT_EQ(solved.report.columns[j].iterations, 2);
      const double residual = this->residual(0.0, solved.solutions[j], v[j]);
      EXPECT_NEAR(solved.report.columns[j].relative_residual, residual, 1e-6 * residual);
    }
    EXPECT_NE(solved.report.first_failure().find("--max-iterations"), std::string::npos);
  }
}

TYPED_TEST(SolverTest, RefusesWrongShapesAndTolerances) {
  this->set_up();
  Buffer<double> room(this->device(), 1000);
  const auto solver = this->cg(0.0, 1e-10);
  const Index p = solver->size();
  EXPECT_NE(refusal([&] { solver->solve(room.view(0, p), room.view(0, p)); }).find("there are none"),
            std::string::npos);
  EXPECT_NE(refusal([&] { solver->solve(room.view(2, p - 1), room.view(2, p)); }).find("expected [k]["),
            std::string::npos);
  EXPECT_NE(refusal([&] { solver->solve(room.view(2, p), room.view(1, p)); }).find("expected [k]["), std::string::npos);
  EXPECT_NE(refusal([&] { this->cg(0.0, 0.0); }).find("tolerance"), std::string::npos);
  EXPECT_NE(refusal([&] { this->direct(0.0, -1.0); }).find("tolerance"), std::string::npos);
  EXPECT_NE(refusal([&] { this->cg(0.0, 1e-10, 0); }).find("iteration limit"), std::string::npos);
}

// With a bias H is singular along equal shifts of all biases; gradients are orthogonal to that, and are solved.
TYPED_TEST(SolverTest, ABiasNeedsNoDampingForGradients) {
  CaseSizes sizes = kSizes;
  sizes.bias = true;
  this->set_up(sizes);
  const oracle::Matrix all = oracle::example_gradients(this->problem().problem(), this->problem().theta());
  const oracle::Matrix v(all.begin(), all.begin() + 4);
  const Solved cg = solve(*this->cg(0.0, 1e-9), v), direct = solve(*this->direct(0.0, 1e-9), v);
  const Solved block = solve(*this->block(0.0, 1e-9), v);
  EXPECT_TRUE(block.report.certified()) << block.report.first_failure();
  EXPECT_TRUE(cg.report.certified()) << cg.report.first_failure();
  EXPECT_TRUE(direct.report.certified()) << direct.report.first_failure();
  const oracle::Vector values = eigenvalues(this->hessian());
  const double cond = static_cast<double>(values.back() / values[1]);
  for (std::size_t j = 0; j < v.size(); ++j) {
    EXPECT_LE(this->residual(0.0, cg.solutions[j], v[j]), 1e-9);
    EXPECT_LE(this->residual(0.0, block.solutions[j], v[j]), 1e-9);
    EXPECT_LE(this->residual(0.0, direct.solutions[j], v[j]), 1e-9);
    // Rounding of the right-hand side to the working precision has a part along the flat direction.
    const double stray = sizeof(typename TypeParam::Number) == 4 ? 1e-5 : 1e-12;
    EXPECT_LE(relative_error(cg.solutions[j], direct.solutions[j]), 2 * cond * 1e-9 + stray);
  }
}

// Without a regulariser H is singular along equal shifts of one feature's weights in all classes as well.
TYPED_TEST(SolverTest, NoRegulariserNeedsNoDampingForGradients) {
  for (const bool bias : {false, true}) {
    CaseSizes sizes = kSizes;
    sizes.bias = bias;
    sizes.l2 = 0;
    this->set_up(sizes);
    const oracle::Matrix all = oracle::example_gradients(this->problem().problem(), this->problem().theta());
    const Solved direct = solve(*this->direct(0.0, 1e-9), {all.begin(), all.begin() + 4});
    EXPECT_TRUE(direct.report.certified()) << direct.report.first_failure();
    for (std::size_t j = 0; j < 4; ++j) {
      EXPECT_LE(this->residual(0.0, direct.solutions[j], all[j]), 1e-9);
      const auto d = static_cast<std::size_t>(sizes.d);
      for (std::size_t i = 0; i < d; ++i) {
        const oracle::Vector& s = direct.solutions[j];
        EXPECT_NEAR(static_cast<double>((s[i] + s[d + i] + s[2 * d + i]) / oracle::norm(s)), 0,
                    sizeof(typename TypeParam::Number) == 4 ? 1e-3 : 1e-11);
      }
    }
  }
}

}  // namespace
}  // namespace clout::test
