#include <algorithm>
#include <clout/engine/adam.hpp>
#include <clout/engine/lanczos.hpp>
#include <clout/engine/lissa.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

// The paper's setting (its code: scale, recursion_depth, batch_size, num_samples).
constexpr LissaOptions kPublished{.scale = 25, .depth = 5000, .batch = 1, .repeats = 10};
constexpr double kEnough = 0.5;        // of a residual may be left by a round
constexpr Index kMostDeepening = 64;   // times the depth that was thought to be enough
constexpr Index kMostSteps = 250'000;  // of a round, unless they are asked for: nobody is to wait for days unasked
constexpr Index kMostDoublings = 60;   // of σ
constexpr double kBeyond = 10;         // times the bound of a stable chain
constexpr Index kCheckEvery = 64;      // steps, after the first few

/// Estimates are looked at after steps 4, 8, 16, 32, 64, 128, 192, …
bool is_checked(Index steps) {
  return steps % kCheckEvery == 0 || steps == 4 || steps == 8 || steps == 16 || steps == 32;
}

bool is_running(const ColumnReport& column) { return column.status == ColumnStatus::running; }

LissaOptions completed(LissaOptions options) {
  const LissaOptions defaults = options.published ? kPublished : LissaOptions{.repeats = kLissaRepeats};
  if (options.scale == 0) options.scale = defaults.scale;
  if (options.depth == 0) options.depth = defaults.depth;
  if (options.batch == 0) options.batch = defaults.batch;
  if (options.repeats == 0) options.repeats = defaults.repeats;
  return options;
}

}  // namespace

template <class T>
Lissa<T>::Lissa(HessianOperator<T> hessian, const LissaOptions& options, Progress progress)
    : hessian_(hessian),
      options_(completed(options)),
      progress_(std::move(progress)),
      regularized_(regularized_ranges(hessian.objective().layout())) {
  const Index n = hessian_.objective().examples();
  const auto expect = [](bool holds, const std::string& what, const std::string& most) {
    require(holds, "lissa: " + what + "; expected 1 to " + most);
  };
  require(
      hessian_.objective().has_batch_products(),
      "lissa: this model has no Hessian products of minibatches (Objective::has_batch_products); use another solver");
  require(n < (Index{1} << 32), "lissa: more than 2^32 - 1 examples");
  require(std::isfinite(options_.scale) && options_.scale >= 0, "lissa: scale; expected a finite number above 0");
  expect(options_.batch >= 0 && options_.batch <= n, "batches of " + std::to_string(options_.batch) + " examples",
         std::to_string(n) + ", the number of examples");
  expect(options_.repeats > 0 && options_.repeats <= LissaOptions::kMostRepeats,
         std::to_string(options_.repeats) + " repeats", std::to_string(LissaOptions::kMostRepeats));
  expect(options_.depth >= 0 && options_.depth < (Index{1} << 31), std::to_string(options_.depth) + " steps",
         "2^31 - 1");
}

/// What the options leave open; once, for all rounds and right-hand sides. False where H + damping·I is of no use.
template <class T>
bool Lissa<T>::choose(std::vector<ColumnReport>& columns) {
  if (is_chosen_) return true;
  chosen_ = {.published = options_.published,
             .scale = options_.scale,
             .depth = options_.depth,
             .batch = options_.batch,
             .repeats = options_.repeats};
  if (!options_.published) {
    spectrum_ = measure_spectrum<T>(hessian_, chains_.right_hand_sides.rows_from(0, width_), options_.seed, columns);
    spectrum_products_ += spectrum_.products;
    if (std::none_of(columns.begin(), columns.end(), is_running)) return false;
    chosen_.largest_eigenvalue = spectrum_.largest;
    chosen_.smallest_eigenvalue = spectrum_.smallest;
    chosen_.example_trace = spectrum_.noise;
    if (chosen_.batch == 0) chosen_.batch = lissa_batch(spectrum_, hessian_.objective().examples());
    const double scale = lissa_scale(spectrum_, chosen_.batch);
    if (chosen_.scale == 0) chosen_.scale = scale;
    const auto depth_with = [&](double sigma) { return lissa_depth(spectrum_, sigma, chosen_.batch, chosen_.repeats); };
    deepest_ = std::min(kMostDeepening * depth_with(std::max(scale, chosen_.scale)), kMostSteps);
    if (chosen_.depth == 0) chosen_.depth = depth_with(chosen_.scale);
    if (options_.depth == 0 && chosen_.depth > kMostSteps) {
      for (ColumnReport& column : columns)
        if (is_running(column)) column.status = ColumnStatus::iteration_limit;
      return false;
    }
  }
  if (options_.published) upload_walk();
  else chains_.rows = Buffer<Index>(hessian_.device(), chosen_.repeats * chosen_.batch);
  return is_chosen_ = true;
}

