// block_products, block_combine.

#include "problem.hpp"

namespace clout::test {
namespace {

template <class C>
class BlockVectorsTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  // Integers of −8…8: sums and products of a few thousand are exact.
  static std::vector<Number> integers(Index count, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<Number> values(static_cast<std::size_t>(count));
    for (Number& value : values) value = static_cast<Number>(random() % 17) - 8;
    return values;
  }
};
TYPED_TEST_SUITE(BlockVectorsTest, Cases, CaseName);

const std::vector<Index> kSizes = {1, 2, 15, 16, 17, 255, 257, kSmall ? 601 : 7850};
const std::vector<std::pair<Index, Index>> kShapes = {{1, 1}, {3, 2}, {2, 5}, {kSmall ? 4 : 32, kSmall ? 4 : 32}};

TYPED_TEST(BlockVectorsTest, ProductsOfEveryPairAreExactOnIntegers) {
  for (const Index p : kSizes)
    for (const auto& [k, m] : kShapes) {
      const auto a = this->integers(k * p, 1), b = this->integers(m * p, 2);
      const auto a_memory = this->upload(a), b_memory = this->upload(b);
      Guarded<double> products(this->device(), k * m);
      this->kernels().block_products(this->device(), {a_memory.view(k, p), b_memory.view(m, p), products.data()});
      const auto got = products.to_host();
      for (Index i = 0; i < k; ++i)
        for (Index j = 0; j < m; ++j) {
          double sum = 0;
          for (Index c = 0; c < p; ++c) sum += static_cast<double>(a[i * p + c]) * static_cast<double>(b[j * p + c]);
          ASSERT_EQ(got[i * m + j], sum) << k << "×" << m << ", p " << p << ", pair " << i << ", " << j;
        }
    }
}

TYPED_TEST(BlockVectorsTest, ProductsOfSinglesAreSummedInDouble) {
  using T = typename TypeParam::Number;
  const Index p = kSmall ? 600 : 40'000;
  std::vector<T> a(static_cast<std::size_t>(p)), b(a.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    a[i] = std::sin(static_cast<T>(i)), b[i] = std::cos(static_cast<T>(3 * i));
  const auto a_memory = this->upload(a), b_memory = this->upload(b);
  Guarded<double> product(this->device(), 1);
  this->kernels().block_products(this->device(), {a_memory.view(1, p), b_memory.view(1, p), product.data()});
  BoundedSum<double> sum;
  for (std::size_t i = 0; i < a.size(); ++i) sum += Bounded<double>(a[i]) * Bounded<double>(b[i]);
  EXPECT_TRUE(within(product.to_host()[0], sum.total()));
}

TYPED_TEST(BlockVectorsTest, CombinationsAreExactOnIntegers) {
  using T = typename TypeParam::Number;
  for (const Index p : kSizes)
    for (const auto& [k, m] : kShapes)
      for (const double b : {0.0, 1.0, -0.5}) {
        const auto x = this->integers(m * p, 1), old = this->integers(k * p, 2);
        std::vector<double> c;
        for (const T value : this->integers(k * m, 3)) c.push_back(static_cast<double>(value));
        const auto x_memory = this->upload(x);
        const auto c_memory = this->upload(c);
        Guarded<T> out(this->device(), old);
        this->kernels().block_combine(this->device(), {x_memory.view(m, p), c_memory.data(), b, out.view(k, p)});
        const auto got = out.to_host();
        for (Index i = 0; i < k; ++i)
          for (Index column = 0; column < p; ++column) {
            double sum = b * static_cast<double>(old[i * p + column]);
            for (Index j = 0; j < m; ++j) sum += c[i * m + j] * static_cast<double>(x[j * p + column]);
            ASSERT_EQ(got[i * p + column], static_cast<T>(sum)) << k << "×" << m << ", p " << p << ", b " << b;
          }
      }
}

TYPED_TEST(BlockVectorsTest, WhatCombinationsOverwriteIsNotRead) {
  using T = typename TypeParam::Number;
  const Index p = 33;
  const auto x = this->integers(2 * p, 1);
  const auto x_memory = this->upload(x);
  const auto c_memory = this->upload(std::vector<double>{1, 0, 0, 1});
  Guarded<T> poisoned(this->device(), 2 * p);
  this->kernels().block_combine(this->device(), {x_memory.view(2, p), c_memory.data(), 0.0, poisoned.view(2, p)});
  EXPECT_EQ(poisoned.to_host(), x);
}

}  // namespace
}  // namespace clout::test
