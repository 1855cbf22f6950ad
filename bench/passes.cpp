// clout_passes: the passes of a model, run on request and timed one by one, so that scripts/bench can alternate them
// with a peer's on the same data.
//
//   clout_passes logistic|convnet single|double auto|dense|sparse THREADS FOLDER
//
// FOLDER holds raw arrays: x.uint8 [n][784], y.int32 [n], params.float64 [p], vectors.float64 [k][p]. A request is a
// line of standard input, "WORK K REPEATS OUT": K vectors (adam: steps), so many runs, and the file that the last run's
// result goes to as raw float64, or "-". The answer is a line of JSON: the wall's seconds of every run and what all
// cores spent.

#include <clout/engine/adam.hpp>
#include <clout/models/conv_net.hpp>
#include <clout/models/logistic_regression.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ceilings.hpp"

namespace clout::bench {
namespace {

constexpr Index kPixels = 784, kLabels = 10;
constexpr double kLogisticL2 = 0.01, kNetworkL2 = 0.001;

template <class V>
std::vector<V> read_array(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw InvalidInput(path.string() + ": cannot be read; expected a raw array");
  std::vector<V> values(std::filesystem::file_size(path) / sizeof(V));
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(V)));
  return values;
}

struct Setting {
  std::string model, storage;
  int threads = 0;
  std::filesystem::path folder;
};

template <class T>
Dataset<T> read_data(Device& device, const Setting& setting) {
  const auto x = read_array<std::uint8_t>(setting.folder / "x.uint8");
  const auto y = read_array<std::int32_t>(setting.folder / "y.int32");
  const auto data = Dataset<T>::from_bytes(device, x, y, kPixels, kLabels);
  if (setting.storage == "dense" || setting.model == "convnet") return data;
  if (setting.storage == "sparse") return data.with_storage(Storage::sparse);
  if (setting.storage == "auto") return data.with_storage(Storage::automatic);
  throw InvalidInput(setting.storage + ": expected auto, dense or sparse");
}

template <class T>
std::unique_ptr<Objective<T>> make_objective(Device& device, const Setting& setting) {
  if (setting.model == "logistic")
    return std::make_unique<LogisticRegression<T>>(read_data<T>(device, setting), /*bias=*/false, kLogisticL2);
  if (setting.model == "convnet")
    return std::make_unique<ConvNet<T>>(read_data<T>(device, setting), paper_network(), kNetworkL2);
  throw InvalidInput(setting.model + ": expected logistic or convnet");
}

/// One model in precision T, and the passes over its data.
template <class T>
class Passes {
 public:
  explicit Passes(const Setting& setting)
      : device_(make_device("cpu", setting.threads)),
        objective_(make_objective<T>(*device_, setting)),
        p_(objective_->parameters()),
        parameters_(read_array<double>(setting.folder / "params.float64")),
        vectors_(read_array<double>(setting.folder / "vectors.float64")) {
    require_input(static_cast<Index>(parameters_.size()) == p_, "params.float64: expected p numbers");
    const std::vector<T> theta(parameters_.begin(), parameters_.end());
    const Buffer<T> point(*device_, std::span<const T>(theta));
    objective_->set_parameters(point.view(1, p_));
  }

  /// Runs `work` so many times; what the last run has computed is in result().
  std::vector<Seconds> run(const std::string& work, Index k, Index repeats) {
    if (work == "gradient") return timed(repeats, 1, p_, [&] { objective_->gradient(out_.view(1, p_)); });
    if (work == "hessian") return timed(repeats, p_, p_, [&] { objective_->explicit_hessian(0, out_.view(p_, p_)); });
    if (work == "adam") return take_steps(k, repeats);
    require_input(k >= 1 && k * p_ <= static_cast<Index>(vectors_.size()), "K: expected 1 to the number of vectors");
    const std::vector<T> some(vectors_.begin(), vectors_.begin() + k * p_);
    const Buffer<T> v(*device_, std::span<const T>(some));
    if (work == "hvp")
      return timed(repeats, k, p_, [&] { objective_->hessian_product(v.view(k, p_), 0, out_.view(k, p_)); });
    const Index n = objective_->examples();
    if (work == "tangents")
      return timed(repeats, n, k, [&] { objective_->loss_tangents(v.view(k, p_), 0, out_.view(n, k)); });
    throw InvalidInput(work + ": expected gradient, hvp, tangents, hessian or adam");
  }
  std::vector<double> result() const { return result_; }

