// The tensor cores: lanes hand their words to each other, then each computes its own part.
#include "simt/matrix_units.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "cuda_runtime.h"

namespace simt {
namespace {

float upper_half(std::uint32_t word) { return std::bit_cast<float>(word & 0xffff0000u); }
float lower_half(std::uint32_t word) { return std::bit_cast<float>(word << 16); }

/// 2^exponent for exponents of doubles that are normal.
double power_of_two(int exponent) { return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52); }

/// Σ terms, each cut off 23 bits below the leading bit of the largest, and the sum cut to a float.
template <int kCount>
float cut_sum(const double (&terms)[kCount]) {
  double largest = 0, plain = 0;
  for (const double term : terms) {
    largest = std::max(largest, std::fabs(term));
    plain += term;
  }
  if (largest == 0 || !std::isfinite(plain)) return static_cast<float>(plain);
  const int exponent = static_cast<int>(std::bit_cast<std::uint64_t>(largest) >> 52) - 1023;
  const double scale = power_of_two(23 - exponent);
  std::int64_t sum = 0;
  for (const double term : terms) sum += static_cast<std::int64_t>(term * scale);
  auto size = static_cast<std::uint64_t>(sum < 0 ? -sum : sum);
  if (const auto bits = static_cast<int>(std::bit_width(size)); bits > 24) size &= ~std::uint64_t{0} << (bits - 24);
  const double exact = static_cast<double>(size) / scale;
  const float cut = exact < 0x1p128 ? static_cast<float>(exact) : std::numeric_limits<float>::infinity();
  return sum < 0 ? -cut : cut;
}

}  // namespace

void multiply_add_bf16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                       std::source_location where) {
  if (detail::lane() == 0) detail::count_matrix_instruction();
  const std::uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  std::uint32_t all[32][6];
  detail::gather_words(mine, all, where);
  const unsigned line = detail::lane() / 4, pair = 2 * (detail::lane() % 4);
  for (unsigned at = 0; at < 4; ++at) {
    const unsigned lower_rows = at / 2, column = pair + at % 2;
    double terms[17];
    for (unsigned k = 0; k < 16; k += 2) {
      const std::uint32_t x = all[4 * line + k % 8 / 2][lower_rows + 2 * (k / 8)];
      const std::uint32_t y = all[4 * column + k % 8 / 2][4 + k / 8];
      terms[k] = static_cast<double>(lower_half(x)) * static_cast<double>(lower_half(y));
      terms[k + 1] = static_cast<double>(upper_half(x)) * static_cast<double>(upper_half(y));
    }
    terms[16] = static_cast<double>(c[at]);
    c[at] = cut_sum(terms);
  }
}

}  // namespace simt
