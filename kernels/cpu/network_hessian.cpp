#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/network_group.hpp>
#include <clout/kernels/interruption.hpp>
#include <vector>

namespace clout::cpu {
namespace {

// A parameter as a unit vector: weight (out, in, row, column) of a layer, or bias `out`.
struct UnitVector {
  int out, in = 0, row = 0, column = 0;
  bool is_bias;

  UnitVector(const Convolution& layer, Index parameter) : is_bias(parameter >= layer.bias) {
    auto rest = static_cast<int>(parameter - (is_bias ? layer.bias : layer.weight));
    if (!is_bias) {
      column = rest % layer.kernel, rest /= layer.kernel;
      row = rest % layer.kernel, rest /= layer.kernel;
      in = rest % layer.in, rest /= layer.in;
    }
    out = rest;
  }
};

// Columns first…last−1 of the Hessian, all of one layer (number L is the linear layer), and its rows from that layer
// on.
struct ColumnBlock {
  int layer;
  Index first, last;
};

// Multiply-adds of a column of layer l: its own layer's and the one's above are needed in half of the channels.
Index column_cost(const NetworkShape& shape, int l) {
  Index above = Index{shape.classes} * shape.pooled;
  for (int m = l + 1; m < shape.convolutions; ++m) above += shape.convolution[m].multiply_adds();
  return 3 * above + (l < shape.convolutions ? shape.convolution[l].multiply_adds() / 2 : 0);
}

// Blocks so large that the primal passes, made again for each of them, are a small part. Scratch per thread: one group,
// the block's columns lane by lane, summed over a partition, summed in double.
template <class T>
struct HessianPlan {
  static constexpr int kPrimals = 24;  // that a block of columns costs at least

  NetworkLayout<T> layout;
  Index most_numbers = 0;  // in the part of a block of columns that is computed
  ScratchPlan<T> scratch{};

  explicit HessianPlan(const NetworkShape& shape) : layout(shape) {
    for_each_block([&](const ColumnBlock& block) {
      most_numbers = std::max(most_numbers, (block.last - block.first) * rows(block));
    });
    scratch.own = GroupMemory<T>::size(layout, 0) + totals_at() +
                  line_up<T>(most_numbers * static_cast<Index>(sizeof(double) / sizeof(T)));
  }

  const Convolution& layer(int l) const {
    return l < layout.shape.convolutions ? layout.shape.convolution[l] : layout.head;
  }
  Index rows(const ColumnBlock& block) const { return layout.shape.parameters() - layer(block.layer).weight; }
  // Within what is the operation's own: room before the columns, so that pointers to them count from parameter 0.
  Index columns_at() const { return line_up<T>(layout.sums_size()); }
  Index partition_at() const { return columns_at() + line_up<T>(most_numbers * kLanes<T>); }
  Index totals_at() const { return partition_at() + line_up<T>(layout.shape.parameters()); }

  template <class Body>
  void for_each_block(Body&& body) const {
    for (int l = 0; l <= layout.shape.convolutions; ++l) {
      const Index end = layer(l).bias + layer(l).out;
      const Index width =
          std::max<Index>(1, kPrimals * 2 * layout.shape.multiply_adds() / column_cost(layout.shape, l));
      for (Index first = layer(l).weight; first < end; first += width) body({l, first, std::min(first + width, end)});
    }
  }
};

template <class T>
class HessianTask {
 public:
  HessianTask(const NetworkHessian<T>& op, const HessianPlan<T>& plan, const ColumnBlock& block, T* thread_memory)
      : op_(op),
        plan_(plan),
        layout_(plan.layout),
        block_(block),
        layer_(plan.layer(block.layer)),
        memory_(plan.layout, thread_memory) {}

  void run() {
    const BatchPartitions partitions(op_.batch.count);
    const Index rows = plan_.rows(block_), columns = block_.last - block_.first;
    T* lanes = memory_.rest + plan_.columns_at();
    T* partition_sum = memory_.rest + plan_.partition_at();
    auto* totals = reinterpret_cast<double*>(memory_.rest + plan_.totals_at());
    std::fill_n(totals, columns * rows, 0.0);
    for (Index partition = 0; partition < partitions.count; ++partition) {
      std::fill_n(lanes, columns * rows * kLanes<T>, T(0));
      for_each_group(op_.batch, partitions, partition, [&](const LaneGroup<T>& group, Index) {
        if (!is_interrupted()) add_group(group);
      });
      for (Index c = 0; c < columns; ++c) {
        sum_lanes(lanes + c * rows * kLanes<T>, rows, partition_sum);
        for (Index r = 0; r < rows; ++r) totals[c * rows + r] += static_cast<double>(partition_sum[r]);
      }
    }
    store_block(totals);
  }

 private:
  void add_group(const LaneGroup<T>& group) {
    primal(layout_, op_.batch, group, op_.parameters.data, group.weights, memory_, memory_.deltas);
    backward<T>(layout_, op_.parameters.data, memory_.values, memory_.deltas, nullptr);
    const Index rows = plan_.rows(block_);
    for (Index column = block_.first; column < block_.last; ++column) {
      T* sums = memory_.rest + plan_.columns_at() + ((column - block_.first) * rows - layer_.weight) * kLanes<T>;
      const UnitVector unit(layer_, column);
      if (block_.layer == layout_.shape.convolutions) add_head(unit, group.weights, sums);
      else add_convolution(unit, group.weights, sums);
    }
  }

