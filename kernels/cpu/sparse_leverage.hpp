#pragma once
// Leverages from X without its zeros.

#include <clout/kernels/device.hpp>
#include <clout/kernels/operations.hpp>

namespace clout::cpu {

/// linear_leverages from op.sparse.
template <class T>
void sparse_leverages(Device&, const LinearLeverages<T>&);
template <class T>
std::size_t sparse_leverages_scratch(const LinearLeverages<T>&);

}  // namespace clout::cpu
