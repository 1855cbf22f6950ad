#include <algorithm>
#include <clout/engine/adam.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <clout/kernels/philox.hpp>
#include <cmath>
#include <numeric>

namespace clout {
namespace {

// Examples' numbers of a stretch, at most: a mebibyte.
constexpr Index kMostRows = Index{1} << 17;

}  // namespace

BatchOrder::BatchOrder(Index examples, Index batch, std::uint64_t seed, bool begins_in_order)
    : examples_(examples), batch_(batch), seed_(seed), begins_in_order_(begins_in_order) {
  require(batch > 0 && batch <= examples, "batch of " + std::to_string(batch) + " examples; expected 1 to " +
                                              std::to_string(examples));
}

std::vector<Index> BatchOrder::epoch(Index number) const {
  if (number > 0 || !begins_in_order_)
    return RandomSequence(seed_, RandomStream::batches, static_cast<std::uint32_t>(number)).sample(examples_, examples_);
  std::vector<Index> rows(static_cast<std::size_t>(examples_));
  std::iota(rows.begin(), rows.end(), Index{0});
  return rows;
}

double AdamOptions::rate(Index step) const {
  double rate = learning_rate;
  for (const Index drop : drops)
    if (step >= drop) rate /= 10;
  return rate;
}

template <class T>
Adam<T>::Adam(Objective<T>& objective, const AdamOptions& options, const AdamState<T>& state, Exclusions exclusions)
    : objective_(objective),
      options_(options),
      order_(objective.examples(), options.batch, options.seed, options.begins_in_order),
      regularized_(regularized_ranges(objective.layout())),
      exclusions_(exclusions),
      size_(objective.parameters()),
      models_(static_cast<Index>(state.parameters.size()) / size_),
      step_(state.step),
      stretch_(std::clamp(kMostRows / order_.batch(), Index{1}, std::max(options.stretch, Index{1}))),
      parameters_(objective.device(), std::span<const T>(state.parameters)),
      first_moments_(objective.device(), std::span<const T>(state.first_moments)),
      second_moments_(objective.device(), std::span<const T>(state.second_moments)),
      gradients_(objective.device(), models_ * size_),
      rows_(objective.device(), stretch_ * order_.batch()),
      step_sizes_(objective.device(), stretch_) {
  const auto length = static_cast<std::size_t>(models_ * size_);
  require(objective.has_batches(), "this model has no gradients of minibatches");
  require(models_ > 0 && state.parameters.size() == length && state.first_moments.size() == length &&
              state.second_moments.size() == length,
          "state of Adam: expected parameters and both moments, [k][" + std::to_string(size_) + "] with k at least 1");
  if (objective.can_record()) whole_stretch_ = objective.device().record([this] { take_steps(stretch_); });
}

template <class T>
void Adam<T>::run_to(Index last, const Progress& progress) {
  const Index first = step_;
  while (step_ < last) {
    const Index count = std::min(stretch_, last - step_);
    load(count);
    if (whole_stretch_ && count == stretch_) whole_stretch_->replay();
    else take_steps(count);
    step_ += count;
    if (progress) progress("adam", static_cast<double>(step_ - first), static_cast<double>(last - first));
  }
  for (const T value : parameters_.to_host())
    if (!std::isfinite(value))
      throw NotCertified("adam: a parameter is not finite after " + std::to_string(step_) +
                         " steps; lower --learning-rate");
}

template <class T>
void Adam<T>::load(Index count) {
  std::vector<Index> rows;
  std::vector<double> sizes;
  for (Index step = step_; step < step_ + count; ++step) {
    const Index epoch = step / order_.steps_per_epoch(), slice = step % order_.steps_per_epoch();
    if (epoch != permuted_) permutation_ = order_.epoch(epoch);
    permuted_ = epoch;
    const auto from = permutation_.begin() + slice * order_.batch();
    rows.insert(rows.end(), from, from + order_.batch());
    const double t = static_cast<double>(step + 1);
    sizes.push_back(options_.rate(step) * std::sqrt(1 - std::pow(options_.beta2, t)) / (1 - std::pow(options_.beta1, t)));
  }
  rows_.upload(rows);
  step_sizes_.upload(sizes);
}

template <class T>
void Adam<T>::take_steps(Index count) {
  Device& device = objective_.device();
  const auto view = [&](Buffer<T>& buffer) { return buffer.view(models_, size_); };
  for (Index i = 0; i < count; ++i) {
    objective_.batch_gradients(parameters(), rows_.data() + i * order_.batch(), order_.batch(), exclusions_,
                               view(gradients_));
    device.kernels<T>().adam_step(device, {.regularized = regularized_,
                                           .l2 = objective_.l2(),
                                           .beta1 = options_.beta1,
                                           .beta2 = options_.beta2,
                                           .epsilon = options_.epsilon,
                                           .step_size = step_sizes_.data() + i,
                                           .gradients = view(gradients_),
                                           .first_moments = view(first_moments_),
                                           .second_moments = view(second_moments_),
                                           .parameters = view(parameters_)});
  }
}

template <class T>
AdamState<T> Adam<T>::state() const {
  return {step_, parameters_.to_host(), first_moments_.to_host(), second_moments_.to_host()};
}

template class Adam<float>;
template class Adam<double>;

}  // namespace clout
