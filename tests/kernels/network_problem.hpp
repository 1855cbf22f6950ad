#pragma once
// Random problems of a convolutional network, and the networks that the tests go through.

#include <clout/kernels/network_operations.hpp>
#include <ostream>
#include <random>

#include "backend.hpp"
#include "oracle/network_oracle.hpp"

namespace clout::test {

/// The product's description of the oracle's network: built from the same list, checked against its count.
inline NetworkShape shape_of(const oracle::Network& network) {
  NetworkBuilder builder(static_cast<int>(network.channels), static_cast<int>(network.height),
                         static_cast<int>(network.width));
  for (const auto& layer : network.convolutions) {
    EXPECT_TRUE(builder.fits(static_cast<int>(layer.kernel)));
    builder.add(static_cast<int>(layer.channels), static_cast<int>(layer.kernel), static_cast<int>(layer.stride));
  }
  const NetworkShape shape = builder.finish(static_cast<int>(network.classes));
  EXPECT_EQ(shape.parameters(), static_cast<Index>(oracle::parameters(network)));
  return shape;
}

inline oracle::Network paper() {
  return {1, 28, 28, {{8, 3, 1}, {8, 3, 2}, {8, 3, 1}, {8, 3, 2}, {8, 3, 1}, {10, 1, 1}}, 10};
}
/// Five of the paper's layers, smaller: for what takes a pass per parameter.
inline oracle::Network small_paper() { return {1, 13, 13, {{3, 3, 1}, {4, 3, 2}, {3, 3, 1}, {5, 1, 1}}, 3}; }

/// One problem: how many examples there are, how many are in the batch, what comes with them.
struct NetworkOptions {
  const char* name = "";
  oracle::Network network{};
  Index n = 1, m = 1, k = 1;
  bool gathered = false;  // rows in odd order, the first of them twice
  bool bytes = true;
  bool weights = false;
  bool strided = false;  // matrices whose rows stand apart
};
inline std::ostream& operator<<(std::ostream& out, const NetworkOptions& o) {
  return out << o.name << ": n " << o.n << ", m " << o.m << ", k " << o.k << (o.gathered ? ", gathered" : "")
             << (o.bytes ? ", bytes" : ", values") << (o.weights ? ", weights" : "") << (o.strided ? ", strided" : "");
}

// ThreadSanitizer as a race detector makes simulated threads an order of magnitude slower still: there one shape of each
// path is enough, the values are compared elsewhere.
#ifdef __SANITIZE_THREAD__
inline constexpr bool kRacesOnly = true;
#else
inline constexpr bool kRacesOnly = false;
#endif

/// What every operation is compared on.
inline std::vector<NetworkOptions> network_options() {
  const std::size_t wide = kSmall ? 17 : 33;
  std::vector<NetworkOptions> all = {
      {"paper", paper(), 3, 3, 3, true, true, true, false},
      {"paper, one example", paper(), 1, 1, 1, false, false, false, true},
      {"colour, 5×5", {3, 12, 11, {{6, 5, 1}, {7, 5, 2}}, 10}, 6, 5, 3, true, true, true, true},
      {"stride 3, not square", {2, 14, 10, {{5, 4, 3}, {3, 2, 1}}, 4}, 11, 7, 8, false, false, true, false},
      {"flat, unused border", {1, 7, 70, {{3, 3, 2}, {9, 3, 1}}, 3}, 9, 17, 9, true, true, false, true},
      {"one 1×1", {2, 5, 4, {{3, 1, 1}}, 2}, 13, 13, 8, true, false, true, false},
      {"a single number", {1, 1, 1, {{1, 1, 1}}, 2}, 2, 1, 9, false, false, false, false},
      {"kernel as large as the map", {1, 4, 4, {{3, 4, 1}}, 2}, 5, 5, 3, true, true, true, true},
      {"stride beyond the kernel", {2, 9, 8, {{4, 2, 3}, {5, 1, 2}}, 3}, 4, 4, 8, false, true, true, false},
      {"odd channels", {1, 8, 6, {{17, 3, 1}, {wide, 2, 1}}, 37}, 3, 3, 1, true, false, true, true},
      {"deep",
       {1, 3, 3, std::vector<oracle::Network::Convolution>(16, {2, 1, 1}), 3},
       3,
       4,
       3,
       true,
       false,
       true,
       true},
      {"many examples", {1, 6, 6, {{2, 3, 1}, {3, 2, 2}}, 3}, 250, kSmall ? 40 : 331, 3, true, true, true, false},
      {"many in order", {1, 5, 6, {{3, 2, 2}}, 2}, 300, kSmall ? 37 : 259, 8, false, false, true, true},
  };
  if (kRacesOnly) return {all[1], all[3]};
  return all;
}

/// Everything on the host.
template <class T>
struct NetworkProblem {
  NetworkOptions options{};
  NetworkShape shape{};
  T feature_scale = 1;
  std::vector<std::uint8_t> bytes{};   // [n][d]
  std::vector<T> values{};             // [n][d]
  std::vector<std::int32_t> labels{};  // [n]
  std::vector<T> targets{};            // [n][K], or empty: the labels
  std::vector<T> weights{};            // [n], or empty: all 1
  std::vector<Index> rows{};           // [m], or empty: 0…m−1
  std::vector<T> parameters{};         // [k][p]
  std::vector<T> vectors{};            // [k][p]
  std::vector<Index> excluded_rows{};  // sorted by row, then model
  std::vector<std::int32_t> excluded_models{};

