// A launch is refused for the reasons for which the real one is; and the host functions of the runtime.

#include <thread>

#include "test_support.hpp"

using namespace simt::test;

__global__ void nothing() {}
__global__ void shared_first_byte() { shared<char>() = 1; }
__global__ void where_am_i(unsigned* out, int scale) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned size = blockDim.x * blockDim.y * blockDim.z;
  __syncthreads();
  scale += static_cast<int>(thread);  // parameters are each thread's own
  out[block * size + thread] = block * size + thread + static_cast<unsigned>(scale) - thread;
}

template <class T>
concept CanAtomicAdd = requires(T* address, T value) {
  atomicAdd(address, value);
};
static_assert(CanAtomicAdd<int> && CanAtomicAdd<unsigned> && CanAtomicAdd<unsigned long long>);
static_assert(!CanAtomicAdd<float> && !CanAtomicAdd<double>, "sums of floating-point numbers have a fixed order");

namespace {

TEST(Launch, RefusesImpossibleShapes) {
  EXPECT_EQ(run(1, 1024, 0, nothing), cudaSuccess);
  EXPECT_EQ(run(1, 1025, 0, nothing), cudaErrorInvalidConfiguration);
  EXPECT_EQ(run(1, {32, 33, 1}, 0, nothing), cudaErrorInvalidConfiguration);
  EXPECT_EQ(run(1, {1, 1, 65}, 0, nothing), cudaErrorInvalidConfiguration);
  EXPECT_EQ(run(1, 0, 0, nothing), cudaErrorInvalidConfiguration);
  EXPECT_EQ(run(0, 32, 0, nothing), cudaErrorInvalidConfiguration);
  EXPECT_EQ(run({1, 65536, 1}, 32, 0, nothing), cudaErrorInvalidConfiguration);
  EXPECT_EQ(run({1, 1, 65536}, 32, 0, nothing), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(Launch, LimitsSharedMemory) {
  EXPECT_EQ(run(1, 32, 48 * 1024, nothing), cudaSuccess);
  EXPECT_EQ(run(1, 32, 48 * 1024 + 1, nothing), cudaErrorInvalidValue);
  const auto attribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
  EXPECT_EQ(cudaFuncSetAttribute(nothing, attribute, 227 * 1024 + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(nothing, attribute, 100 * 1024), cudaSuccess);
  EXPECT_EQ(run(1, 32, 100 * 1024, nothing), cudaSuccess);
  EXPECT_EQ(run(1, 32, 100 * 1024 + 1, nothing), cudaErrorInvalidValue);
  EXPECT_EQ(run(1, 1, 48 * 1024 + 1, shared_first_byte), cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST(Launch, EveryThreadKnowsItsPlace) {
  const DeviceVector<unsigned> out(3 * 2 * 2 * 8 * 4 * 2);
  ASSERT_EQ(run({3, 2, 2}, {8, 4, 2}, 0, where_am_i, out.data(), 100), cudaSuccess);
  const auto values = out.values();
  for (unsigned i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], i + 100 + i % 64 - i % 64);
}

TEST(Launch, HostThreadsHaveExecutorsOfTheirOwn) {
  const auto work = [] {
    for (int i = 0; i < 3; ++i) {
      const DeviceVector<unsigned> out(128);
      EXPECT_EQ(run(2, 64, 0, where_am_i, out.data(), 0), cudaSuccess);
      EXPECT_EQ(out.values()[127], 127u);
    }
  };
  std::thread other(work);
  work();
  other.join();
}

TEST(Runtime, DescribesTheDevice) {
  int count = 0;
  cudaDeviceProp properties;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_STREQ(properties.name, "simt executor (CPU)");
  EXPECT_EQ(properties.major, 9);
  EXPECT_EQ(properties.sharedMemPerBlockOptin, 227u * 1024);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
  EXPECT_STREQ(cudaGetErrorName(cudaErrorInvalidDevice), "cudaErrorInvalidDevice");
}

TEST(Runtime, StreamsAndEvents) {
  cudaStream_t stream = nullptr;
  cudaEvent_t start = nullptr, stop = nullptr;
  float milliseconds = -1;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&start), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&stop), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, stop), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(start, stream), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(stop, stream), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, stop), cudaSuccess);
  EXPECT_GE(milliseconds, 0);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventDestroy(start), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(stop), cudaSuccess);
  cudaGetLastError();
}

}  // namespace
