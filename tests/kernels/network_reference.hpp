#pragma once
// What every operation of a convolutional network should give: the oracle's derivatives of single examples, put
// together as network_operations.hpp says.

#include "network_run.hpp"
#include "spread.hpp"

namespace clout::test {

/// In the number type S: T for the naive code in T, Spread<T> for the exact result and its error's size.
template <class S, class T>
class NetworkReference {
 public:
  explicit NetworkReference(const NetworkProblem<T>& problem) : problem_(problem) {}

  std::vector<S> forward() const {
    std::vector<S> out;
    for (Index place = 0; place < problem_.options.m; ++place)
      for (Index j = 0; j < problem_.k(); ++j)
        append(out, oracle::forward(network(), parameters(j), input(place)).logits);
    return out;
  }
  std::vector<S> gradient(double scale) const {
    std::vector<S> out;
    for (Index j = 0; j < problem_.k(); ++j) {
      std::vector<S> sum(static_cast<std::size_t>(problem_.p()));
      Real weights = 0;
      for (Index place = 0; place < problem_.options.m; ++place) {
        const Index example = problem_.example(place);
        if (problem_.is_excluded(example, j)) continue;
        add(sum, example, derivatives(place, j).by_parameters);
        weights += static_cast<Real>(problem_.weight(example));
      }
      const S factor = scale != 0 ? rounded(scale) : rounded(weights > 0 ? 1 / weights : 0);
      for (S& entry : sum) out.push_back(factor * entry);
    }
    return out;
  }
  std::vector<S> product(Curvature curvature, double scale) const {
    std::vector<S> out;
    for (Index j = 0; j < problem_.k(); ++j) {
      std::vector<S> sum(static_cast<std::size_t>(problem_.p()));
      for (Index place = 0; place < problem_.options.m; ++place)
        add(sum, problem_.example(place),
            curvature == Curvature::hessian
                ? tangents(place, j).by_parameters
                : oracle::gauss_newton_product(network(), parameters(0), vector(j), input(place)));
      for (S& entry : sum) out.push_back(rounded(scale) * entry);
    }
    return out;
  }
  std::vector<S> loss_tangents() const {
    std::vector<S> out;
    for (Index place = 0; place < problem_.options.m; ++place)
      for (Index j = 0; j < problem_.k(); ++j)
        out.push_back(oracle::loss_tangent(network(), parameters(0), vector(j), input(place), label(place)));
    return out;
  }
  std::vector<S> example_gradients() const {
    std::vector<S> out;
    for (Index place = 0; place < problem_.options.m; ++place) append(out, derivatives(place, 0).by_parameters);
    return out;
  }
  std::vector<S> input_gradients() const {
    std::vector<S> out;
    for (Index j = 0; j < problem_.k(); ++j)
      for (Index place = 0; place < problem_.options.m; ++place) append(out, tangents(place, j).by_inputs);
    return out;
  }

 private:
  const oracle::Network& network() const { return problem_.options.network; }
  static S rounded(Real value) {
    if constexpr (std::is_same_v<S, T>) return static_cast<T>(value);
    else return S::rounded(value);
  }
  static std::vector<S> as_numbers(const T* first, Index count) {
    std::vector<S> result;
    for (Index i = 0; i < count; ++i) result.push_back(S(first[i]));
    return result;
  }
  std::vector<S> parameters(Index j) const { return as_numbers(&problem_.parameters[j * problem_.p()], problem_.p()); }
  std::vector<S> vector(Index j) const { return as_numbers(&problem_.vectors[j * problem_.p()], problem_.p()); }
  std::vector<S> input(Index place) const {
    const Index d = problem_.shape.input_size(), first = problem_.example(place) * d;
    std::vector<S> result;
    for (Index at = first; at < first + d; ++at)
      result.push_back(S(problem_.feature_scale) *
                       S(problem_.options.bytes ? static_cast<T>(problem_.bytes[at]) : problem_.values[at]));
    return result;
  }
  int label(Index place) const { return problem_.labels[problem_.example(place)]; }
  oracle::Derivatives<S> derivatives(Index place, Index j) const {
    if (problem_.targets.empty())
      return oracle::loss_derivatives(network(), parameters(j), input(place), label(place));
    return oracle::cross_entropy_derivatives(network(), parameters(j), input(place), target(place));
  }
  std::vector<S> target(Index place) const {
    const Index classes = problem_.shape.classes, first = problem_.example(place) * classes;
    return as_numbers(&problem_.targets[first], classes);
  }
  oracle::Derivatives<S> tangents(Index place, Index j) const {
    if (!problem_.targets.empty())
      return oracle::cross_entropy_derivative_tangents(network(), parameters(0), vector(j), input(place), target(place));
    return oracle::loss_derivative_tangents(network(), parameters(0), vector(j), input(place), label(place));
  }
  void add(std::vector<S>& sum, Index example, const std::vector<S>& of_example) const {
    const S weight(problem_.weight(example));
    for (std::size_t a = 0; a < sum.size(); ++a) sum[a] += weight * of_example[a];
  }
  static void append(std::vector<S>& out, const std::vector<S>& part) {
    out.insert(out.end(), part.begin(), part.end());
  }

  const NetworkProblem<T>& problem_;
};

/// The reference for one operation: `of` calls it on a NetworkReference.
template <class T, class Of>
Closeness<T> network_closeness(const NetworkProblem<T>& problem, const Of& of) {
  return {of(NetworkReference<Spread<T>, T>(problem)), of(NetworkReference<T, T>(problem))};
}

/// An operation on the device against its reference; `of` calls it, on a NetworkRun as on a NetworkReference.
template <class T, class Of>
void compare_network(Device& device, const NetworkProblem<T>& problem, const Of& of) {
  std::ostringstream what;
  what << problem.options;
  expect_close(of(NetworkRun<T>(device, problem)), network_closeness(problem, of), what.str());
}

}  // namespace clout::test
