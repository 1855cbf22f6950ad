// Correct kernels give the same bits under every schedule; one that depends on the order of threads does not.

#include <cstdio>
#include <ctime>
#include <limits>

#include "test_support.hpp"

using simt::Schedule;
using namespace simt::test;

constexpr int kThreads = 256;

struct Reduction {
  alignas(16) double sums[kThreads];
};
__global__ void reduce_blocks(const double* in, double* partials, int count) {
  Reduction& s = shared<Reduction>();
  const int t = static_cast<int>(threadIdx.x), i = static_cast<int>(blockIdx.x) * kThreads + t;
  s.sums[t] = i < count ? in[i] : 0;
  __syncthreads();
  for (int step = kThreads / 2; step > 0; step /= 2) {
    if (t < step) s.sums[t] += s.sums[t + step];
    __syncthreads();
  }
  if (t == 0) partials[blockIdx.x] = s.sums[0];
}

__global__ void reduce_warps(const float* in, float* sums, int count) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  float sum = static_cast<int>(i) < count ? in[i] : 0;
  for (unsigned step = 16; step > 0; step /= 2) sum += __shfl_down_sync(0xffffffffu, sum, step);
  if (threadIdx.x % 32 == 0) sums[i / 32] = sum;
}

struct Tile {
  float cells[16][17];
};
__global__ void transpose(const float* in, float* out, int rows, int columns) {
  Tile& tile = shared<Tile>();
  const auto tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const auto bx = static_cast<int>(blockIdx.x) * 16, by = static_cast<int>(blockIdx.y) * 16;
  if (by + ty < rows && bx + tx < columns) tile.cells[ty][tx] = in[(by + ty) * columns + bx + tx];
  __syncthreads();
  if (bx + ty < columns && by + tx < rows) out[(bx + ty) * rows + by + tx] = tile.cells[tx][ty];
}

__global__ void warp_results(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int* mine = out + lane * 10;
  mine[0] = __shfl_sync(0xffffffffu, lane, 35);
  mine[1] = __shfl_up_sync(0xffffffffu, lane, 2);
  mine[2] = __shfl_down_sync(0xffffffffu, lane, 3);
  mine[3] = __shfl_xor_sync(0xffffffffu, lane, 5);
  mine[4] = static_cast<int>(__ballot_sync(0xffffffffu, lane % 3 == 0));
  mine[5] = __any_sync(0xffffffffu, lane == 7);
  mine[6] = __all_sync(0xffffffffu, lane < 31);
  mine[7] = __shfl_down_sync(0xffffffffu, lane, 3, 8);
  mine[8] = -1;
  if (lane >= 16) mine[8] = __shfl_sync(0xffff0000u, lane, 20);
  mine[9] = static_cast<int>(2 * __shfl_xor_sync(0xffffffffu, 0.5 + lane, 1));
  mine[9] += static_cast<int>(__shfl_xor_sync(0xffffffffu, static_cast<long long>(lane) << 40, 1) >> 40);
}

