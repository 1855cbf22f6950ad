#pragma once
// Random problems of softmax regression, and the naive reference for what the kernels do with them.

#include <algorithm>
#include <random>

#include "backend.hpp"
#include "bounded.hpp"

namespace clout::test {

struct Shape {
  Index n, d, classes, k;
  bool bias;

  /// As it is tested: under simt, less of it.
  Shape scaled() const {
    if (!kSmall) return *this;
    return {std::min<Index>(n, 37), std::min<Index>(d, 37), std::min<Index>(classes, 33), std::min<Index>(k, 9), bias};
  }
  LinearShape linear() const { return {d, classes, bias}; }
};
inline std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "n " << s.n << ", d " << s.d << ", K " << s.classes << ", k " << s.k << (s.bias ? ", bias" : "");
}

inline const std::vector<Shape> kShapes = {
    {1, 1, 2, 1, false},    {1, 13, 7, 1, true},     {5, 13, 2, 3, true},     {97, 13, 7, 1, false},
    {60, 785, 10, 1, true}, {131, 40, 33, 2, false}, {50, 785, 10, 8, false}, {64, 16, 3, 17, true},
    {333, 29, 10, 9, true}, {40, 7, 100, 1, false},  {30, 20, 10, 64, false}, {700, 3, 4, 2, true},
};

/// Everything on the host. Features are bytes or values; both are kept so that a reference can read either.
template <class T>
struct Problem {
  Shape shape;
  bool use_bytes;
  T feature_scale;
  std::vector<std::uint8_t> bytes;   // [n][d]
  std::vector<T> values;             // [n][d]
  std::vector<T> vectors;            // [k][p]
  std::vector<T> probabilities;      // [n][K], rows sum to 1 to rounding
  std::vector<T> residuals;          // [n][k·K]
  std::vector<std::int32_t> labels;  // [n]
  std::vector<T> weights;            // [n], or empty: all 1
  std::vector<Index> excluded_rows;  // [m], sorted
  std::vector<std::int32_t> excluded_vectors;

  Index parameters() const { return shape.linear().parameters(); }
  Real stored(Index row, Index column) const {
    const Index at = row * shape.d + column;
    return use_bytes ? static_cast<Real>(bytes[at]) : static_cast<Real>(values[at]);
  }
  /// Feature f of an example as the kernels mean it, the bias's 1 at f = d.
  Bounded<T> feature(Index row, Index f) const {
    return f == shape.d ? Bounded<T>(1) : Bounded<T>(feature_scale) * Bounded<T>(stored(row, f));
  }
  Index width() const { return shape.d + (shape.bias ? 1 : 0); }
  /// Where (class, feature or bias) is in a parameter vector.
  Index parameter(Index c, Index f) const { return f == shape.d ? shape.classes * shape.d + c : c * shape.d + f; }
  bool is_excluded(Index row, Index j) const {
    for (std::size_t e = 0; e < excluded_rows.size(); ++e)
      if (excluded_rows[e] == row && excluded_vectors[e] == j) return true;
    return false;
  }
};

struct Options {
  bool bytes = true, weights = false, exclusions = false;
  double vector_size = 1;
};

template <class T>
Problem<T> random_problem(const Shape& shape, const Options& options, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  const auto uniform = [&](double low, double high) {
    return static_cast<T>(std::uniform_real_distribution<double>(low, high)(random));
  };
  Problem<T> p{.shape = shape,
               .use_bytes = options.bytes,
               .feature_scale = options.bytes ? T(1) / T(255) : T(0.75),
               .bytes = {},
               .values = {},
               .vectors = {},
               .probabilities = {},
               .residuals = {},
               .labels = {},
               .weights = {},
               .excluded_rows = {},
               .excluded_vectors = {}};
  for (Index i = 0; i < shape.n * shape.d; ++i) {
    p.bytes.push_back(random() % 4 == 0 ? static_cast<std::uint8_t>(random()) : std::uint8_t{0});
    p.values.push_back(uniform(-1, 1));
  }
  for (Index i = 0; i < shape.k * p.parameters(); ++i)
    p.vectors.push_back(uniform(-options.vector_size, options.vector_size));
  for (Index i = 0; i < shape.n; ++i) {
    std::vector<Real> row;
    Real sum = 0;
    for (Index c = 0; c < shape.classes; ++c) sum += row.emplace_back(std::exp(uniform(-4, 4)));
    for (const Real q : row) p.probabilities.push_back(static_cast<T>(q / sum));
    p.labels.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(shape.classes)));
    if (options.weights) p.weights.push_back(random() % 3 == 0 ? T(0) : uniform(0, 2));
    for (std::int32_t j = 0; options.exclusions && j < shape.k; ++j)
      if (random() % 5 == 0) {
        p.excluded_rows.push_back(i);
        p.excluded_vectors.push_back(j);
      }
  }
  for (Index i = 0; i < shape.n * shape.k * shape.classes; ++i) p.residuals.push_back(uniform(-1, 1));
  return p;
}

