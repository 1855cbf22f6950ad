#include <algorithm>
#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/lissa_tuning.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

constexpr Index kLanczosSteps = 12;
constexpr Index kRightHandSides = 3;                      // that are looked at, beside the random vector
constexpr double kRitzMargin = 1.05;                      // Ritz values lie below the eigenvalue that they estimate
constexpr Index kMostExamples = 128, kLeastExamples = 8;  // whose traces are estimated
constexpr Index kSampleNumbers = Index{1} << 24;          // of memory for that, at most
constexpr double kNoiseFactor = 1.75;                     // performance.md, 3c: 1.5 to 2
constexpr double kNoiseShare = 0.25;                      // of λ_max/2, that batches leave to noise
constexpr double kLeastMargin = 1.1;                      // of σ over λ_max/2
constexpr double kForgetting = 2.3;                       // e^(−2.3) = 0.1
constexpr double kContraction = 0.25;                     // aimed at, by noise
constexpr double kLargestDepth = 1e9;
// Directions flatter than this part of λ_max are given up to rounding, or to the rounds.
constexpr double kFlattest = 1e-7;

/// Vectors of −1 and 1, times `size`: [count][p].
template <class T>
std::vector<T> signs(std::uint64_t seed, std::uint32_t section, Index count, Index p, double size) {
  RandomSequence random(seed, RandomStream::probes, section);
  std::vector<T> values(static_cast<std::size_t>(count * p));
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < values.size(); ++i, bits >>= 1) {
    if (i % 32 == 0) bits = random.next();
    values[i] = static_cast<T>((bits & 1) != 0 ? size : -size);
  }
  return values;
}

/// Hutchinson's estimate on examples drawn at random, each with a vector of its own.
template <class T>
double example_noise(Objective<T>& objective, std::uint64_t seed) {
  Device& device = objective.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  const Index p = objective.parameters(), m = std::clamp(kSampleNumbers / p, kLeastExamples, kMostExamples);
  const std::vector<T> host = signs<T>(seed, 1, m, p, 1.0);
  const Buffer<T> vectors(device, std::span<const T>(host));
  Buffer<T> products(device, m * p);
  Buffer<Index> rows(device, m);
  Buffer<double> dots(device, m);
  kernels.sample_rows(device, {.seed = seed,
                               .stream = RandomStream::probes,
                               .first_sequence = std::uint64_t{1} << 20,  // beyond the signs
                               .population = objective.examples(),
                               .sequences = 1,
                               .count = m,
                               .rows = rows.data()});
  objective.batch_hessian_products(vectors.view(m, p), rows.data(), m, 1, products.view(m, p));
  const auto mean = [&](MatrixView<const T> x) {
    kernels.vector_dots(device, {x, products.view(m, p), dots.data()});
    double sum = 0;
    for (const double dot : dots.to_host()) sum += dot;
    return sum / static_cast<double>(m);
  };
  const double trace = mean(vectors.view(m, p)), squares = mean(products.view(m, p));
  return std::max(trace, std::sqrt(squares));
}

/// λ + damping, where it acts on every parameter.
template <class T>
double curvature_everywhere(const HessianOperator<T>& hessian) {
  for (const ParameterBlock& block : hessian.objective().layout())
    if (!block.regularized) return hessian.damping();
  return hessian.objective().l2() + hessian.damping();
}

}  // namespace

template <class T>
LissaSpectrum measure_spectrum(const HessianOperator<T>& hessian, MatrixView<const T> right_hand_sides,
                               std::uint64_t seed, std::vector<ColumnReport>& columns) {
  Device& device = hessian.device();
  const Index p = hessian.size(), looked_at = std::min(kRightHandSides, right_hand_sides.rows), k = 1 + looked_at;
  Buffer<T> starts(device, k * p), ignored(device, k * p);
  starts.upload(signs<T>(seed, 0, 1, p, 1 / std::sqrt(static_cast<double>(p))));
  device.kernels<T>().combine(
      device, {1.0, right_hand_sides.rows_from(0, looked_at), 0.0, starts.view(k, p).rows_from(1, looked_at)});
  ConjugateGradient<T> lanczos(hessian, kLanczosSteps);
  std::vector<ColumnReport> met(static_cast<std::size_t>(k));
  lanczos.correct(starts.view(k, p), std::vector<double>(met.size(), 0.0), ignored.view(k, p), met);

  LissaSpectrum spectrum;
  spectrum.products = lanczos.products() - hessian.products();
  double lowest = std::numeric_limits<double>::infinity();  // Rayleigh quotient
  bool is_finite = true;
  for (std::size_t j = 0; j < met.size(); ++j) {
    is_finite = is_finite && met[j].status != ColumnStatus::not_finite;
    lowest = std::min(lowest, met[j].smallest_rayleigh);
    spectrum.largest = std::fmax(spectrum.largest, kRitzMargin * met[j].largest_eigenvalue);
    const double smallest = met[j].smallest_eigenvalue;
    if (j > 0 && !std::isnan(smallest)) spectrum.smallest = j == 1 ? smallest : std::min(spectrum.smallest, smallest);
  }
  const double rounding = 64 * static_cast<double>(std::numeric_limits<T>::epsilon()) * spectrum.largest;
  if (!is_finite || spectrum.largest <= 0 || lowest < -rounding)
    for (ColumnReport& column : columns) {
      if (column.status != ColumnStatus::running) continue;
      column.status = is_finite ? ColumnStatus::negative_curvature : ColumnStatus::not_finite;
      column.smallest_rayleigh = lowest;
      column.largest_eigenvalue = spectrum.largest;
    }
  // A convex model's Hessian has no smaller eigenvalue than what is added to it; of one that is not, a few steps say
  // little.
  if (const double least = curvature_everywhere(hessian); least > 0)
    spectrum.smallest = std::min(spectrum.smallest, least);
  spectrum.smallest = std::max(spectrum.smallest, kFlattest * spectrum.largest);
  spectrum.noise = example_noise(hessian.objective(), seed);
  return spectrum;
}

double lissa_scale(const LissaSpectrum& spectrum, Index batch) {
  const double half = spectrum.largest / 2;
  return std::max(kLeastMargin * half, half + kNoiseFactor * spectrum.noise / (2 * static_cast<double>(batch)));
}

Index lissa_depth(const LissaSpectrum& spectrum, double scale, Index batch, Index repeats) {
  const double averaged = static_cast<double>(batch) * static_cast<double>(repeats);
  const double forgets = kForgetting * scale / spectrum.smallest;
  const double averages = spectrum.noise / (averaged * spectrum.smallest * kContraction * kContraction);
  return static_cast<Index>(std::min(kLargestDepth, 2 * std::ceil(std::max(forgets, averages))));
}

Index lissa_batch(const LissaSpectrum& spectrum, Index examples) {
  const double batch = kNoiseFactor * spectrum.noise / (kNoiseShare * spectrum.largest);
  return static_cast<Index>(std::clamp(std::ceil(batch), 1.0, static_cast<double>(examples)));
}

template LissaSpectrum measure_spectrum(const HessianOperator<float>&, MatrixView<const float>, std::uint64_t,
                                        std::vector<ColumnReport>&);
template LissaSpectrum measure_spectrum(const HessianOperator<double>&, MatrixView<const double>, std::uint64_t,
                                        std::vector<ColumnReport>&);

}  // namespace clout
