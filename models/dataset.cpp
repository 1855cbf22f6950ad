#include <algorithm>
#include <clout/models/dataset.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

namespace clout {

template <class T>
Dataset<T>::Dataset(Device& device, std::span<const std::int32_t> labels, Index features, Index classes)
    : device_(&device), examples_(static_cast<Index>(labels.size())), features_(features), classes_(classes) {
  require(examples_ > 0, "data: there are no examples; expected at least one");
  require(features > 0, "data: examples have no features; expected at least one");
  require(classes >= 2, "data: " + std::to_string(classes) + " classes; expected at least 2");
  set_labels(labels);
  total_weight_ = static_cast<double>(examples_);
}

template <class T>
void Dataset<T>::set_labels(std::span<const std::int32_t> labels) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0 || labels[i] >= classes_)
      throw InvalidInput("label [" + std::to_string(i) + "] is " + std::to_string(labels[i]) + "; expected 0 to " +
                         std::to_string(classes_ - 1));
  labels_ = std::make_shared<Buffer<std::int32_t>>(*device_, labels);
  host_labels_ = std::make_shared<std::vector<std::int32_t>>(labels.begin(), labels.end());
}

template <class T>
Dataset<T> Dataset<T>::from_bytes(Device& device, std::span<const std::uint8_t> bytes,
                                  std::span<const std::int32_t> labels, Index features, Index classes) {
  Dataset data(device, labels, features, classes);
  require(static_cast<Index>(bytes.size()) == data.examples_ * features,
          "data: " + std::to_string(bytes.size()) + " feature bytes for " + std::to_string(labels.size()) +
              " labels; expected " + std::to_string(data.examples_ * features));
  data.bytes_ = std::make_shared<Buffer<std::uint8_t>>(device, bytes);
  return data;
}

template <class T>
Dataset<T> Dataset<T>::from_values(Device& device, std::span<const double> values,
                                   std::span<const std::int32_t> labels, Index features, Index classes) {
  Dataset data(device, labels, features, classes);
  require(static_cast<Index>(values.size()) == data.examples_ * features,
          "data: " + std::to_string(values.size()) + " feature values for " + std::to_string(labels.size()) +
              " labels; expected " + std::to_string(data.examples_ * features));
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]) || !std::isfinite(static_cast<T>(values[i])))
      throw InvalidInput("feature [" + std::to_string(i / static_cast<std::size_t>(features)) + "][" +
                         std::to_string(i % static_cast<std::size_t>(features)) + "] is " + std::to_string(values[i]) +
                         "; expected a finite number of the working precision");
  const std::vector<T> rounded(values.begin(), values.end());
  data.values_ = std::make_shared<Buffer<T>>(device, std::span<const T>(rounded));
  return data;
}

namespace {

/// Throws InvalidInput, naming the row, unless each holds ascending columns and finite numbers.
void check_rows(const SparseRows<double>& x) {
  const auto name = [](Index row) { return "data: row " + std::to_string(row); };
  require(!x.starts.empty() && x.starts.front() == 0 && x.starts.back() == static_cast<Index>(x.values.size()) &&
              x.places.size() == x.values.size(),
          "data: rows without zeros: expected starts from 0 to the number of entries, each with a column and a value");
  require(x.columns <= std::numeric_limits<std::uint32_t>::max(), "data: more than 2³² − 1 features");
  for (Index row = 0; row < x.rows(); ++row) {
    const Index first = x.starts[static_cast<std::size_t>(row)], last = x.starts[static_cast<std::size_t>(row + 1)];
    if (first > last || last > x.starts.back())
      throw InvalidInput(name(row) + " ends before it begins; expected ascending starts");
    for (Index at = first; at < last; ++at) {
      const Index place = x.places[static_cast<std::size_t>(at)];
      if (place >= x.columns || (at > first && place <= x.places[static_cast<std::size_t>(at - 1)]))
        throw InvalidInput(name(row) + " has column " + std::to_string(place) +
                           " there; expected ascending columns below " + std::to_string(x.columns));
      if (!std::isfinite(x.values[static_cast<std::size_t>(at)]))
        throw InvalidInput(name(row) + ", column " + std::to_string(place) + ": expected a finite number");
    }
  }
}

template <class T>
std::shared_ptr<const SparseStorage<T>> store_rows(Device& device, const SparseRows<double>& x) {
  if constexpr (std::is_same_v<T, double>) return std::make_shared<SparseStorage<T>>(device, x);
  else
    return std::make_shared<SparseStorage<T>>(
        device, SparseRows<T>{x.columns, x.starts, x.places, {x.values.begin(), x.values.end()}});
}

}  // namespace

