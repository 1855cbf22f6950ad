// Local objectives around where a network stands, against the oracle's gradients put together as their definitions say.

#include <clout/engine/influence.hpp>
#include <clout/engine/proximal.hpp>

#include "engine/solve.hpp"
#include "kernels/backend.hpp"
#include "support/evaluate.hpp"
#include "support/network_case.hpp"

namespace clout::test {
namespace {

constexpr double kDamping = 0.75;
constexpr double kBound = 4 * 24 * std::numeric_limits<double>::epsilon();  // as ConvNetTest's
const std::vector<std::vector<Index>> kGroups{{1}, {}, {0, 2, 4}};

template <class C>
class ProximalTest : public KernelTest<C> {
 protected:
  ProximalTest() : case_(kSmall ? 5 : 13, true) {}

  /// ∇F_j(θ), not divided by W_j/W.
  oracle::Vector gradient(ProximalKind kind, const std::vector<Index>& group, const oracle::Vector& theta) const {
    const oracle::NetworkProblem& problem = case_.problem();
    const oracle::Vector& start = case_.theta();
    oracle::Vector sum;
    if (kind == ProximalKind::objective) {
      sum = oracle::add_scaled(oracle::gradient(problem, theta), -1, oracle::gradient(problem, start));
    } else {
      sum.assign(theta.size(), 0);
      for (std::size_t i = 0; i < problem.examples; ++i) {
        const oracle::Vector target = oracle::softmax(oracle::forward(problem.network, start, problem.input(i)).logits);
        const auto of_example = oracle::cross_entropy_derivatives(problem.network, theta, problem.input(i), target);
        sum = oracle::add_scaled(sum, weight(i) / total(), of_example.by_parameters);
      }
    }
    const oracle::Vector offset = oracle::add_scaled(theta, -1, start);
    sum = oracle::add_scaled(oracle::add_scaled(sum, 1, case_.regularizer(offset)), kDamping, offset);
    const oracle::Matrix each = oracle::example_gradients(problem, theta);
    for (const Index i : group) {
      const long double share = weight(static_cast<std::size_t>(i)) / total();
      sum = oracle::add_scaled(sum, -share, each[static_cast<std::size_t>(i)]);
      sum = oracle::add_scaled(sum, -share, case_.regularizer(theta));
    }
    return sum;
  }
  long double weight(std::size_t i) const { return case_.problem().weights[i]; }
  long double total() const {
    long double sum = 0;
    for (const long double w : case_.problem().weights) sum += w;
    return sum;
  }
  static oracle::Vector row(const std::vector<double>& all, std::size_t j, std::size_t p) {
    return {all.begin() + static_cast<std::ptrdiff_t>(j * p), all.begin() + static_cast<std::ptrdiff_t>((j + 1) * p)};
  }

  NetworkCase case_;
};
TYPED_TEST_SUITE(ProximalTest, DoubleCases, CaseName);

constexpr ProximalKind kKinds[] = {ProximalKind::objective, ProximalKind::divergence};

TYPED_TEST(ProximalTest, GradientsAreThoseOfTheirDefinitions) {
  const auto base = this->case_.template model<double>(this->device());
  const std::size_t p = this->case_.parameters(), k = kGroups.size();
  const Removals removals(this->device(), kGroups, base->examples());
  oracle::Matrix offsets, thetas;
  for (std::size_t j = 0; j < k; ++j) {
    offsets.push_back(this->case_.vector(0.05));
    thetas.push_back(oracle::add_scaled(this->case_.theta(), 1, offsets.back()));
  }
  const Buffer<double> at = upload_rows<double>(this->device(), thetas), by = upload_rows<double>(this->device(), offsets);
  const auto rows = static_cast<Index>(k), columns = static_cast<Index>(p);
  for (const ProximalKind kind : kKinds) {
    Proximal proximal(*base, to_double(this->case_.theta()), kDamping, kind);
    Buffer<double> constants(this->device(), rows * columns), differences(this->device(), rows * columns),
        gradients(this->device(), rows * columns);
    proximal.removal_constants(removals, constants.view(rows, columns));
    proximal.removal_differences(removals, by.view(rows, columns), differences.view(rows, columns));
    proximal.gradients_without(removals, at.view(rows, columns), gradients.view(rows, columns));
    for (std::size_t j = 0; j < k; ++j) {
      SCOPED_TRACE(testing::Message() << (kind == ProximalKind::objective ? "Q" : "PBRF") << ", set " << j);
      const oracle::Vector start = this->gradient(kind, kGroups[j], this->case_.theta());
      const oracle::Vector there = this->gradient(kind, kGroups[j], thetas[j]);
      long double kept = 1;
      for (const Index i : kGroups[j]) kept -= this->weight(static_cast<std::size_t>(i)) / this->total();
      oracle::Vector scaled = there;
      for (long double& value : scaled) value /= kept;
      EXPECT_LE(relative_error(this->row(gradients.to_host(), j, p), scaled), kBound);
      EXPECT_LE(relative_error(this->row(differences.to_host(), j, p), oracle::add_scaled(there, -1, start)), 20 * kBound);
      const oracle::Vector constant = this->row(constants.to_host(), j, p);
      if (kGroups[j].empty()) EXPECT_EQ(oracle::norm(constant), 0) << "with nothing removed it stands at its minimum";
      else EXPECT_LE(relative_error(constant, start), 20 * kBound);
    }
  }
}

// With the matrix of its kind, −s·(wᵢ/W)(∇ℓᵢ + λθ) is the slope of the test loss along the removal: of δ, to first order.
TYPED_TEST(ProximalTest, HasTheMatrixThatDampedInfluenceSolvesWith) {
  for (const ProximalKind kind : kKinds) {
    const bool exact = kind == ProximalKind::objective;
    const auto base =
        this->case_.template model<double>(this->device(), exact ? Curvature::hessian : Curvature::gauss_newton);
    const auto p = base->parameters();
    Proximal proximal(*base, to_double(this->case_.theta()), kDamping, kind);
    const Removals nothing(this->device(), {{}}, base->examples());
    const double h = 1e-4;  // central difference: error of order h², rounding eps/h
    const oracle::Vector v = this->case_.vector();
    Buffer<double> ahead(this->device(), p), behind(this->device(), p), product(this->device(), p);
    const Buffer<double> direction = upload_rows<double>(this->device(), {v});
    oracle::Vector offset(v.size());
    proximal.removal_differences(nothing, upload_rows<double>(this->device(), {oracle::add_scaled(offset, h, v)}).view(1, p),
                                 ahead.view(1, p));
    proximal.removal_differences(nothing, upload_rows<double>(this->device(), {oracle::add_scaled(offset, -h, v)}).view(1, p),
                                 behind.view(1, p));
    base->hessian_product(direction.view(1, p), kDamping, product.view(1, p));
    const std::vector<double> a = ahead.to_host(), b = behind.to_host(), expected = product.to_host();
    oracle::Vector slope;
    for (std::size_t i = 0; i < a.size(); ++i) slope.push_back((static_cast<long double>(a[i]) - b[i]) / (2 * h));
    EXPECT_LE(relative_error(expected, slope), 1e-6) << (exact ? "Q" : "PBRF");
  }
}

TYPED_TEST(ProximalTest, RefusesNoDamping) {
  const auto base = this->case_.template model<double>(this->device());
  for (const double damping : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_THROW(Proximal(*base, to_double(this->case_.theta()), damping, ProximalKind::objective), InvalidInput);
}

}  // namespace
}  // namespace clout::test
