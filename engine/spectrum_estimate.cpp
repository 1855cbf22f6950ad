#include <algorithm>
#include <clout/engine/random_vectors.hpp>
#include <clout/engine/spectrum_estimate.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

constexpr Index kFirstLook = 16, kProbes = HessianOperator<double>::kBlock;
constexpr double kGrowth = 1.25;     // of the steps between two looks, which take cubic time
constexpr double kClearlyOff = 0.1;  // error beside the smallest eigenvalue that leaves no doubt about its sign

using Vectors = MatrixView<double>;

/// Whether both ends are known to `tolerance`, and the smallest one's sign.
bool are_known(double smallest, double smallest_error, double largest, double largest_error, double tolerance) {
  const double size = std::max(std::abs(smallest), std::abs(largest));
  const double rounding = HessianOperator<double>::kRounding * size;
  return std::max(smallest_error, largest_error) <= std::max(tolerance * size, rounding) &&
         smallest_error <= std::max(kClearlyOff * std::abs(smallest), rounding);
}

void require_finite(bool is_finite) {
  if (!is_finite) throw NotCertified("spectrum: NaN or infinity in a Hessian product: check x and the parameters");
}

/// Lower bound of the spectrum between Ritz values after `steps`, but for rounding; −∞ where the theorem says nothing.
double floor_of(Index steps, Index p, double smallest, double largest) {
  // With λ_max − λ_min =: R, θ_max − θ_min ≥ R − 2εR.
  const double epsilon = lanczos_doubt(steps, p, SpectrumEstimate::kDoubt);
  return epsilon < 0.5 ? smallest - epsilon / (1 - 2 * epsilon) * (largest - smallest)
                       : -std::numeric_limits<double>::infinity();
}

/// Steps that the memory limit has room for, by the limit alone: the same request is cut the same way, run after run.
Index planned_steps(const HessianOperator<double>& hessian, Index most) {
  const Device& device = hessian.device();
  const Index p = hessian.size();
  const std::size_t used = device.used_memory(), limit = device.memory_limit(), left = limit > used ? limit - used : 0;
  const auto needed = [&](Index steps) {
    const Index others = 2 * kProbes * p + std::max(steps + 1, kProbes);
    return hessian.scratch(kProbes) + static_cast<std::size_t>(others) * sizeof(double) +
           Lanczos<double>::memory(p, steps);
  };
  const Index least = std::min(most, Index{2});
  if (needed(least) > left)
    throw OutOfMemory("spectrum: " + std::to_string(needed(least)) + " bytes of device memory are needed beside the " +
                      std::to_string(used) + " in use, for two steps of Lanczos; " + std::to_string(left) +
                      " are left under the memory limit: raise it");
  Index steps = most;
  while (needed(steps) > left) --steps;
  return steps;
}

class Estimator {
 public:
  Estimator(HessianOperator<double> hessian, const SpectrumOptions& options, const Progress& progress)
      : options_(options),
        progress_(progress),
        p_(hessian.size()),
        most_(planned_steps(hessian, std::min(options.most_steps, p_))),
        device_(hessian.device()),
        lanczos_(hessian, most_),
        block_(device_, kProbes * p_),
        products_(device_, kProbes * p_),
        dots_(device_, std::max(most_ + 1, kProbes)) {}

  SpectrumEstimate run() {
    const Index before = lanczos_.hessian().products();
    iterate();
    measure_ends();
    bound_the_rest();
    estimate_trace();
    result_.products = lanczos_.hessian().products() - before;
    return std::move(result_);
  }

 private:
  void iterate();
  bool is_enough() const;
  void measure_ends();
  void bound_the_rest();
  void estimate_trace();
  /// zᵀPHPz for the next block of probes.
  std::vector<double> probe(Index count, std::uint32_t block);

  const SpectrumOptions& options_;
  const Progress& progress_;
  Index p_, most_;
  Device& device_;
  Lanczos<double> lanczos_;
  Buffer<double> block_, products_, dots_;  // [kProbes][p] twice
  SpectrumEstimate result_;
};

void Estimator::iterate() {
  block_.upload(random_direction<double>(probe_sequence(options_.seed, ProbeSection::lanczos_start), p_));
  lanczos_.start(block_.view(1, p_));
  for (Index look = std::min(kFirstLook, most_);;
       look = std::min(static_cast<Index>(kGrowth * static_cast<double>(look)), most_)) {
    while (lanczos_.steps() < look && !lanczos_.is_finished()) {
      lanczos_.advance(1);
      if (progress_) progress_("Lanczos", static_cast<double>(lanczos_.steps()), static_cast<double>(most_));
    }
    require_finite(lanczos_.is_finite());
    result_.ritz = lanczos_.ritz();
    if (lanczos_.is_finished() || is_enough()) break;
  }
  result_.steps = lanczos_.steps();
}

/// Both ends are known, and whether all is above zero, or something below.
bool Estimator::is_enough() const {
  const RitzValues& ritz = result_.ritz;
  const double smallest = ritz.values.front(), largest = ritz.values.back();
  return are_known(smallest, ritz.bounds.front(), largest, ritz.bounds.back(), options_.tolerance) &&
         (smallest <= 0 || floor_of(lanczos_.steps(), p_, smallest, largest) > 0);
}