  // R{δ} of the logits from their tangents.
  void residual_tangent(Vector<T> weights) {
    T* logits = memory_.delta_tangents + layout_.logits;
    std::copy_n(memory_.tangents + layout_.logits, layout_.logits_size(), logits);
    tangent_tile(logits, memory_.probabilities, layout_.shape.classes);
    weigh(logits, weights, layout_.shape.classes);
  }

  // Rows of the unit vector's own layer, from its own channel on (those of a whole tile are computed): R{∂W} = R{δ} ⊗
  // h, as nothing below has a tangent.
  void add_own_layer(const UnitVector& unit, const T* delta_tangents, const T* values, T* sums) {
    const int first = unit.out / kTileChannels * kTileChannels;
    add_weight_gradient(layer_, delta_tangents, first, values, {0, layer_.in}, sums + layer_.weight * kLanes<T>);
    add_bias_gradient(layer_, delta_tangents, first, sums + layer_.bias * kLanes<T>);
  }

  void add_convolution(const UnitVector& unit, Vector<T> weights, T* sums) {
    const int map = block_.layer + 1;
    const Index in = layout_.map[block_.layer], out = layout_.map[map];
    const auto& [values, deltas, tangents, delta_tangents, probabilities, rest] = memory_;
    const T* parameters = op_.parameters.data;
    const StoreTangent<T> finish{tangents + out, values + out, deltas + out, delta_tangents + out};
    finish.choose([&](const auto& use) {
      Index at = Index{unit.out} * layer_.out_height * layer_.out_width;
      for (int y = 0; y < layer_.out_height; ++y)
        for (int x = 0; x < layer_.out_width; ++x, ++at) {
          const Index row = Index{unit.in} * layer_.in_height + Index{y} * layer_.stride + unit.row;
          const Index pixel = row * layer_.in_width + Index{x} * layer_.stride + unit.column;
          use(at, unit.is_bias ? broadcast(T(1)) : load(values + in + pixel * kLanes<T>));
        }
    });
    const TangentSource source{map, {unit.out, unit.out + 1}};
    tangent_forward<T>(layout_, parameters, nullptr, source, values, tangents, deltas, delta_tangents);
    residual_tangent(weights);
    tangent_backward<T>(layout_, parameters, nullptr, source, values, tangents, deltas, delta_tangents, sums);
    source_delta_tangent<T>(layout_, parameters, source, values, delta_tangents);
    add_own_layer(unit, delta_tangents + out, values + in, sums);
  }

  void add_head(const UnitVector& unit, Vector<T> weights, T* sums) {
    T* logits = memory_.tangents + layout_.logits;
    std::fill_n(logits, layout_.logits_size(), T(0));
    const Vector<T> tangent =
        unit.is_bias ? broadcast(T(1)) : load(memory_.values + layout_.pooled + unit.in * kLanes<T>);
    store(logits + unit.out * kLanes<T>, tangent);
    residual_tangent(weights);
    add_own_layer(unit, memory_.delta_tangents + layout_.logits, memory_.values + layout_.pooled, sums);
  }

  // Each pair of parameters once: that of the same layer where the column's channel is the lower one, or its number
  // where the channels are the same.
  void store_block(const double* totals) {
    const Index p = layout_.shape.parameters(), next_layer = layer_.bias + layer_.out;
    for (Index column = block_.first; column < block_.last; ++column, totals += plan_.rows(block_)) {
      const int channel = UnitVector(layer_, column).out;
      for (Index row = layer_.weight; row < p; ++row) {
        if (row < next_layer) {
          const int other = UnitVector(layer_, row).out;
          if (other < channel || (other == channel && row < column)) continue;
        }
        op_.out(column, row) = op_.out(row, column) = static_cast<T>(op_.scale * totals[row - layer_.weight]);
      }
    }
  }

  const NetworkHessian<T>& op_;
  const HessianPlan<T>& plan_;
  const NetworkLayout<T>& layout_;
  ColumnBlock block_;
  const Convolution& layer_;
  GroupMemory<T> memory_;
};

}  // namespace

// H = scale · Σ w ∇²ℓ, column by column in blocks of one layer's; a task makes a block and needs no one else's sums.
template <class T>
void network_hessian(Device& device, const NetworkHessian<T>& op) {
  const HessianPlan<T> plan(op.shape);
  ensure(op.scratch.size() >= plan.scratch.bytes(device), "network_hessian: scratch smaller than planned");
  std::vector<ColumnBlock> blocks;
  plan.for_each_block([&](const ColumnBlock& block) { blocks.push_back(block); });
  parallel_tasks(device, std::ssize(blocks), [&](Index task, int thread) {
    HessianTask<T>(op, plan, blocks[task], plan.scratch.thread_memory(op.scratch, thread)).run();
  });
  throw_if_interrupted();
}

template <class T>
std::size_t network_hessian_scratch(const Device& device, const NetworkHessian<T>& op) {
  return HessianPlan<T>(op.shape).scratch.bytes(device);
}

template void network_hessian(Device&, const NetworkHessian<float>&);
template void network_hessian(Device&, const NetworkHessian<double>&);
template std::size_t network_hessian_scratch(const Device&, const NetworkHessian<float>&);
template std::size_t network_hessian_scratch(const Device&, const NetworkHessian<double>&);

}  // namespace clout::cpu
