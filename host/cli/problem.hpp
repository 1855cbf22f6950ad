#pragma once
// What a verb works on: device, data, model at θ, read and checked from the files that the options name.

#include <clout/host/cli/model.hpp>
#include <clout/host/cli/options.hpp>
#include <clout/host/io/manifest.hpp>
#include <clout/host/io/npy.hpp>
#include <clout/host/progress.hpp>
#include <memory>
#include <optional>

namespace clout::cli {

/// The device that --device, --threads and --memory-limit ask for.
std::unique_ptr<Device> open_device(const Options& options);

/// Runs `action`, putting `name` before the message of bad input.
template <class Action>
auto naming(const std::string& name, Action&& action) {
  try {
    return action();
  } catch (const InvalidInput& error) {
    throw InvalidInput(name + ": " + error.what());
  }
}

/// An array of the file `path` (.npy, or .npz: the member named `name`); InvalidInput names the file.
io::NpyArray read_array(const std::string& path, const std::string& name);
/// The same as double, finite. Integer arrays are refused.
std::vector<double> read_numbers(const std::string& path, const std::string& name, std::vector<Index>& shape);
/// Integers of any supported width, [count].
std::vector<Index> read_integers(const std::string& path, const std::string& name);

/// Training data and test data of one model, and the manifest of the run that uses them.
class Problem {
 public:
  /// Reads --x, --y, --weights and, where given, --params, and moves there.
  Problem(const Options& options, const std::vector<std::string>& command_line);

  Device& device() { return *device_; }
  const Options& options() const { return options_; }
  io::Manifest& manifest() { return manifest_; }
  const Progress& progress() const { return progress_.callback(); }

  const Dataset<double>& data() const { return *data_; }
  /// Shape of x as given, with a channel added to [n][H][W].
  const std::vector<Index>& input_shape() const { return input_shape_; }
  const Model& model() const { return model_; }
  Index parameters() const { return model_.parameters(); }
  /// The largest ‖xᵢ‖, with the 1 of a bias.
  double largest_input();

  void set_parameters(std::vector<double> theta);
  const std::vector<double>& theta() const { return theta_; }
  /// Warns where those of `theta` are known too roughly for what residuals and gradients say.
  void warn_of_rounded_logits(const std::string& name, const std::vector<double>& theta);

  /// Makes a --solver auto the one that so many right-hand sides are worth; the manifest says why, as solver_choice() does.
  void choose_solver(Index right_hand_sides, std::size_t direct_bytes);
  /// Why the solver was chosen; empty where the command line names one.
  const std::string& solver_choice() const { return solver_choice_; }

  /// The objective in precision T at θ; made when first asked for.
  template <class T>
  Objective<T>& objective();

  /// The same model at θ on other data, or with another λ.
  template <class T>
  std::unique_ptr<Objective<T>> objective_on(const Dataset<double>& data, double l2) const;

  /// Rows of the test data that the options choose, as a data set of their own, with the rows' numbers.
  struct Tests {
    std::unique_ptr<Objective<double>> objective;
    std::optional<Dataset<double>> data;
    std::vector<Index> rows;
    std::vector<double> input_norms;  // Euclidean, of each row's x as the model sees it
  };
  Tests load_tests();

  /// [k][p] of --vectors in precision T; on the device.
  template <class T>
  std::vector<T> read_vectors(Index& k);
  template <class T>
  Buffer<T> load_vectors(Index& k);

 private:
  struct Examples {
    std::vector<Index> shape;
    io::NpyArray x;
    std::vector<std::int32_t> labels;
  };
  Examples read_examples(const std::string& x, const std::string& x_name, const std::string& y,
                         const std::string& y_name);
  /// The training data as --storage has it; the manifest says how.
  void store_examples();
  /// Labels as classes 0 …; InvalidInput names the first of another.
  std::vector<std::int32_t> to_classes(const std::vector<Index>& labels, const std::string& y) const;
  Dataset<double> to_dataset(const Examples& examples, std::span<const Index> rows, const std::string& name);
  void add_input(const std::string& path);
  void load_parameters();

  Options options_;
  Model model_;
  std::unique_ptr<Device> device_;
  io::Manifest manifest_;
  ProgressBar progress_;
  std::vector<Index> input_shape_;
  Examples examples_;
  std::unique_ptr<Dataset<double>> data_;
  std::optional<double> largest_input_;
  std::vector<double> theta_;
  std::string solver_choice_;
  std::unique_ptr<Objective<double>> exact_;
  std::unique_ptr<Objective<float>> single_;
};

/// Largest model whose explicit Hessian is assembled.
constexpr Index kMostDirectParameters = 20'000;

/// ‖∇R(θ)‖ in double. Warns where that is not a minimum's, and with `so`, what comes of it, where that is not what
/// influence leaves out. Throws NotCertified where its
/// square would leave float64.
double start_gradient_norm(Problem& problem, const std::string& so = "");

/// Throws InvalidInput unless a batch of Adam's fits into `examples`.
void check_batch(const Options& options, Index examples);

/// The manifest's facts about this machine and build.
io::Manifest make_manifest(const Options& options, const std::vector<std::string>& command_line, const Device& device);

}  // namespace clout::cli
