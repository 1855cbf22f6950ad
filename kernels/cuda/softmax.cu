// Softmax cross-entropy and its tangents, row by row. Bound by memory. A pair (row, vector) has kLanes neighbouring
// lanes: one where there are few classes, a whole warp where there are many.
#include <clout/kernels/cuda/launch.hpp>
#include <clout/kernels/cuda/reductions.hpp>
#include <limits>

namespace clout::cuda {
namespace {

/// The pair that this thread's lanes have, and where the lane stands among them. A lane without a pair gets no classes,
/// so that it meets every shuffle.
template <int kLanes>
struct Pair {
  Index row = 0, vector = 0, lane = 0, classes = 0;

  __device__ Pair(Index rows, Index vectors, Index all_classes) {
    const Index pair = thread_in_grid() / kLanes;
    if (pair >= rows * vectors) return;
    row = pair / vectors;
    vector = pair - row * vectors;
    lane = thread_in_block() % kLanes;
    classes = all_classes;
  }
  __device__ bool leads() const { return classes > 0 && lane == 0; }
};

/// Starts one of two instances of a kernel: a lane or a warp for each pair.
template <class Operation>
void launch_pairs(Device& device, Index pairs, Index classes, void (*lane_each)(Operation),
                  void (*warp_each)(Operation), const Operation& op,
                  std::source_location where = std::source_location::current()) {
  if (classes <= kClassesPerLane) launch(on_cuda(device), one_thread_each(pairs, where), lane_each, op);
  else launch(on_cuda(device), one_thread_each(pairs * kWarpSize, where), warp_each, op);
}

}  // namespace

// p_c = e^(a_c − m) / s with m = max a, s = Σ e^(a_c − m);  ℓ = (m − a_y) + log s, or log1p(s − 1), with the 1 left out
// of the sum, where y is the largest.  About K exponentials; 2K numbers read and written.
template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads) softmax_cross_entropy_kernel(SoftmaxCrossEntropy<T> op) {
  const Pair<kLanes> at(op.logits.rows, op.logits.columns / op.classes, op.classes);
  const T* a = op.logits.row(at.row) + at.vector * op.classes;
  const Index label = op.labels && at.classes > 0 ? op.labels[at.row] : -1;
  T largest = -std::numeric_limits<T>::infinity();
  for (Index c = at.lane; c < at.classes; c += kLanes) largest = std::fmax(largest, a[c]);
  largest = group_max<kLanes>(largest);

  T* p = op.probabilities.data ? op.probabilities.row(at.row) + at.vector * op.classes : nullptr;
  T label_logit = 0, label_part = 0, rest = 0;
  for (Index c = at.lane; c < at.classes; c += kLanes) {
    const T logit = a[c], part = std::exp(logit - largest);
    if (c == label) {
      label_logit = logit;
      label_part = part;
    } else {
      rest += part;
    }
    if (p) p[c] = part;  // the logit's own place, it may be
  }
  rest = group_sum<kLanes>(rest);
  label_part = group_sum<kLanes>(label_part);
  label_logit = group_sum<kLanes>(label_logit);
  const T sum = rest + label_part;

  if (p)
    for (Index c = at.lane; c < at.classes; c += kLanes) p[c] /= sum;
  if (op.losses.data && at.leads())
    op.losses(at.row, at.vector) = label_logit == largest ? std::log1p(rest) : (largest - label_logit) + std::log(sum);
}

template <class T>
void softmax_cross_entropy(Device& device, const SoftmaxCrossEntropy<T>& op) {
  launch_pairs(device, op.logits.rows * (op.logits.columns / op.classes), op.classes,
               softmax_cross_entropy_kernel<T, 1>, softmax_cross_entropy_kernel<T, kWarpSize>, op);
}

// R{δ} = p ∘ (R{a} − (p·R{a})1).  5K flops; reads 2K, writes K numbers; in place where the two are the same memory.
template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads) softmax_tangent_kernel(SoftmaxTangent<T> op) {
  const Index classes = op.probabilities.columns;
  const Pair<kLanes> at(op.logit_tangents.rows, op.logit_tangents.columns / classes, classes);
  const T* p = op.probabilities.row(at.row);
  const T* a = op.logit_tangents.row(at.row) + at.vector * classes;
  T* out = op.residual_tangents.row(at.row) + at.vector * classes;
  const T reference = likeliest<kLanes>(p, a, at.classes, at.lane);
  T mean = 0;
  for (Index c = at.lane; c < at.classes; c += kLanes) mean = std::fma(p[c], a[c] - reference, mean);
  mean = group_sum<kLanes>(mean);
  for (Index c = at.lane; c < at.classes; c += kLanes) out[c] = p[c] * ((a[c] - reference) - mean);
}

template <class T>
void softmax_tangent(Device& device, const SoftmaxTangent<T>& op) {
  const Index classes = op.probabilities.columns;
  launch_pairs(device, op.logit_tangents.rows * (op.logit_tangents.columns / classes), classes,
               softmax_tangent_kernel<T, 1>, softmax_tangent_kernel<T, kWarpSize>, op);
}

// R{ℓ} = (p − e_y)·R{a} = p·(R{a} − R{a}_y 1), which loses nothing where p_y is close to 1.
// 3K flops; reads 2K numbers, writes one.
template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads) softmax_loss_tangent_kernel(SoftmaxLossTangent<T> op) {
  const Index classes = op.probabilities.columns;
  const Pair<kLanes> at(op.loss_tangents.rows, op.loss_tangents.columns, classes);
  const T* p = op.probabilities.row(at.row);
  const T* a = op.logit_tangents.row(at.row) + at.vector * classes;
  const T label_tangent = at.classes > 0 ? a[op.labels[at.row]] : T(0);
  T sum = 0;
  for (Index c = at.lane; c < at.classes; c += kLanes) sum = std::fma(p[c], a[c] - label_tangent, sum);
  sum = group_sum<kLanes>(sum);
  if (at.leads()) op.loss_tangents(at.row, at.vector) = sum;
}

template <class T>
void softmax_loss_tangent(Device& device, const SoftmaxLossTangent<T>& op) {
  launch_pairs(device, op.loss_tangents.size(), op.probabilities.columns, softmax_loss_tangent_kernel<T, 1>,
               softmax_loss_tangent_kernel<T, kWarpSize>, op);
}

template void softmax_cross_entropy(Device&, const SoftmaxCrossEntropy<float>&);
template void softmax_cross_entropy(Device&, const SoftmaxCrossEntropy<double>&);
template void softmax_tangent(Device&, const SoftmaxTangent<float>&);
template void softmax_tangent(Device&, const SoftmaxTangent<double>&);
template void softmax_loss_tangent(Device&, const SoftmaxLossTangent<float>&);
template void softmax_loss_tangent(Device&, const SoftmaxLossTangent<double>&);

}  // namespace clout::cuda