  Index p() const { return shape.parameters(); }
  Index k() const { return options.k; }
  Index example(Index place) const { return rows.empty() ? place : rows[place]; }
  T weight(Index example) const { return weights.empty() ? T(1) : weights[example]; }
  bool is_excluded(Index example, Index model) const {
    for (std::size_t e = 0; e < excluded_rows.size(); ++e)
      if (excluded_rows[e] == example && excluded_models[e] == model) return true;
    return false;
  }
  void exclude(Index example, Index model) {  // in order
    excluded_rows.push_back(example);
    excluded_models.push_back(static_cast<std::int32_t>(model));
  }
  /// The same with another set of vectors.
  NetworkProblem with_vectors(std::vector<T> others) const {
    NetworkProblem result = *this;
    result.options.k = static_cast<Index>(others.size()) / p();
    result.vectors = std::move(others);
    return result;
  }
  std::vector<T> vector(Index j) const { return {vectors.begin() + j * p(), vectors.begin() + (j + 1) * p()}; }
};

/// Weights of size √(3 / fan-in), biases up to 0.3: every layer's a is of order 1, where tanh bends. Vectors are
/// multiples of 1/64 in −1…1, so that sums of a few of them are exact.
template <class T>
NetworkProblem<T> random_network_problem(const NetworkOptions& options, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  const auto uniform = [&](double low, double high) {
    return static_cast<T>(std::uniform_real_distribution<double>(low, high)(random));
  };
  NetworkProblem<T> problem{.options = options, .shape = shape_of(options.network)};
  problem.feature_scale = options.bytes ? T(1) / T(255) : T(0.75);
  for (Index i = 0; i < options.n * problem.shape.input_size(); ++i) {
    problem.bytes.push_back(random() % 4 == 0 ? std::uint8_t{0} : static_cast<std::uint8_t>(random()));
    problem.values.push_back(uniform(-1.5, 1.5));
  }
  for (Index i = 0; i < options.n; ++i) {
    problem.labels.push_back(static_cast<std::int32_t>(random() % options.network.classes));
    if (options.weights) problem.weights.push_back(i % 3 == 1 ? T(0) : uniform(0.25, 2));
  }
  for (Index i = 0; options.gathered && i < options.m; ++i) problem.rows.push_back((7 * i + 2) % options.n);
  if (options.gathered) problem.rows.back() = problem.rows.front();
  for (Index j = 0; j < options.k; ++j)
    for (const oracle::Layer& layer : oracle::layers_of(options.network)) {
      const double reach = std::sqrt(3 / static_cast<double>(layer.in.channels * layer.kernel * layer.kernel));
      for (std::size_t at = layer.weights; at < layer.biases; ++at)
        problem.parameters.push_back(uniform(-reach, reach));
      for (std::size_t c = 0; c < layer.out.channels; ++c) problem.parameters.push_back(uniform(-0.3, 0.3));
    }
  for (Index i = 0; i < options.k * problem.p(); ++i)
    problem.vectors.push_back(static_cast<T>(static_cast<int>(random() % 129) - 64) / 64);
  return problem;
}

/// Leaves out of each model about every fourth example, of the first model the batch's first one too (which, gathered,
/// is in the batch twice).
template <class T>
void exclude_some(NetworkProblem<T>& problem) {
  for (Index i = 0; i < problem.options.n; ++i)
    for (Index j = 0; j < problem.k(); ++j)
      if ((5 * i + 3 * j) % 4 == 1 || (j == 0 && i == problem.example(0))) problem.exclude(i, j);
}

/// Distributions in the labels' place: eighths, so that they sum to 1.
template <class T>
void add_targets(NetworkProblem<T>& problem) {
  const Index classes = problem.shape.classes;
  problem.targets.assign(static_cast<std::size_t>(problem.options.n * classes), T(0));
  for (Index i = 0; i < problem.options.n; ++i) {
    problem.targets[i * classes + i % classes] += T(0.625);
    problem.targets[i * classes + (i + 1) % classes] += T(0.375);
  }
}

}  // namespace clout::test
