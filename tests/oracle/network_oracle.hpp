#pragma once

#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <utility>
#include <vector>

#include "oracle/dense.hpp"
#include "oracle/dual.hpp"
#include "oracle/logistic_oracle.hpp"

/// An all-convolutional network as naive scalar code, templated on the number type. Only the first derivative is
/// written by hand, as the adjoint of each multiply-add; second derivatives come from running it with dual numbers, and
/// the self-test holds it to duals of the forward pass alone. Shares no line with the product.
namespace oracle {

/// Valid convolutions with a bias and tanh, the mean over the last map's pixels, a linear layer with a bias, softmax
/// cross-entropy. θ in PyTorch's order: layer by layer [out][in][kernel][kernel] weights, then [out]; at the end
/// [classes][channels], then [classes].
struct Network {
  struct Convolution {
    std::size_t channels = 1, kernel = 1, stride = 1;  // channels that come out
  };
  std::size_t channels = 1, height = 1, width = 1;  // of the input
  std::vector<Convolution> convolutions{};
  std::size_t classes = 2;

  std::size_t inputs() const { return channels * height * width; }
};

struct Map {
  std::size_t channels = 0, height = 0, width = 0;

  std::size_t size() const { return channels * height * width; }
  std::size_t at(std::size_t c, std::size_t y, std::size_t x) const { return (c * height + y) * width + x; }
};

struct Layer {
  Map in{}, out{};
  std::size_t kernel = 1, stride = 1;
  std::size_t weights = 0, biases = 0;  // where they begin in θ
};

/// The convolutions in order, and at the end the linear layer as a 1×1 convolution of the map of means.
inline std::vector<Layer> layers_of(const Network& network) {
  std::vector<Layer> result;
  Map map{network.channels, network.height, network.width};
  std::size_t parameters = 0;
  const auto add = [&](const Network::Convolution& convolution) {
    if (convolution.kernel > map.height || convolution.kernel > map.width)
      throw std::invalid_argument("oracle: the kernel is larger than the map");
    const Map out{convolution.channels, 0, 0};
    Layer layer{map, out, convolution.kernel, convolution.stride, parameters, 0};
    for (std::size_t y = 0; y + layer.kernel <= map.height; y += layer.stride) ++layer.out.height;
    for (std::size_t x = 0; x + layer.kernel <= map.width; x += layer.stride) ++layer.out.width;
    layer.biases = layer.weights + layer.out.channels * map.channels * layer.kernel * layer.kernel;
    parameters = layer.biases + layer.out.channels;
    map = layer.out;
    result.push_back(layer);
  };
  for (const Network::Convolution& convolution : network.convolutions) add(convolution);
  map.height = map.width = 1;
  add({network.classes, 1, 1});
  return result;
}

inline std::size_t parameters(const Network& network) {
  const Layer last = layers_of(network).back();
  return last.biases + last.out.channels;
}

/// Calls f(output, weight, input) for every multiply-add of a layer; the weight's number is that in θ.
template <class F>
void for_each_product(const Layer& layer, const F& f) {
  for (std::size_t o = 0; o < layer.out.channels; ++o)
    for (std::size_t y = 0; y < layer.out.height; ++y)
      for (std::size_t x = 0; x < layer.out.width; ++x) {
        std::size_t weight = layer.weights + o * layer.in.channels * layer.kernel * layer.kernel;
        for (std::size_t i = 0; i < layer.in.channels; ++i)
          for (std::size_t v = 0; v < layer.kernel; ++v)
            for (std::size_t u = 0; u < layer.kernel; ++u)
              f(layer.out.at(o, y, x), weight++, layer.in.at(i, y * layer.stride + v, x * layer.stride + u));
      }
}

// ---- One example, for any number type -----------------------------------------------------------------------------

/// W ∗ h + b
template <class S>
std::vector<S> affine(const Layer& layer, const std::vector<S>& theta, const std::vector<S>& h) {
  std::vector<S> a(layer.out.size());
  for_each_product(layer, [&](std::size_t out, std::size_t w, std::size_t in) { a[out] += theta[w] * h[in]; });
  const std::size_t pixels = layer.out.height * layer.out.width;
  for (std::size_t out = 0; out < a.size(); ++out) a[out] += theta[layer.biases + out / pixels];
  return a;
}

template <class S>
struct Activations {
  std::vector<Layer> layers{};
  std::vector<std::vector<S>> maps{};  // the input, then every convolution's tanh
  std::vector<S> means{};              // of the last map's channels
  std::vector<S> logits{};
};

template <class S>
Activations<S> forward(const Network& network, const std::vector<S>& theta, const std::vector<S>& x) {
  using std::tanh;
  if (theta.size() != parameters(network)) throw std::invalid_argument("oracle: parameter vector of the wrong size");
  if (x.size() != network.inputs()) throw std::invalid_argument("oracle: input of the wrong size");
  Activations<S> result{layers_of(network), {x}, {}, {}};
  const std::size_t convolutions = network.convolutions.size();
  for (std::size_t l = 0; l < convolutions; ++l) {
    std::vector<S> h = affine(result.layers[l], theta, result.maps[l]);
    for (S& entry : h) entry = tanh(entry);
    result.maps.push_back(h);
  }
  const std::vector<S>& last = result.maps.back();
  const std::size_t channels = result.layers.back().in.channels, pixels = last.size() / channels;
  result.means.resize(channels);
  for (std::size_t at = 0; at < last.size(); ++at) result.means[at / pixels] += last[at];
  for (S& mean : result.means) mean = mean / S(static_cast<long double>(pixels));
  result.logits = affine(result.layers.back(), theta, result.means);
  return result;
}

template <class S>
std::vector<S> softmax(const std::vector<S>& logits) {
  using std::exp;
  S top = logits[0], sum{};
  for (const S& a : logits)
    if (a > top) top = a;
  std::vector<S> result;
  for (const S& a : logits) sum += result.emplace_back(exp(a - top));
  for (S& p : result) p = p / sum;
  return result;
}

/// The loss by the logits: p − e_y.
template <class S>
std::vector<S> residual(const std::vector<S>& logits, int label) {
  std::vector<S> result = softmax(logits);
  result.at(static_cast<std::size_t>(label)) -= S(1.0L);
  return result;
}

/// A function of the logits by parameters, [p], and by inputs, [d].
template <class S>
struct Derivatives {
  std::vector<S> by_parameters{}, by_inputs{};
};

/// Every a += w·h of the forward pass becomes w̄ += ā·h and h̄ += ā·w. `by_logits` is the function's derivative by the
/// logits: p − e_y for the loss.
template <class S>
Derivatives<S> backward(const Activations<S>& forward, const std::vector<S>& theta, std::vector<S> by_logits) {
  Derivatives<S> result{std::vector<S>(theta.size()), {}};
  const auto through = [&](const Layer& layer, const std::vector<S>& h, const std::vector<S>& by_outputs) {
    std::vector<S> by_inputs(h.size());
    for_each_product(layer, [&](std::size_t out, std::size_t w, std::size_t in) {
      result.by_parameters[w] += by_outputs[out] * h[in];
      by_inputs[in] += by_outputs[out] * theta[w];
    });
    const std::size_t pixels = layer.out.height * layer.out.width;
    for (std::size_t out = 0; out < by_outputs.size(); ++out)
      result.by_parameters[layer.biases + out / pixels] += by_outputs[out];
    return by_inputs;
  };
  const std::vector<S> by_means = through(forward.layers.back(), forward.means, by_logits);
  const std::size_t pixels = forward.maps.back().size() / by_means.size();
  std::vector<S> by_map(forward.maps.back().size());
  for (std::size_t at = 0; at < by_map.size(); ++at)
    by_map[at] = by_means[at / pixels] / S(static_cast<long double>(pixels));
  for (std::size_t l = forward.maps.size() - 1; l-- > 0;) {
    const std::vector<S>& h = forward.maps[l + 1];
    for (std::size_t at = 0; at < h.size(); ++at) by_map[at] = by_map[at] * (S(1.0L) - h[at] * h[at]);
    by_map = through(forward.layers[l], forward.maps[l], by_map);
  }
  result.by_inputs = by_map;
  return result;
}

/// ∇ℓ by parameters and by inputs.
template <class S>
Derivatives<S> loss_derivatives(const Network& network, const std::vector<S>& theta, const std::vector<S>& x,
                                int label) {
  const Activations<S> activations = forward(network, theta, x);
  return backward(activations, theta, residual(activations.logits, label));
}

/// The same of the cross entropy −Σ t_c log p_c with a distribution t in the label's place.
template <class S>
Derivatives<S> cross_entropy_derivatives(const Network& network, const std::vector<S>& theta, const std::vector<S>& x,
                                         const std::vector<S>& target) {
  const Activations<S> activations = forward(network, theta, x);
  std::vector<S> by_logits = softmax(activations.logits);
  for (std::size_t c = 0; c < target.size(); ++c) by_logits[c] -= target[c];
  return backward(activations, theta, by_logits);
}

template <class S>
Derivatives<S> tangents_of(const Derivatives<Dual<S>>& dual) {
  Derivatives<S> result;
  for (const Dual<S>& entry : dual.by_parameters) result.by_parameters.push_back(entry.tangent);
  for (const Dual<S>& entry : dual.by_inputs) result.by_inputs.push_back(entry.tangent);
  return result;
}

/// Their derivatives along v: (∇²θℓ)v and ∇ₓ(v·∇θℓ).
template <class S>
Derivatives<S> loss_derivative_tangents(const Network& network, const std::vector<S>& theta, const std::vector<S>& v,
                                        const std::vector<S>& x, int label) {
  return tangents_of(loss_derivatives(network, seeded(theta, v), std::vector<Dual<S>>(x.begin(), x.end()), label));
}

/// The same of the cross entropy.
template <class S>
Derivatives<S> cross_entropy_derivative_tangents(const Network& network, const std::vector<S>& theta,
                                                 const std::vector<S>& v, const std::vector<S>& x,
                                                 const std::vector<S>& target) {
  return tangents_of(cross_entropy_derivatives(network, seeded(theta, v), std::vector<Dual<S>>(x.begin(), x.end()),
                                               std::vector<Dual<S>>(target.begin(), target.end())));
}

/// The logits' tangent Jv, and with it, R{p} = (diag p − ppᵀ)Jv.
template <class S>
std::vector<S> probability_tangents(const Network& network, const std::vector<S>& theta, const std::vector<S>& v,
                                    const std::vector<S>& x) {
  const auto dual = softmax(forward(network, seeded(theta, v), std::vector<Dual<S>>(x.begin(), x.end())).logits);
  std::vector<S> result;
  for (const Dual<S>& entry : dual) result.push_back(entry.tangent);
  return result;
}

/// Jᵀ(diag p − ppᵀ)Jv
template <class S>
std::vector<S> gauss_newton_product(const Network& network, const std::vector<S>& theta, const std::vector<S>& v,
                                    const std::vector<S>& x) {
  return backward(forward(network, theta, x), theta, probability_tangents(network, theta, v, x)).by_parameters;
}

/// v·∇ℓ = (p − e_y)·Jv
template <class S>
S loss_tangent(const Network& network, const std::vector<S>& theta, const std::vector<S>& v, const std::vector<S>& x,
               int label) {
  const auto dual = forward(network, seeded(theta, v), std::vector<Dual<S>>(x.begin(), x.end())).logits;
  std::vector<S> logits;
  for (const Dual<S>& entry : dual) logits.push_back(entry.value);
  const std::vector<S> by_logits = residual(logits, label);
  S sum{};
  for (std::size_t c = 0; c < logits.size(); ++c) sum += by_logits[c] * dual[c].tangent;
  return sum;
}

// ---- Many examples, in long double --------------------------------------------------------------------------------

/// (1/W) Σ wᵢ ℓᵢ(θ), W = Σ wᵢ. Without regulariser: its derivatives are the caller's to add.
struct NetworkProblem {
  Network network{};
  std::size_t examples = 0;
  Vector x{};                 // [examples][inputs]
  std::vector<int> labels{};  // [examples]
  Vector weights{};           // [examples]; empty: all 1

