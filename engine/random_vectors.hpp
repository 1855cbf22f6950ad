#pragma once
// Normal numbers, and random vectors that look at an operator: from a counter-based generator, the same on every
// backend.

#include <clout/kernels/philox.hpp>
#include <cmath>
#include <numbers>

namespace clout {

/// Standard normal, by Box and Muller's cosine half: one number for two draws, so that no state is left over.
inline double random_normal(RandomSequence& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

/// Who draws from RandomStream::probes, each from a section of its own; of traces, every block of probes.
enum class ProbeSection : std::uint32_t { lissa_start = 0, lissa_examples = 1, lanczos_start = 2, nystrom = 3, traces = 16 };

inline RandomSequence probe_sequence(std::uint64_t seed, ProbeSection section, std::uint32_t block = 0) {
  return RandomSequence(seed, RandomStream::probes, static_cast<std::uint32_t>(section) + block);
}

/// Vectors of −1 and 1, times `size`: [count][p].
template <class T>
std::vector<T> random_signs(RandomSequence random, Index count, Index p, double size = 1) {
  std::vector<T> values(static_cast<std::size_t>(count * p));
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < values.size(); ++i, bits >>= 1) {
    if (i % 32 == 0) bits = random.next();
    values[i] = static_cast<T>((bits & 1) != 0 ? size : -size);
  }
  return values;
}

/// Uniform on the unit sphere: [p].
template <class T>
std::vector<T> random_direction(RandomSequence random, Index p) {
  std::vector<double> normals(static_cast<std::size_t>(p));
  double squares = 0;
  for (double& value : normals) {
    value = random_normal(random);
    squares += value * value;
  }
  std::vector<T> direction;
  for (const double value : normals) direction.push_back(static_cast<T>(value / std::sqrt(squares)));
  return direction;
}

}  // namespace clout
