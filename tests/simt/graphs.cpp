// CUDA graphs that run their nodes in order.

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "block.hpp"
#include "runtime.hpp"

namespace simt::detail {
namespace {

struct Condition {
  unsigned value = 0, default_value = 0;
  bool is_live = false;  // its graph is running
  bool was_set = false;  // by the launch under way
};

}  // namespace
}  // namespace simt::detail

using simt::detail::Condition;
using simt::detail::record;

struct CUgraphNode_st {
  std::function<cudaError_t()> work;  // empty for a while node
  std::shared_ptr<Condition> condition;
  std::shared_ptr<CUgraph_st> body;
};
struct CUgraph_st {
  std::deque<CUgraphNode_st> nodes;  // addresses stay
  std::deque<std::shared_ptr<Condition>> conditions;
  cudaGraph_t body = nullptr;  // of the while node that was added last
};
struct CUgraphExec_st {
  CUgraph_st graph;
};

namespace simt::detail {
namespace {

thread_local cudaStream_t captured_here = nullptr;

cudaError_t run(const CUgraph_st& graph, const std::deque<std::shared_ptr<Condition>>& conditions) {
  for (const CUgraphNode_st& node : graph.nodes) {
    for (const auto& condition : conditions) condition->was_set = false;
    cudaError_t error = cudaSuccess;
    if (node.work) error = node.work();
    while (node.condition && error == cudaSuccess && node.condition->value != 0) error = run(*node.body, conditions);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

/// A graph's conditions while it runs.
class Live {
 public:
  explicit Live(const CUgraph_st& graph) : graph_(graph) {
    for (const auto& condition : graph_.conditions)
      *condition = {condition->default_value, condition->default_value, true, false};
  }
  ~Live() {
    for (const auto& condition : graph_.conditions) condition->is_live = false;
  }
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

 private:
  const CUgraph_st& graph_;
};

}  // namespace

cudaError_t forbid_in_capture(cudaError_t error) {
  if (!captured_here) return cudaSuccess;
  captured_here->is_spoilt = true;
  return record(error);
}

cudaError_t submit(cudaStream_t stream, std::function<cudaError_t()> work) {
  if (!stream && captured_here) return forbid_in_capture(cudaErrorStreamCaptureImplicit);
  if (!stream || !stream->captured_into) return work();
  if (stream->is_spoilt) return record(cudaErrorStreamCaptureInvalidated);
  stream->captured_into->nodes.push_back({std::move(work), nullptr, nullptr});
  return cudaSuccess;
}

void set_condition(unsigned long long handle, unsigned value, std::source_location where) {
  auto& condition = *reinterpret_cast<Condition*>(handle);
  if (!condition.is_live)
    current_block().fail(
        {FaultKind::condition, "the condition of a graph that is not running is set", where, -1, -1, {}, {}});
  if (condition.was_set)
    current_block().fail({FaultKind::condition, "two threads of a launch set one condition", where, -1, -1, {}, {}});
  condition.value = value;
  condition.was_set = true;
}

}  // namespace simt::detail

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned flags) {
  if (!graph || flags != 0) return record(cudaErrorInvalidValue);
  *graph = new CUgraph_st;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (!graph) return record(cudaErrorInvalidValue);
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  if (!graph || !count) return record(cudaErrorInvalidValue);
  for (std::size_t i = 0; nodes && i < *count; ++i) nodes[i] = i < graph->nodes.size() ? &graph->nodes[i] : nullptr;
  *count = nodes ? std::min(*count, graph->nodes.size()) : graph->nodes.size();
  return cudaSuccess;
}

cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle* handle, cudaGraph_t graph,
                                             unsigned default_value, unsigned flags) {
  if (!handle || !graph || flags != cudaGraphCondAssignDefault) return record(cudaErrorInvalidValue);
  graph->conditions.push_back(std::make_shared<Condition>(Condition{0, default_value}));
  *handle = reinterpret_cast<cudaGraphConditionalHandle>(graph->conditions.back().get());
  return cudaSuccess;
}

cudaError_t cudaGraphAddNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                             const cudaGraphEdgeData*, std::size_t count, cudaGraphNodeParams* parameters) {
  if (!node || !graph || !parameters || parameters->type != cudaGraphNodeTypeConditional)
    return record(cudaErrorInvalidValue);
  const bool is_chain = graph->nodes.empty() ? count == 0 : count == 1 && dependencies[0] == &graph->nodes.back();
  if (!is_chain || parameters->conditional.type != cudaGraphCondTypeWhile) return record(cudaErrorNotSupported);
  std::shared_ptr<Condition> own;
  for (const auto& condition : graph->conditions)
    if (reinterpret_cast<cudaGraphConditionalHandle>(condition.get()) == parameters->conditional.handle)
      own = condition;
  if (!own || parameters->conditional.size != 1) return record(cudaErrorInvalidValue);
  graph->nodes.push_back({{}, own, std::make_shared<CUgraph_st>()});
  *node = &graph->nodes.back();
  graph->body = graph->nodes.back().body.get();
  parameters->conditional.phGraph_out = &graph->body;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* runnable, cudaGraph_t graph, unsigned long long flags) {
  if (!runnable || !graph || flags != 0) return record(cudaErrorInvalidValue);
  *runnable = new CUgraphExec_st{*graph};
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t runnable) {
  if (!runnable) return record(cudaErrorInvalidValue);
  delete runnable;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t runnable, cudaStream_t stream) {
  if (!runnable || !simt::detail::is_stream(stream)) return record(cudaErrorInvalidResourceHandle);
  if (const auto error = simt::detail::forbid_in_capture(); error != cudaSuccess) return error;
  const simt::detail::Live live(runnable->graph);
  return record(simt::detail::run(runnable->graph, runnable->graph.conditions));
}

cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                          const cudaGraphEdgeData*, std::size_t count, cudaStreamCaptureMode) {
  if (!graph || !stream || !simt::detail::is_stream(stream)) return record(cudaErrorInvalidValue);
  if (simt::detail::captured_here) return record(cudaErrorIllegalState);
  const bool is_chain = graph->nodes.empty() ? count == 0 : count == 1 && dependencies[0] == &graph->nodes.back();
  if (!is_chain) return record(cudaErrorNotSupported);
  simt::detail::captured_here = stream;
  stream->captured_into = graph;
  stream->is_spoilt = false;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!graph || !stream || !simt::detail::is_stream(stream)) return record(cudaErrorInvalidValue);
  if (!stream->captured_into || stream != simt::detail::captured_here) return record(cudaErrorIllegalState);
  *graph = stream->is_spoilt ? nullptr : stream->captured_into;
  simt::detail::captured_here = nullptr;
  stream->captured_into = nullptr;
  return record(*graph ? cudaSuccess : cudaErrorStreamCaptureInvalidated);
}
