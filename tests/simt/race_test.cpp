// Races that only ThreadSanitizer can see: between barriers, within a warp, between blocks. And code without any.

#include "test_support.hpp"

using namespace simt::test;

/// A race has two sides, and the report blames the one that comes second: which, the compiler may have a say in.
struct Lines {
  unsigned one, other;
};

struct Row {
  int x[64];
};

constexpr Lines kNoBarrier{__LINE__ + 3, __LINE__ + 4};
__global__ void no_barrier(int* out) {
  Row& row = shared<Row>();
  row.x[threadIdx.x] = 1;
  out[threadIdx.x] = row.x[63 - threadIdx.x];
}

// The second barrier of two is missing: the next round overwrites what slow threads still read.
constexpr Lines kOneBarrierOfTwo{__LINE__ + 4, __LINE__ + 6};
__global__ void one_barrier_of_two(int* out) {
  Row& row = shared<Row>();
  for (int round = 0; round < 2; ++round) {
    row.x[threadIdx.x] = round;
    __syncthreads();
    out[threadIdx.x] = row.x[63 - threadIdx.x];
  }
}

constexpr Lines kWarpWithoutBarrier{__LINE__ + 3, __LINE__ + 5};
__global__ void warp_without_barrier(int* out) {
  Row& row = shared<Row>();
  row.x[threadIdx.x] = 1;
  __shfl_sync(0xffffffffu, 1, 0);  // meets the other lanes, but orders no memory
  out[threadIdx.x] = row.x[31 - threadIdx.x];
}
__global__ void warp_with_barrier(int* out) {
  Row& row = shared<Row>();
  for (int round = 0; round < 3; ++round) {
    row.x[threadIdx.x] = round;
    __syncwarp();
    out[threadIdx.x] = row.x[31 - threadIdx.x];
    __syncwarp();
  }
}

struct alignas(16) Matrices {
  std::uint16_t x[32][8];
};
__global__ void matrix_without_barrier(int* out) {
  Matrices& rows = shared<Matrices>();
  std::uint32_t words[4];
  for (auto& x : rows.x[threadIdx.x]) x = 1;
  simt::load_matrices<false>(words, rows.x[threadIdx.x], std::source_location::current());
  out[threadIdx.x] = static_cast<int>(words[0]);
}

constexpr Lines kTwoBlocks{__LINE__ + 2, __LINE__ + 2};
__global__ void two_blocks(int* out) {
  if (threadIdx.x == 0) *out = static_cast<int>(blockIdx.x);
}
__global__ void increment(int* out) { out[threadIdx.x] += 1; }

__global__ void count_with_atomics(int* out) { atomicAdd(out, 1); }

// The last block adds what all blocks have written: ordered by the fence and the atomic.
__global__ void last_block_adds(int* partial, unsigned* finished, int* sum) {
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = static_cast<int>(blockIdx.x) + 1;
  __threadfence();
  if (atomicAdd(finished, 1) + 1 != gridDim.x) return;
  *sum = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) *sum += partial[i];
}
constexpr Lines kNoFence{__LINE__ + 3, __LINE__ + 5};
__global__ void last_block_adds_without_fence(int* partial, unsigned* finished, int* sum) {
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = static_cast<int>(blockIdx.x) + 1;
  if (atomicAdd(finished, 1) + 1 != gridDim.x) return;
  for (unsigned i = 0; i < gridDim.x; ++i) *sum += partial[i];
}

