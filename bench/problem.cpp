#include "problem.hpp"

#include <zlib.h>

#include <algorithm>
#include <clout/kernels/sparse_features.hpp>
#include <cstdlib>
#include <random>

namespace clout::bench {
namespace {

constexpr Index kRows = 55'000, kColumns = 784;

// The body of an idx file (big-endian header of `header` bytes), at most `bytes` of it; empty where there is none.
std::vector<std::uint8_t> read_idx(const std::string& path, unsigned header, std::size_t bytes) {
  std::vector<std::uint8_t> body(header + bytes);
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file) return {};
  const int got = gzread(file, body.data(), static_cast<unsigned>(body.size()));
  gzclose(file);
  if (got != static_cast<int>(body.size())) return {};
  body.erase(body.begin(), body.begin() + header);
  return body;
}

Images load() {
  Images found;
  found.rows = kRows;
  found.columns = kColumns;
  const char* data = std::getenv("CLOUT_DATA");
  const std::string folder = std::string(data ? data : CLOUT_DATA_DIR) + "/mnist/";
  found.pixels = read_idx(folder + "train-images-idx3-ubyte.gz", 16, kRows * kColumns);
  const auto labels = read_idx(folder + "train-labels-idx1-ubyte.gz", 8, kRows);
  if (!found.pixels.empty() && !labels.empty()) {
    found.labels.assign(labels.begin(), labels.end());
    found.origin = "MNIST, first 55,000 training images";
    return found;
  }
  std::mt19937 random(1);
  found.pixels.resize(kRows * kColumns);
  for (auto& pixel : found.pixels) {
    const auto bits = random();
    pixel = (bits >> 8) % 5 == 0 ? static_cast<std::uint8_t>(bits) : std::uint8_t{0};
  }
  for (Index row = 0; row < kRows; ++row) found.labels.push_back(static_cast<std::int32_t>(random() % kClasses));
  found.origin = "synthetic bytes of MNIST's shape, one in five not zero (no data in " + folder + ")";
  return found;
}

}  // namespace

const Images& images() {
  static const Images loaded = load();
  return loaded;
}

template <class T>
const Rate& peak() {
  static const Rate measured = fma_ceiling<T>(device().info().threads);
  return measured;
}

Device& device() {
  static const char* name = std::getenv("CLOUT_BENCH_DEVICE");
  static const char* threads = std::getenv("CLOUT_BENCH_THREADS");
  static const std::unique_ptr<Device> made = make_device(name ? name : "cpu", threads ? std::atoi(threads) : 0);
  return *made;
}

template <class T>
Buffer<T> vectors(Index k, Index p, double size) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> uniform(-size, size);
  std::vector<T> host(static_cast<std::size_t>(k * p));
  for (T& value : host) value = static_cast<T>(uniform(random));
  return Buffer<T>(device(), std::span<const T>(host));
}

template <class T>
Problem<T>& problem() {
  static Problem<T> made = [] {
    Problem<T> p;
    const Images& data = images();
    p.pixels = Buffer<std::uint8_t>(device(), std::span<const std::uint8_t>(data.pixels));
    p.label_memory = Buffer<std::int32_t>(device(), std::span<const std::int32_t>(data.labels));
    p.probability_memory = Buffer<T>(device(), data.rows * kClasses);
    p.features = {.bytes = p.pixels.data(), .rows = data.rows, .columns = data.columns, .scale = T(1) / T(255)};
    p.shape = {.features = data.columns, .classes = kClasses, .bias = false};
    p.labels = p.label_memory.data();
    const auto parameters = vectors<T>(1, p.shape.parameters(), 0.1);
    const auto logits = p.probability_memory.view(data.rows, kClasses);
    const auto& kernels = device().kernels<T>();
    kernels.linear_forward(device(), {p.features, p.shape, parameters.view(1, p.shape.parameters()), logits});
    kernels.softmax_cross_entropy(
        device(), {.logits = logits, .classes = kClasses, .labels = nullptr, .probabilities = logits, .losses = {}});
    p.probabilities = logits;
    return p;
  }();
  return made;
}

template <class T>
SparseFeatures<T> sparse_features() {
  const Images& data = images();
  static const SparseStorage<std::uint8_t> made(device(), data.pixels, data.rows, data.columns);
  return made.view<T>();
}

template const Rate& peak<float>();
template const Rate& peak<double>();
template Buffer<float> vectors(Index, Index, double);
template Buffer<double> vectors(Index, Index, double);
template Problem<float>& problem();
template Problem<double>& problem();
template SparseFeatures<float> sparse_features();
template SparseFeatures<double> sparse_features();

}  // namespace clout::bench
