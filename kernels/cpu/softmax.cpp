#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/softmax_tile.hpp>

namespace clout::cpu {
namespace {

constexpr Index kRows = 256;  // examples per task, a multiple of every lane count

// body(first, lanes, tiles) for groups of at most kLanes rows; `tiles` is room for `tiles_per_thread` tiles.
template <class T, class Body>
void for_each_group(Device& device, Index rows, Index classes, Index tiles_per_thread, Body&& body) {
  const Index room = round_up(tiles_per_thread * classes * kLanes<T>, 64);
  Buffer<T> tiles(device, room * as_cpu(device).threads());
  parallel_tasks(device, ceil_div(rows, kRows), [&](Index task, int thread) {
    const Index end = std::min(rows, (task + 1) * kRows);
    for (Index first = task * kRows; first < end; first += kLanes<T>)
      body(first, std::min<Index>(kLanes<T>, end - first), tiles.data() + thread * room);
  });
}

}  // namespace

// p = softmax(a), ℓ = logsumexp(a) − a_y.  About 30 flops a logit, most of them in exp; reads nkK, writes nk(K + 1).
template <class T>
void softmax_cross_entropy(Device& device, const SoftmaxCrossEntropy<T>& op) {
  const Index classes = op.classes, vectors = classes > 0 ? op.logits.columns / classes : 0;
  for_each_group<T>(device, op.logits.rows, classes, 1, [&](Index first, Index lanes, T* tile) {
    for (Index j = 0; j < vectors; ++j) {
      const T* logits = op.logits.row(first) + j * classes;
      gather(logits, 1, op.logits.stride, lanes, classes, tile);
      const LargestLogit<T> largest = largest_logit(tile, classes);
      const Vector<T> rest = softmax_tile(tile, largest, classes);
      if (op.losses.data)
        for (Index lane = 0; lane < lanes; ++lane)
          op.losses(first + lane, j) =
              (largest.value[lane] - logits[lane * op.logits.stride + op.labels[first + lane]]) +
              std::log1p(rest[lane]);
      if (op.probabilities.data)
        scatter(tile, 1, op.probabilities.stride, lanes, classes, op.probabilities.row(first) + j * classes);
    }
  });
}

// R{δ} = P ∘ (A − (P·A)1).  5nkK flops; reads nK + nkK, writes nkK numbers: bound by memory.
template <class T>
void softmax_tangent(Device& device, const SoftmaxTangent<T>& op) {
  const Index classes = op.probabilities.columns;
  const Index tangents = classes > 0 ? op.logit_tangents.columns / classes : 0;
  for_each_group<T>(device, op.probabilities.rows, classes, 2, [&](Index first, Index lanes, T* tiles) {
    T *p_tile = tiles, *tile = tiles + classes * kLanes<T>;
    gather(op.probabilities.row(first), 1, op.probabilities.stride, lanes, classes, p_tile);
    for (Index j = 0; j < tangents; ++j) {
      gather(op.logit_tangents.row(first) + j * classes, 1, op.logit_tangents.stride, lanes, classes, tile);
      tangent_tile(tile, p_tile, classes);
      scatter(tile, 1, op.residual_tangents.stride, lanes, classes, op.residual_tangents.row(first) + j * classes);
    }
  });
}

// R{ℓ} = (p − e_y)·R{a} = p·(R{a} − R{a}_y 1): the difference form loses nothing where p_y is close to 1.
// 3nkK flops; reads nK + nkK, writes nk numbers: bound by memory.
template <class T>
void softmax_loss_tangent(Device& device, const SoftmaxLossTangent<T>& op) {
  const Index classes = op.probabilities.columns;
  const Index tangents = classes > 0 ? op.logit_tangents.columns / classes : 0;
  parallel_ranges(device, op.probabilities.rows, kRows, [&](Index first, Index count) {
    for (Index row = first; row < first + count; ++row)
      for (Index j = 0; j < tangents; ++j) {
        const T* p = op.probabilities.row(row);
        const T* a = op.logit_tangents.row(row) + j * classes;
        const T own = a[op.labels[row]];
        T sum = 0;
        for (Index c = 0; c < classes; ++c) sum += p[c] * (a[c] - own);
        op.loss_tangents(row, j) = sum;
      }
  });
}

template void softmax_cross_entropy(Device&, const SoftmaxCrossEntropy<float>&);
template void softmax_cross_entropy(Device&, const SoftmaxCrossEntropy<double>&);
template void softmax_tangent(Device&, const SoftmaxTangent<float>&);
template void softmax_tangent(Device&, const SoftmaxTangent<double>&);
template void softmax_loss_tangent(Device&, const SoftmaxLossTangent<float>&);
template void softmax_loss_tangent(Device&, const SoftmaxLossTangent<double>&);

}  // namespace clout::cpu
