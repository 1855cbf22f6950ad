#pragma once
// What the entries over a network share: partitions of the batch, the memory of one group, its primal pass.

#include <clout/kernels/cpu/network_pass.hpp>
#include <clout/kernels/cpu/scratch.hpp>
#include <clout/kernels/cpu/softmax_tile.hpp>

namespace clout::cpu {

/// Partitions of m examples, each with sums of its own: a function of m alone, and no more of them than memory is
/// meant for.
struct BatchPartitions {
  Index examples, count;

  explicit BatchPartitions(Index m)
      : examples(round_up(std::max<Index>(32, ceil_div(m, 64)), 32)), count(ceil_div(m, examples)) {}
};

/// body(group, place) for the groups of places first…last−1 of the batch.
template <class T, class Body>
void for_each_group(const NetworkBatch<T>& batch, Index first, Index last, Body&& body) {
  for (Index place = first; place < last; place += kLanes<T>)
    body(LaneGroup<T>(batch, place, std::min<Index>(kLanes<T>, last - place)), place);
}
/// The same for one partition.
template <class T, class Body>
void for_each_group(const NetworkBatch<T>& batch, const BatchPartitions& partitions, Index partition, Body&& body) {
  const Index first = partition * partitions.examples;
  for_each_group(batch, first, std::min(first + partitions.examples, batch.count), body);
}

/// The memory of one group: each of the four as NetworkLayout says.
template <class T>
struct GroupMemory {
  T *values, *deltas, *tangents, *delta_tangents;
  T* probabilities;  // [K] of Vector<T>
  T* rest;           // of the operation

  GroupMemory(const NetworkLayout<T>& layout, T* memory)
      : values(memory),
        deltas(values + line_up<T>(layout.size)),
        tangents(deltas + line_up<T>(layout.size)),
        delta_tangents(tangents + line_up<T>(layout.size)),
        probabilities(delta_tangents + line_up<T>(layout.size)),
        rest(probabilities + line_up<T>(layout.logits_size())) {}

  static Index size(const NetworkLayout<T>& layout, Index rest) {
    return 4 * line_up<T>(layout.size) + line_up<T>(layout.logits_size()) + line_up<T>(rest);
  }
};

/// tile ← tile · weights, for the K vectors of a group's logits.
template <class T>
void weigh(T* tile, Vector<T> weights, Index classes) {
  for (Index c = 0; c < classes; ++c) store(tile + c * kLanes<T>, load(tile + c * kLanes<T>) * weights);
}

/// residuals = p − the examples' targets.
template <class T>
void residual_tile(const T* p, const T* targets, const LaneGroup<T>& group, Index classes, T* residuals) {
  const T* rows[kLanes<T>] = {};
  for (Index lane = 0; lane < group.count; ++lane) rows[lane] = targets + group.example[lane] * classes;
  rows_to_lanes<T>(rows, classes, T(1), residuals);
  for (Index c = 0; c < classes; ++c)
    store(residuals + c * kLanes<T>, load(p + c * kLanes<T>) - load(residuals + c * kLanes<T>));
}

/// Values, probabilities, and w ∘ δ of the logits, in `deltas`.
template <class T>
void primal(const NetworkLayout<T>& layout, const NetworkBatch<T>& batch, const LaneGroup<T>& group,
            const T* parameters, Vector<T> weights, const GroupMemory<T>& memory, T* deltas) {
  const Index classes = layout.shape.classes;
  load_inputs(batch.features, group, memory.values);
  forward(layout, parameters, memory.values);
  std::copy_n(memory.values + layout.logits, layout.logits_size(), memory.probabilities);
  softmax_tile(memory.probabilities, largest_logit(memory.probabilities, classes), classes);
  T* residuals = deltas + layout.logits;
  if (batch.targets) residual_tile(memory.probabilities, batch.targets, group, classes, residuals);
  else residual_tile(memory.probabilities, group.labels, classes, residuals);
  weigh(deltas + layout.logits, weights, classes);
}

/// out(j, i) = scale(j) · Σ over partitions, in order and in double, of sums[partition][j][i].
template <class T, class Scale>
void add_partitions(const Device& device, const T* sums, Index partitions, MatrixView<T> out, Scale&& scale) {
  constexpr Index kBlock = 512;
  const Index blocks = ceil_div(out.columns, kBlock);
  parallel_tasks(device, out.rows * blocks, [&](Index task, int) {
    const Index j = task / blocks, first = task % blocks * kBlock, count = std::min(kBlock, out.columns - first);
    double total[kBlock] = {};
    for (Index partition = 0; partition < partitions; ++partition) {
      const T* sum = sums + (partition * out.rows + j) * out.columns + first;
      for (Index i = 0; i < count; ++i) total[i] += static_cast<double>(sum[i]);
    }
    const double factor = scale(j);
    for (Index i = 0; i < count; ++i) out(j, first + i) = static_cast<T>(factor * total[i]);
  });
}

}  // namespace clout::cpu