  long double weight(std::size_t i) const { return weights.empty() ? 1 : weights.at(i); }
  long double total_weight() const {
    long double total = 0;
    for (std::size_t i = 0; i < examples; ++i) total += weight(i);
    return total;
  }
  Vector input(std::size_t i) const {
    Vector result;
    for (std::size_t j = 0; j < network.inputs(); ++j) result.push_back(x.at(i * network.inputs() + j));
    return result;
  }
};

/// [n]
inline Vector losses(const NetworkProblem& problem, const Vector& theta) {
  Vector result;
  for (std::size_t i = 0; i < problem.examples; ++i)
    result.push_back(cross_entropy(forward(problem.network, theta, problem.input(i)).logits, problem.labels.at(i)));
  return result;
}

/// [n][p]
inline Matrix example_gradients(const NetworkProblem& problem, const Vector& theta) {
  Matrix result;
  for (std::size_t i = 0; i < problem.examples; ++i)
    result.push_back(loss_derivatives(problem.network, theta, problem.input(i), problem.labels.at(i)).by_parameters);
  return result;
}

/// (1/W) Σ wᵢ f(i), f(i) a vector of [p]
template <class F>
Vector weighted_mean(const NetworkProblem& problem, const F& f) {
  Vector result(parameters(problem.network));
  const long double total = problem.total_weight();
  for (std::size_t i = 0; i < problem.examples; ++i) result = add_scaled(result, problem.weight(i) / total, f(i));
  return result;
}

/// [p]
inline Vector gradient(const NetworkProblem& problem, const Vector& theta) {
  return weighted_mean(problem, [&](std::size_t i) {
    return loss_derivatives(problem.network, theta, problem.input(i), problem.labels.at(i)).by_parameters;
  });
}

/// [p]
inline Vector hvp(const NetworkProblem& problem, const Vector& theta, const Vector& v) {
  return weighted_mean(problem, [&](std::size_t i) {
    return loss_derivative_tangents(problem.network, theta, v, problem.input(i), problem.labels.at(i)).by_parameters;
  });
}

/// [p]: with the Gauss-Newton matrix in the Hessian's place
inline Vector gauss_newton(const NetworkProblem& problem, const Vector& theta, const Vector& v) {
  return weighted_mean(
      problem, [&](std::size_t i) { return gauss_newton_product(problem.network, theta, v, problem.input(i)); });
}

/// [n]: v·∇θℓᵢ
inline Vector tangent(const NetworkProblem& problem, const Vector& theta, const Vector& v) {
  Vector result;
  for (std::size_t i = 0; i < problem.examples; ++i)
    result.push_back(loss_tangent(problem.network, theta, v, problem.input(i), problem.labels.at(i)));
  return result;
}

/// [n][d] of one vector: ∇ₓ(v·∇θℓᵢ)
inline Vector perturb(const NetworkProblem& problem, const Vector& theta, const Vector& v) {
  Vector result;
  for (std::size_t i = 0; i < problem.examples; ++i)
    for (const long double entry :
         loss_derivative_tangents(problem.network, theta, v, problem.input(i), problem.labels.at(i)).by_inputs)
      result.push_back(entry);
  return result;
}

}  // namespace oracle
