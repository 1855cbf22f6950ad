#include <algorithm>
#include <clout/host/fine_tuning.hpp>
#include <clout/kernels/kernel_table.hpp>

namespace clout {
namespace {

using Groups = std::vector<std::vector<Index>>;

/// `checkpoint` for `models` models side by side.
template <class T>
AdamState<T> repeated(const AdamState<T>& checkpoint, Index models) {
  AdamState<T> state{checkpoint.step, {}, {}, {}};
  const auto append = [](std::vector<T>& to, const std::vector<T>& from) { to.insert(to.end(), from.begin(), from.end()); };
  for (Index j = 0; j < models; ++j) {
    append(state.parameters, checkpoint.parameters);
    append(state.first_moments, checkpoint.first_moments);
    append(state.second_moments, checkpoint.second_moments);
  }
  return state;
}

template <class T>
class FineTuning {
 public:
  FineTuning(Objective<T>& train, Objective<double>& test, const AdamState<T>& checkpoint,
             const FineTuningOptions& options, io::Journal* journal, const Progress& progress, Index blocks)
      : train_(train),
        test_(test),
        checkpoint_(checkpoint),
        options_(options),
        journal_(journal),
        progress_(progress),
        blocks_(blocks),
        before_(losses(checkpoint.parameters, 1)) {}

  /// Changes of the test losses of one block of models, [groups][m], from the journal where they are there.
  std::vector<std::vector<double>> block(Index number, const Groups& groups, const AdamOptions& adam) {
    const auto key = static_cast<std::uint64_t>(number);
    const std::size_t tests = static_cast<std::size_t>(test_.examples());
    std::vector<double> changes;
    if (journal_ && journal_->completed().contains(key)) {
      changes = journal_->completed().at(key);
      require(changes.size() == groups.size() * tests,
              "journal: block " + std::to_string(number) + " has another length; expected the same request as before");
    } else {
      changes = tuned(number, groups, adam);
      if (journal_) journal_->append(key, changes);
    }
    std::vector<std::vector<double>> rows;
    for (auto at = changes.begin(); at != changes.end(); at += static_cast<std::ptrdiff_t>(tests))
      rows.emplace_back(at, at + static_cast<std::ptrdiff_t>(tests));
    return rows;
  }

 private:
  std::vector<double> tuned(Index number, const Groups& groups, const AdamOptions& options) {
    const Index models = static_cast<Index>(groups.size());
    const Removals removals(train_.device(), groups, train_.examples());
    Adam<T> adam(train_, options, repeated(checkpoint_, models), removals.exclusions());
    adam.run_to(checkpoint_.step + options_.steps, [&](const std::string&, double done, double all) {
      if (progress_) progress_("retrain", static_cast<double>(number) + done / all, static_cast<double>(blocks_));
    });
    const std::vector<double> after = losses(adam.state().parameters, models);
    std::vector<double> changes;
    for (Index j = 0; j < models; ++j)
      for (std::size_t t = 0; t < before_.size(); ++t)
        changes.push_back(after[t * static_cast<std::size_t>(models) + static_cast<std::size_t>(j)] - before_[t]);
    return changes;
  }

  /// Test losses of `models` models in double, [m][models].
  std::vector<double> losses(const std::vector<T>& parameters, Index models) {
    const std::vector<double> widened(parameters.begin(), parameters.end());
    const Buffer<double> on_device(test_.device(), std::span<const double>(widened));
    Buffer<double> out(test_.device(), test_.examples() * models);
    test_.losses_at(on_device.view(models, test_.parameters()), out.view(test_.examples(), models));
    return out.to_host();
  }

  Objective<T>& train_;
  Objective<double>& test_;
  const AdamState<T>& checkpoint_;
  const FineTuningOptions& options_;
  io::Journal* journal_;
  const Progress& progress_;
  Index blocks_;
  std::vector<double> before_;  // [m]
};

}  // namespace

template <class T>
FineTuned fine_tune(Objective<T>& train, Objective<double>& test, const AdamState<T>& checkpoint, const Groups& groups,
                    const FineTuningOptions& options, io::Journal* journal, const Progress& progress) {
  require(options.steps > 0 && options.block > 0 && options.controls > 0,
          "fine-tuning: expected at least one step, one model a block and one control");
  const Index count = static_cast<Index>(groups.size());
  const Index blocks = options.controls + (count + options.block - 1) / options.block;
  FineTuning<T> tuning(train, test, checkpoint, options, journal, progress, blocks);
  FineTuned result;
  for (Index c = 0; c < options.controls; ++c) {
    AdamOptions order = options.adam;
    order.seed += static_cast<std::uint64_t>(c);
    order.begins_in_order = c == 0;
    result.controls.push_back(tuning.block(c, {{}}, order)[0]);
  }
  for (Index first = 0, number = options.controls; first < count; first += options.block, ++number) {
    const Groups some(groups.begin() + first, groups.begin() + std::min(count, first + options.block));
    for (auto& changes : tuning.block(number, some, options.adam)) result.models.push_back(std::move(changes));
  }
  return result;
}

template FineTuned fine_tune(Objective<float>&, Objective<double>&, const AdamState<float>&, const Groups&,
                             const FineTuningOptions&, io::Journal*, const Progress&);
template FineTuned fine_tune(Objective<double>&, Objective<double>&, const AdamState<double>&, const Groups&,
                             const FineTuningOptions&, io::Journal*, const Progress&);

}  // namespace clout
