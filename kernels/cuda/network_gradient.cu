// The paper's network, logits and gradients: a whole pass of an example on the chip.
#include <clout/kernels/cuda/network_fused.hpp>
#include <clout/kernels/cuda/network_paths.hpp>

namespace clout::cuda::fused {

// Logits of one model and a partition of examples per block.  2F flops; reads d bytes or d sizeof(T), writes K numbers.
template <class T>
__global__ void __launch_bounds__(kBlockThreads, 2) forward_kernel(NetworkForward<T> op, Index each) {
  auto& s = shared_storage<Primal<T>>();
  const Partition partition(each, op.batch.count);
  const Index j = blockIdx.y;
  load_parameters(op.parameters.row(j), s.parameters);
  for (int at = partition.begin; at < partition.end; ++at) {
    load_input(op.batch, example_in(op.batch, at), s.input);
    __syncthreads();  // θ and x are there; the last example's logits have been made
    for_layers<0, kHead - 1>([&](auto layer) { value_of_layer(s, layer); });
    if (warp_in_block() != 0) continue;
    const T logit = logit_of_lane(s);
    if (lane_in_warp() < kClasses) op.logits(at, j * kClasses + lane_in_warp()) = logit;
  }
}

/// Gradients of k models, summed over partitions of the batch.
template <class T>
struct GradientSums {
  NetworkBatch<T> batch;
  MatrixView<const T> parameters;  // [k][p]
  Exclusions exclusions;
  Index first_model = 0;  // the number that model 0 has in the exclusions
  Index each = 1;         // examples of a partition
  MatrixView<T> sums;     // [partitions·k][p]
};

/// From the logits' δ down to the first layer's gradient.
template <class T>
__device__ void gradient_backward(Primal<T>& s, const RowSums<T>& add) {
  const auto products = [&](auto layer) {
    constexpr int l = layer();
    const Products<T> terms[] = {{deltas_above<l>(s), below<l>(s)}};
    sum_products<l>(terms, 1, add);
  };
  const Factors<T> head[] = {{s.parameters, s.residuals}};
  spread_head(head, [&](int at, T delta) { s.deltas[at - kFirstMap] = slope_at(s.maps[at]) * delta; });
  products(std::integral_constant<int, kHead>());
  __syncthreads();
  for_layers<kHead - 1, 1>([&](auto layer) {
    constexpr int l = layer();
    const Factors<T> terms[] = {{s.parameters, deltas_above<l>(s)}};
    products(layer);
    if (l == 1) __syncthreads();  // δa takes the place of h
    spread<l, 1>(terms, [&](int c, int pixel, T delta, T) {
      const int at = map_at(l) + c * Layer<l>::kInPixels + pixel;
      (l == 1 ? s.maps[at] : s.deltas[at - kFirstMap]) = slope_at(s.maps[at]) * delta;
    });
    __syncthreads();
  });
  products(std::integral_constant<int, 0>());
}

// sums[partition][j] = Σ w ∇ℓ over a partition: one block.  6F − 2F₁ flops; reads an example's inputs, and reads and
// writes p sums.
template <class T>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce<T>) gradient_kernel(GradientSums<T> op) {
  auto& s = shared_storage<Primal<T>>();
  const Partition partition(op.each, op.batch.count);
  const Index j = blockIdx.y;
  T* row = op.sums.row(Index{blockIdx.x} * op.parameters.rows + j);
  load_parameters(op.parameters.row(j), s.parameters);
  clear_row(row);
#pragma unroll 1
  for (int at = partition.begin; at < partition.end; ++at) {
    const Index example = example_in(op.batch, at);
    __syncthreads();  // x has been used
    load_input(op.batch, example, s.input);
    __syncthreads();
    primal_forward(s, truth_of(op.batch, example, kClasses),
                   weight_of(op.batch, op.exclusions, example, op.first_model + j));
    gradient_backward(s, RowSums<T>{row});
  }
}

