// Graphs: what is captured runs when the graph does, in order; while nodes; what a capture forbids.

#include <cublas_v2.h>

#include <functional>

#include "test_support.hpp"

using namespace simt::test;

__global__ void add_kernel(int* value, int amount) {
  if (threadIdx.x == 0) *value += amount;
}
__global__ void double_kernel(int* value) {
  if (threadIdx.x == 0) *value *= 2;
}
// On as long as *value is below `limit`.
__global__ void judge_kernel(const int* value, int limit, cudaGraphConditionalHandle another) {
  if (threadIdx.x == 0) cudaGraphSetConditional(another, *value < limit ? 1 : 0);
}
__global__ void judge_twice_kernel(cudaGraphConditionalHandle another) {
  if (threadIdx.x < 2) cudaGraphSetConditional(another, 0);
}

namespace {

class Graphs : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaGraphCreate(&graph, 0), cudaSuccess);
  }
  void TearDown() override {
    if (runnable) {
      EXPECT_EQ(cudaGraphExecDestroy(runnable), cudaSuccess);
    }
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
    cudaGetLastError();
  }
  template <class... Parameters>
  cudaError_t start(void (*kernel)(Parameters...), std::type_identity_t<Parameters>... arguments) {
    cudaLaunchConfig_t config{};
    config.gridDim = config.blockDim = dim3(1);
    config.blockDim = dim3(32);
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, arguments...);
  }
  cudaError_t begin(cudaGraph_t into) {
    return cudaStreamBeginCaptureToGraph(stream, into, nullptr, nullptr, 0, cudaStreamCaptureModeThreadLocal);
  }
  cudaError_t end() {
    cudaGraph_t captured = nullptr;
    return cudaStreamEndCapture(stream, &captured);
  }
  void run_graph() {
    if (!runnable) {
      ASSERT_EQ(cudaGraphInstantiate(&runnable, graph, 0), cudaSuccess);
    }
    ASSERT_EQ(cudaGraphLaunch(runnable, stream), cudaSuccess);
  }
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t runnable = nullptr;
  const DeviceVector<int> value{std::vector<int>{3}};
};

