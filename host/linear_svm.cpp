#include <cblas.h>

#include <algorithm>
#include <atomic>
#include <clout/engine/small_matrix.hpp>
#include <clout/host/linear_svm.hpp>
#include <clout/kernels/error.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <clout/kernels/philox.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

namespace clout {
namespace {

constexpr Index kRowBlock = 4096;  // rows of X on the host at once
// After every pass over all examples, so many over those that it left between their bounds or moved.
constexpr int kInnerSweeps = 5;
// Newton steps after them, each of which costs the cube of the examples that are not held at a bound.
constexpr int kNewtonSteps = 10;
constexpr Index kMostLoose = 1000;
// What is added to the diagonal of its matrix, relative: more where a step fails, less where one does not.
constexpr double kLeastRidge = 1e-13, kMostRidge = 1e3, kRidgeFactor = 30;
// Rounds go on beyond the tolerance as long as they still halve the gap.
constexpr double kWorthwhile = 0.5;
constexpr Index kModelBlock = 16;  // models of a journal's block

/// OpenBLAS's bits depend on its threads, and models go side by side as it is.
class SerialBlas {
 public:
  SerialBlas() : before_(openblas_get_num_threads()) { openblas_set_num_threads(1); }
  ~SerialBlas() { openblas_set_num_threads(before_); }
  SerialBlas(const SerialBlas&) = delete;
  SerialBlas& operator=(const SerialBlas&) = delete;

 private:
  int before_;
};

}  // namespace

double svm_distance(double gap, double l2) { return std::sqrt(2 * gap / l2); }

struct LinearSvm::State {
  State(Index n, Index d, std::uint64_t seed)
      : exact_bounds(static_cast<std::size_t>(n)),
        bounds(exact_bounds.size()),
        dual(bounds.size()),
        weights(static_cast<std::size_t>(d)),
        random(seed, RandomStream::coordinates) {}

  bool is_between(Index i) const {
    const auto at = static_cast<std::size_t>(i);
    return dual[at] > 0 && dual[at] < bounds[at];
  }