/// The device's copy of a problem.
template <class T>
struct OnDevice {
  Buffer<std::uint8_t> bytes;
  Buffer<T> values, vectors, probabilities, residuals, weights;
  Buffer<std::int32_t> labels, excluded_vectors;
  Buffer<Index> excluded_rows;
  FeatureView<T> features;
  MatrixView<const T> vector_view, probability_view;
  Exclusions exclusions;

  OnDevice(Device& device, const Problem<T>& p)
      : bytes(device, std::span(p.bytes)),
        values(device, std::span(p.values)),
        vectors(device, std::span(p.vectors)),
        probabilities(device, std::span(p.probabilities)),
        residuals(device, std::span(p.residuals)),
        weights(device, std::span(p.weights)),
        labels(device, std::span(p.labels)),
        excluded_vectors(device, std::span(p.excluded_vectors)),
        excluded_rows(device, std::span(p.excluded_rows)) {
    features = {.values = p.use_bytes ? nullptr : values.data(),
                .bytes = p.use_bytes ? bytes.data() : nullptr,
                .rows = p.shape.n,
                .columns = p.shape.d,
                .scale = p.feature_scale};
    vector_view = vectors.view(p.shape.k, p.parameters());
    probability_view = probabilities.view(p.shape.n, p.shape.classes);
    exclusions = {excluded_rows.data(), excluded_vectors.data(), static_cast<Index>(p.excluded_rows.size())};
  }
};

/// z = X vⱼ (+ bias) of one example, per class.
template <class T>
std::vector<Bounded<T>> logits(const Problem<T>& p, Index row, Index j) {
  std::vector<Bounded<T>> z;
  for (Index c = 0; c < p.shape.classes; ++c) {
    BoundedSum<T> sum;
    for (Index f = 0; f < p.width(); ++f)
      sum += p.feature(row, f) * Bounded<T>(p.vectors[j * p.parameters() + p.parameter(c, f)]);
    z.push_back(sum.total());
  }
  return z;
}

/// softmax(z), the largest logit subtracted first.
template <class T>
std::vector<Bounded<T>> softmax(std::vector<Bounded<T>> z) {
  const auto largest = *std::max_element(z.begin(), z.end(), [](auto& a, auto& b) { return a.value < b.value; });
  BoundedSum<T> sum;
  for (auto& entry : z) sum += entry = exp(entry - largest);
  for (auto& entry : z) entry = entry / sum.total();
  return z;
}

/// Row `row` of the probabilities as exact numbers.
template <class T>
std::vector<Bounded<T>> given_probabilities(const Problem<T>& p, Index row) {
  const auto first = p.probabilities.begin() + row * p.shape.classes;
  return {first, first + p.shape.classes};
}

/// p ∘ (z − (p·z)1).
template <class T>
std::vector<Bounded<T>> tangent(const std::vector<Bounded<T>>& p, std::vector<Bounded<T>> z) {
  BoundedSum<T> mean;
  for (std::size_t c = 0; c < p.size(); ++c) mean += p[c] * z[c];
  for (std::size_t c = 0; c < p.size(); ++c) z[c] = p[c] * (z[c] - mean.total());
  return z;
}

}  // namespace clout::test
