#pragma once
// A data set on a device: features, labels, example weights.

#include <clout/kernels/device.hpp>
#include <clout/kernels/operations.hpp>
#include <clout/kernels/sparse_features.hpp>
#include <memory>
#include <span>
#include <vector>

namespace clout {

/// How sweeps over the data read X: as it is, or a second copy of it without its zeros.
enum class Storage { automatic, dense, sparse };

/// Storage::automatic is sparse on the CPU where at most this part of X is not zero: beyond it, or on a GPU, whose
/// libraries multiply dense matrices at many times the rate of anything else, X as it is goes faster.
inline constexpr double kMostDensity = 0.4;

/// n labelled examples with d features each, in device memory. 8-bit features stay 8-bit and are shared between
/// precisions and copies; the value meant is byte/255. Copying a Dataset shares its features and labels.
template <class T>
class Dataset {
 public:
  /// `bytes` [n][d], `labels` [n] in 0…classes−1. Throws InvalidInput naming the first label outside.
  static Dataset from_bytes(Device& device, std::span<const std::uint8_t> bytes, std::span<const std::int32_t> labels,
                            Index features, Index classes);
  /// `values` [n][d]; rounded to T where T is float. NaN and infinity are refused, naming the first place.
  static Dataset from_values(Device& device, std::span<const double> values, std::span<const std::int32_t> labels,
                             Index features, Index classes);
  /// Rows without their zeros, and never with them: what needs all of X throws InvalidInput (see view()). Throws
  /// InvalidInput, naming the first row, where entries are not in order or outside, or not finite.
  static Dataset from_sparse(Device& device, SparseRows<double> x, std::span<const std::int32_t> labels, Index classes);
  /// The same data for another precision; bytes are shared, values are converted (so start from double: what was
  /// rounded to float stays rounded). For this one: a copy, which shares all.
  template <class U>
  Dataset<U> as() const;

  /// The same examples with weights wᵢ ≥ 0, not all zero: [n].
  Dataset with_weights(std::span<const double> weights) const;

  /// The same examples with other labels: [n] in 0…classes−1.
  Dataset with_labels(std::span<const std::int32_t> labels) const;

  /// The same examples stored so. Automatic: sparse by kMostDensity, unless that took more than half of what the
  /// device's memory limit leaves.
  Dataset with_storage(Storage storage) const;
  bool is_sparse() const { return sparse_bytes_ || sparse_values_; }
  /// Whether X is there with its zeros: view().
  bool is_whole() const { return !rows_; }
  /// Whether X is stored in 8 bits, which precisions share.
  bool has_bytes() const { return bytes_ != nullptr; }
  /// Part of X that is not zero.
  double density() const;

  Device& device() const { return *device_; }
  Index examples() const { return examples_; }
  Index features() const { return features_; }
  Index classes() const { return classes_; }
  /// X as it is. Throws InvalidInput where there are only the rows without their zeros.
  FeatureView<T> view() const;
  /// What a product reads beside sparse_view(): sizes alone where X is not whole.
  FeatureView<T> product_view() const;
  /// The same without zeros, where it is stored so.
  SparseFeatures<T> sparse_view() const;
  const std::int32_t* labels() const { return labels_->data(); }
  /// Device memory, [n], or null where all weights are 1; in units of weight_unit().
  const T* weights() const { return weights_ ? weights_->data() : nullptr; }
  double weight(Index i) const { return host_weights_.empty() ? 1.0 : host_weights_[static_cast<std::size_t>(i)]; }
  double total_weight() const { return total_weight_; }
  /// The power of two that the device's weights are divided by, so that the largest is in [1, 2) and neither it nor
  /// 1/W leaves the range of T.
  double weight_unit() const { return weight_unit_; }
  const std::vector<std::int32_t>& host_labels() const { return *host_labels_; }
  /// The features of examples first … first + count − 1, as the model sees them: [count][d].
  std::vector<double> host_features(Index first, Index count) const;
  /// ‖xᵢ‖₂ of every example: [n].
  std::vector<double> input_norms() const;

 private:
  template <class U>
  friend class Dataset;
  template <class U>
  Dataset<U> converted() const;
  void set_labels(std::span<const std::int32_t> labels);
  Dataset(Device& device, std::span<const std::int32_t> labels, Index features, Index classes);

  Device* device_ = nullptr;
  Index examples_ = 0, features_ = 0, classes_ = 0;
  std::shared_ptr<const Buffer<std::uint8_t>> bytes_;
  std::shared_ptr<const Buffer<T>> values_;
  std::shared_ptr<const SparseRows<double>> rows_;  // on the host; of from_sparse
  std::shared_ptr<const SparseStorage<std::uint8_t>> sparse_bytes_;
  std::shared_ptr<const SparseStorage<T>> sparse_values_;
  std::shared_ptr<const Buffer<std::int32_t>> labels_;
  std::shared_ptr<const std::vector<std::int32_t>> host_labels_;
  std::shared_ptr<const Buffer<T>> weights_;
  std::vector<double> host_weights_;
  double total_weight_ = 0, weight_unit_ = 1;
};

}  // namespace clout
