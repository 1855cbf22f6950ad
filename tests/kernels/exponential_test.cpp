// The CPU backend's own exp, expm1 and tanh, against long double. (exp and expm1 claim about one unit in the last
// place, tanh four roundings.)

#include <gtest/gtest.h>

#include <clout/kernels/cpu/network_tanh.hpp>
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

// Lanes that differ, both signs; odd to the bit.
TYPED_TEST(ExponentialTest, TanhIsAccurateAndOdd) {
  using T = TypeParam;
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> exponent(std::numeric_limits<T>::min_exponent + 1, 6), place(-1.1, 1.1);
  long double worst = 0;
  for (int i = 0; i < 200'000; ++i) {
    // By magnitude, and evenly where the halves of ln 2 meet.
    Vector<T> a;
    for (int lane = 0; lane < kLanes<T>; ++lane)
      a[lane] = static_cast<T>(i % 2 ? place(random) : std::copysign(std::exp2(exponent(random)), place(random)));
    const Vector<T> h = hyperbolic_tangent<T>(a), opposite = hyperbolic_tangent<T>(-a);
    for (int lane = 0; lane < kLanes<T>; ++lane) {
      const long double exact = std::tanh(static_cast<long double>(a[lane]));
      worst = std::max(worst, std::fabs((static_cast<long double>(h[lane]) - exact) / exact));
      ASSERT_EQ(h[lane], -opposite[lane]) << "at " << a[lane];
      ASSERT_LE(std::fabs(h[lane]), T(1)) << "at " << a[lane];
    }
  }
  const long double roundings = worst / (std::numeric_limits<T>::epsilon() / 2);
  this->RecordProperty("worst_tanh", std::to_string(roundings));
  EXPECT_LE(roundings, 4.0L);
}

TYPED_TEST(ExponentialTest, TanhEdges) {
  using T = TypeParam;
  using Limits = std::numeric_limits<T>;
  const auto at = [](T a) { return hyperbolic_tangent<T>(broadcast(a))[0]; };
  EXPECT_EQ(at(0), T(0));
  for (const T small : {Limits::denorm_min(), 3 * Limits::denorm_min(), Limits::min(), 5 * Limits::min()}) {
    EXPECT_EQ(at(small), small);
    EXPECT_EQ(at(-small), -small);
  }
  for (const T large : {T(20), T(88.5), T(710), T(1e30), Limits::max(), Limits::infinity()}) {
    EXPECT_EQ(at(large), T(1));
    EXPECT_EQ(at(-large), T(-1));
  }
  EXPECT_TRUE(std::isnan(at(Limits::quiet_NaN())));
}

}  // namespace
}  // namespace clout::cpu
