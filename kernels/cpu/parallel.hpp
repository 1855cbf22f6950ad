#pragma once
// How work is spread over threads: always in tasks that the problem defines, never the number of threads.

#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <clout/kernels/cpu/cpu_device.hpp>
#include <mutex>

namespace clout::cpu {

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
constexpr Index round_up(Index a, Index b) { return ceil_div(a, b) * b; }

/// body(task, thread) for each task in 0…tasks−1, thread in 0…threads−1. Who runs which task is left open, so a task
/// may write only what no other task writes. The body does not throw.
template <class Body>
void parallel_tasks(const Device& device, Index tasks, Body&& body) {
  const int threads = static_cast<int>(std::min<Index>(as_cpu(device).threads(), tasks));
  if (threads <= 1) {
    for (Index task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
    for (Index task = 0; task < tasks; ++task) body(task, thread);
  }
}

/// body(first, count) for consecutive pieces of 0…size−1 of at most `grain` elements.
template <class Body>
void parallel_ranges(const Device& device, Index size, Index grain, Body&& body) {
  parallel_tasks(device, ceil_div(size, grain), [&](Index task, int) {
    const Index first = task * grain;
    body(first, std::min(grain, size - first));
  });
}

/// While one of these lives, OpenBLAS runs with `threads` threads: 1 inside tasks, since its results' bits depend on
/// its number of threads (and its OpenMP flavour would start threads of its own where a team has one member).
/// The setting is the process's; nested and concurrent holders share it, and the last one restores what was there.
class BlasThreads {
 public:
  explicit BlasThreads(int threads) {
    const std::lock_guard lock(state().mutex);
    if (state().holders++ == 0) {
      state().before = openblas_get_num_threads();
      openblas_set_num_threads(threads);
    }
  }
  ~BlasThreads() {
    const std::lock_guard lock(state().mutex);
    if (--state().holders == 0) openblas_set_num_threads(state().before);
  }
  BlasThreads(const BlasThreads&) = delete;
  BlasThreads& operator=(const BlasThreads&) = delete;

 private:
  struct State {
    std::mutex mutex;
    int holders = 0;
    int before = 1;
  };
  static State& state() {
    static State shared;
    return shared;
  }
};

}  // namespace clout::cpu
