#pragma once
// A trained network without its top layer, whose outputs are features of images.

#include <clout/kernels/network.hpp>
#include <clout/models/conv_net.hpp>

namespace clout {

/// What a network makes of an image before its linear layer: the means of the last map's channels.
class FrozenNetwork {
 public:
  /// `parameters`: [p] of `shape`; those of the linear layer are left aside.
  FrozenNetwork(const NetworkShape& shape, std::span<const double> parameters);

  Index features() const { return two_.pooled; }
  Index input_size() const { return two_.input_size(); }
  /// φ(x) of images with two classes of labels: [n][features].
  std::vector<double> features_of(const Dataset<double>& images) const;

 private:
  NetworkShape two_;           // the same below a linear layer for two classes
  std::vector<double> theta_;  // with zeros there
};

}  // namespace clout
