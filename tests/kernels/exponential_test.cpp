// The CPU backend's own exp and expm1, against long double. (The claim is about one unit in the last place.)

#include <gtest/gtest.h>

#include <clout/kernels/cpu/simd.hpp>
#include <cmath>
#include <random>

namespace clout::cpu {
namespace {

template <class T>
class ExponentialTest : public ::testing::Test {};
using Numbers = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ExponentialTest, Numbers);

template <class T>
long double units(T got, long double exact) {
  const T near = static_cast<T>(exact);
  const T next = std::nextafter(std::fabs(near), std::numeric_limits<T>::infinity());
  return std::fabs(static_cast<long double>(got) - exact) / static_cast<long double>(next - std::fabs(near));
}

TYPED_TEST(ExponentialTest, IsAccurateForNonPositiveArguments) {
  using T = TypeParam;
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-40, std::log2(sizeof(T) == 4 ? 87.0 : 708.0));
  long double worst_exp = 0, worst_expm1 = 0;
  for (int i = 0; i < 300'000; ++i) {
    const T y = static_cast<T>(-std::exp2(exponent(random)));
    const Exponential<T> e(broadcast(y));
    worst_exp = std::max(worst_exp, units(e.value[0], std::exp(static_cast<long double>(y))));
    worst_expm1 = std::max(worst_expm1, units(e.minus_one[0], std::expm1(static_cast<long double>(y))));
  }
  this->RecordProperty("worst_exp", std::to_string(worst_exp));
  this->RecordProperty("worst_expm1", std::to_string(worst_expm1));
  EXPECT_LE(worst_exp, 1.5L);
  EXPECT_LE(worst_expm1, 1.5L);
}

TYPED_TEST(ExponentialTest, Edges) {
  using T = TypeParam;
  const auto at = [](T y) { return Exponential<T>(broadcast(y)); };
  EXPECT_EQ(at(0).value[0], T(1));
  EXPECT_EQ(at(0).minus_one[0], T(0));
  for (const T low : {T(-1e4), -std::numeric_limits<T>::infinity(), std::numeric_limits<T>::lowest()}) {
    EXPECT_EQ(at(low).value[0], T(0));
    EXPECT_EQ(at(low).minus_one[0], T(-1));
  }
  EXPECT_TRUE(std::isnan(at(std::numeric_limits<T>::quiet_NaN()).value[0]));
  EXPECT_TRUE(std::isnan(at(std::numeric_limits<T>::quiet_NaN()).minus_one[0]));
  EXPECT_EQ(at(-std::numeric_limits<T>::denorm_min()).value[0], T(1));
}

}  // namespace
}  // namespace clout::cpu