template <class T>
Dataset<T> Dataset<T>::from_sparse(Device& device, SparseRows<double> x, std::span<const std::int32_t> labels,
                                   Index classes) {
  check_rows(x);
  Dataset data(device, labels, x.columns, classes);
  require(x.rows() == data.examples_, "data: " + std::to_string(x.rows()) + " rows for " +
                                          std::to_string(labels.size()) + " labels; expected one for each");
  data.rows_ = std::make_shared<SparseRows<double>>(std::move(x));
  data.sparse_values_ = store_rows<T>(device, *data.rows_);
  return data;
}

template <class T>
template <class U>
Dataset<U> Dataset<T>::as() const {
  if constexpr (std::is_same_v<T, U>) return *this;
  else return converted<U>();
}

template <class T>
template <class U>
Dataset<U> Dataset<T>::converted() const {
  Dataset<U> other(*device_, *host_labels_, features_, classes_);
  if (rows_) {
    other.rows_ = rows_;
    other.sparse_values_ = store_rows<U>(*device_, *rows_);
  }
  other.bytes_ = bytes_;
  other.sparse_bytes_ = sparse_bytes_;
  if (values_) {
    const std::vector<T> host = values_->to_host();
    const std::vector<U> rounded(host.begin(), host.end());
    other.values_ = std::make_shared<Buffer<U>>(*device_, std::span<const U>(rounded));
    if (sparse_values_)
      other.sparse_values_ =
          std::make_shared<SparseStorage<U>>(*device_, std::span<const U>(rounded), examples_, features_);
  }
  return host_weights_.empty() ? other : other.with_weights(host_weights_);
}

template <class T>
Dataset<T> Dataset<T>::with_weights(std::span<const double> weights) const {
  require(static_cast<Index>(weights.size()) == examples_, "example weights: " + std::to_string(weights.size()) +
                                                               " for " + std::to_string(examples_) + " examples");
  Dataset other = *this;
  other.host_weights_.assign(weights.begin(), weights.end());
  other.total_weight_ = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    require(std::isfinite(weights[i]) && weights[i] >= 0, "example weight [" + std::to_string(i) + "] is " +
                                                              std::to_string(weights[i]) +
                                                              "; expected a finite number, not negative");
    other.total_weight_ += weights[i];
  }
  require(other.total_weight_ > 0, "example weights: all are zero; expected at least one above");
  require(std::isfinite(other.total_weight_), "example weights: their sum is beyond float64; expected smaller ones");
  other.weight_unit_ = std::exp2(std::ilogb(*std::max_element(weights.begin(), weights.end())));
  std::vector<T> rounded;
  for (const double weight : weights) rounded.push_back(static_cast<T>(weight / other.weight_unit_));
  other.weights_ = std::make_shared<Buffer<T>>(*device_, std::span<const T>(rounded));
  return other;
}

template <class T>
Dataset<T> Dataset<T>::with_labels(std::span<const std::int32_t> labels) const {
  require(static_cast<Index>(labels.size()) == examples_, "labels: " + std::to_string(labels.size()) + " for " +
                                                              std::to_string(examples_) + " examples");
  Dataset other = *this;
  other.set_labels(labels);
  return other;
}

