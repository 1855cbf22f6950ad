// symmetric_eigenvalues.

#include "problem.hpp"

namespace clout::test {
namespace {

template <class C>
class EigenvaluesTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;
  std::vector<Number> eigenvalues(const std::vector<Number>& host, Index size) {
    Guarded<Number> matrix(this->device(), host), values(this->device(), std::vector<Number>(static_cast<std::size_t>(size)));
    this->kernels().symmetric_eigenvalues(this->device(), {matrix.view(size, size), values.data()});
    this->device().synchronize();
    return values.to_host();
  }
};
TYPED_TEST_SUITE(EigenvaluesTest, Cases, CaseName);

const std::vector<Index> kOrders = {1, 2, 13, 64, kSmall ? 65 : 301};

// The second difference matrix: 2 − 2cos(jπ/(p + 1)), j = 1…p.
TYPED_TEST(EigenvaluesTest, OfTheSecondDifferenceAreKnown) {
  using T = typename TypeParam::Number;
  for (const Index size : kOrders) {
    std::vector<T> host(static_cast<std::size_t>(size * size));
    for (Index i = 0; i < size; ++i) {
      host[static_cast<std::size_t>(i * size + i)] = 2;
      if (i > 0) host[static_cast<std::size_t>(i * size + i - 1)] = host[static_cast<std::size_t>((i - 1) * size + i)] = -1;
    }
    const std::vector<T> values = this->eigenvalues(host, size);
    // Backward stable: within c(p) eps ‖A‖, ‖A‖ < 4 (Golub & Van Loan, 8.1).
    const auto bound = static_cast<double>(static_cast<Real>(4 * size) * Bounded<T>::kEps);
    for (Index j = 0; j < size; ++j)
      EXPECT_NEAR(values[static_cast<std::size_t>(j)],
                  2 - 2 * std::cos(static_cast<double>(j + 1) * M_PI / static_cast<double>(size + 1)), bound)
          << size << ": " << j;
  }
}

// Dense and indefinite: aI + b·11ᵀ has a (p − 1 times) and a + bp.
TYPED_TEST(EigenvaluesTest, OfARankOneUpdateAreKnown) {
  using T = typename TypeParam::Number;
  for (const Index size : kOrders) {
    std::vector<T> host(static_cast<std::size_t>(size * size), T(-0.5));
    for (Index i = 0; i < size; ++i) host[static_cast<std::size_t>(i * size + i)] += 3;
    const std::vector<T> values = this->eigenvalues(host, size);
    const auto bound = static_cast<double>(static_cast<Real>(size) * (3 + static_cast<Real>(size)) * Bounded<T>::kEps);
    EXPECT_NEAR(values[0], 3 - 0.5 * static_cast<double>(size), bound);
    for (Index j = 1; j < size; ++j) EXPECT_NEAR(values[static_cast<std::size_t>(j)], 3, bound) << size << ": " << j;
  }
}

}  // namespace
}  // namespace clout::test
