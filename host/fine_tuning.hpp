#pragma once
// Retraining without examples by further steps of Adam from a checkpoint: what the paper does with its network.

#include <clout/engine/adam.hpp>
#include <clout/engine/removals.hpp>
#include <clout/host/io/journal.hpp>

namespace clout {

struct FineTuningOptions {
  AdamOptions adam;
  Index steps = 30'000;  ///< beyond the checkpoint's
  Index block = 16;      ///< models side by side; it numbers the journal's blocks
  Index controls = 3;    ///< at least one: models with nothing removed
};

/// Changes of test losses, after − before, in double.
struct FineTuned {
  /// [controls][m]: the first in the same order of examples as the models, the others in orders of their own (seed + 1,
  /// seed + 2, …, shuffled from the first epoch on): their spread is the noise of an order.
  std::vector<std::vector<double>> controls;
  std::vector<std::vector<double>> models;  ///< [groups][m]
};

/// Every model starts from `checkpoint` (one model's parameters and moments), sees the same batches in the same order, and
/// leaves its group out of each batch's mean. A block is journaled whole.
template <class T>
FineTuned fine_tune(Objective<T>& train, Objective<double>& test, const AdamState<T>& checkpoint,
                    const std::vector<std::vector<Index>>& groups, const FineTuningOptions& options,
                    io::Journal* journal, const Progress& progress = {});

}  // namespace clout
