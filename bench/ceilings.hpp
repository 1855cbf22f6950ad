#pragma once
// What this machine can do at most, measured in the same run as everything that is compared with it.

#include <algorithm>
#include <chrono>
#include <ctime>
#include <limits>

namespace clout::bench {

/// By the clock on the wall, and of processor time (all threads of this process).
struct Seconds {
  double wall = std::numeric_limits<double>::infinity();
  double cpu = std::numeric_limits<double>::infinity();

  void lower_to(const Seconds& other) {
    wall = std::min(wall, other.wall);
    cpu = std::min(cpu, other.cpu);
  }
};

class Stopwatch {
 public:
  Seconds elapsed() const {
    return {std::chrono::duration<double>(std::chrono::steady_clock::now() - wall_).count(), processor_time() - cpu_};
  }

 private:
  static double processor_time() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  std::chrono::steady_clock::time_point wall_ = std::chrono::steady_clock::now();
  double cpu_ = processor_time();
};

/// GFLOP per second of the wall, and per second of processor time.
struct Rate {
  double wall, cpu;
};

/// Multiply-adds in registers on all threads: the ceiling that "%peak" refers to.
template <class T>
Rate fma_ceiling(int threads);

/// OpenBLAS' own matrix product, 2048³, on all threads.
template <class T>
Rate gemm_ceiling(int threads);

/// Reading 512 MiB on all threads, in GB/s.
double read_bandwidth(int threads);

}  // namespace clout::bench