namespace {

#if defined(__SANITIZE_THREAD__)  // nobody else sees races

/// Ends the process as ThreadSanitizer does at exit: with status 66 after a report.
template <class Body>
void run_and_exit(Body body) {
  body();
  std::exit(0);
}

std::string report(Lines lines, const char* kernel) {
  return "SUMMARY.*data race.*race_test.cpp:(" + std::to_string(lines.one) + "|" + std::to_string(lines.other) +
         ") in " + kernel;
}

class RaceDeath : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(RaceDeath, MissingBlockBarrier) {
  const auto body = [] { run(1, 64, sizeof(Row), no_barrier, DeviceVector<int>(64).data()); };
  EXPECT_EXIT(run_and_exit(body), testing::ExitedWithCode(66), report(kNoBarrier, "no_barrier"));
}

TEST_F(RaceDeath, MissingSecondBarrier) {
  const auto body = [] { run(1, 64, sizeof(Row), one_barrier_of_two, DeviceVector<int>(64).data()); };
  EXPECT_EXIT(run_and_exit(body), testing::ExitedWithCode(66), report(kOneBarrierOfTwo, "one_barrier_of_two"));
}

TEST_F(RaceDeath, LoadingMatricesIsNoMemoryBarrier) {
  const auto body = [] { run(1, 32, sizeof(Matrices), matrix_without_barrier, DeviceVector<int>(64).data()); };
  EXPECT_EXIT(run_and_exit(body), testing::ExitedWithCode(66), "SUMMARY.*data race.*(race_test|matrix_units)");
}

TEST_F(RaceDeath, AShuffleIsNoMemoryBarrier) {
  const auto body = [] { run(1, 32, sizeof(Row), warp_without_barrier, DeviceVector<int>(64).data()); };
  EXPECT_EXIT(run_and_exit(body), testing::ExitedWithCode(66), report(kWarpWithoutBarrier, "warp_without_barrier"));
}

TEST_F(RaceDeath, BetweenBlocks) {
  const auto body = [] { run(2, 32, 0, two_blocks, DeviceVector<int>(1).data()); };
  EXPECT_EXIT(run_and_exit(body), testing::ExitedWithCode(66), report(kTwoBlocks, "two_blocks"));
}

TEST_F(RaceDeath, TheReportNamesTheThreads) {
  const auto body = [] { run(2, 32, 0, two_blocks, DeviceVector<int>(1).data()); };
  EXPECT_EXIT(run_and_exit(body), testing::ExitedWithCode(66), "block \\(1,0,0\\) thread \\(0,0,0\\)");
}

TEST_F(RaceDeath, LastBlockWithoutAFence) {
  const auto body = [] {
    run(4, 32, 0, last_block_adds_without_fence, DeviceVector<int>(4).data(),
        DeviceVector<unsigned>(std::vector<unsigned>{0}).data(), DeviceVector<int>(std::vector<int>{0}).data());
  };
  EXPECT_EXIT(run_and_exit(body), testing::ExitedWithCode(66), report(kNoFence, "last_block_adds_without_fence"));
}

#endif

// Without a race: silent under ThreadSanitizer (a report would end the process with status 66), right everywhere.

TEST(NoRace, LaunchesAreOrdered) {
  const DeviceVector<int> out(std::vector<int>(256, 0));
  for (int i = 0; i < 5; ++i) ASSERT_EQ(run(1, 256, 0, increment, out.data()), cudaSuccess);
  EXPECT_EQ(out.values(), std::vector<int>(256, 5));
}

TEST(NoRace, WarpBarrierOrdersMemory) {
  const DeviceVector<int> out(32);
  ASSERT_EQ(run(1, 32, sizeof(Row), warp_with_barrier, out.data()), cudaSuccess);
  EXPECT_EQ(out.values(), std::vector<int>(32, 2));
}

TEST(NoRace, Atomics) {
  const DeviceVector<int> out(std::vector<int>{0});
  ASSERT_EQ(run(7, 64, 0, count_with_atomics, out.data()), cudaSuccess);
  EXPECT_EQ(out.values()[0], 7 * 64);
}

TEST(NoRace, FenceAndAtomic) {
  const DeviceVector<int> partial(8), sum(1);
  const DeviceVector<unsigned> finished(std::vector<unsigned>{0});
  ASSERT_EQ(run(8, 32, 0, last_block_adds, partial.data(), finished.data(), sum.data()), cudaSuccess);
  EXPECT_EQ(sum.values()[0], 36);
}

}  // namespace
