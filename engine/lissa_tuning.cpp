#include <algorithm>
#include <clout/engine/lanczos.hpp>
#include <clout/engine/lissa_tuning.hpp>
#include <clout/engine/random_vectors.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

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
constexpr double kFullPasses = 2;  // of a round: what it leaves, and the certificate
// Directions flatter than this part of λ_max are given up to rounding, or to the rounds.
constexpr double kFlattest = 1e-7;

/// λ + damping, where it acts on every parameter.
template <class T>
double curvature_everywhere(const HessianOperator<T>& hessian) {
  for (const ParameterBlock& block : hessian.objective().layout())
    if (!block.regularized) return hessian.damping();
  return hessian.objective().l2() + hessian.damping();
}

/// A few steps from `start`, [1][p]; no values where that is zero. `is_finite` becomes false where a number is none.
template <class T>
RitzValues ritz_values(Lanczos<T>& lanczos, MatrixView<const T> start, bool& is_finite) {
  lanczos.start(start);
  lanczos.advance(kLissaLanczosSteps);
  is_finite = is_finite && lanczos.is_finite();
  return lanczos.ritz();
}

/// The least of those in which the start vector has a part that is not rounding: what it has no part in does not matter
/// to the solution for it.
template <class T>
double smallest_with_part(const RitzValues& ritz) {
  for (std::size_t i = 0; i < ritz.values.size(); ++i)
    if (std::sqrt(ritz.weights[i]) > HessianOperator<T>::kRounding) return ritz.values[i];
  return ritz.values.back();
}

Index noise_examples(Index p) { return std::clamp(kSampleNumbers / p, kLeastExamples, kMostExamples); }

}  // namespace

template <class T>
std::size_t noise_memory(const Objective<T>& objective) {
  const Index p = objective.parameters(), m = noise_examples(p);
  return static_cast<std::size_t>(2 * m * p) * sizeof(T) + static_cast<std::size_t>(m) * (sizeof(Index) + sizeof(double)) +
         objective.batch_memory(m);
}

template <class T>
double example_noise(Objective<T>& objective, std::uint64_t seed) {
  Device& device = objective.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  const Index p = objective.parameters(), m = noise_examples(p);
  const std::vector<T> host = random_signs<T>(probe_sequence(seed, ProbeSection::lissa_examples), m, p);
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

template <class T>
LissaSpectrum measure_spectrum(const HessianOperator<T>& hessian, MatrixView<const T> right_hand_sides,
                               std::uint64_t seed, std::vector<ColumnReport>& columns) {
  Device& device = hessian.device();
  const Index p = hessian.size(), looked_at = std::min(kRightHandSides, right_hand_sides.rows);
  Lanczos<T> lanczos(hessian, kLissaLanczosSteps);
  LissaSpectrum spectrum;
  double lowest = std::numeric_limits<double>::infinity();
  bool is_finite = true;
  const auto look = [&](const RitzValues& ritz) {
    const std::vector<double>& values = ritz.values;
    if (values.empty()) return;
    lowest = std::min(lowest, values.front());
    spectrum.largest = std::max(spectrum.largest, kRitzMargin * values.back());
  };
  {
    const double size = 1 / std::sqrt(static_cast<double>(p));
    const std::vector<T> host = random_signs<T>(probe_sequence(seed, ProbeSection::lissa_start), 1, p, size);
    const Buffer<T> start(device, std::span<const T>(host));
    look(ritz_values<T>(lanczos, start.view(1, p), is_finite));
  }
  bool is_first = true;
  for (Index j = 0; j < looked_at; ++j) {
    const RitzValues ritz = ritz_values<T>(lanczos, right_hand_sides.rows_from(j, 1), is_finite);
    look(ritz);
    if (ritz.values.empty()) continue;
    const double smallest = smallest_with_part<T>(ritz);
    spectrum.smallest = is_first ? smallest : std::min(spectrum.smallest, smallest);
    is_first = false;
  }
  spectrum.products = lanczos.hessian().products() - hessian.products();
  const double rounding = HessianOperator<T>::kRounding * spectrum.largest;
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

double lissa_passes(const LissaSpectrum& spectrum, Index examples, Index repeats, double tolerance) {
  const Index batch = lissa_batch(spectrum, examples);
  const Index depth = lissa_depth(spectrum, lissa_scale(spectrum, batch), batch, repeats);
  const double rounds = std::ceil(std::log(tolerance) / std::log(kContraction));
  const double steps =
      static_cast<double>(depth) * static_cast<double>(batch * repeats) / static_cast<double>(examples);
  return rounds * (steps + kFullPasses);
}

Index lissa_batch(const LissaSpectrum& spectrum, Index examples) {
  const double batch = kNoiseFactor * spectrum.noise / (kNoiseShare * spectrum.largest);
  return static_cast<Index>(std::clamp(std::ceil(batch), 1.0, static_cast<double>(std::min(examples, kLissaMostBatch))));
}

template std::size_t noise_memory(const Objective<float>&);
template std::size_t noise_memory(const Objective<double>&);
template double example_noise(Objective<float>&, std::uint64_t);
template double example_noise(Objective<double>&, std::uint64_t);
template LissaSpectrum measure_spectrum(const HessianOperator<float>&, MatrixView<const float>, std::uint64_t,
                                        std::vector<ColumnReport>&);
template LissaSpectrum measure_spectrum(const HessianOperator<double>&, MatrixView<const double>, std::uint64_t,
                                        std::vector<ColumnReport>&);

}  // namespace clout
