#pragma once
// How a user's interrupt reaches an operation that takes minutes.

namespace clout {

/// Asked in the middle of long operations, on any of their threads: whether the process was told to stop. Signals are
/// the process's, and so is this; null (as at the start): never.
using InterruptionTest = bool (*)();
void set_interruption_test(InterruptionTest test);

/// What the test says.
bool is_interrupted();
/// Throws Interrupted where it says so: an operation that was cut short has no results.
void throw_if_interrupted();

}  // namespace clout