template <class T>
void Lissa<T>::carve(Workspace& w, Chains& chains, Index width) const {
  const Index p = hessian_.size(), all = width * options_.repeats;
  for (MatrixView<T>* view : {&chains.right_hand_sides, &chains.mean, &chains.product}) *view = w.matrix<T>(width, p);
  for (MatrixView<T>* view : {&chains.estimates, &chains.products, &chains.sums}) *view = w.matrix<T>(all, p);
}

template <class T>
std::size_t Lissa<T>::scratch(Index width, const void* planned) const {
  std::size_t needed = &hessian_.objective() == planned ? 0 : hessian_.scratch(width);
  if (width > chains_.width) {
    Chains chains;
    needed += Workspace::plan([&](Workspace& w) { carve(w, chains, width); }) - chains_.memory.size();
  }
  if (is_chosen_) return needed;
  const Index most = std::min(hessian_.objective().examples(), kLissaMostBatch);
  const Index batch = options_.batch > 0 ? options_.batch : most;
  const Index drawn = options_.repeats * batch, held = options_.published ? drawn * options_.depth : drawn;
  const std::size_t batches = static_cast<std::size_t>(held) * sizeof(Index) + hessian_.objective().batch_memory(drawn);
  if (options_.published) return needed + batches;
  const Index p = hessian_.size();  // the spectrum is looked at first, and with single examples' products
  const std::size_t spectrum = Lanczos<T>::memory(p, kLissaLanczosSteps) + static_cast<std::size_t>(p) * sizeof(T);
  return needed + std::max({batches, spectrum, noise_memory(hessian_.objective())});
}

template <class T>
void Lissa<T>::reserve(Index width) {
  if (width <= chains_.width) return;
  chains_.memory = {};  // given back first, so that the two are never held together
  chains_.width = 0;
  chains_.memory = Workspace(hessian_.device(), [&](Workspace& w) { carve(w, chains_, width); });
  chains_.width = width;
}

/// Repeat after repeat, batch after batch, through one permutation of the examples after the other: [depth][r][b].
template <class T>
void Lissa<T>::upload_walk() {
  const Index b = chosen_.batch, r = chosen_.repeats, depth = chosen_.depth;
  const BatchOrder order(hessian_.objective().examples(), b, options_.seed);
  std::vector<Index> rows(static_cast<std::size_t>(depth * r * b)), permutation;
  Index drawn = -1;
  for (Index at = 0; at < r * depth; ++at) {
    const Index repeat = at / depth, step = at % depth, epoch = at / order.steps_per_epoch();
    if (epoch != drawn) permutation = order.epoch(1 + (drawn = epoch));  // epoch 0 is the data's own order
    const auto slice = permutation.begin() + at % order.steps_per_epoch() * b;
    std::copy_n(slice, b, rows.begin() + (step * r + repeat) * b);
  }
  chains_.rows = Buffer<Index>(hessian_.device(), std::span<const Index>(rows));
}

/// The rows of a step's batches, [r][b]: the same for the same seed, round, repeat and step, whatever else was solved.
template <class T>
const Index* Lissa<T>::batch(Index step) {
  const Index b = chosen_.batch, r = chosen_.repeats;
  if (options_.published) return chains_.rows.data() + step * r * b;
  hessian_.device().template kernels<T>().sample_rows(
      hessian_.device(), {.seed = options_.seed,
                          .stream = RandomStream::minibatches,
                          .first_sequence = static_cast<std::uint64_t>(round_ * LissaOptions::kMostRepeats),
                          .first_draw = static_cast<std::uint64_t>(step * b),
                          .population = hessian_.objective().examples(),
                          .sequences = r,
                          .count = b,
                          .rows = chains_.rows.data()});
  return chains_.rows.data();
}

/// s = v/σ in every repeat.
template <class T>
void Lissa<T>::start() {
  Device& device = hessian_.device();
  for (Index repeat = 0; repeat < chosen_.repeats; ++repeat)
    device.kernels<T>().combine(device, {1 / chosen_.scale, chains_.right_hand_sides.rows_from(0, width_), 0.0,
                                         chains_.estimates.rows_from(repeat * width_, width_)});
}

