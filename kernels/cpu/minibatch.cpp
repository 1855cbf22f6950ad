#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>

namespace clout::cpu {
namespace {

constexpr Index kDraws = 1 << 12;  // per task
constexpr Index kRows = 64;        // examples that a task gathers

}  // namespace

// rows[s][i] = philox_below(…).  About 60 integer operations a draw.
void sample_rows(Device& device, const SampleRows& op) {
  parallel_ranges(device, op.sequences * op.count, kDraws, [&](Index first, Index count) {
    for (Index at = first; at < first + count; ++at) {
      const auto sequence = static_cast<std::uint64_t>(at / op.count), draw = static_cast<std::uint64_t>(at % op.count);
      op.rows[at] = philox_below(op.seed, op.stream, op.first_sequence + sequence, op.first_draw + draw, op.population);
    }
  });
}

// Rows of X, of the probabilities and of the weights, side by side; reads and writes m(d + K + 1) numbers.
template <class T>
void gather_examples(Device& device, const GatherExamples<T>& op) {
  const Index d = op.features.columns;
  parallel_ranges(device, op.count, kRows, [&](Index first, Index count) {
    for (Index at = first; at < first + count; ++at) {
      const Index row = op.rows[at];
      if (op.bytes) std::copy_n(op.features.bytes + row * d, d, op.bytes + at * d);
      else std::copy_n(op.features.values + row * d, d, op.values + at * d);
      std::copy_n(op.probabilities.row(row), op.probabilities.columns, op.out_probabilities.row(at));
      if (op.example_weights) op.out_weights[at] = op.example_weights[row];
    }
  });
}

template void gather_examples(Device&, const GatherExamples<float>&);
template void gather_examples(Device&, const GatherExamples<double>&);

}  // namespace clout::cpu
