#pragma once
// A small convolutional network with data, the same for the oracle and for the product.

#include <clout/models/conv_net.hpp>
#include <random>

#include "oracle/network_oracle.hpp"
#include "support/logistic_case.hpp"

namespace clout::test {

/// Everything is drawn in float, so that both precisions and the oracle start from the same numbers.
class NetworkCase {
 public:
  explicit NetworkCase(std::size_t examples, bool weighted = false, unsigned seed = 1) : random_(seed) {
    problem_.network = {1, 9, 8, {{3, 3, 1}, {4, 3, 2}}, 3};
    problem_.examples = examples;
    for (std::size_t i = 0; i < examples * problem_.network.inputs(); ++i) problem_.x.push_back(normal(1));
    for (std::size_t i = 0; i < examples; ++i) {
      problem_.labels.push_back(static_cast<int>(i % problem_.network.classes));
      if (weighted) problem_.weights.push_back(i % 4 == 3 ? 0 : static_cast<float>(1 + i % 3));
    }
    theta_ = vector(0.4);
  }

  const oracle::NetworkProblem& problem() const { return problem_; }
  const oracle::Vector& theta() const { return theta_; }
  std::size_t parameters() const { return oracle::parameters(problem_.network); }
  double l2() const { return 0.0625; }
  oracle::Vector vector(double scale = 1) {
    oracle::Vector v(parameters());
    for (long double& value : v) value = normal(scale);
    return v;
  }
  /// λ v on weights, 0 on biases.
  oracle::Vector regularizer(const oracle::Vector& v) const {
    oracle::Vector result(v.size());
    for (const oracle::Layer& layer : oracle::layers_of(problem_.network))
      for (std::size_t i = layer.weights; i < layer.biases; ++i) result[i] = l2() * v[i];
    return result;
  }
  static NetworkShape shape() { return NetworkBuilder(1, 9, 8).add(3, 3, 1).add(4, 3, 2).finish(3); }

  template <class T>
  std::unique_ptr<ConvNet<T>> model(Device& device, Curvature curvature = Curvature::hessian) const {
    return make_model<T>(device, problem_, l2(), curvature);
  }
  template <class T>
  std::unique_ptr<ConvNet<T>> make_model(Device& device, const oracle::NetworkProblem& problem, double l2,
                                         Curvature curvature = Curvature::hessian) const {
    const std::vector<std::int32_t> labels(problem.labels.begin(), problem.labels.end());
    Dataset<T> data = Dataset<T>::from_values(device, to_double(problem.x), labels, shape().input_size(), 3);
    if (!problem.weights.empty()) data = data.with_weights(to_double(problem.weights));
    auto net = std::make_unique<ConvNet<T>>(std::move(data), shape(), l2, curvature);
    const std::vector<T> theta(theta_.begin(), theta_.end());
    const Buffer<T> on_device(device, std::span<const T>(theta));
    net->set_parameters(on_device.view(1, net->parameters()));
    return net;
  }

 private:
  float normal(double scale) { return static_cast<float>(std::normal_distribution<double>(0, scale)(random_)); }

  std::mt19937_64 random_;
  oracle::NetworkProblem problem_;
  oracle::Vector theta_;
};

}  // namespace clout::test