/// Steps first … last − 1 of all chains; of the second half of `last` steps the estimates are summed. False where they
/// outgrew every solution.
template <class T>
bool Lissa<T>::run(Index first, Index last) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  const Index all = width_ * chosen_.repeats, averaged_from = options_.published ? last - 1 : last / 2;
  const MatrixView<T> estimates = chains_.estimates.rows_from(0, all), products = chains_.products.rows_from(0, all);
  const MatrixView<T> sums = chains_.sums.rows_from(0, all);
  kernels.combine(device, {0.0, {}, 0.0, sums});
  for (Index step = first; step < last; ++step) {
    hessian_.objective().batch_hessian_products(estimates, batch(step), chosen_.repeats, chosen_.batch, products);
    kernels.lissa_step(device, {.regularized = regularized_,
                                .l2 = hessian_.objective().l2(),
                                .damping = hessian_.damping(),
                                .scale = chosen_.scale,
                                .right_hand_sides = chains_.right_hand_sides.rows_from(0, width_),
                                .products = products,
                                .estimates = estimates,
                                .sums = step >= averaged_from ? sums : MatrixView<T>()});
    ++chosen_.steps;
    if ((is_checked(step + 1) || step + 1 == last) && outgrows(step + 1)) return false;
  }
  return true;
}

/// Where no batch's step lengthens an error, ‖s‖ ≤ (1 + steps)‖v‖/σ: what is far beyond will not come back.
template <class T>
bool Lissa<T>::outgrows(Index steps) {
  if (progress_) progress_("lissa", static_cast<double>(steps), static_cast<double>(chosen_.depth));
  const double bound = kBeyond * (1 + static_cast<double>(steps)) / chosen_.scale;
  const auto norms = row_norms<T>(hessian_.device(), chains_.estimates.rows_from(0, width_ * chosen_.repeats));
  return std::any_of(norms.begin(), norms.end(), [&](double norm) { return !(norm <= bound); });
}

/// The mean over repeats and averaged steps.
template <class T>
void Lissa<T>::average() {
  Device& device = hessian_.device();
  const Index averaged = options_.published ? 1 : chosen_.depth - chosen_.depth / 2;
  for (Index repeat = 0; repeat < chosen_.repeats; ++repeat) {
    const MatrixView<T> sum = chains_.sums.rows_from(repeat * width_, width_);
    device.kernels<T>().combine(device, {0.0, {}, 1 / static_cast<double>(averaged), sum});
    device.kernels<T>().combine(device, {1 / static_cast<double>(chosen_.repeats), sum, repeat == 0 ? 0.0 : 1.0,
                                         chains_.mean.rows_from(0, width_)});
  }
}

/// ‖v − (H + damping·I) mean‖, where ‖v‖ is 1.
template <class T>
std::vector<double> Lissa<T>::residual_norms() {
  Device& device = hessian_.device();
  const MatrixView<T> product = chains_.product.rows_from(0, width_);
  hessian_.apply(chains_.mean.rows_from(0, width_), product);
  device.kernels<T>().combine(device, {1.0, chains_.right_hand_sides.rows_from(0, width_), -1.0, product});
  return row_norms<T>(device, product);
}

/// ‖·‖ of the standard error of the mean over repeats, relative to the mean. Uses up the sums.
template <class T>
std::vector<double> Lissa<T>::spreads() {
  Device& device = hessian_.device();
  const Index r = chosen_.repeats;
  std::vector<double> spread(static_cast<std::size_t>(width_), std::numeric_limits<double>::quiet_NaN());
  if (r < 2) return spread;
  const MatrixView<T> mean = chains_.mean.rows_from(0, width_);
  const std::vector<double> norms = row_norms<T>(device, mean);
  std::vector<double> squares(spread.size(), 0.0);
  for (Index repeat = 0; repeat < r; ++repeat) {
    const MatrixView<T> sum = chains_.sums.rows_from(repeat * width_, width_);
    device.kernels<T>().combine(device, {-1.0, mean, 1.0, sum});
    const std::vector<double> deviations = row_norms<T>(device, sum);
    for (std::size_t j = 0; j < squares.size(); ++j) squares[j] += deviations[j] * deviations[j];
  }
  for (std::size_t j = 0; j < spread.size(); ++j)
    spread[j] = std::sqrt(squares[j] / static_cast<double>(r * (r - 1))) / norms[j];
  return spread;
}

