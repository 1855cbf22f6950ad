#pragma once
// What retraining without some examples asks of an objective.

#include <clout/engine/removals.hpp>
#include <span>
#include <string>

namespace clout {

/// Objectives R_j, one for each set of examples that is left out, around a point θ at which the derivatives with nothing
/// left out are known. W_j = W − the weight left out. All views are memory of `device()`; vectors are rows, [k][p].
template <class T>
class Retrainable {
 public:
  Retrainable() = default;
  Retrainable(const Retrainable&) = delete;
  Retrainable& operator=(const Retrainable&) = delete;
  virtual ~Retrainable() = default;

  virtual Device& device() const = 0;
  virtual Index parameters() const = 0;  // p
  virtual Index examples() const = 0;    // n

  /// Whether the three functions at the end are there.
  virtual bool can_remove() const { return true; }
  /// Why R has no minimum once the examples of `removed` are gone, in words; empty where nothing of the kind is known.
  /// A small gradient does not tell: along a direction in which R only ever falls the gradient vanishes too.
  virtual std::string obstacle_to_minimum(std::span<const Index> removed) const {
    static_cast<void>(removed);
    return {};
  }

  /// (W_j/W) ∇R_j(θ): [k][p] for the k sets of `removals`.
  virtual void removal_constants(const Removals& removals, MatrixView<T> out) = 0;
  /// (W_j/W) (∇R_j(θ + δ_j) − ∇R_j(θ)). Where precision T is single, in difference form: relative errors act on the
  /// difference alone. [k][p].
  virtual void removal_differences(const Removals& removals, MatrixView<const T> offsets, MatrixView<T> out) = 0;
  /// ∇R_j(θ_j) from scratch at k other parameter vectors. [k][p].
  virtual void gradients_without(const Removals& removals, MatrixView<const T> parameters, MatrixView<T> out) = 0;
};

}  // namespace clout
