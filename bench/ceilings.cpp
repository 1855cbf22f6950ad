#include "ceilings.hpp"

#include <cblas.h>

#include <cstddef>
#include <vector>

namespace clout::bench {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
constexpr int kRepeats = 9;

template <class T>
struct Simd;
template <>
struct Simd<float> {
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
};
template <>
struct Simd<double> {
  typedef double Vector __attribute__((vector_size(kVectorBytes)));
};

template <class Work>
Seconds best_seconds(Work&& work) {
  Seconds best;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const Stopwatch watch;
    work();
    best.lower_to(watch.elapsed());
  }
  return best;
}

Rate rate(double flops, const Seconds& seconds) { return {flops / seconds.wall / 1e9, flops / seconds.cpu / 1e9}; }

// Twelve chains of multiply-adds, enough for two units of latency 4 or 5.
template <class T>
T fma_chains(long steps) {
  using Vector = typename Simd<T>::Vector;
  constexpr int kChains = 12;
  Vector chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = Vector{} + T(i);
  Vector factor = Vector{} + T(0.999), term = Vector{} + T(0.001);
  asm volatile("" : "+x"(factor), "+x"(term));  // unknown to the optimiser
  for (long step = 0; step < steps; ++step)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chains[i] = chains[i] * factor + term;
  Vector sum{};
  for (int i = 0; i < kChains; ++i) sum += chains[i];
  return sum[0];
}

void multiply(int n, const float* a, const float* b, float* c) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
}
void multiply(int n, const double* a, const double* b, double* c) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
}

}  // namespace

template <class T>
Rate fma_ceiling(int threads) {
  constexpr long kSteps = 10'000'000;
  volatile T sink = 0;
  const Seconds seconds = best_seconds([&] {
#pragma omp parallel num_threads(threads)
    sink = fma_chains<T>(kSteps);
  });
  const double flops = 2.0 * 12 * (kVectorBytes / static_cast<double>(sizeof(T))) * kSteps * threads;
  return rate(flops, seconds);
}

template <class T>
Rate gemm_ceiling(int threads) {
  constexpr int kSize = 2048;
  const auto size = static_cast<std::size_t>(kSize) * kSize;
  const std::vector<T> a(size, T(0.5)), b(size, T(0.25));
  std::vector<T> c(size);
  const int before = openblas_get_num_threads();
  openblas_set_num_threads(threads);
  const Seconds seconds = best_seconds([&] { multiply(kSize, a.data(), b.data(), c.data()); });
  openblas_set_num_threads(before);
  return rate(2.0 * kSize * kSize * kSize, seconds);
}

double read_bandwidth(int threads) {
  const std::size_t count = std::size_t{512} << 17;  // 512 MiB of doubles
  const std::vector<double> data(count, 1.0);
  volatile double sink = 0;
  const Seconds seconds = best_seconds([&] {
    double total = 0;
#pragma omp parallel for simd num_threads(threads) reduction(+ : total) schedule(static)
    for (std::size_t i = 0; i < count; ++i) total += data[i];
    sink = total;
  });
  return static_cast<double>(count * sizeof(double)) / seconds.wall / 1e9;
}

template Rate fma_ceiling<float>(int);
template Rate fma_ceiling<double>(int);
template Rate gemm_ceiling<float>(int);
template Rate gemm_ceiling<double>(int);

}  // namespace clout::bench
