#include <algorithm>
#include <clout/host/frozen_network.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <numeric>

namespace clout {
namespace {

constexpr Index kBlock = 64;  // images whose gradients are on the device at once

}  // namespace

FrozenNetwork::FrozenNetwork(const NetworkShape& shape, std::span<const double> parameters) : two_(shape) {
  require(std::ssize(parameters) == shape.parameters(), "a network's parameters: " + std::to_string(parameters.size()) +
                                                            "; expected " + std::to_string(shape.parameters()));
  two_.classes = 2;
  two_.bias = two_.weight + Index{2} * two_.pooled;
  theta_.assign(parameters.begin(), parameters.begin() + two_.weight);
  theta_.resize(static_cast<std::size_t>(two_.parameters()));
}

// Below a linear layer of zeros both classes have the probability 1/2, and the loss's gradient for the other class's weights
// is φ/2, to the last bit.
std::vector<double> FrozenNetwork::features_of(const Dataset<double>& images) const {
  ConvNet<double> net(images, two_, 0.0);
  const Index p = net.parameters(), n = images.examples();
  const Buffer<double> theta(images.device(), std::span<const double>(theta_));
  net.set_parameters(theta.view(1, p));
  Buffer<double> gradients(images.device(), std::min(kBlock, n) * p);
  std::vector<double> features;
  for (Index first = 0; first < n; first += kBlock) {
    const Index count = std::min(kBlock, n - first);
    std::vector<Index> rows(static_cast<std::size_t>(count));
    std::iota(rows.begin(), rows.end(), first);
    net.example_gradients(rows, gradients.view(count, p));
    const std::vector<double> host = to_host(images.device(), gradients.view(count, p));
    for (Index i = 0; i < count; ++i) {
      const std::int32_t other = 1 - images.host_labels()[static_cast<std::size_t>(first + i)];
      const auto begin = host.begin() + i * p + two_.weight + other * Index{two_.pooled};
      std::transform(begin, begin + two_.pooled, std::back_inserter(features), [](double half) { return 2 * half; });
    }
  }
  return features;
}

}  // namespace clout