/// The two Ritz vectors as they are, not as the recurrence believes.
void Estimator::measure_ends() {
  const std::size_t m = result_.ritz.values.size();
  const auto coordinates = [&](std::size_t i) { return std::span(result_.ritz.vectors).subspan(i * m, m); };
  const Vectors y = block_.view(2, p_), product = products_.view(2, p_);
  lanczos_.combine_basis(coordinates(0), y.rows_from(0, 1));
  lanczos_.combine_basis(coordinates(m - 1), y.rows_from(1, 1));
  lanczos_.hessian().apply(y, product);
  const KernelTable<double>& kernels = device_.kernels<double>();
  const auto dots = [&](MatrixView<const double> other) {
    kernels.vector_dots(device_, {y, other, dots_.data()});
    return dots_.to_host();
  };
  const std::vector<double> curvatures = dots(product), squares = dots(y);
  double quotients[2], errors[2];
  for (Index end = 0; end < 2; ++end) {
    const auto at = static_cast<std::size_t>(end);
    quotients[end] = curvatures[at] / squares[at];
    kernels.combine(device_, {-quotients[end], y.rows_from(end, 1), 1.0, product.rows_from(end, 1)});
  }
  const std::vector<double> left = row_norms<double>(device_, product);
  for (std::size_t end = 0; end < 2; ++end) errors[end] = left[end] / std::sqrt(squares[end]);
  require_finite(std::isfinite(errors[0]) && std::isfinite(errors[1]));
  result_.smallest = quotients[0], result_.smallest_error = errors[0];
  result_.largest = quotients[1], result_.largest_error = errors[1];
}

void Estimator::bound_the_rest() {
  SpectrumEstimate& r = result_;
  const double size = std::max(std::abs(r.smallest), std::abs(r.largest));
  r.rounding = HessianOperator<double>::kRounding * size;
  const double beyond =
      r.rounding + (lanczos_.is_invariant() ? 0 : r.smallest - floor_of(r.steps, p_, r.smallest, r.largest));
  r.at_least = r.smallest - beyond, r.at_most = r.largest + beyond;
  r.negative_at_least =
      std::lower_bound(r.ritz.values.begin(), r.ritz.values.end(), -r.rounding) - r.ritz.values.begin();
  r.is_converged = are_known(r.smallest, r.smallest_error, r.largest, r.largest_error, options_.tolerance);
}

std::vector<double> Estimator::probe(Index count, std::uint32_t block) {
  const Vectors z = block_.view(count, p_), product = products_.view(count, p_);
  block_.upload(random_signs<double>(probe_sequence(options_.seed, ProbeSection::traces, block), count, p_));
  for (Index j = 0; j < count; ++j) project_out<double>(device_, lanczos_.basis(), z.rows_from(j, 1), dots_.data());
  lanczos_.hessian().apply(z, product);
  device_.kernels<double>().vector_dots(device_, {z, product, dots_.data()});
  std::vector<double> values = dots_.to_host();
  values.resize(static_cast<std::size_t>(count));
  return values;
}

void Estimator::estimate_trace() {
  TraceEstimate& trace = result_.trace;
  trace.value = trace.within = lanczos_.trace();
  if (result_.steps == p_) return;
  double mean = 0, squares = 0;  // of deviations (Welford)
  for (std::uint32_t block = 0; trace.probes < options_.most_probes; ++block) {
    for (const double value : probe(std::min(kProbes, options_.most_probes - trace.probes), block)) {
      const double deviation = value - mean;
      mean += deviation / static_cast<double>(++trace.probes);
      squares += deviation * (value - mean);
    }
    require_finite(std::isfinite(squares));
    trace.value = trace.within + mean;
    const double n = static_cast<double>(trace.probes);
    trace.standard_error =
        trace.probes > 1 ? std::sqrt(squares / (n * (n - 1))) : std::numeric_limits<double>::infinity();
    if (progress_) progress_("trace", n, static_cast<double>(options_.most_probes));
    if (trace.standard_error <= options_.trace_error * std::abs(trace.value)) return;
  }
}

}  // namespace

SpectrumEstimate estimate_spectrum(HessianOperator<double> hessian, const SpectrumOptions& options,
                                   const Progress& progress) {
  return Estimator(hessian, options, progress).run();
}

double lanczos_doubt(Index steps, Index parameters, double doubt) {
  const double root =
      std::log(1.648 * std::sqrt(static_cast<double>(parameters)) / doubt) / static_cast<double>(2 * steps - 1);
  return std::min(1.0, root * root);
}

SpectrumEnds SpectrumEstimate::ends() const {
  return {.smallest = smallest,
          .largest = largest,
          .smallest_error = smallest_error,
          .at_least = at_least,
          .rounding = rounding,
          .are_all = false,
          .values = ritz.values,
          .weights = ritz.weights};
}

}  // namespace clout
