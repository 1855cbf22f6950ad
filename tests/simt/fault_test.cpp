// Plants every mistake that the executor promises to see, and asks for kind, file and line.

#include "test_support.hpp"

using simt::FaultKind;
using simt::Schedule;
using namespace simt::test;

// Kernels stand outside of unnamed namespaces so that faults can name them.

constexpr unsigned kTwoBarriers = __LINE__ + 3;
__global__ void two_barriers() {
  if (threadIdx.x < 16) __syncthreads();
  else __syncthreads();
}

constexpr unsigned kEarlyReturn = __LINE__ + 3;
__global__ void early_return() {
  if (threadIdx.x == 5) return;
  __syncthreads();
}

constexpr unsigned kConditionalBarrier = __LINE__ + 2;
__global__ void conditional_barrier() {
  if (threadIdx.x >= 32) __syncthreads();
}

constexpr unsigned kBarrierAgainstShuffle = __LINE__ + 3;
__global__ void barrier_against_shuffle() {
  if (threadIdx.x == 3) __syncthreads();
  else __syncwarp();
}

constexpr unsigned kReturnBeforeShuffle = __LINE__ + 3;
__global__ void return_before_shuffle(unsigned who) {
  if (threadIdx.x == who) return;
  __shfl_down_sync(0xffffffffu, 1.0f, 1);
}

constexpr unsigned kAbsentLane = __LINE__ + 1;
__global__ void absent_lane() { __shfl_xor_sync(0xffffffffu, 1, 1); }

constexpr unsigned kCallerNotInMask = __LINE__ + 1;
__global__ void caller_not_in_mask() { __shfl_sync(0xffffu, 1, 0); }

constexpr unsigned kTwoShuffles = __LINE__ + 3;
__global__ void two_shuffles() {
  if (threadIdx.x < 16) __shfl_sync(0xffffffffu, 1, 0);
  else __shfl_sync(0xffffffffu, 1, 0);
}

constexpr unsigned kTwoMasks = __LINE__ + 1;
__global__ void two_masks() { __syncwarp(threadIdx.x < 16 ? 0xffffffffu : 0xffff8000u); }

constexpr unsigned kForeignSource = __LINE__ + 2;
__global__ void foreign_source() {
  if (threadIdx.x < 16) __shfl_down_sync(0xffffu, 1.0, 8);
}

constexpr unsigned kVote = __LINE__ + 2;
__global__ void vote_of_some() {
  if (threadIdx.x % 2 == 0) __any_sync(0xffffffffu, 1);
}

struct Sixteen {
  float x[16];
};
constexpr unsigned kSharedSize = __LINE__ + 1;
__global__ void too_much_shared() { shared<Sixteen>().x[threadIdx.x % 16] = 1; }

constexpr unsigned kSharedOverrun = __LINE__ + 2;
__global__ void shared_overrun(int index) {
  float* x = shared<Sixteen>().x;
  if (threadIdx.x == 7) x[index] = 1;
}

constexpr unsigned kTrap = __LINE__ + 2;
__global__ void trapped() {
  if (threadIdx.x == 9) __trap();
}

__global__ void throwing() {
  __syncthreads();
  if (threadIdx.x == 1) throw std::runtime_error("planted, with a text beyond the small-string size");
  __syncthreads();
}

__global__ void harmless(int* out) {
  __syncthreads();
  out[threadIdx.x] = static_cast<int>(threadIdx.x);
}

