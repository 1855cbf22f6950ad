#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/network_group.hpp>

namespace clout::cpu {
namespace {

constexpr Index kTangents = 16;  // that share a primal pass at most: their sums have to stay near

template <class T>
ScratchPlan<T> forward_plan(const NetworkForward<T>& op) {
  return {0, line_up<T>(NetworkLayout<T>(op.shape).size)};
}

// Scratch: a gradient and a weight for each partition and model | per thread: one group, its sums.
template <class T>
struct GradientPlan {
  NetworkLayout<T> layout;
  BatchPartitions partitions;
  ScratchPlan<T> scratch;

  explicit GradientPlan(const NetworkGradient<T>& op) : layout(op.shape), partitions(op.batch.count) {
    const Index pairs = partitions.count * op.parameters.rows;
    scratch = {weights_at(op) + line_up<T>(pairs * static_cast<Index>(sizeof(double) / sizeof(T))),
               GroupMemory<T>::size(layout, layout.sums_size())};
  }
  Index weights_at(const NetworkGradient<T>& op) const {
    return line_up<T>(partitions.count * op.parameters.rows * op.shape.parameters());
  }
};

// Scratch: a product for each partition and tangent | per thread: one group, sums of some tangents.
template <class T>
struct ProductPlan {
  NetworkLayout<T> layout;
  BatchPartitions partitions;
  Index tangents;  // that share a primal pass
  ScratchPlan<T> scratch;

