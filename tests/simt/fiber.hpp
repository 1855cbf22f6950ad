#pragma once
// Stacks and the switch between them.

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>

namespace simt::detail {

/// One flow of control: the host's, or a fiber's.
struct Context {
  boost::context::detail::fcontext_t handle = nullptr;
  const void* stack_bottom = nullptr;
  std::size_t stack_bytes = 0;
  void* fake_stack = nullptr;  // AddressSanitizer's
  void* race_fiber = nullptr;  // ThreadSanitizer's
};

/// Stops `from` and continues `to`; returns when somebody switches back. `from` never returns if it is `dying`.
void switch_context(Context& from, Context& to, bool dying = false);

/// To be called first on a new fiber, with what its entry function was given.
void arrive(Context& self, boost::context::detail::transfer_t transfer);

/// Equal stacks with a guard page below each.
class StackPool {
 public:
  StackPool() = default;
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  /// At least `count` stacks. Contents and contexts on them are lost.
  void reserve(std::size_t count);
  /// Makes the first `count` stacks fit for new fibers that have no order to the ones that ran there before.
  void renew(std::size_t count);
  /// Forgets what AddressSanitizer knows about frames that were abandoned.
  void forget_frames();
  /// Prepares `context` to start in `entry` on stack `index`.
  void prepare(Context& context, std::size_t index, void (*entry)(boost::context::detail::transfer_t)) const;
  /// The stack whose guard page holds `address`, or -1.
  long overrun(const void* address) const;

 private:
  char* usable(std::size_t index) const;
  void release();

  char* base_ = nullptr;
  std::size_t count_ = 0;
};

/// From now on, a write to a guard page of `pool` ends the program with a message that `describe(stack, text, size)`
/// completes. For the calling thread; nothing to do where AddressSanitizer reports such writes itself.
void report_overruns(const StackPool* pool, void (*describe)(long stack, char* text, std::size_t size));

}  // namespace simt::detail
