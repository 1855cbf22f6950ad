#pragma once
// Numbers whose squares may leave float64's range.

#include <span>

namespace clout {

/// The power of two in which the largest of `values` is between 1 and 2 (as far as its inverse is a number); 1 where
/// all are zero or one is not finite.
double binary_unit(std::span<const double> values);

/// Euclidean, of numbers of any size: squares are summed in units of their own.
double scaled_norm(std::span<const double> values);

}  // namespace clout
