#pragma once
// The specification of a network as people write it.

#include <clout/kernels/network.hpp>
#include <string>

namespace clout {

/// Reads {"input":[C,H,W],"layers":[{"conv":{"out":8,"kernel":3,"stride":1}},…,{"mean_pool":{}},{"linear":{"out":10}}]}
/// (stride 1 where it is left out): one convolution or more, each followed by tanh, then mean_pool, then linear.
/// Throws InvalidInput, one line that names the layer: something unknown or missing, a number out of range, a kernel
/// larger than its map, layers in another order.
NetworkShape parse_network(const std::string& text);

/// parse_network of a file; messages begin with its path.
NetworkShape read_network(const std::string& path);

}  // namespace clout
