#include <algorithm>
#include <clout/models/linear_model.hpp>
#include <cmath>
#include <limits>

namespace clout {
namespace {

constexpr Index kRowBlock = 4096;  // rows of X on the host at once
// Changes of a logit beside another below this part of what the row can make them are none: directions are known to
// about that.
constexpr double kNoChange = 1e-6;
constexpr double kUnit = std::numeric_limits<double>::epsilon();

/// The largest |x| of each feature, 0 where all are 0: [d].
template <class T>
std::vector<double> feature_sizes(const Dataset<T>& data) {
  std::vector<double> sizes(static_cast<std::size_t>(data.features()));
  for (Index first = 0; first < data.examples(); first += kRowBlock) {
    const std::vector<double> x = data.host_features(first, std::min(kRowBlock, data.examples() - first));
    for (std::size_t i = 0; i < x.size(); ++i)
      sizes[i % sizes.size()] = std::max(sizes[i % sizes.size()], std::abs(x[i]));
  }
  return sizes;
}

}  // namespace

// No loss rises along v, and some fall, where (v_y − v_c)·x ≥ 0 for every example and class, not all of them zero (Albert &
// Anderson 1984). Features in units of their largest values, so that their scales do not matter. On the host: it is
// asked for once or twice in a training without a regulariser. One output is that of class 1 beside 0 for class 0.
template <class T>
std::string LinearModel<T>::obstacle_along(MatrixView<const T> direction) {
  const auto d = static_cast<std::size_t>(shape_.features), classes = static_cast<std::size_t>(shape_.classes);
  const std::vector<T> v = to_host(device(), direction);
  const std::vector<double> sizes = feature_sizes(data_);
  const auto bias = [&](std::size_t c) { return shape_.bias ? static_cast<double>(v[classes * d + c]) : 0.0; };
  double largest = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    largest = std::max(largest, std::abs(bias(c)));
    for (std::size_t f = 0; f < d; ++f) largest = std::max(largest, sizes[f] * std::abs(static_cast<double>(v[c * d + f])));
  }
  bool falls = false, separates = true;  // strictly, to rounding: then nothing smaller matters
  const std::size_t implied = classes == 1 ? 1 : 0;  // classes whose output is always 0
  std::vector<double> z(implied + classes), sizes_of_terms(z.size());
  for (Index first = 0; first < examples(); first += kRowBlock) {
    const Index count = std::min(kRowBlock, examples() - first);
    const std::vector<double> x = data_.host_features(first, count);
    for (Index i = 0; i < count; ++i) {
      if (data_.weight(first + i) == 0) continue;
      const double* row = x.data() + static_cast<std::size_t>(i) * d;
      double reach = shape_.bias ? largest : 0;  // what the row could change a logit by
      for (std::size_t f = 0; f < d; ++f) reach += sizes[f] > 0 ? std::abs(row[f]) / sizes[f] * largest : 0;
      for (std::size_t c = 0; c < classes; ++c) {
        double& output = z[implied + c] = bias(c);
        double& size = sizes_of_terms[implied + c] = std::abs(output);
        for (std::size_t f = 0; f < d; ++f) {
          const double term = static_cast<double>(v[c * d + f]) * row[f];
          output += term;
          size += std::abs(term);
        }
      }
      const auto label = static_cast<std::size_t>(data_.host_labels()[static_cast<std::size_t>(first + i)]);
      for (std::size_t other = 0; other < z.size(); ++other) {
        if (other == label) continue;
        const double margin = z[label] - z[other];
        const double rounding = kUnit * static_cast<double>(d + 2) * (sizes_of_terms[label] + sizes_of_terms[other]);
        separates = separates && margin > rounding;
        if (margin < -kNoChange * reach) return {};
        falls = falls || margin > kNoChange * reach;
      }
    }
  }
  if (!falls && !separates) return {};
  return "classes are separable, so without a regulariser the parameters run away and there is no minimum; raise --l2";
}

template std::string LinearModel<float>::obstacle_along(MatrixView<const float>);
template std::string LinearModel<double>::obstacle_along(MatrixView<const double>);

}  // namespace clout