template <class T>
void forward(CudaDevice& device, const NetworkForward<T>& op) {
  const Index models = op.parameters.rows, partitions = partitions_of(op.batch.count, models);
  if (partitions == 0) return;
  launch(device, {Grid{partitions, models}, kBlockThreads, sizeof(Primal<T>)}, forward_kernel<T>, op,
         divide_up(op.batch.count, partitions));
}

namespace {

/// The most models that pass side by side.
constexpr Index kMostModels = 128;

Index models_at_once(Index models) { return std::min(models, kMostModels); }

template <class T>
struct GradientScratch {
  MatrixView<T> sums;         // [partitions·models at once][p]
  MatrixView<double> totals;  // [1][k]

  GradientScratch(const NetworkGradient<T>& op, Carver& carver) {
    const Index models = op.parameters.rows, at_once = models_at_once(models);
    sums = carver.matrix<T>(partitions_of(op.batch.count, at_once) * at_once, kParameters, kParameters);
    totals = carver.matrix<double>(1, models, models);
  }
};

template <class T>
void launch_gradient(CudaDevice& device, const GradientSums<T>& op, Index partitions) {
  const Grid grid{partitions, op.parameters.rows};
  launch(device, {grid, kBlockThreads, sizeof(Primal<T>)}, gradient_kernel<T>, op);
}

}  // namespace

template <class T>
void gradient(CudaDevice& device, const NetworkGradient<T>& op) {
  Carver carver(op.scratch.data());
  const GradientScratch<T> scratch(op, carver);
  const Index models = op.parameters.rows, at_once = models_at_once(models);
  const Index partitions = partitions_of(op.batch.count, at_once);
  if (op.scale == 0) weight_totals(device, op.batch, op.exclusions, models, scratch.totals.data);
  for_each_block(models, at_once, [&](Index first, Index count) {
    const auto sums = scratch.sums.rows_from(0, partitions * count);
    launch_gradient<T>(device,
                       {op.batch, op.parameters.rows_from(first, count), op.exclusions, first,
                        divide_up(op.batch.count, std::max(partitions, Index{1})), sums},
                       partitions);
    add_partitions<T, T>(device, {.sums = sums,
                                  .scale = op.scale,
                                  .totals = op.scale == 0 ? scratch.totals.data + first : nullptr,
                                  .out = op.out.rows_from(first, count)});
  });
}

// A partition for every example, whose sums are the result.
template <class T>
void example_gradients(CudaDevice& device, const NetworkExampleGradients<T>& op) {
  launch_gradient<T>(device, {unweighted(op.batch), op.parameters, {}, 0, 1, op.out}, op.batch.count);
}

template <class T>
bool knows(const CudaDevice& device, const NetworkShape& shape) {
  return sizeof(Dual<T>) <= device.block_memory() && shape == paper_network();
}

template <class T>
std::size_t scratch(const NetworkForward<T>&) {
  return 0;
}
template <class T>
std::size_t scratch(const NetworkGradient<T>& op) {
  Carver carver;
  GradientScratch<T>(op, carver);
  return carver.used();
}
template <class T>
std::size_t scratch(const NetworkExampleGradients<T>&) {
  return 0;
}

template void forward(CudaDevice&, const NetworkForward<float>&);
template void gradient(CudaDevice&, const NetworkGradient<float>&);
template void example_gradients(CudaDevice&, const NetworkExampleGradients<float>&);
template bool knows<float>(const CudaDevice&, const NetworkShape&);
template std::size_t scratch(const NetworkForward<float>&);
template std::size_t scratch(const NetworkGradient<float>&);
template std::size_t scratch(const NetworkExampleGradients<float>&);
template void forward(CudaDevice&, const NetworkForward<double>&);
template void gradient(CudaDevice&, const NetworkGradient<double>&);
template void example_gradients(CudaDevice&, const NetworkExampleGradients<double>&);
template bool knows<double>(const CudaDevice&, const NetworkShape&);
template std::size_t scratch(const NetworkForward<double>&);
template std::size_t scratch(const NetworkGradient<double>&);
template std::size_t scratch(const NetworkExampleGradients<double>&);

}  // namespace clout::cuda::fused