__global__ void last_writer(unsigned* out, unsigned* turn) {
  out[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(turn, 1);
}

__global__ void many_barriers(int count) {
  for (int i = 0; i < count; ++i) __syncthreads();
}
__global__ void many_shuffles(int count, float* out) {
  float value = static_cast<float>(threadIdx.x);
  for (int i = 0; i < count; ++i) value = __shfl_xor_sync(0xffffffffu, value, 1);
  out[threadIdx.x] = value;
}

namespace {

/// `compute` under every schedule; expects equal bits and returns the result.
template <class Compute>
auto under_all_schedules(Compute compute) {
  const auto expected = compute();
  for (const auto& [schedule, seed] :
       {std::pair{Schedule::reversed, 1}, std::pair{Schedule::shuffled, 1}, std::pair{Schedule::shuffled, 2}}) {
    const simt::ScheduleScope scope(schedule, static_cast<std::uint64_t>(seed));
    EXPECT_TRUE(same_bits(expected, compute())) << "schedule " << static_cast<int>(schedule) << ", seed " << seed;
  }
  return expected;
}

std::vector<float> ramp(int count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1.0f / static_cast<float>(i + 1);
  return values;
}

TEST(Schedule, BlockReduction) {
  constexpr int kCount = 3 * kThreads - 5;
  std::vector<double> values;
  for (const float x : ramp(kCount)) values.push_back(x);
  const DeviceVector<double> in(values);
  simt::reset_statistics();
  const auto partials = under_all_schedules([&] {
    const DeviceVector<double> out(3);
    EXPECT_EQ(run(3, kThreads, sizeof(Reduction), reduce_blocks, in.data(), out.data(), kCount), cudaSuccess);
    return out.values();
  });
  double sum = 0, magnitude = 0;
  for (const double x : values) sum += x, magnitude += x;
  EXPECT_NEAR(partials[0] + partials[1] + partials[2], sum,
              kCount * std::numeric_limits<double>::epsilon() * magnitude);
  const auto counted = simt::statistics();
  EXPECT_EQ(counted.launches, 4u);
  EXPECT_EQ(counted.blocks, 4u * 3);
  EXPECT_EQ(counted.threads, 4u * 3 * kThreads);
  EXPECT_EQ(counted.barriers, 4u * 3 * 9);
  EXPECT_EQ(counted.warp_operations, 0u);
}

TEST(Schedule, WarpReduction) {
  const DeviceVector<float> in(ramp(200));
  simt::reset_statistics();
  under_all_schedules([&] {
    const DeviceVector<float> out(8);
    EXPECT_EQ(run(4, 64, 0, reduce_warps, in.data(), out.data(), 200), cudaSuccess);
    return out.values();
  });
  EXPECT_EQ(simt::statistics().warp_operations, 4u * 8 * 5);
}

TEST(Schedule, TiledTranspose) {
  constexpr int kRows = 37, kColumns = 21;
  const DeviceVector<float> in(ramp(kRows * kColumns));
  const auto transposed = under_all_schedules([&] {
    const DeviceVector<float> out(kRows * kColumns);
    EXPECT_EQ(run({2, 3, 1}, {16, 16, 1}, sizeof(Tile), transpose, in.data(), out.data(), kRows, kColumns),
              cudaSuccess);
    return out.values();
  });
  const auto original = in.values();
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t c = 0; c < kColumns; ++c) EXPECT_EQ(transposed[c * kRows + r], original[r * kColumns + c]);
}

TEST(Schedule, WarpOperations) {
  const auto result = under_all_schedules([] {
    const DeviceVector<int> out(320);
    EXPECT_EQ(run(1, 32, 0, warp_results, out.data()), cudaSuccess);
    return out.values();
  });
  for (int lane = 0; lane < 32; ++lane) {
    const int* mine = &result[static_cast<std::size_t>(lane) * 10];
    EXPECT_EQ(mine[0], 3);
    EXPECT_EQ(mine[1], lane < 2 ? lane : lane - 2);
    EXPECT_EQ(mine[2], lane > 28 ? lane : lane + 3);
    EXPECT_EQ(mine[3], lane ^ 5);
    EXPECT_EQ(static_cast<unsigned>(mine[4]), 0x49249249u);
    EXPECT_EQ(mine[5], 1);
    EXPECT_EQ(mine[6], 0);
    EXPECT_EQ(mine[7], lane % 8 > 4 ? lane : lane + 3);
    EXPECT_EQ(mine[8], lane >= 16 ? 20 : -1);
    EXPECT_EQ(mine[9], 3 * (lane ^ 1) + 1);
  }
}

TEST(Schedule, ShowsDependenceOnTheOrder) {
  const auto compute = [](Schedule schedule, std::uint64_t seed) {
    const simt::ScheduleScope scope(schedule, seed);
    const DeviceVector<unsigned> out(64), turn(std::vector<unsigned>{0});
    run(2, 32, 0, last_writer, out.data(), turn.data());
    return out.values();
  };
  const auto forward = compute(Schedule::forward, 1), reversed = compute(Schedule::reversed, 1);
  for (unsigned i = 0; i < 64; ++i) {
    EXPECT_EQ(forward[i], i);
    EXPECT_EQ(reversed[i], 63 - i);
  }
  const auto shuffled = compute(Schedule::shuffled, 1);
  EXPECT_NE(shuffled, forward);
  EXPECT_NE(shuffled, reversed);
  EXPECT_NE(shuffled, compute(Schedule::shuffled, 2));
  EXPECT_EQ(shuffled, compute(Schedule::shuffled, 1));
}

// Processor time, not time on the clock: the machine may be busy.
TEST(Schedule, CostOfABarrier) {
  constexpr int kCount = kAddressSanitizer || kThreadSanitizer ? 100 : 4000;
  const DeviceVector<float> out(256);
  const auto nanoseconds = [](std::clock_t start) {
    return static_cast<double>(std::clock() - start) * 1e9 / CLOCKS_PER_SEC / kCount / 256;
  };
  run(1, 256, 0, many_barriers, 1);  // the first launch makes the fibers
  auto start = std::clock();
  run(1, 256, 0, many_barriers, kCount);
  const double barrier = nanoseconds(start);
  start = std::clock();
  run(1, 256, 0, many_shuffles, kCount, out.data());
  std::printf("ns per thread: %.1f a barrier, %.1f a shuffle\n", barrier, nanoseconds(start));
}

}  // namespace
