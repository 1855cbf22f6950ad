// Results example by example: nothing is summed, so a task is one group.

#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/network_group.hpp>

namespace clout::cpu {
namespace {

// Per thread: one group and what the operation needs beside it, in Vector<T>.
template <class T>
ScratchPlan<T> plan_of(const NetworkShape& shape, Index rest) {
  return {0, GroupMemory<T>::size(NetworkLayout<T>(shape), rest * kLanes<T>)};
}
template <class T>
ScratchPlan<T> plan_of(const NetworkLossTangents<T>& op) {
  return plan_of<T>(op.shape, 0);
}
template <class T>
ScratchPlan<T> plan_of(const NetworkExampleGradients<T>& op) {
  return plan_of<T>(op.shape, op.shape.parameters());
}
template <class T>
ScratchPlan<T> plan_of(const NetworkInputGradients<T>& op) {
  return plan_of<T>(op.shape, op.shape.input_size());
}

// body(group, place, memory) for each group, after its primal pass with weights 1.
template <class Op, class Layout, class Body>
void with_primal(const Device& device, const Op& op, const Layout& layout, Body&& body) {
  using T = std::remove_const_t<std::remove_pointer_t<decltype(op.batch.example_weights)>>;
  const auto plan = plan_of(op);
  ensure(op.scratch.size() >= plan.bytes(device), "network: scratch smaller than planned");
  parallel_tasks(device, ceil_div(op.batch.count, kLanes<T>), [&](Index task, int thread) {
    const GroupMemory<T> memory(layout, plan.thread_memory(op.scratch, thread));
    const Index first = task * kLanes<T>;
    const LaneGroup<T> group(op.batch, first, std::min<Index>(kLanes<T>, op.batch.count - first));
    primal(layout, op.batch, group, op.parameters.data, broadcast(T(1)), memory, memory.deltas);
    body(group, first, memory);
  });
}

// rows[lane] = row(place + lane) for the lanes in use, then the lanes go there.
template <class T, class Row>
void store_rows(const T* lanes, Index size, const LaneGroup<T>& group, Index place, Row&& row) {
  T* rows[kLanes<T>] = {};
  for (Index lane = 0; lane < group.count; ++lane) rows[lane] = row(place + lane);
  lanes_to_rows(lanes, size, rows);
}

}  // namespace

// R{ℓ} = δa·R{a}.  m·(2F + k(4F − 2F₁)) flops.
template <class T>
void network_loss_tangents(Device& device, const NetworkLossTangents<T>& op) {
  const NetworkLayout<T> layout(op.shape);
  with_primal(device, op, layout, [&](const LaneGroup<T>& group, Index place, const GroupMemory<T>& memory) {
    for (Index j = 0; j < op.vectors.rows; ++j) {
      tangent_forward<T>(layout, op.parameters.data, op.vectors.row(j), {}, memory.values, memory.tangents, nullptr,
                         nullptr);
      Vector<T> sum{};
      for (Index at = layout.logits; at < layout.size; at += kLanes<T>)
        sum += load(memory.deltas + at) * load(memory.tangents + at);
      for (Index lane = 0; lane < group.count; ++lane) op.out(place + lane, j) = sum[lane];
    }
  });
}

template <class T>
std::size_t network_loss_tangents_scratch(const Device& device, const NetworkLossTangents<T>& op) {
  return plan_of(op).bytes(device);
}

// ∇θℓ: the sums of a single group are its gradients, one a lane.  m·(6F − 2F₁) flops.
template <class T>
void network_example_gradients(Device& device, const NetworkExampleGradients<T>& op) {
  const NetworkLayout<T> layout(op.shape);
  with_primal(device, op, layout, [&](const LaneGroup<T>& group, Index place, const GroupMemory<T>& memory) {
    std::fill_n(memory.rest, layout.sums_size(), T(0));
    backward(layout, op.parameters.data, memory.values, memory.deltas, memory.rest);
    store_rows(memory.rest, op.shape.parameters(), group, place, [&](Index row) { return op.out.row(row); });
  });
}

template <class T>
std::size_t network_example_gradients_scratch(const Device& device, const NetworkExampleGradients<T>& op) {
  return plan_of(op).bytes(device);
}

// R{δ} carried through to the input.  m·((4F − 2F₁) + k(8F − 2F₁)) flops.
template <class T>
void network_input_gradients(Device& device, const NetworkInputGradients<T>& op) {
  const NetworkLayout<T> layout(op.shape);
  const Index d = op.shape.input_size(), classes = op.shape.classes;
  const T* parameters = op.parameters.data;
  with_primal(device, op, layout, [&](const LaneGroup<T>& group, Index place, const GroupMemory<T>& memory) {
    backward<T>(layout, parameters, memory.values, memory.deltas, nullptr);
    for (Index j = 0; j < op.vectors.rows; ++j) {
      const T* vector = op.vectors.row(j);
      T* logits = memory.delta_tangents + layout.logits;
      tangent_forward(layout, parameters, vector, {}, memory.values, memory.tangents, memory.deltas,
                      memory.delta_tangents);
      std::copy_n(memory.tangents + layout.logits, layout.logits_size(), logits);
      tangent_tile(logits, memory.probabilities, classes);
      tangent_backward<T>(layout, parameters, vector, {}, memory.values, memory.tangents, memory.deltas,
                          memory.delta_tangents, nullptr);
      input_tangent(layout, parameters, vector, memory.deltas, memory.delta_tangents, memory.rest);
      store_rows(memory.rest, d, group, place, [&](Index row) { return op.out.row(j) + row * d; });
    }
  });
}

template <class T>
std::size_t network_input_gradients_scratch(const Device& device, const NetworkInputGradients<T>& op) {
  return plan_of(op).bytes(device);
}

template void network_loss_tangents(Device&, const NetworkLossTangents<float>&);
template void network_loss_tangents(Device&, const NetworkLossTangents<double>&);
template std::size_t network_loss_tangents_scratch(const Device&, const NetworkLossTangents<float>&);
template std::size_t network_loss_tangents_scratch(const Device&, const NetworkLossTangents<double>&);
template void network_example_gradients(Device&, const NetworkExampleGradients<float>&);
template void network_example_gradients(Device&, const NetworkExampleGradients<double>&);
template std::size_t network_example_gradients_scratch(const Device&, const NetworkExampleGradients<float>&);
template std::size_t network_example_gradients_scratch(const Device&, const NetworkExampleGradients<double>&);
template void network_input_gradients(Device&, const NetworkInputGradients<float>&);
template void network_input_gradients(Device&, const NetworkInputGradients<double>&);
template std::size_t network_input_gradients_scratch(const Device&, const NetworkInputGradients<float>&);
template std::size_t network_input_gradients_scratch(const Device&, const NetworkInputGradients<double>&);

}  // namespace clout::cpu