template <class T>
Dataset<T> Dataset<T>::with_storage(Storage storage) const {
  if (rows_) {
    require(storage != Storage::dense, "data: is there without its zeros alone; expected another storage than dense");
    return *this;
  }
  Dataset other = *this;
  other.sparse_bytes_ = nullptr;
  other.sparse_values_ = nullptr;
  const bool is_automatic = storage == Storage::automatic;
  if (storage == Storage::dense || (is_automatic && !device_->info().is_host)) return other;
  const auto store = [&]<class V>(const Buffer<V>& from, std::shared_ptr<const SparseStorage<V>>& to) {
    const std::vector<V> x = from.to_host();
    if (is_automatic) {
      const Index entries = count_entries<V>(x);
      const std::size_t left = device_->memory_limit() - device_->used_memory();
      if (static_cast<double>(entries) > kMostDensity * static_cast<double>(x.size()) ||
          SparseStorage<V>::bytes_for(examples_, features_, entries) > left / 2)
        return;
    }
    to = std::make_shared<SparseStorage<V>>(*device_, std::span<const V>(x), examples_, features_);
  };
  if (bytes_) store(*bytes_, other.sparse_bytes_);
  else store(*values_, other.sparse_values_);
  return other;
}

template <class T>
double Dataset<T>::density() const {
  if (rows_)
    return static_cast<double>(count_entries<double>(rows_->values)) /
           (static_cast<double>(examples_) * static_cast<double>(features_));
  const auto part = [&]<class V>(const std::vector<V>& x) {
    return static_cast<double>(count_entries<V>(x)) / static_cast<double>(x.size());
  };
  return bytes_ ? part(bytes_->to_host()) : part(values_->to_host());
}

template <class T>
SparseFeatures<T> Dataset<T>::sparse_view() const {
  if (sparse_bytes_) return sparse_bytes_->template view<T>();
  return sparse_values_ ? sparse_values_->template view<T>() : SparseFeatures<T>{};
}

template <class T>
FeatureView<T> Dataset<T>::product_view() const {
  return is_whole() ? view() : FeatureView<T>{.rows = examples_, .columns = features_};
}

template <class T>
FeatureView<T> Dataset<T>::view() const {
  require(is_whole(), "data: is there without its zeros alone; expected all of it for what is asked");
  FeatureView<T> view{.rows = examples_, .columns = features_};
  if (bytes_) {
    view.bytes = bytes_->data();
    view.scale = static_cast<T>(1.0 / 255.0);
  } else {
    view.values = values_->data();
  }
  return view;
}

template <class T>
std::vector<double> Dataset<T>::host_features(Index first, Index count) const {
  std::vector<double> features(static_cast<std::size_t>(count * features_));
  if (rows_) {
    for (Index row = 0; row < count; ++row)
      for (auto at = static_cast<std::size_t>(rows_->starts[static_cast<std::size_t>(first + row)]);
           at < static_cast<std::size_t>(rows_->starts[static_cast<std::size_t>(first + row + 1)]); ++at)
        features[static_cast<std::size_t>(row * features_ + rows_->places[at])] = rows_->values[at];
    return features;
  }
  const auto copy = [&]<class U>(const U* from, double scale) {
    std::vector<U> stored(features.size());
    device_->copy_to_host(stored.data(), from + first * features_, stored.size() * sizeof(U));
    for (std::size_t i = 0; i < stored.size(); ++i) features[i] = scale * static_cast<double>(stored[i]);
  };
  if (bytes_) copy(bytes_->data(), 1.0 / 255.0);
  else copy(values_->data(), 1.0);
  return features;
}

template <class T>
std::vector<double> Dataset<T>::input_norms() const {
  constexpr Index kRows = 1024;
  std::vector<double> norms;
  for (Index first = 0; first < examples_; first += kRows) {
    const Index count = std::min(kRows, examples_ - first);
    const std::vector<double> x = host_features(first, count);
    for (Index row = 0; row < count; ++row) {
      double squares = 0;
      for (Index i = 0; i < features_; ++i) {
        const double value = x[static_cast<std::size_t>(row * features_ + i)];
        squares += value * value;
      }
      norms.push_back(std::sqrt(squares));
    }
  }
  return norms;
}

template class Dataset<float>;
template class Dataset<double>;
template Dataset<float> Dataset<float>::as<float>() const;
template Dataset<double> Dataset<float>::as<double>() const;
template Dataset<float> Dataset<double>::as<float>() const;
template Dataset<double> Dataset<double>::as<double>() const;

}  // namespace clout