TEST_F(Graphs, WhatIsCapturedRunsWithTheGraphInOrderAndAgain) {
  ASSERT_EQ(begin(graph), cudaSuccess);
  int amount = 4;
  EXPECT_EQ(start(add_kernel, value.data(), amount), cudaSuccess);
  amount = 100;  // parameters were copied
  EXPECT_EQ(start(double_kernel, value.data()), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  EXPECT_EQ(value.values(), std::vector<int>{3});
  run_graph();
  EXPECT_EQ(value.values(), std::vector<int>{14});
  run_graph();
  EXPECT_EQ(value.values(), std::vector<int>{36});
  EXPECT_EQ(start(double_kernel, value.data()), cudaSuccess);  // the stream is as before
  EXPECT_EQ(value.values(), std::vector<int>{72});
}

TEST_F(Graphs, LibrariesCopiesAndFillsAreCapturedToo) {
  const DeviceVector<float> a(std::vector<float>{3}), c(std::vector<float>{7}), copy(1);
  cublasHandle_t blas = nullptr;
  ASSERT_EQ(cublasCreate(&blas), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cublasSetStream(blas, stream), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(begin(graph), cudaSuccess);
  float alpha = 2, beta = 1;
  EXPECT_EQ(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &alpha, a.data(), 1, a.data(), 1, &beta, c.data(), 1),
            CUBLAS_STATUS_SUCCESS);
  alpha = beta = 100;
  EXPECT_EQ(cudaMemcpyAsync(copy.data(), c.data(), sizeof(float), cudaMemcpyDeviceToDevice, stream), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(c.data(), 0, sizeof(float), stream), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  EXPECT_EQ(c.values(), std::vector<float>{7});
  run_graph();
  EXPECT_EQ(copy.values(), std::vector<float>{25});
  EXPECT_EQ(c.values(), std::vector<float>{0});
  EXPECT_EQ(cublasDestroy(blas), CUBLAS_STATUS_SUCCESS);
}

TEST_F(Graphs, AWhileNodeRunsItsBodyUntilAKernelSaysNo) {
  cudaGraphConditionalHandle another = 0;
  ASSERT_EQ(cudaGraphConditionalHandleCreate(&another, graph, 0, cudaGraphCondAssignDefault), cudaSuccess);
  ASSERT_EQ(begin(graph), cudaSuccess);
  EXPECT_EQ(start(judge_kernel, value.data(), 20, another), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  cudaGraphNode_t first = nullptr, node = nullptr;
  std::size_t count = 1;
  ASSERT_EQ(cudaGraphGetNodes(graph, &first, &count), cudaSuccess);
  cudaGraphNodeParams parameters{};
  parameters.type = cudaGraphNodeTypeConditional;
  parameters.conditional = {another, cudaGraphCondTypeWhile, 1, nullptr};
  EXPECT_EQ(cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &parameters), cudaErrorNotSupported);  // out of order
  ASSERT_EQ(cudaGraphAddNode(&node, graph, &first, nullptr, 1, &parameters), cudaSuccess);
  ASSERT_EQ(begin(parameters.conditional.phGraph_out[0]), cudaSuccess);
  EXPECT_EQ(start(double_kernel, value.data()), cudaSuccess);
  EXPECT_EQ(start(judge_kernel, value.data(), 20, another), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  run_graph();
  EXPECT_EQ(value.values(), std::vector<int>{24});
  run_graph();  // the first kernel says no at once
  EXPECT_EQ(value.values(), std::vector<int>{24});
}

TEST_F(Graphs, AConditionIsSetByOneThreadOfItsRunningGraph) {
  cudaGraphConditionalHandle another = 0;
  ASSERT_EQ(cudaGraphConditionalHandleCreate(&another, graph, 0, cudaGraphCondAssignDefault), cudaSuccess);
  const auto fault_of = [](const auto& work) {
    try {
      work();
    } catch (const simt::Fault& fault) {
      return fault.kind() == simt::FaultKind::condition;
    }
    return false;
  };
  EXPECT_TRUE(fault_of([&] { start(judge_kernel, value.data(), 20, another); }));
  ASSERT_EQ(begin(graph), cudaSuccess);
  EXPECT_EQ(start(judge_twice_kernel, another), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&runnable, graph, 0), cudaSuccess);
  EXPECT_TRUE(fault_of([&] { cudaGraphLaunch(runnable, stream); }));
}

TEST_F(Graphs, ACaptureForbidsWaitingMemoryAndTheHost) {
  int host = 0;
  void* memory = nullptr;
  void* taken = nullptr;
  ASSERT_EQ(cudaMalloc(&taken, 16), cudaSuccess);
  const auto unsupported = cudaErrorStreamCaptureUnsupported;
  const std::vector<std::pair<std::function<cudaError_t()>, cudaError_t>> forbidden{
      {[&] { return cudaStreamSynchronize(stream); }, unsupported},
      {[&] { return cudaDeviceSynchronize(); }, unsupported},
      {[&] { return cudaMalloc(&memory, 16); }, unsupported},
      {[&] { return cudaFree(taken); }, unsupported},
      {[&] { return cudaMallocHost(&memory, 16); }, unsupported},
      {[&] { return cudaMemcpyAsync(&host, value.data(), sizeof host, cudaMemcpyDeviceToHost, stream); }, unsupported},
      {[&] { return cudaMemcpyAsync(value.data(), &host, sizeof host, cudaMemcpyHostToDevice, stream); }, unsupported},
      {[&] { return cudaMemcpy(value.data(), &host, sizeof host, cudaMemcpyHostToDevice); },
       cudaErrorStreamCaptureImplicit},
      {[&] { return run(1, 32, 0, double_kernel, value.data()); }, cudaErrorStreamCaptureImplicit},
  };
  for (std::size_t i = 0; i < forbidden.size(); ++i) {
    ASSERT_EQ(begin(graph), cudaSuccess) << i;
    EXPECT_EQ(forbidden[i].first(), forbidden[i].second) << i;
    EXPECT_EQ(start(double_kernel, value.data()), cudaErrorStreamCaptureInvalidated) << i;
    EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated) << i;
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess) << i;
  }
  EXPECT_EQ(end(), cudaErrorIllegalState);
  EXPECT_EQ(value.values(), std::vector<int>{3});
  EXPECT_EQ(cudaFree(taken), cudaSuccess);
}

}  // namespace
