// The seven passes over a network of any shape, layer by layer.
#include <clout/kernels/cuda/network_pass.hpp>
#include <clout/kernels/cuda/network_paths.hpp>

namespace clout::cuda::layered {
namespace {

/// Where an operation's maps and sums lie.
template <class T>
struct Plan {
  Pass<T> pass;
  MatrixView<double> sums;    // [vectors at once][p]
  MatrixView<double> totals;  // [1][k]
  std::size_t bytes = 0;

  /// `sums` and `totals` are how many rows and numbers of them there are.
  Plan(const Pass<T>& of, Index rows_of_sums, Index count_of_totals, std::byte* memory) : pass(of) {
    Carver carver(memory);
    const Index p = pass.shape.parameters();
    totals = carver.matrix<double>(1, count_of_totals, count_of_totals);
    sums = carver.matrix<double>(rows_of_sums, p, p);
    pass.carve(carver);
    bytes = carver.used();
  }
};

template <class T>
Plan<T> plan(const NetworkForward<T>& op, std::byte* memory) {
  return {{op.shape, op.batch, Keep::values, vectors_at_once(op.shape, op.parameters.rows), 0}, 0, 0, memory};
}
template <class T>
Plan<T> plan(const NetworkGradient<T>& op, std::byte* memory) {
  const Index models = vectors_at_once(op.shape, op.parameters.rows);
  return {{op.shape, op.batch, Keep::deltas_in_place, models, 0}, models, op.parameters.rows, memory};
}
template <class T>
Plan<T> plan(const NetworkExampleGradients<T>& op, std::byte* memory) {
  return {{op.shape, unweighted(op.batch), Keep::deltas_in_place, 1, 0}, 0, 0, memory};
}
template <class T>
Plan<T> plan(const NetworkHessianProduct<T>& op, std::byte* memory) {
  const Index tangents = vectors_at_once(op.shape, op.vectors.rows);
  const Keep keep = op.curvature == Curvature::hessian ? Keep::bends : Keep::values;
  return {{op.shape, op.batch, keep, 1, tangents}, tangents, 0, memory};
}
template <class T>
Plan<T> plan(const NetworkLossTangents<T>& op, std::byte* memory) {
  const Index tangents = vectors_at_once(op.shape, op.vectors.rows);
  return {{op.shape, unweighted(op.batch), Keep::values, 1, tangents}, 0, 0, memory};
}
template <class T>
Plan<T> plan(const NetworkInputGradients<T>& op, std::byte* memory) {
  const Index tangents = vectors_at_once(op.shape, op.vectors.rows);
  return {{op.shape, unweighted(op.batch), Keep::bends, 1, tangents}, 0, 0, memory};
}
template <class T>
Plan<T> plan(const NetworkHessian<T>& op, std::byte* memory) {
  const Index tangents = vectors_at_once(op.shape, op.shape.parameters());
  return {{op.shape, op.batch, Keep::bends, 1, tangents}, tangents, 0, memory};
}

/// Zeros, where no chunk will write.
template <class T>
void clear(CudaDevice& device, MatrixView<T> view) {
  device.activate();
  check(cudaMemsetAsync(view.data, 0, static_cast<std::size_t>(view.size()) * sizeof(T), device.stream()));
}

/// Adds a chunk's gradients to the block's sums when the layer's deltas are there.
template <class T>
auto adding_to(CudaDevice& device, MatrixView<double> sums, bool of_tangents, Index vectors) {
  return [=, &device](const Layer<T>& layer) {
    filter_gradient<T, double>(device, {.layer = layer,
                                        .of_tangents = of_tangents,
                                        .adds = true,
                                        .each = layer.examples,
                                        .vectors = vectors,
                                        .sums = sums});
  };
}

}  // namespace

template <class T>
void forward(CudaDevice& device, const NetworkForward<T>& op) {
  auto [pass, sums, totals, bytes] = plan(op, op.scratch.data());
  const Index classes = op.shape.classes;
  for_each_block(op.parameters.rows, pass.models, [&](Index first, Index count) {
    pass.parameters = op.parameters.rows_from(first, count);
    pass.for_each_chunk([&](Chunk at) {
      pass.maps[pass.logits()].value = {op.logits.row(at.first) + first * classes, classes, op.logits.stride};
      pass.forward(device, at, count);
    });
  });
}

template <class T>
void gradient(CudaDevice& device, const NetworkGradient<T>& op) {
  auto [pass, sums, totals, bytes] = plan(op, op.scratch.data());
  if (op.scale == 0) weight_totals(device, op.batch, op.exclusions, op.parameters.rows, totals.data);
  for_each_block(op.parameters.rows, pass.models, [&](Index first, Index count) {
    pass.parameters = op.parameters.rows_from(first, count);
    clear(device, sums);
    pass.for_each_chunk([&](Chunk at) {
      pass.forward(device, at, count);
      pass.residual(device, at, count, op.exclusions, first);
      pass.backward(device, at, count, adding_to<T>(device, sums, false, count));
    });
    add_partitions<T, double>(device, {.sums = sums.rows_from(0, count),
                                       .scale = op.scale,
                                       .totals = op.scale == 0 ? totals.data + first : nullptr,
                                       .out = op.out.rows_from(first, count)});
  });
}

template <class T>
void example_gradients(CudaDevice& device, const NetworkExampleGradients<T>& op) {
  auto [pass, sums, totals, bytes] = plan(op, op.scratch.data());
  pass.parameters = for_all(op.parameters);
  pass.for_each_chunk([&](Chunk at) {
    pass.forward(device, at, 1);
    pass.residual(device, at, 1);
    pass.backward(device, at, 1, [&](const Layer<T>& layer) {
      filter_gradient<T, T>(device, {.layer = layer, .each = 1, .sums = op.out.rows_from(at.first, at.count)});
    });
  });
}

template <class T>
void hessian_product(CudaDevice& device, const NetworkHessianProduct<T>& op) {
  auto [pass, sums, totals, bytes] = plan(op, op.scratch.data());
  pass.parameters = for_all(op.parameters);
  for_each_block(op.vectors.rows, pass.tangents, [&](Index first, Index count) {
    pass.vectors = op.vectors.rows_from(first, count);
    clear(device, sums);
    pass.for_each_chunk([&](Chunk at) {
      pass.primal(device, at);
      pass.tangent_forward(device, at, count, 0);
      pass.residual_tangent(device, at, count);
      pass.tangent_backward(device, at, count, 0, adding_to<T>(device, sums, true, count));
    });
    add_partitions<T, double>(
        device, {.sums = sums.rows_from(0, count), .scale = op.scale, .out = op.out.rows_from(first, count)});
  });
}

template <class T>
void loss_tangents(CudaDevice& device, const NetworkLossTangents<T>& op) {
  auto [pass, sums, totals, bytes] = plan(op, op.scratch.data());
  pass.parameters = for_all(op.parameters);
  for_each_block(op.vectors.rows, pass.tangents, [&](Index first, Index count) {
    pass.vectors = op.vectors.rows_from(first, count);
    pass.for_each_chunk([&](Chunk at) {
      pass.primal(device, at);
      pass.tangent_forward(device, at, count, 0);
      pass.residual_tangent(device, at, count, {op.out.data + first, op.out.rows, count, op.out.stride});
    });
  });
}

template <class T>
void input_gradients(CudaDevice& device, const NetworkInputGradients<T>& op) {
  auto [pass, sums, totals, bytes] = plan(op, op.scratch.data());
  const Index inputs = op.shape.input_size();
  pass.parameters = for_all(op.parameters);
  for_each_block(op.vectors.rows, pass.tangents, [&](Index first, Index count) {
    pass.vectors = op.vectors.rows_from(first, count);
    pass.for_each_chunk([&](Chunk at) {
      pass.primal(device, at);
      pass.tangent_forward(device, at, count, 0);
      pass.residual_tangent(device, at, count);
      pass.tangent_backward(device, at, count, 0, [](const Layer<T>&) {});
      pass.maps[0].delta_tangent = {op.out.row(first) + at.first * inputs, op.out.stride, inputs};
      layer_delta_tangent(device, pass.layer(0, at.count), count);
    });
  });
}

namespace {

/// The Hessian's rows for the parameters of layer `from`: unit vectors have no tangent below it, and no weights'
/// tangents above it.
template <class T>
void hessian_of_layer(CudaDevice& device, const NetworkHessian<T>& op, Plan<T>& plan_of, int from) {
  auto& pass = plan_of.pass;
  const Convolution layer = pass.layer(from, 0).shape;
  for_each_block(layer.weights() + layer.out, pass.tangents, [&](Index first, Index count) {
    clear(device, plan_of.sums);
    const auto add = adding_to<T>(device, plan_of.sums, true, count);
    pass.for_each_chunk([&](Chunk at) {
      pass.primal(device, at);
      unit_tangent(device, pass.layer(from, at.count), first, count);
      pass.tangent_forward(device, at, count, from + 1);
      pass.residual_tangent(device, at, count);
      pass.tangent_backward(device, at, count, from, [&](Layer<T> above) {
        if (above.shape.weight == layer.weight) above.input.tangent = {};
        add(above);
      });
    });
    hessian_rows<T, double>(device, {plan_of.sums.rows_from(0, count), count, layer.weight + first, op.scale, op.out});
  });
}

}  // namespace

template <class T>
void hessian(CudaDevice& device, const NetworkHessian<T>& op) {
  Plan<T> plan_of = plan(op, op.scratch.data());
  plan_of.pass.parameters = for_all(op.parameters);
  for (int from = 0; from <= op.shape.convolutions; ++from) hessian_of_layer(device, op, plan_of, from);
}

template <class T>
std::size_t scratch(const NetworkForward<T>& op) {
  return plan(op, nullptr).bytes;
}
template <class T>
std::size_t scratch(const NetworkGradient<T>& op) {
  return plan(op, nullptr).bytes;
}
template <class T>
std::size_t scratch(const NetworkHessianProduct<T>& op) {
  return plan(op, nullptr).bytes;
}
template <class T>
std::size_t scratch(const NetworkLossTangents<T>& op) {
  return plan(op, nullptr).bytes;
}
template <class T>
std::size_t scratch(const NetworkExampleGradients<T>& op) {
  return plan(op, nullptr).bytes;
}
template <class T>
std::size_t scratch(const NetworkInputGradients<T>& op) {
  return plan(op, nullptr).bytes;
}
template <class T>
std::size_t scratch(const NetworkHessian<T>& op) {
  return plan(op, nullptr).bytes;
}

template void forward(CudaDevice&, const NetworkForward<float>&);
template std::size_t scratch(const NetworkForward<float>&);
template void gradient(CudaDevice&, const NetworkGradient<float>&);
template std::size_t scratch(const NetworkGradient<float>&);
template void hessian_product(CudaDevice&, const NetworkHessianProduct<float>&);
template std::size_t scratch(const NetworkHessianProduct<float>&);
template void loss_tangents(CudaDevice&, const NetworkLossTangents<float>&);
template std::size_t scratch(const NetworkLossTangents<float>&);
template void example_gradients(CudaDevice&, const NetworkExampleGradients<float>&);
template std::size_t scratch(const NetworkExampleGradients<float>&);
template void input_gradients(CudaDevice&, const NetworkInputGradients<float>&);
template std::size_t scratch(const NetworkInputGradients<float>&);
template void hessian(CudaDevice&, const NetworkHessian<float>&);
template std::size_t scratch(const NetworkHessian<float>&);
template void forward(CudaDevice&, const NetworkForward<double>&);
template std::size_t scratch(const NetworkForward<double>&);
template void gradient(CudaDevice&, const NetworkGradient<double>&);
template std::size_t scratch(const NetworkGradient<double>&);
template void hessian_product(CudaDevice&, const NetworkHessianProduct<double>&);
template std::size_t scratch(const NetworkHessianProduct<double>&);
template void loss_tangents(CudaDevice&, const NetworkLossTangents<double>&);
template std::size_t scratch(const NetworkLossTangents<double>&);
template void example_gradients(CudaDevice&, const NetworkExampleGradients<double>&);
template std::size_t scratch(const NetworkExampleGradients<double>&);
template void input_gradients(CudaDevice&, const NetworkInputGradients<double>&);
template std::size_t scratch(const NetworkInputGradients<double>&);
template void hessian(CudaDevice&, const NetworkHessian<double>&);
template std::size_t scratch(const NetworkHessian<double>&);

}  // namespace clout::cuda::layered
