// Device memory: poison, guards, ranges, limits; and the stacks of the fibers.

#include "test_support.hpp"

using namespace simt::test;

constexpr unsigned kDeviceOverrun = __LINE__ + 2;
__global__ void write_at(float* data, long index) {
  if (threadIdx.x == 0) data[index] = 1;
}

struct Slots {
  float x[32];
  double y[32];
};
__global__ void read_before_write(float* out) {
  const Slots& s = shared<Slots>();
  out[threadIdx.x] = s.x[threadIdx.x] + static_cast<float>(s.y[threadIdx.x]);
}
__global__ void leave_in_shared_memory(float* out) {
  Slots& s = shared<Slots>();
  out[blockIdx.x * blockDim.x + threadIdx.x] = s.x[threadIdx.x];
  s.x[threadIdx.x] = 1;
}

__attribute__((noinline)) int deeper(int depth) {
  volatile char frame[512];
  frame[depth % 512] = static_cast<char>(depth);
  return depth == 0 ? frame[0] : deeper(depth - 1) + frame[depth % 512];
}
__global__ void deep(int* out, int depth) {
  if (threadIdx.x == 3) *out = deeper(depth);
}

namespace {

TEST(DeviceMemory, IsPoisoned) {
  for (const float x : DeviceVector<float>(100).values()) EXPECT_TRUE(std::isnan(x));
}

TEST(DeviceMemory, SharedMemoryIsPoisonedBeforeEveryBlock) {
  DeviceVector<float> out(32), all(96);
  ASSERT_EQ(run(1, 32, sizeof(Slots), read_before_write, out.data()), cudaSuccess);
  for (const float x : out.values()) EXPECT_TRUE(std::isnan(x));
  ASSERT_EQ(run(3, 32, sizeof(Slots), leave_in_shared_memory, all.data()), cudaSuccess);
  for (const float x : all.values()) EXPECT_TRUE(std::isnan(x));
}

TEST(DeviceMemoryDeath, OverrunsAreFound) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const long index : {-1L, 10L}) {
    const auto overrun = [=] {
      DeviceVector<float> data(10);
      run(1, 32, 0, write_at, data.data(), index);
    };
    const std::string line = "memory_test.cpp:" + std::to_string(kDeviceOverrun);
    EXPECT_DEATH(overrun(), kAddressSanitizer ? "heap-buffer-overflow.*write_at.*" + line
                            : index < 0       ? "40 bytes.*before its begin"
                                              : "40 bytes.*after its end");
  }
}

#if defined(__SANITIZE_ADDRESS__)  // nobody else sees it
TEST(DeviceMemoryDeath, UseAfterFreeIsFound) {
  float* data = nullptr;
  cudaMalloc(&data, 40);
  cudaFree(data);
  EXPECT_DEATH(run(1, 32, 0, write_at, data, 0), "heap-use-after-free.*write_at");
}
#endif

TEST(DeviceMemoryDeath, StackOverrunsAreFound) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  DeviceVector<int> out(1);
  EXPECT_EQ(run(1, 32, 0, deep, out.data(), 10), cudaSuccess);
  EXPECT_DEATH(run(1, 32, 0, deep, out.data(), 100000),
               kAddressSanitizer ? "stack-overflow" : "stack overrun.*deep.*thread \\(3,0,0\\)");
}

TEST(DeviceMemory, RefusesWhatDoesNotFit) {
  void* data = nullptr;
  EXPECT_EQ(cudaMalloc(&data, std::size_t{1} << 60), cudaErrorMemoryAllocation);
  EXPECT_EQ(data, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&data, 0), cudaSuccess);
  EXPECT_EQ(data, nullptr);
  simt::set_device_memory(1000);
  std::size_t free_bytes = 0, total = 0;
  {
    const DeviceVector<char> some(600);
    EXPECT_EQ(cudaMemGetInfo(&free_bytes, &total), cudaSuccess);
    EXPECT_EQ(free_bytes, 400u);
    EXPECT_EQ(total, 1000u);
    EXPECT_EQ(cudaMalloc(&data, 401), cudaErrorMemoryAllocation);
  }
  EXPECT_EQ(cudaMalloc(&data, 1000), cudaSuccess);
  EXPECT_EQ(cudaFree(data), cudaSuccess);
  EXPECT_EQ(cudaFree(data), cudaErrorInvalidValue);
  simt::set_device_memory(std::size_t{4} << 30);
}

TEST(DeviceMemory, ChecksTheRangesOfCopies) {
  const DeviceVector<char> a(100), b(100);
  char host[200] = {};
  EXPECT_EQ(cudaMemcpy(a.data(), host, 100, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(a.data() + 50, host, 51, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, a.data(), 101, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, host + 100, 10, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(a.data(), b.data(), 10, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(a.data(), b.data(), 100, cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(a.data(), host, 100, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(cudaMemset(a.data() + 99, 0, 1), cudaSuccess);
  EXPECT_EQ(cudaMemset(a.data() + 99, 0, 2), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(host, 0, 2), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy2DAsync(a.data(), 30, host, 20, 10, 4, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemcpy2DAsync(a.data(), 30, host, 20, 11, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  cudaGetLastError();
}

}  // namespace