namespace {

/// The kernel must fail so, in the given place, under every schedule; and the executor must work on.
template <class... Parameters>
void expect_fault(FaultKind kind, unsigned line, unsigned threads, std::size_t shared_bytes,
                  void (*kernel)(Parameters...), std::type_identity_t<Parameters>... arguments) {
  for (const auto schedule : {Schedule::forward, Schedule::reversed, Schedule::shuffled}) {
    const simt::ScheduleScope scope(schedule);
    try {
      run({2, 1, 1}, threads, shared_bytes, kernel, arguments...);
      FAIL() << "no fault was reported";
    } catch (const simt::Fault& fault) {
      EXPECT_EQ(fault.kind(), kind) << fault.what();
      if (line == 0) continue;
      EXPECT_EQ(base_name(fault.file()), "fault_test.cpp");
      EXPECT_EQ(fault.line(), line) << fault.what();
      const std::string text = fault.what();
      EXPECT_NE(text.find("fault_test.cpp:" + std::to_string(line)), std::string::npos) << text;
      EXPECT_NE(text.find("block ("), std::string::npos) << text;
    }
  }
  DeviceVector<int> out(64);
  ASSERT_EQ(run(1, 64, 0, harmless, out.data()), cudaSuccess);
  EXPECT_EQ(out.values()[63], 63);
}

TEST(Fault, BarriersAtDifferentLines) {
  // Which of the two lines is blamed depends on who comes second; both are in the message.
  try {
    run(1, 32, 0, two_barriers);
    FAIL();
  } catch (const simt::Fault& fault) {
    EXPECT_EQ(fault.kind(), FaultKind::barrier_divergence);
    EXPECT_EQ(fault.line(), kTwoBarriers);
    const std::string text = fault.what();
    EXPECT_NE(text.find("fault_test.cpp:" + std::to_string(kTwoBarriers - 1)), std::string::npos) << text;
    EXPECT_NE(text.find("two_barriers()"), std::string::npos) << text;
    EXPECT_NE(text.find("block (0,0,0), thread (16,0,0)"), std::string::npos) << text;
    EXPECT_NE(text.find("thread (0,0,0) at"), std::string::npos) << text;
  }
}

TEST(Fault, ReturnBeforeABarrier) { expect_fault(FaultKind::early_return, kEarlyReturn, 64, 0, early_return); }

TEST(Fault, BarrierThatSomeWarpsNeverReach) {
  expect_fault(FaultKind::early_return, kConditionalBarrier, 64, 0, conditional_barrier);
}

TEST(Fault, BarrierAgainstWarpOperation) {
  expect_fault(FaultKind::absent_lane, kBarrierAgainstShuffle, 32, 0, barrier_against_shuffle);
}

TEST(Fault, ReturnBeforeAShuffle) {
  for (const unsigned who : {0u, 31u}) {
    try {
      run(1, 32, 0, return_before_shuffle, who);
      FAIL();
    } catch (const simt::Fault& fault) {
      // Whether lane 0 is gone when the others come, or the others wait when lane 31 goes.
      EXPECT_EQ(fault.kind(), who == 0 ? FaultKind::absent_lane : FaultKind::early_return);
      EXPECT_EQ(fault.line(), kReturnBeforeShuffle);
    }
  }
}

TEST(Fault, MaskNamesLanesThatTheBlockDoesNotHave) {
  expect_fault(FaultKind::absent_lane, kAbsentLane, 48, 0, absent_lane);
}

TEST(Fault, MaskWithoutTheCaller) { expect_fault(FaultKind::absent_lane, kCallerNotInMask, 32, 0, caller_not_in_mask); }

TEST(Fault, ShufflesAtDifferentLines) {
  try {
    run(1, 32, 0, two_shuffles);
    FAIL();
  } catch (const simt::Fault& fault) {
    EXPECT_EQ(fault.kind(), FaultKind::absent_lane);
    EXPECT_EQ(fault.line(), kTwoShuffles);
    const std::string text = fault.what();
    EXPECT_NE(text.find("fault_test.cpp:" + std::to_string(kTwoShuffles - 1)), std::string::npos) << text;
  }
}

TEST(Fault, DifferentMasks) { expect_fault(FaultKind::absent_lane, kTwoMasks, 32, 0, two_masks); }

TEST(Fault, SourceLaneOutsideTheMask) { expect_fault(FaultKind::source_lane, kForeignSource, 32, 0, foreign_source); }

TEST(Fault, VoteThatSomeLanesSkip) {
  try {
    run(1, 32, 0, vote_of_some);
    FAIL();
  } catch (const simt::Fault& fault) {
    EXPECT_EQ(fault.line(), kVote);
  }
}

TEST(Fault, MoreSharedMemoryThanGiven) {
  expect_fault(FaultKind::shared_size, kSharedSize, 32, sizeof(Sixteen) - 4, too_much_shared);
}

TEST(Fault, WriteOutsideSharedMemory) {
  if (kAddressSanitizer) {
    const auto line = std::to_string(kSharedOverrun + 1);
    EXPECT_DEATH(run(1, 32, sizeof(Sixteen), shared_overrun, 16),
                 "heap-buffer-overflow.*shared_overrun.*fault_test.cpp:" + line);
    EXPECT_DEATH(run(1, 32, sizeof(Sixteen), shared_overrun, -1),
                 "heap-buffer-overflow.*shared_overrun.*fault_test.cpp:" + line);
  } else {
    expect_fault(FaultKind::shared_overrun, kSharedOverrun, 32, sizeof(Sixteen), shared_overrun, 16);
    expect_fault(FaultKind::shared_overrun, kSharedOverrun, 32, sizeof(Sixteen), shared_overrun, -1);
  }
}

TEST(Fault, Trap) { expect_fault(FaultKind::trap, kTrap, 32, 0, trapped); }

TEST(Fault, ExceptionOutOfAKernel) {
  expect_fault(FaultKind::exception, 0, 32, 0, throwing);
  try {
    run(1, 32, 0, throwing);
  } catch (const simt::Fault& fault) {
    const std::string text = fault.what();
    EXPECT_NE(text.find("beyond the small-string size"), std::string::npos) << text;
    EXPECT_NE(text.find("thread (1,0,0)"), std::string::npos) << text;
  }
}

}  // namespace
