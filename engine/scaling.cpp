#include <algorithm>
#include <clout/engine/scaling.hpp>
#include <cmath>

namespace clout {
namespace {

constexpr int kLargestExponent = 1000;  // of a unit, so that its inverse is a number too

}  // namespace

double binary_unit(std::span<const double> values) {
  double largest = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) return 1;
    largest = std::max(largest, std::abs(value));
  }
  return largest == 0 ? 1 : std::ldexp(1.0, std::clamp(std::ilogb(largest), -kLargestExponent, kLargestExponent));
}

double scaled_norm(std::span<const double> values) {
  const double unit = binary_unit(values);
  double squares = 0;
  for (const double value : values) squares += (value / unit) * (value / unit);
  return unit * std::sqrt(squares);
}

}  // namespace clout
