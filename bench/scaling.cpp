// clout_scaling: one pass over synthetic data of a size of one's own, its time and its memory beside what is counted,
// so that scripts/bench --scaling can draw them against n, d, K and k.
//
//   clout_scaling dense|sparse single|double n d K k THREADS
//
// X is bytes, 19 % of them not zero, as in MNIST. One process a size: memory is then that size's own. A line of JSON:
// the wall's seconds of every Hessian product with k vectors, counted flops, planned and resident bytes.

#include <malloc.h>
#include <unistd.h>

#include <clout/models/logistic_regression.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "ceilings.hpp"

namespace clout::bench {
namespace {

constexpr std::uint64_t kEntriesOf1024 = 195;  // 19 %
constexpr double kLeastSeconds = 2;
constexpr int kLeastRuns = 5, kMostRuns = 200;

struct Size {
  Index n, d, classes, k;
};

template <class T>
Dataset<T> synthetic(Device& device, const Size& size) {
  std::mt19937_64 random(1);
  std::vector<std::uint8_t> x(static_cast<std::size_t>(size.n * size.d));
  std::vector<std::int32_t> y(static_cast<std::size_t>(size.n));
  for (std::uint8_t& byte : x) {
    const std::uint64_t bits = random();
    byte = bits % 1024 < kEntriesOf1024 ? static_cast<std::uint8_t>(1 + (bits >> 32) % 255) : std::uint8_t{0};
  }
  for (std::int32_t& label : y) label = static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(size.classes));
  return Dataset<T>::from_bytes(device, x, y, size.d, size.classes);
}

template <class T>
Buffer<T> small_numbers(Device& device, Index count) {
  std::mt19937_64 random(2);
  std::vector<T> host(static_cast<std::size_t>(count));
  for (T& value : host) value = static_cast<T>(static_cast<double>(random() >> 40) * 0x1p-24 - 0.5) / T(16);
  return Buffer<T>(device, std::span<const T>(host));
}

double resident_bytes() {
  double pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

template <class T>
nlohmann::json measure(const Size& size, Storage storage, int threads) {
  const auto device = make_device("cpu", threads);
  const double before = resident_bytes();
  auto data = synthetic<T>(*device, size).with_storage(storage);
  const double entries = data.density() * static_cast<double>(size.n) * static_cast<double>(size.d);
  const bool is_sparse = data.is_sparse();
  LogisticRegression<T> model(std::move(data), /*bias=*/false, 0.01);
  const Index p = model.parameters();
  const Buffer<T> theta = small_numbers<T>(*device, p), vectors = small_numbers<T>(*device, size.k * p);
  Buffer<T> out(*device, size.k * p);
  model.set_parameters(theta.view(1, p));
  const std::size_t scratch = model.product_scratch(size.k);
  malloc_trim(0);  // what made the data is free, but kept

  std::vector<double> seconds;
  double total = 0;
  for (int run = -1; run < kLeastRuns || (total < kLeastSeconds && run < kMostRuns); ++run) {
    const Stopwatch watch;
    model.hessian_product(vectors.view(size.k, p), 0, out.view(size.k, p));
    const double taken = watch.elapsed().wall;
    if (run < 0) continue;  // takes the memory
    seconds.push_back(taken);
    total += taken;
  }
  const double per_entry = 4 * static_cast<double>(size.classes * size.k);
  return {{"seconds", seconds},
          {"flops", per_entry * (is_sparse ? entries : static_cast<double>(size.n) * static_cast<double>(size.d))},
          {"scratch_bytes", scratch},
          {"resident_bytes", resident_bytes() - before}};
}

Index positive(const std::string& text) {
  std::size_t end = 0;
  const long long value = std::stoll(text, &end);
  if (end != text.size() || value < 1) throw InvalidInput(text + ": expected a whole number of at least 1");
  return value;
}

nlohmann::json answer(const std::vector<std::string>& words) {
  if (words.size() != 7) throw InvalidInput("expected dense|sparse single|double n d K k THREADS");
  if (words[0] != "dense" && words[0] != "sparse") throw InvalidInput(words[0] + ": expected dense or sparse");
  if (words[1] != "single" && words[1] != "double") throw InvalidInput(words[1] + ": expected single or double");
  const Storage storage = words[0] == "dense" ? Storage::dense : Storage::sparse;
  const Size size{positive(words[2]), positive(words[3]), positive(words[4]), positive(words[5])};
  const int threads = static_cast<int>(positive(words[6]));
  return words[1] == "single" ? measure<float>(size, storage, threads) : measure<double>(size, storage, threads);
}

}  // namespace
}  // namespace clout::bench

int main(int argc, char** argv) try {
  std::cout << clout::bench::answer({argv + 1, argv + argc}).dump() << std::endl;
  return 0;
} catch (const clout::Error& error) {
  std::fprintf(stderr, "clout_scaling: %s\n", error.what());
  return 2;
} catch (const std::logic_error&) {
  std::fprintf(stderr, "clout_scaling: expected whole numbers for n d K k THREADS\n");
  return 2;
} catch (const std::bad_alloc&) {
  std::fprintf(stderr, "clout_scaling: not enough memory for so much data\n");
  return 4;
}
