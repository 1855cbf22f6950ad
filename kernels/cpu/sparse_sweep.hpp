#pragma once
// Products with an X that is stored without its zeros: what linear_sweep and linear_forward are for `sparse`.

#include <clout/kernels/device.hpp>
#include <clout/kernels/operations.hpp>

namespace clout::cpu {

template <class T>
void sparse_sweep(Device& device, const LinearSweep<T>& op);
template <class T>
std::size_t sparse_sweep_scratch(const Device& device, const LinearSweep<T>& op);
template <class T>
void sparse_forward(Device& device, const LinearForward<T>& op);

}  // namespace clout::cpu