  explicit ProductPlan(const NetworkHessianProduct<T>& op)
      : layout(op.shape), partitions(op.batch.count), tangents(std::min(kTangents, op.vectors.rows)) {
    scratch = {line_up<T>(partitions.count * op.vectors.rows * op.shape.parameters()),
               GroupMemory<T>::size(layout, tangents * layout.sums_size())};
  }
};

bool is_excluded(const Exclusions& exclusions, Index example, Index model) {
  const auto& [rows, vectors, count] = exclusions;
  for (Index e = std::lower_bound(rows, rows + count, example) - rows; e < count && rows[e] == example; ++e)
    if (vectors[e] == model) return true;
  return false;
}

// Σ wᵢ ∇ℓᵢ over one partition into `sums`; returns Σ wᵢ.
template <class T>
double partition_gradient(const NetworkGradient<T>& op, const GradientPlan<T>& plan, Index partition, Index model,
                          T* thread_memory, T* sums) {
  const GroupMemory<T> memory(plan.layout, thread_memory);
  std::fill_n(memory.rest, plan.layout.sums_size(), T(0));
  double total = 0;
  for_each_group(op.batch, plan.partitions, partition, [&](LaneGroup<T> group, Index) {
    for (Index lane = 0; lane < group.count; ++lane) {
      if (is_excluded(op.exclusions, group.example[lane], model)) group.weights[lane] = 0;
      total += static_cast<double>(group.weights[lane]);
    }
    const T* parameters = op.parameters.row(model);
    primal(plan.layout, op.batch, group, parameters, group.weights, memory, memory.values);
    backward(plan.layout, parameters, memory.values, memory.values, memory.rest);
  });
  sum_lanes(memory.rest, op.shape.parameters(), sums);
  return total;
}

// The tangents j in first…last−1 of one partition.
template <class T>
void partition_product(const NetworkHessianProduct<T>& op, const ProductPlan<T>& plan, Index partition, Index first,
                       Index last, T* thread_memory, T* partition_sums) {
  const auto& layout = plan.layout;
  const GroupMemory<T> memory(layout, thread_memory);
  const T* parameters = op.parameters.data;
  const bool is_exact = op.curvature == Curvature::hessian;
  std::fill_n(memory.rest, (last - first) * layout.sums_size(), T(0));
  for_each_group(op.batch, plan.partitions, partition, [&](const LaneGroup<T>& group, Index) {
    primal(layout, op.batch, group, parameters, group.weights, memory, memory.deltas);
    if (is_exact) backward<T>(layout, parameters, memory.values, memory.deltas, nullptr);
    for (Index j = first; j < last; ++j) {
      const T* vector = op.vectors.row(j);
      T* sums = memory.rest + (j - first) * layout.sums_size();
      T* logits = memory.delta_tangents + layout.logits;
      tangent_forward(layout, parameters, vector, {}, memory.values, memory.tangents,
                      is_exact ? memory.deltas : nullptr, memory.delta_tangents);
      std::copy_n(memory.tangents + layout.logits, layout.logits_size(), logits);
      tangent_tile(logits, memory.probabilities, layout.shape.classes);
      weigh(logits, group.weights, layout.shape.classes);
      if (is_exact)
        tangent_backward(layout, parameters, vector, {}, memory.values, memory.tangents, memory.deltas,
                         memory.delta_tangents, sums);
      else backward(layout, parameters, memory.values, memory.delta_tangents, sums);
    }
  });
  const Index p = op.shape.parameters();
  for (Index j = first; j < last; ++j)
    sum_lanes(memory.rest + (j - first) * layout.sums_size(), p, partition_sums + j * p);
}

}  // namespace

// a = W ∗ tanh(…) + b, layer by layer.  k·m·2F flops; the inputs are read once for all models.
template <class T>
void network_forward(Device& device, const NetworkForward<T>& op) {
  const auto plan = forward_plan(op);
  ensure(op.scratch.size() >= plan.bytes(device), "network_forward: scratch smaller than planned");
  const NetworkLayout<T> layout(op.shape);
  parallel_tasks(device, ceil_div(op.batch.count, kLanes<T>), [&](Index task, int thread) {
    const Index first = task * kLanes<T>;
    const LaneGroup<T> group(op.batch, first, std::min<Index>(kLanes<T>, op.batch.count - first));
    T* values = plan.thread_memory(op.scratch, thread);
    load_inputs(op.batch.features, group, values);
    for (Index model = 0; model < op.parameters.rows; ++model) {
      forward(layout, op.parameters.row(model), values);
      T* rows[kLanes<T>] = {};
      for (Index lane = 0; lane < group.count; ++lane)
        rows[lane] = op.logits.row(first + lane) + model * op.shape.classes;
      lanes_to_rows(values + layout.logits, op.shape.classes, rows);
    }
  });
}

template <class T>
std::size_t network_forward_scratch(const Device& device, const NetworkForward<T>& op) {
  return forward_plan(op).bytes(device);
}

// δ = p − e_y at the logits, back through Wᵀ∗δ and h′, ∂W = Σ δ ⊗ patch(h).  k·m·(6F − 2F₁) flops; δ takes the place
// of h, so a group's 242 KB (paper's network, 8 floats) are all the memory that is touched beside the sums.
template <class T>
void network_gradient(Device& device, const NetworkGradient<T>& op) {
  const GradientPlan<T> plan(op);
  ensure(op.scratch.size() >= plan.scratch.bytes(device), "network_gradient: scratch smaller than planned");
  T* sums = plan.scratch.memory(op.scratch);
  auto* weights = reinterpret_cast<double*>(sums + plan.weights_at(op));  // [partitions][k]
  const Index models = op.parameters.rows;
  parallel_tasks(device, plan.partitions.count * models, [&](Index task, int thread) {
    weights[task] =
        partition_gradient(op, plan, task / models, task % models, plan.scratch.thread_memory(op.scratch, thread),
                           sums + task * op.shape.parameters());
  });
  add_partitions(device, sums, plan.partitions.count, op.out, [&](Index model) {
    if (op.scale != 0) return op.scale;
    double total = 0;
    for (Index partition = 0; partition < plan.partitions.count; ++partition)
      total += weights[partition * models + model];
    return total == 0 ? 0.0 : 1 / total;
  });
}

template <class T>
std::size_t network_gradient_scratch(const Device& device, const NetworkGradient<T>& op) {
  return GradientPlan<T>(op).scratch.bytes(device);
}

// Hv = Σ w R{∇θℓ}: h and δ of a group once, then R{h} forward and R{δ} back for each tangent (math.md).
// m·((4F − 2F₁) + k(12F − 8F₁)) flops.
template <class T>
void network_hessian_product(Device& device, const NetworkHessianProduct<T>& op) {
  const ProductPlan<T> plan(op);
  ensure(op.scratch.size() >= plan.scratch.bytes(device), "network_hessian_product: scratch smaller than planned");
  T* sums = plan.scratch.memory(op.scratch);  // [partitions][k][p]
  const Index k = op.vectors.rows, blocks = ceil_div(k, plan.tangents);
  parallel_tasks(device, plan.partitions.count * blocks, [&](Index task, int thread) {
    const Index partition = task / blocks, first = task % blocks * plan.tangents;
    partition_product(op, plan, partition, first, std::min(first + plan.tangents, k),
                      plan.scratch.thread_memory(op.scratch, thread), sums + partition * k * op.shape.parameters());
  });
  add_partitions(device, sums, plan.partitions.count, op.out, [&](Index) { return op.scale; });
}

template <class T>
std::size_t network_hessian_product_scratch(const Device& device, const NetworkHessianProduct<T>& op) {
  return ProductPlan<T>(op).scratch.bytes(device);
}

template void network_forward(Device&, const NetworkForward<float>&);
template void network_forward(Device&, const NetworkForward<double>&);
template std::size_t network_forward_scratch(const Device&, const NetworkForward<float>&);
template std::size_t network_forward_scratch(const Device&, const NetworkForward<double>&);
template void network_gradient(Device&, const NetworkGradient<float>&);
template void network_gradient(Device&, const NetworkGradient<double>&);
template std::size_t network_gradient_scratch(const Device&, const NetworkGradient<float>&);
template std::size_t network_gradient_scratch(const Device&, const NetworkGradient<double>&);
template void network_hessian_product(Device&, const NetworkHessianProduct<float>&);
template void network_hessian_product(Device&, const NetworkHessianProduct<double>&);
template std::size_t network_hessian_product_scratch(const Device&, const NetworkHessianProduct<float>&);
template std::size_t network_hessian_product_scratch(const Device&, const NetworkHessianProduct<double>&);

}  // namespace clout::cpu
