#include <algorithm>
#include <clout/host/frozen_network.hpp>
#include <clout/kernels/error.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

constexpr Index kBlock = 256;  // images that are on the device at once beside their features

/// Runs an operation of the kernel table with scratch of its own.
template <class Operation>
void run(Device& device, void (*entry)(Device&, const Operation&),
         std::size_t (*scratch)(const Device&, const Operation&), Operation op) {
  Buffer<std::byte> memory(device, static_cast<Index>(scratch(device, op)));
  op.scratch = {memory.data(), static_cast<std::size_t>(memory.size())};
  entry(device, op);
}

}  // namespace

FrozenNetwork::FrozenNetwork(const NetworkShape& shape, std::span<const double> parameters) : shape_(shape) {
  require(std::ssize(parameters) == shape.parameters(), "a network's parameters: " + std::to_string(parameters.size()) +
                                                            "; expected " + std::to_string(shape.parameters()));
  shape_.classes = shape.pooled;
  shape_.bias = shape_.weight + Index{shape.pooled} * shape.pooled;
  theta_.assign(parameters.begin(), parameters.begin() + shape_.weight);
  theta_.resize(static_cast<std::size_t>(shape_.parameters()));
}

NetworkBatch<double> FrozenNetwork::batch(const Dataset<double>& images, Index first, Index count) const {
  require(images.features() == input_size(), "images of a network: " + std::to_string(images.features()) +
                                                 " numbers each; expected " + std::to_string(input_size()));
  return {.features = images.view().rows_from(first, count), .labels = images.labels() + first, .count = count};
}

// Logits below the identity are the features, to the last bit.
std::vector<double> FrozenNetwork::features_of(const Dataset<double>& images) const {
  Device& device = images.device();
  const Index n = images.examples(), width = features();
  std::vector<double> identity = theta_;
  for (Index f = 0; f < width; ++f) identity[static_cast<std::size_t>(shape_.weight + f * (width + 1))] = 1;
  const Buffer<double> theta(device, std::span<const double>(identity));
  Buffer<double> logits(device, n * width);
  run(device, device.kernels<double>().network_forward, device.kernels<double>().network_forward_scratch,
      NetworkForward<double>{shape_, batch(images, 0, n), theta.view(1, std::ssize(identity)), logits.view(n, width), {}});
  return logits.to_host();
}

// Below a linear layer W = 0 every logit is 0, every probability 1/K, and ∇ₓ(v·∇θℓ) = Jᵀ Vᵀ(1/K − t), V the part of v
// that stands at W: Jᵀu with V = I and t = 1/K − u.
std::vector<double> FrozenNetwork::pull_back(const Dataset<double>& images, std::span<const double> u) const {
  const Index n = images.examples(), width = features(), d = input_size();
  require(std::ssize(u) == n * width, "cotangents of features: " + std::to_string(u.size()) + "; expected " +
                                          std::to_string(n * width));
  std::vector<double> vector(theta_.size());
  for (Index f = 0; f < width; ++f) vector[static_cast<std::size_t>(shape_.weight + f * (width + 1))] = 1;
  std::vector<double> all;
  for (Index first = 0; first < n; first += kBlock) {
    const Index count = std::min(kBlock, n - first);
    std::vector<double> targets, units;
    for (Index i = first; i < first + count; ++i) {  // in units of their own, beside which 1/K loses nothing
      const auto row = u.subspan(static_cast<std::size_t>(i * width), static_cast<std::size_t>(width));
      double unit = 0;
      for (const double value : row) unit = std::max(unit, std::abs(value));
      units.push_back(unit);
      for (const double value : row) targets.push_back(1.0 / static_cast<double>(width) - (unit > 0 ? value / unit : 0));
    }
    std::vector<double> some = input_gradients(images, first, count, vector, targets);
    for (std::size_t at = 0; at < some.size(); ++at) some[at] *= units[at / static_cast<std::size_t>(d)];
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::vector<double> FrozenNetwork::jacobians(const Dataset<double>& images, Index first, Index count) const {
  const Index width = features(), p = shape_.parameters();
  std::vector<double> vectors(static_cast<std::size_t>(width * p));  // one entry of W's first row each
  for (Index f = 0; f < width; ++f) vectors[static_cast<std::size_t>(f * p + shape_.weight + f)] = 1;
  const std::vector<double> targets(static_cast<std::size_t>(count * width), 1.0 / static_cast<double>(width) - 1);
  return input_gradients(images, first, count, vectors, targets);
}

std::vector<double> FrozenNetwork::input_gradients(const Dataset<double>& images, Index first, Index count,
                                                   const std::vector<double>& vectors,
                                                   const std::vector<double>& targets) const {
  Device& device = images.device();
  const Index p = shape_.parameters(), k = std::ssize(vectors) / p, size = count * input_size();
  const Buffer<double> theta(device, std::span<const double>(theta_)), v(device, std::span<const double>(vectors));
  const Buffer<double> held_to(device, std::span<const double>(targets));
  Buffer<double> out(device, k * size);
  NetworkBatch<double> some = batch(images, first, count);
  some.targets = held_to.data();
  run(device, device.kernels<double>().network_input_gradients, device.kernels<double>().network_input_gradients_scratch,
      NetworkInputGradients<double>{shape_, some, theta.view(1, p), v.view(k, p), out.view(k, size), {}});
  return out.to_host();
}

}  // namespace clout