/// False where it has been doubled too often, or may not be.
template <class T>
bool Lissa<T>::double_scale() {
  if (options_.published || chosen_.doublings >= kMostDoublings) return false;
  const Index depth = lissa_depth(spectrum_, 2 * chosen_.scale, chosen_.batch, chosen_.repeats);
  if (options_.depth == 0 && depth > deepest_) return false;
  ++chosen_.doublings;
  chosen_.scale *= 2;
  if (options_.depth == 0) chosen_.depth = std::max(chosen_.depth, depth);
  return true;
}

/// One round of all chains, its mean in chains_.mean. False where they diverge and nothing helps.
template <class T>
bool Lissa<T>::settle_round() {
  for (Index done = 0;;) {
    if (done == 0) start();
    if (!run(done, chosen_.depth)) {
      if (!double_scale()) return false;
      done = 0;
      continue;
    }
    average();
    if (options_.published) return true;
    const std::vector<double> left = residual_norms();
    const double most = *std::max_element(left.begin(), left.end());
    if (most <= kEnough) return true;
    if (!(most < 1) && double_scale()) {
      done = 0;
    } else if (options_.depth == 0 && chosen_.depth < deepest_) {
      done = chosen_.depth;
      chosen_.depth *= 2;
    } else {
      return most < 1;
    }
  }
}

template <class T>
void Lissa<T>::correct(MatrixView<const T> residuals, const std::vector<double>&, MatrixView<T> corrections,
                       std::vector<ColumnReport>& columns) {
  Device& device = hessian_.device();
  const KernelTable<T>& kernels = device.kernels<T>();
  kernels.combine(device, {0.0, {}, 0.0, corrections});
  std::vector<std::size_t> running;
  round_ = 0;
  for (std::size_t j = 0; j < columns.size(); ++j)
    if (is_running(columns[j])) {
      running.push_back(j);
      round_ = std::max(round_, columns[j].refinements);
    }
  if (running.empty()) return;
  width_ = static_cast<Index>(running.size());
  reserve(width_);
  for (Index at = 0; at < width_; ++at)
    kernels.combine(device, {1.0, residuals.rows_from(static_cast<Index>(running[static_cast<std::size_t>(at)]), 1),
                             0.0, chains_.right_hand_sides.rows_from(at, 1)});
  if (!choose(columns)) return;

  const Index steps_before = chosen_.steps;
  const bool is_settled = settle_round();
  const std::vector<double> spread = round_ == 0 && is_settled ? spreads() : std::vector<double>();
  for (Index at = 0; at < width_; ++at) {
    ColumnReport& column = columns[running[static_cast<std::size_t>(at)]];
    column.iterations += chosen_.steps - steps_before;
    if (!is_settled) column.status = ColumnStatus::diverged;
    if (!is_settled) continue;
    if (round_ == 0) column.spread = spread[static_cast<std::size_t>(at)];
    kernels.combine(device, {1.0, chains_.mean.rows_from(at, 1), 0.0,
                             corrections.rows_from(static_cast<Index>(running[static_cast<std::size_t>(at)]), 1)});
  }
}

template <class T>
void Lissa<T>::describe(SolveReport& report) const {
  report.lissa = chosen_;
  report.lissa->passes = static_cast<double>(chosen_.steps) * static_cast<double>(chosen_.batch * chosen_.repeats) /
                         static_cast<double>(hessian_.objective().examples());
}

template <class T>
std::unique_ptr<Solver> make_lissa(Objective<T>& fast, Objective<double>& exact, double damping, double tolerance,
                                   const LissaOptions& options, Progress progress) {
  auto inner = std::make_unique<Lissa<T>>(HessianOperator<T>(fast, damping), options, progress);
  return std::make_unique<CertifiedSolver<T>>(HessianOperator<double>(exact, damping), std::move(inner), tolerance,
                                              std::move(progress));
}

template class Lissa<float>;
template class Lissa<double>;
template std::unique_ptr<Solver> make_lissa(Objective<float>&, Objective<double>&, double, double, const LissaOptions&,
                                            Progress);
template std::unique_ptr<Solver> make_lissa(Objective<double>&, Objective<double>&, double, double, const LissaOptions&,
                                            Progress);

}  // namespace clout
