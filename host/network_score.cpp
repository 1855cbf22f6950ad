#include <algorithm>
#include <clout/host/network_score.hpp>

namespace clout {

NetworkScore network_score(ConvNet<double>& net, const std::vector<double>& theta) {
  const Index n = net.examples(), classes = net.shape().classes;
  const Buffer<double> parameters(net.device(), std::span<const double>(theta));
  Buffer<double> logits(net.device(), n * classes), losses(net.device(), n);
  net.logits_at(parameters.view(1, net.parameters()), 0, logits.view(n, classes));
  net.losses_at(parameters.view(1, net.parameters()), losses.view(n, 1));
  const std::vector<double> host = logits.to_host();
  NetworkScore score{0, 0};
  for (const double loss : losses.to_host()) score.loss += loss / static_cast<double>(n);
  Index right = 0;
  for (Index i = 0; i < n; ++i) {
    const auto first = host.begin() + i * classes;
    right += std::max_element(first, first + classes) - first == net.data().host_labels()[static_cast<std::size_t>(i)];
  }
  score.accuracy = static_cast<double>(right) / static_cast<double>(n);
  return score;
}

}  // namespace clout
