#pragma once
// A trained network without its top layer, whose outputs are features of images.

#include <clout/kernels/network_operations.hpp>
#include <clout/models/dataset.hpp>

namespace clout {

/// What a network makes of an image before its linear layer: φ(x), the means of the last map's channels.
class FrozenNetwork {
 public:
  /// `parameters`: [p] of `shape`; those of the linear layer are left aside.
  FrozenNetwork(const NetworkShape& shape, std::span<const double> parameters);

  Index features() const { return shape_.pooled; }
  Index input_size() const { return shape_.input_size(); }
  /// φ(xᵢ) of all images: [n][features].
  std::vector<double> features_of(const Dataset<double>& images) const;
  /// J(xᵢ)ᵀ uᵢ, J = dφ/dx, from u, [n][features]: [n][d].
  std::vector<double> pull_back(const Dataset<double>& images, std::span<const double> u) const;
  /// J(xᵢ) of `count` images from `first` on, by rows of J: [features][count][d].
  std::vector<double> jacobians(const Dataset<double>& images, Index first, Index count) const;

 private:
  /// ∇ₓ(vⱼ·∇θℓᵢ) below a linear layer of zeros, with `targets`, [count][features], in the labels' place: [k][count][d].
  std::vector<double> input_gradients(const Dataset<double>& images, Index first, Index count,
                                      const std::vector<double>& vectors, const std::vector<double>& targets) const;
  NetworkBatch<double> batch(const Dataset<double>& images, Index first, Index count) const;

  NetworkShape shape_;         // the same, with a class for each feature
  std::vector<double> theta_;  // with a linear layer of zeros
};

}  // namespace clout
