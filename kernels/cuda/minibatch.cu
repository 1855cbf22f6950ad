// Minibatches of Hessian products: which examples, and what is read of them.
#include <clout/kernels/cuda/launch.hpp>

namespace clout::cuda {

// rows[s][i] = philox_below(…), thread by draw.  About 60 integer operations, 8 bytes written.
__global__ void __launch_bounds__(kThreads) sample_rows_kernel(SampleRows op) {
  const Index at = thread_in_grid();
  if (at >= op.sequences * op.count) return;
  const auto sequence = static_cast<std::uint64_t>(at / op.count), draw = static_cast<std::uint64_t>(at % op.count);
  op.rows[at] = philox_below(op.seed, op.stream, op.first_sequence + sequence, op.first_draw + draw, op.population);
}

void sample_rows(Device& device, const SampleRows& op) {
  launch(on_cuda(device), one_thread_each(op.sequences * op.count), sample_rows_kernel, op);
}

// Columns 0…d−1 are those of X as stored, the next K the probabilities, the last the weight: a thread per column, rows
// in turns along y. Reads and writes 1 or sizeof(T) bytes per number.
template <class T>
__global__ void __launch_bounds__(kThreads) gather_examples_kernel(GatherExamples<T> op) {
  const Index i = thread_in_grid(), d = op.features.columns, classes = op.probabilities.columns;
  if (i > d + classes) return;
  for (Index at = blockIdx.y; at < op.count; at += gridDim.y) {
    const Index row = op.rows[at];
    if (i < d && op.bytes) op.bytes[at * d + i] = op.features.bytes[row * d + i];
    else if (i < d) op.values[at * d + i] = op.features.values[row * d + i];
    else if (i < d + classes) op.out_probabilities(at, i - d) = op.probabilities(row, i - d);
    else if (op.example_weights) op.out_weights[at] = op.example_weights[row];
  }
}

template <class T>
void gather_examples(Device& device, const GatherExamples<T>& op) {
  launch(on_cuda(device), over_matrix(op.count, op.features.columns + op.probabilities.columns + 1),
         gather_examples_kernel<T>, op);
}

template void gather_examples(Device&, const GatherExamples<float>&);
template void gather_examples(Device&, const GatherExamples<double>&);

}  // namespace clout::cuda
