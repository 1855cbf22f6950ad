// ldmatrix and mma.m16n8k16 on bf16: where numbers go, and what sums lose.

#include <bit>
#include <cmath>

#include "test_support.hpp"

using namespace simt::test;

constexpr int kRows = 16, kColumns = 8, kDepth = 32;

/// Lines 16 bytes longer than their numbers, as kernels have them; transposed, k runs over the lines.
template <bool kTransposed>
struct alignas(16) Operands {
  std::uint16_t a[kTransposed ? kDepth : kRows][(kTransposed ? kRows : kDepth) + 8];
  std::uint16_t b[kTransposed ? kDepth : kColumns][(kTransposed ? kColumns : kDepth) + 8];
};

std::uint16_t bf16(float value) { return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16); }

// c [16][8] += a [16][32] bᵀ, b [8][32]: one warp.
template <bool kTransposed>
__global__ void multiply(const float* a, const float* b, float* c) {
  auto& shared = simt::test::shared<Operands<kTransposed>>();
  const int lane = static_cast<int>(threadIdx.x);
  for (int k = lane; k < kDepth; k += 32) {
    for (int m = 0; m < kRows; ++m) (kTransposed ? shared.a[k][m] : shared.a[m][k]) = bf16(a[m * kDepth + k]);
    for (int n = 0; n < kColumns; ++n) (kTransposed ? shared.b[k][n] : shared.b[n][k]) = bf16(b[n * kDepth + k]);
  }
  __syncthreads();
  const int matrix = lane / 8, line = lane % 8, row = lane / 4, column = 2 * (lane % 4);
  std::uint32_t all_b[4];
  simt::load_matrices<kTransposed>(all_b, kTransposed ? &shared.b[8 * matrix + line][0] : &shared.b[line][8 * matrix],
                                   std::source_location::current());
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = c[(row + i / 2 * 8) * kColumns + column + i % 2];
  for (int half = 0; half < 2; ++half) {
    const int m = matrix % 2 * 8, k = 16 * half + matrix / 2 * 8;
    std::uint32_t one_a[4];
    simt::load_matrices<kTransposed>(one_a, kTransposed ? &shared.a[k + line][m] : &shared.a[m + line][k],
                                     std::source_location::current());
    simt::multiply_add_bf16(sums, one_a, all_b[2 * half], all_b[2 * half + 1], std::source_location::current());
  }
  for (int i = 0; i < 4; ++i) c[(row + i / 2 * 8) * kColumns + column + i % 2] = sums[i];
}

// The same over the first 16 of k, with the registers filled as the PTX manual's tables have them (mma.m16n8k16,
// .bf16): of lane l, g = l / 4 and t = l % 4, register r of A holds row g (+ 8 for r = 1 and 3) and k = 2t, 2t + 1 (+ 8
// for r = 2 and 3), register r of B the same k (+ 8 for r = 1) of column g, and number i of C row g (+ 8 for i = 2 and
// 3), column 2t + i % 2.
__global__ void multiply_by_the_manual(const float* a, const float* b, float* c) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  const auto pair = [](const float* line, unsigned k) {
    return std::uint32_t{bf16(line[k + 1])} << 16 | bf16(line[k]);
  };
  const std::uint32_t registers[4] = {pair(a + g * kDepth, 2 * t), pair(a + (g + 8) * kDepth, 2 * t),
                                      pair(a + g * kDepth, 2 * t + 8), pair(a + (g + 8) * kDepth, 2 * t + 8)};
  float sums[4] = {};
  simt::multiply_add_bf16(sums, registers, pair(b + g * kDepth, 2 * t), pair(b + g * kDepth, 2 * t + 8),
                          std::source_location::current());
  c[g * kColumns + 2 * t] = sums[0];
  c[g * kColumns + 2 * t + 1] = sums[1];
  c[(g + 8) * kColumns + 2 * t] = sums[2];
  c[(g + 8) * kColumns + 2 * t + 1] = sums[3];
}

__global__ void load_from(const std::uint16_t* outside, int offset) {
  auto& shared = simt::test::shared<Operands<false>>();
  std::uint32_t words[4];
  simt::load_matrices<false>(words, outside ? outside : &shared.a[threadIdx.x % 16][offset],
                             std::source_location::current());
}

namespace {

template <bool kTransposed>
std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b, const std::vector<float>& c) {
  const DeviceVector<float> on_a(a), on_b(b), on_c(c);
  EXPECT_EQ(run(1, 32, sizeof(Operands<kTransposed>), multiply<kTransposed>, on_a.data(), on_b.data(), on_c.data()),
            cudaSuccess);
  return on_c.values();
}