  std::vector<long double> exact_bounds;  // [n] C
  std::vector<double> bounds, dual;       // [n] C rounded down, so that α is feasible, and α
  std::vector<double> weights;       // [d] Σ αᵢ yᵢ xᵢ
  std::vector<Index> moved;          // by the last sweep
  double ridge = kLeastRidge;        // of the last Newton step
  RandomSequence random;
};

LinearSvm::LinearSvm(const Dataset<double>& data, double l2) : features_(data.features()), l2_(l2) {
  require(data.classes() == 2, std::to_string(data.classes()) + " classes: a support vector machine tells two apart");
  require(l2 > 0, "support vector machine: expected a regulariser above zero, by which its dual is bounded");
  const auto d = static_cast<std::size_t>(features_);
  starts_.push_back(0);
  for (Index first = 0; first < data.examples(); first += kRowBlock) {
    const Index count = std::min(kRowBlock, data.examples() - first);
    const std::vector<double> x = data.host_features(first, count);
    for (Index i = 0; i < count; ++i) {
      const double sign = data.host_labels()[static_cast<std::size_t>(first + i)] == 0 ? -1 : 1;
      double norm = 0;
      for (std::size_t f = 0; f < d; ++f) {
        const double value = x[static_cast<std::size_t>(i) * d + f];
        if (value == 0) continue;
        columns_.push_back(static_cast<std::int32_t>(f));
        values_.push_back(sign * value);
        norm += value * value;
      }
      starts_.push_back(static_cast<Index>(values_.size()));
      signs_.push_back(sign);
      norms_.push_back(norm);
      example_weights_.push_back(data.weight(first + i));
    }
  }
}

template <class Number>
Number LinearSvm::row_dot(Index row, const std::vector<Number>& dense) const {
  Number sum = 0;
  for (Index at = starts_[static_cast<std::size_t>(row)]; at < starts_[static_cast<std::size_t>(row) + 1]; ++at)
    sum += values_[static_cast<std::size_t>(at)] *
           dense[static_cast<std::size_t>(columns_[static_cast<std::size_t>(at)])];
  return sum;
}

template <class Number>
void LinearSvm::add_row(Index row, Number factor, std::vector<Number>& dense) const {
  for (Index at = starts_[static_cast<std::size_t>(row)]; at < starts_[static_cast<std::size_t>(row) + 1]; ++at)
    dense[static_cast<std::size_t>(columns_[static_cast<std::size_t>(at)])] +=
        factor * values_[static_cast<std::size_t>(at)];
}

void LinearSvm::sweep(State& state, std::span<const Index> coordinates) const {
  state.moved.clear();
  const Index count = std::ssize(coordinates);
  for (const Index place : state.random.sample(count, count)) {
    const Index i = coordinates[static_cast<std::size_t>(place)];
    const auto at = static_cast<std::size_t>(i);
    const double bound = state.bounds[at], old = state.dual[at];
    if (bound == 0) continue;
    // An example without features always loses 1: its α goes to the bound.
    const double step = norms_[at] > 0 ? (1 - row_dot(i, state.weights)) / norms_[at] : bound;
    const double next = std::clamp(old + step, 0.0, bound);
    if (next == old) continue;
    state.dual[at] = next;
    add_row(i, next - old, state.weights);
    state.moved.push_back(i);
  }
}

// A projected Newton step (Bertsekas 1982): the maximum over the coordinates that are not held at a bound, cut off at the
// bounds. Where the matrix is singular, or what is cut off matters, a ridge shortens the step until the objective rises.
bool LinearSvm::newton_step(State& state) const {
  std::vector<Index> loose;
  std::vector<double> residuals;
  for (Index i = 0; i < examples(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (state.bounds[at] == 0) continue;
    const double below = 1 - row_dot(i, state.weights), alpha = state.dual[at];
    if ((alpha == 0 && below <= 0) || (alpha == state.bounds[at] && below >= 0)) continue;
    loose.push_back(i);
    residuals.push_back(below);
  }
  const Index m = std::ssize(loose);
  if (m == 0 || m > kMostLoose) return false;
  SmallMatrix gram(m, m);
  std::vector<double> dense(static_cast<std::size_t>(features_));
  double largest = 0;
  for (Index j = 0; j < m; ++j) {
    add_row(loose[static_cast<std::size_t>(j)], 1.0, dense);
    for (Index i = 0; i <= j; ++i) gram(j, i) = row_dot(loose[static_cast<std::size_t>(i)], dense);
    add_row(loose[static_cast<std::size_t>(j)], -1.0, dense);  // the same numbers, so zero again
    largest = std::max(largest, gram(j, j));
  }
  std::vector<double> change(residuals.size());
  for (double ridge = state.ridge; ridge < kMostRidge; ridge *= kRidgeFactor) {
    SmallMatrix lifted = gram;
    for (Index j = 0; j < m; ++j) lifted(j, j) += ridge * largest;
    const std::vector<double> step = solve_definite(std::move(lifted), residuals);
    if (step.empty()) continue;
    std::ranges::fill(dense, 0.0);
    double gain = 0, square = 0;  // of Σα − ‖w‖²/2
    for (std::size_t i = 0; i < step.size(); ++i) {
      const auto at = static_cast<std::size_t>(loose[i]);
      change[i] = std::clamp(state.dual[at] + step[i], 0.0, state.bounds[at]) - state.dual[at];
      gain += residuals[i] * change[i];
      add_row(loose[i], change[i], dense);
    }
    for (const double w : dense) square += w * w;
    if (!(gain - square / 2 > 0)) continue;
    for (std::size_t i = 0; i < step.size(); ++i) {
      const auto at = static_cast<std::size_t>(loose[i]);
      state.dual[at] = std::clamp(state.dual[at] + step[i], 0.0, state.bounds[at]);
    }
    for (std::size_t f = 0; f < dense.size(); ++f) state.weights[f] += dense[f];
    state.ridge = std::max(kLeastRidge, ridge / kRidgeFactor);
    return true;
  }
  return false;
}

// R(w) − D(α) = λ Σ Cᵢ max(0, 1 − mᵢ) − αᵢ(1 − mᵢ), m the margins: zero where α stands at the bound that its margin asks
// for. Margins are in long double, and rounding counts where it can show: at examples between bounds, or on their margin.
void LinearSvm::measure(State& state, SvmFit& fit) const {
  constexpr long double kUnit = std::numeric_limits<long double>::epsilon() / 2;
  std::vector<long double> weights(state.weights.size());
  long double terms = 0, sizes = 0;  // of w's sums
  for (Index i = 0; i < examples(); ++i) {
    const long double alpha = state.dual[static_cast<std::size_t>(i)];
    if (alpha == 0) continue;
    add_row(i, alpha, weights);
    terms += 1;
    sizes += alpha * std::sqrt(norms_[static_cast<std::size_t>(i)]);
  }
  long double square = 0;
  for (const long double w : weights) square += w * w;
  long double gap = 0, loss = 0;
  fit.on_margin = 0;
  for (Index i = 0; i < examples(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const long double bound = state.exact_bounds[at], alpha = state.dual[at];
    if (bound == 0) continue;
    const long double below = 1 - row_dot(i, weights);
    const auto numbers = static_cast<long double>(starts_[at + 1] - starts_[at]);
    const long double rounding =
        kUnit * (1 + std::sqrt(norms_[at]) * ((numbers + 2) * std::sqrt(square) + (terms + 2) * sizes));
    gap += below > 0 ? (bound - alpha) * below : -alpha * below;
    if (state.is_between(i) || std::abs(below) <= rounding) gap += bound * rounding;
    loss += bound * std::max(below, 0.0L);
    fit.on_margin += state.is_between(i) ? 1 : 0;
  }
  gap += 4 * kUnit * loss;  // C and the sums themselves are rounded, too
  fit.gap = static_cast<double>(l2_ * gap);
  fit.objective = static_cast<double>(l2_ * (loss + square / 2));
  std::ranges::copy(weights, state.weights.begin());  // from scratch: updates leave rounding behind
}

SvmFit LinearSvm::fit(std::span<const Index> removed, std::span<const double> start, const SvmOptions& options,
                      const Progress& progress) const {
  const Index n = examples();
  require(start.empty() || std::ssize(start) == n, "support vector machine: a start of " + std::to_string(start.size()) +
                                                       " duals; expected " + std::to_string(n));
  const SerialBlas serial;
  State state(n, features_, options.seed);
  constexpr double kUnit = std::numeric_limits<double>::epsilon();
  const double all_weight = std::accumulate(example_weights_.begin(), example_weights_.end(), 0.0);
  std::vector<double> kept = example_weights_;
  for (const Index i : removed) kept[static_cast<std::size_t>(i)] = 0;
  long double total = 0;
  for (const double weight : kept) total += weight;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    state.exact_bounds[i] = kept[i] / (l2_ * total);
    state.bounds[i] = static_cast<double>(state.exact_bounds[i]);
    if (state.bounds[i] > state.exact_bounds[i]) state.bounds[i] = std::nextafter(state.bounds[i], 0.0);
    if (start.empty()) continue;
    // What was at its bound stays there: only the total weight has changed.
    const bool was_at_bound = start[i] * l2_ * all_weight >= example_weights_[i] * (1 - 4 * kUnit);
    state.dual[i] = was_at_bound ? state.bounds[i] : std::min(start[i], state.bounds[i]);
  }
  SvmFit fit;
  measure(state, fit);
  std::vector<Index> all, some;
  for (Index i = 0; i < n; ++i)
    if (state.bounds[static_cast<std::size_t>(i)] > 0) all.push_back(i);
  for (fit.rounds = 0; fit.rounds < options.max_rounds;) {
    sweep(state, all);
    some = state.moved;
    for (int inner = 0; inner < kInnerSweeps && !some.empty(); ++inner) sweep(state, some);
    for (int step = 0; step < kNewtonSteps && newton_step(state); ++step) {
    }
    const double last = fit.gap;
    measure(state, fit);
    ++fit.rounds;
    if (progress) progress("support vectors", static_cast<double>(fit.rounds), static_cast<double>(options.max_rounds));
    if (fit.gap <= options.tolerance && !(fit.gap < kWorthwhile * last)) break;
  }
  fit.converged = fit.gap <= options.tolerance;
  fit.between.resize(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) fit.between[static_cast<std::size_t>(i)] = state.is_between(i);
  fit.dual = std::move(state.dual);
  fit.weights = std::move(state.weights);
  return fit;
}

double LinearSvm::gap_of(std::span<const double> weights, std::span<const double> dual) const {
  const long double total = std::accumulate(example_weights_.begin(), example_weights_.end(), 0.0L);
  const std::vector<long double> w(weights.begin(), weights.end());
  std::vector<long double> combined(w.size());
  long double loss = 0, sum = 0, own = 0, other = 0;
  for (Index i = 0; i < examples(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    loss += example_weights_[at] / total * std::max(0.0L, 1 - row_dot(i, w));
    sum += dual[at];
    add_row(i, static_cast<long double>(dual[at]), combined);
  }
  for (std::size_t f = 0; f < w.size(); ++f) {
    own += w[f] * w[f];
    other += combined[f] * combined[f];
  }
  return static_cast<double>(loss + l2_ * (own + other) / 2 - l2_ * sum);
}

std::vector<RetrainedModel> retrain_svm(const LinearSvm& svm, const SvmFit& full, Objective<double>& test,
                                        const std::vector<std::vector<Index>>& groups, const SvmOptions& options,
                                        io::Journal* journal, const Progress& progress) {
  const SerialBlas serial;
  Device& device = test.device();
  const Index total = std::ssize(groups), m = test.examples(), d = svm.features();
  Buffer<double> losses(device, m * (kModelBlock + 1));
  test.losses(losses.view(m, 1));
  const std::vector<double> before = to_host(device, losses.view(m, 1));
  std::vector<RetrainedModel> models(groups.size());
  for (Index first = 0; first < total; first += kModelBlock) {
    const Index count = std::min(kModelBlock, total - first);
    const auto number = static_cast<std::uint64_t>(first / kModelBlock);
    const auto block = std::span(models).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    if (journal && journal->completed().contains(number)) {
      unpack_models(journal->completed().at(number), number, block, m);
    } else {
      std::atomic<Index> next = 0;
      std::atomic<bool> stopped = false;
      const auto work = [&](const Progress& each) {
        for (Index j = next++; j < count; j = next++) {
          SvmFit fit = svm.fit(groups[static_cast<std::size_t>(first + j)], full.dual, options, each);
          const double square = std::inner_product(fit.weights.begin(), fit.weights.end(), fit.weights.begin(), 0.0);
          block[static_cast<std::size_t>(j)] = {.gradient_norm = fit.gap,
                                                .size = std::sqrt(square),
                                                .iterations = fit.rounds,
                                                .loss_change = {},
                                                .parameters = std::move(fit.weights)};
        }
      };
      const auto helping = [&] {
        try {
          work([&](const std::string&, double, double) {
            if (stopped) throw Interrupted("interrupted");
          });
        } catch (const Interrupted&) {  // the caller's thread says so
        }
      };
      {
        std::vector<std::jthread> helpers;  // wait at their end
        for (int t = 1; t < device.info().threads && t < count; ++t) helpers.emplace_back(helping);
        try {
          work([&](const std::string&, double, double) {
            if (progress) progress("retrain", static_cast<double>(first), static_cast<double>(total));
          });
        } catch (...) {
          stopped = true;
          throw;
        }
      }
      std::vector<double> weights;
      for (const RetrainedModel& model : block) weights.insert(weights.end(), model.parameters.begin(), model.parameters.end());
      const Buffer<double> on_device(device, std::span<const double>(weights));
      test.losses_at(on_device.view(count, d), losses.view(m, count));
      const std::vector<double> after = to_host(device, losses.view(m, count));
      for (std::size_t j = 0; j < block.size(); ++j) {
        for (std::size_t t = 0; t < before.size(); ++t)
          block[j].loss_change.push_back(after[t * block.size() + j] - before[t]);
        block[j].parameters = std::vector<double>();  // = {} would keep the memory
      }
      if (journal) journal->append(number, pack_models(block));
    }
    if (progress) progress("retrain", static_cast<double>(first + count), static_cast<double>(total));
  }
  return models;
}

}  // namespace clout
