#pragma once
// How well a network does.

#include <clout/models/conv_net.hpp>
#include <vector>

namespace clout {

struct NetworkScore {
  double loss;      ///< mean over the examples, without weights or regulariser
  double accuracy;  ///< share of the examples whose largest logit is their label's
};

/// At `theta` ([p], host) on the net's own examples.
NetworkScore network_score(ConvNet<double>& net, const std::vector<double>& theta);

}  // namespace clout