TEST(MatrixUnits, MultiplyIntegersExactly) {
  std::vector<float> a, b, c;
  for (int i = 0; i < kRows * kDepth; ++i) a.push_back(static_cast<float>(i * 37 % 256));
  for (int i = 0; i < kColumns * kDepth; ++i) b.push_back(static_cast<float>(i * 23 % 101 - 50));
  for (int i = 0; i < kRows * kColumns; ++i) c.push_back(static_cast<float>(i));
  std::vector<float> expected = c;
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kColumns; ++n)
      for (int k = 0; k < kDepth; ++k) expected[m * kColumns + n] += a[m * kDepth + k] * b[n * kDepth + k];
  EXPECT_EQ(product<false>(a, b, c), expected);
  EXPECT_EQ(product<true>(a, b, c), expected);
}

TEST(MatrixUnits, RegistersAreTheManuals) {
  std::vector<float> a, b, expected(kRows * kColumns);
  for (int i = 0; i < kRows * kDepth; ++i) a.push_back(static_cast<float>(i * 37 % 256));
  for (int i = 0; i < kColumns * kDepth; ++i) b.push_back(static_cast<float>(i * 23 % 101 - 50));
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kColumns; ++n)
      for (int k = 0; k < 16; ++k) expected[m * kColumns + n] += a[m * kDepth + k] * b[n * kDepth + k];
  const DeviceVector<float> on_a(a), on_b(b), on_c(expected.size());
  ASSERT_EQ(run(1, 32, 0, multiply_by_the_manual, on_a.data(), on_b.data(), on_c.data()), cudaSuccess);
  EXPECT_EQ(on_c.values(), expected);
}

// Rows of 16 bytes at multiples of 16, in shared memory.
TEST(MatrixUnits, LoadFromSharedMemoryAlone) {
  const auto fault = [](const std::uint16_t* outside, int offset) {
    try {
      run(1, 32, sizeof(Operands<false>), load_from, outside, offset);
    } catch (const simt::Fault& caught) {
      return static_cast<int>(caught.kind());
    }
    return -1;
  };
  const DeviceVector<std::uint16_t> outside(64);
  EXPECT_EQ(fault(nullptr, 8), -1);
  EXPECT_EQ(fault(nullptr, 4), static_cast<int>(simt::FaultKind::shared_size));
  EXPECT_EQ(fault(outside.data(), 0), static_cast<int>(simt::FaultKind::shared_overrun));
}

// 2²⁴ has ulps of 2: what is less than that is cut off, number by number and on both sides of zero, not rounded.
TEST(MatrixUnits, CutSumsOff) {
  const float large = 16777216;
  std::vector<float> a(kRows * kDepth), b(kColumns * kDepth, 1.0f), c(kRows * kColumns);
  for (int k = 0; k < 16; ++k) a[k] = 1.75f;               // row 0: beside 2²⁴ each is less than an ulp
  for (int k = 0; k < 16; ++k) a[kDepth + k] = -1.75f;     // row 1: likewise
  a[2 * kDepth] = 3.0f;                                    // row 2: more than one ulp, of which a half is cut off
  for (int k = 0; k < 32; ++k) a[3 * kDepth + k] = 1.75f;  // row 3: beside zero nothing is lost
  for (int n = 0; n < kColumns; ++n) {
    c[n] = c[2 * kColumns + n] = large;
    c[kColumns + n] = -large;
  }
  const auto sums = product<false>(a, b, c);
  EXPECT_EQ(sums[0], large);
  EXPECT_EQ(sums[kColumns], -large);
  EXPECT_EQ(sums[2 * kColumns], large + 2);
  EXPECT_EQ(sums[3 * kColumns], 56);
}

TEST(MatrixUnits, PassInfinitiesAndNans) {
  std::vector<float> a(kRows * kDepth, 1.0f), b(kColumns * kDepth, 1.0f), c(kRows * kColumns);
  a[5] = INFINITY;
  a[kDepth + 20] = NAN;
  const auto sums = product<true>(a, b, c);
  EXPECT_EQ(sums[0], INFINITY);
  EXPECT_TRUE(std::isnan(sums[kColumns]));
  EXPECT_EQ(sums[2 * kColumns], 32);
  // Beyond float, of finite numbers.
  std::fill(a.begin(), a.end(), 0x1p100f);
  std::fill(b.begin(), b.end(), -0x1p27f);
  EXPECT_EQ(product<false>(a, b, std::vector<float>(kRows * kColumns))[0], -INFINITY);
}

}  // namespace