 private:
  static void require_input(bool is_right, const char* what) {
    if (!is_right) throw InvalidInput(what);
  }

  template <class Work>
  std::vector<Seconds> timed(Index repeats, Index rows, Index columns, Work&& work) {
    out_ = Buffer<T>(*device_, rows * columns);
    std::vector<Seconds> seconds;
    for (Index repeat = 0; repeat < repeats; ++repeat) {
      const Stopwatch watch;
      work();
      device_->synchronize();
      seconds.push_back(watch.elapsed());
    }
    const std::vector<T> host = out_.to_host();
    result_.assign(host.begin(), host.end());
    return seconds;
  }

  /// `steps` steps of Adam from zero moments, every time from the same parameters; the result is how far they led. An
  /// epsilon that small makes the two usual forms of Adam the same.
  std::vector<Seconds> take_steps(Index steps, Index repeats) {
    const AdamState<T> start{.step = 0,
                             .parameters = {parameters_.begin(), parameters_.end()},
                             .first_moments = std::vector<T>(parameters_.size()),
                             .second_moments = std::vector<T>(parameters_.size())};
    std::vector<Seconds> seconds;
    for (Index repeat = 0; repeat < repeats; ++repeat) {
      Adam<T> adam(*objective_, {.epsilon = 1e-12}, start);
      const Stopwatch watch;
      adam.run_to(steps);
      device_->synchronize();
      seconds.push_back(watch.elapsed());
      const std::vector<T> reached = adam.state().parameters;
      result_.assign(reached.begin(), reached.end());
      for (std::size_t i = 0; i < result_.size(); ++i) result_[i] -= static_cast<double>(start.parameters[i]);
    }
    return seconds;
  }

  std::unique_ptr<Device> device_;
  std::unique_ptr<Objective<T>> objective_;
  Index p_;
  std::vector<double> parameters_, vectors_;  // [p], [k][p]
  Buffer<T> out_;
  std::vector<double> result_;
};

void answer(const nlohmann::json& facts) { std::cout << facts.dump() << std::endl; }

template <class T>
void serve(const Setting& setting) {
  Passes<T> passes(setting);
  answer({{"ready", true}});
  for (std::string line; std::getline(std::cin, line);) try {
      std::istringstream words(line);
      std::string work, out;
      Index k = 0, repeats = 0;
      if (!(words >> work >> k >> repeats >> out) || repeats < 1)
        throw InvalidInput("\"" + line + "\": expected WORK K REPEATS OUT");
      nlohmann::json wall = nlohmann::json::array(), cpu = wall;
      for (const Seconds& seconds : passes.run(work, k, repeats))
        wall.push_back(seconds.wall), cpu.push_back(seconds.cpu);
      if (out != "-") {
        const std::vector<double> result = passes.result();
        std::ofstream file(out, std::ios::binary);
        file.write(reinterpret_cast<const char*>(result.data()),
                   static_cast<std::streamsize>(result.size() * sizeof(double)));
        if (!file) throw InvalidInput(out + ": cannot be written");
      }
      answer({{"seconds", wall}, {"cpu_seconds", cpu}});
    } catch (const Error& error) {
      answer({{"error", error.what()}});
    }
}

}  // namespace
}  // namespace clout::bench

int main(int argc, char** argv) try {
  using clout::InvalidInput;
  if (argc != 6) throw InvalidInput("expected MODEL PRECISION STORAGE THREADS FOLDER");
  const std::string precision = argv[2];
  const clout::bench::Setting setting{argv[1], argv[3], std::atoi(argv[4]), argv[5]};
  if (precision == "single") clout::bench::serve<float>(setting);
  else if (precision == "double") clout::bench::serve<double>(setting);
  else throw InvalidInput(precision + ": expected single or double");
  return 0;
} catch (const clout::Error& error) {
  std::fprintf(stderr, "clout_passes: %s\n", error.what());
  return 2;
}
