#include <atomic>
#include <clout/kernels/error.hpp>
#include <clout/kernels/interruption.hpp>

namespace clout {
namespace {

std::atomic<InterruptionTest> test_of_process{nullptr};

}  // namespace

void set_interruption_test(InterruptionTest test) { test_of_process = test; }

bool is_interrupted() {
  const InterruptionTest test = test_of_process;
  return test && test();
}

void throw_if_interrupted() {
  if (is_interrupted()) throw Interrupted("interrupted");
}

}  // namespace clout
