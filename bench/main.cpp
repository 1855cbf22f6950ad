// clout_bench: every line says GFLOP/s and the share of the multiply-add ceiling that the same run has measured.

#include <cstdio>

#include "timing.hpp"

int main(int argc, char** argv) try {
  using namespace clout::bench;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const auto info = device().info();
  const int threads = info.threads;
  std::printf("device:        %s, %s, %d threads, %s\n", info.name.c_str(), info.model.c_str(), threads,
              info.libraries.c_str());
  std::printf("data:          %s\n", images().origin.c_str());
  const auto print = [](const char* what, const Rate& single, const Rate& twice) {
    std::printf("%s %6.1f float, %6.1f double GFLOP/s by the wall; %6.1f, %6.1f per second of processor time\n", what,
                single.wall, twice.wall, single.cpu, twice.cpu);
  };
  print("multiply-add: ", peak<float>(), peak<double>());
  print("OpenBLAS GEMM:", gemm_ceiling<float>(threads), gemm_ceiling<double>(threads));
  std::printf("memory, read:  %.1f GB/s\n", read_bandwidth(threads));
  std::fflush(stdout);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
} catch (const clout::Error& error) {
  std::fprintf(stderr, "clout_bench: %s\n", error.what());
  return 4;
}
