// Recorded work as a CUDA graph, and loops as a graph with a while node: the device decides about another round itself.
#include <clout/kernels/cuda/launch.hpp>
#include <clout/kernels/recording.hpp>

namespace clout::cuda {

/// What a loop's rounds depend on.
struct LoopCondition {
  const std::int32_t* words = nullptr;  // [count]: on as long as one is zero
  Index count = 0;
  std::int32_t* left = nullptr;  // [1] rounds that may still be made
};

// left −= spent; another round where one is left and a word is zero. One warp.
__global__ void __launch_bounds__(kWarpSize)
    judge_round_kernel(LoopCondition loop, std::int32_t spent, cudaGraphConditionalHandle another) {
  int zeros = 0;
  for (Index i = lane_in_warp(); i < loop.count; i += kWarpSize) zeros += loop.words[i] == 0 ? 1 : 0;
  zeros = warp_sum(zeros);
  if (lane_in_warp() == 0) {
    const std::int32_t left = *loop.left - spent;
    *loop.left = left;
    cudaGraphSetConditional(another, zeros > 0 && left > 0 ? 1u : 0u);
  }
}

// A number into the device's memory, in order with its other work.
__global__ void __launch_bounds__(kWarpSize) set_word_kernel(std::int32_t* word, std::int32_t value) {
  if (lane_in_warp() == 0) *word = value;
}

namespace {

/// Captured when it is run for the second time: by then everything has been loaded and every piece of memory taken.
class GraphRecording final : public Recording {
 public:
  GraphRecording(CudaDevice& device, std::function<void()> work) : device_(device), work_(std::move(work)) {}

  void replay() override {
    if (!has_run_) {
      work_();
      has_run_ = true;
      return;
    }
    device_.activate();
    if (!runnable_) {
      const Graph graph = empty_graph();
      const RecordingScope scope(device_, kept_);
      capture(device_.stream(), graph.get(), work_);
      runnable_ = instantiate(graph.get());
    }
    run(runnable_.get(), device_.stream());
    device_.count_start();
  }

 private:
  CudaDevice& device_;
  std::function<void()> work_;
  std::vector<std::shared_ptr<const void>> kept_;
  bool has_run_ = false;
  RunnableGraph runnable_;
};

/// judge → while (another round) { body → judge }. The first round of all is a plain call.
class GraphLoop final : public Loop {
 public:
  GraphLoop(CudaDevice& device, const std::int32_t* words, Index count, std::function<void()> body)
      : device_(device), body_(std::move(body)), left_(device, 1), condition_{words, count, left_.data()} {}

  Index run(Index most) override {
    if (most <= 0) return 0;
    Index done = 0;
    if (!has_run_) {
      if (!any_is_zero(device_, condition_.words, condition_.count)) return 0;
      body_();
      has_run_ = true;
      done = 1;
    }
    if (done == most) return done;
    if (!runnable_) build();
    const auto rounds = static_cast<std::int32_t>(as_int(most - done));
    launch(device_, {Grid{1}, kWarpSize}, set_word_kernel, left_.data(), rounds);
    cuda::run(runnable_.get(), device_.stream());
    device_.count_start();
    return done + rounds - left_.to_host()[0];
  }

 private:
  void build() {
    device_.activate();
    const Graph graph = empty_graph();
    const cudaGraphConditionalHandle another = condition_of(graph.get());
    const auto judge = [&](std::int32_t spent) {
      launch(device_, {Grid{1}, kWarpSize}, judge_round_kernel, condition_, spent, another);
    };
    const RecordingScope scope(device_, kept_);
    capture(device_.stream(), graph.get(), [&] { judge(0); });
    capture(device_.stream(), add_while(graph.get(), another), [&] {
      body_();
      judge(1);
    });
    runnable_ = instantiate(graph.get());
  }

  CudaDevice& device_;
  std::function<void()> body_;
  Buffer<std::int32_t> left_;
  LoopCondition condition_;
  std::vector<std::shared_ptr<const void>> kept_;
  bool has_run_ = false;
  RunnableGraph runnable_;
};

}  // namespace

std::unique_ptr<Recording> CudaDevice::record(std::function<void()> work) {
  return std::make_unique<GraphRecording>(*this, std::move(work));
}

std::unique_ptr<Loop> CudaDevice::record_loop(const std::int32_t* words, Index count, std::function<void()> body) {
  return std::make_unique<GraphLoop>(*this, words, count, std::move(body));
}

}  // namespace clout::cuda
