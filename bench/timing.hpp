#pragma once
// One way of timing for all: the best of the repeats (a neighbour's work can only slow a run down), as rates of the
// flops that the operation counts (performance.md 1a) and as a share of the same run's ceiling. Two clocks: the wall,
// and the processor time of this process, which still means something while other work shares the machine: compare
// `%peak_cpu` with an idle machine's `%peak`.

#include <benchmark/benchmark.h>

#include "ceilings.hpp"
#include "problem.hpp"

namespace clout::bench {

/// Sets the counters of a benchmark whose operation takes `flops`.
template <class T>
void report(benchmark::State& state, double flops, const Seconds& best) {
  state.counters["best_ms"] = best.wall * 1e3;
  state.counters["GFLOP/s"] = flops / best.wall / 1e9;
  state.counters["%peak"] = 100 * flops / best.wall / 1e9 / peak<T>().wall;
  if (device().info().is_host) state.counters["%peak_cpu"] = 100 * flops / best.cpu / 1e9 / peak<T>().cpu;
}

template <class T, class Work>
void time_best(benchmark::State& state, double flops, Work&& work) {
  work();
  device().synchronize();
  Seconds best;
  for (auto _ : state) {
    const Stopwatch watch;
    work();
    device().synchronize();
    const Seconds seconds = watch.elapsed();
    best.lower_to(seconds);
    state.SetIterationTime(seconds.wall);
  }
  report<T>(state, flops, best);
}

}  // namespace clout::bench
