#include <algorithm>
#include <clout/engine/scaling.hpp>
#include <clout/engine/solver_choice.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/cli/hinge.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/io/npz.hpp>
#include <cmath>
#include <limits>

namespace clout::cli {
namespace {

// θ̂ whose gradient is larger than this, beside inputs of 1 or less, is no minimum.
constexpr double kStationary = 1e-6;
// Rounding of probabilities that no residual shows, in the Hessian that all of them are of, is worth a word from here on.
constexpr double kRoundedLogits = 1e-10;
// Beyond, squares leave float64, and with them objectives and norms.
constexpr double kLargestNorm = 1e150;

std::string elements(Index count, const char* what) { return std::to_string(count) + " " + what; }

/// Most that the terms of a logit add up to: what is pooled are means of tanh, at most 1.
double largest_logit(const NetworkShape& shape, const std::vector<double>& theta) {
  double largest = 0;
  for (Index c = 0; c < shape.classes; ++c) {
    double sum = std::abs(theta[static_cast<std::size_t>(shape.bias + c)]);
    for (Index i = 0; i < shape.pooled; ++i) sum += std::abs(theta[static_cast<std::size_t>(shape.weight + c * shape.pooled + i)]);
    largest = std::max(largest, sum);
  }
  return largest;
}

}  // namespace

std::unique_ptr<Device> open_device(const Options& options) {
  std::unique_ptr<Device> device = make_device(options.device, options.threads);
  if (!options.memory_limit.empty()) device->set_memory_limit(parse_bytes(options.memory_limit));
  return device;
}

io::NpyArray read_array(const std::string& path, const std::string& name) {
  return path.ends_with(".npz") ? io::read_npz(path, name) : io::read_npy(path);
}

std::vector<double> read_numbers(const std::string& path, const std::string& name, std::vector<Index>& shape) {
  const io::NpyArray array = read_array(path, name);
  shape = array.shape();
  io::require_finite(array, path);
  std::vector<double> numbers(array.size());
  if (array.holds<double>()) {
    const auto values = array.values<double>();
    numbers.assign(values.begin(), values.end());
  } else if (array.holds<float>()) {
    const auto values = array.values<float>();
    numbers.assign(values.begin(), values.end());
  } else {
    throw InvalidInput(path + ": dtype " + std::string(io::dtype_name(array.dtype())) +
                       "; expected float64 or float32");
  }
  return numbers;
}

std::vector<Index> read_integers(const std::string& path, const std::string& name) {
  const io::NpyArray array = read_array(path, name);
  if (array.rank() != 1) throw InvalidInput(path + ": shape " + io::shape_text(array.shape()) + "; expected [count]");
  const auto widened = [](const auto values) { return std::vector<Index>(values.begin(), values.end()); };
  if (array.holds<std::int64_t>()) return widened(array.values<std::int64_t>());
  if (array.holds<std::int32_t>()) return widened(array.values<std::int32_t>());
  if (array.holds<std::uint8_t>()) return widened(array.values<std::uint8_t>());
  throw InvalidInput(path + ": dtype " + std::string(io::dtype_name(array.dtype())) +
                     "; expected integers (int64, int32 or uint8)");
}

io::Manifest make_manifest(const Options& options, const std::vector<std::string>& command_line,
                           const Device& device) {
  const DeviceInfo info = device.info();
  io::Manifest::Run run{.version = CLOUT_VERSION,
                        .command_line = command_line,
                        .seed = options.seed,
                        .device = info.name,
                        .precision = options.precision,
                        .cpu = info.model,
                        .libraries = {{"linear algebra", info.libraries}}};
  io::Manifest manifest(std::move(run));
  manifest.set("threads", info.threads);
  return manifest;
}

Problem::Problem(const Options& options, const std::vector<std::string>& command_line)
    : options_(options),
      model_(options),
      device_(open_device(options)),
      manifest_(make_manifest(options, command_line, *device_)),
      progress_(options.quiet && !options.progress ? std::optional(false) : options.progress) {
  examples_ = read_examples(options.x, "x", options.y, "y");
  input_shape_ = examples_.shape;
  model_.expect_examples(input_shape_, options.x);
  store_examples();
  if (!options.weights.empty()) {
    std::vector<Index> shape;
    const std::vector<double> weights = read_numbers(options.weights, "weights", shape);
    add_input(options.weights);
    if (shape.size() != 1)
      throw InvalidInput(options.weights + ": shape " + io::shape_text(shape) + "; expected [" +
                         std::to_string(data_->examples()) + "]");
    data_ = std::make_unique<Dataset<double>>(
        naming(options.weights, [&] { return data_->with_weights(weights); }));
  }
  const bool tests_are_training_rows = options.test_x.empty() && !options.test_index.empty();
  if (!tests_are_training_rows) examples_.x = io::NpyArray();  // the device holds it now
  if (!options.spec.empty()) add_input(options.spec);
  if (!options.params.empty()) load_parameters();
}

void Problem::store_examples() {
  data_ = std::make_unique<Dataset<double>>(to_dataset(examples_, {}, options_.x));
  if (!model_.is_linear()) return;
  const Storage storage = options_.storage == "auto"    ? Storage::automatic
                          : options_.storage == "dense" ? Storage::dense
                                                        : Storage::sparse;
  data_ = std::make_unique<Dataset<double>>(data_->with_storage(storage));
  manifest_.set("storage", data_->is_sparse() ? "sparse" : "dense");
  if (data_->is_sparse()) manifest_.set("density", data_->density());  // else X would come back from a GPU for this
}

void Problem::add_input(const std::string& path) { manifest_.add_input(path); }

Problem::Examples Problem::read_examples(const std::string& x, const std::string& x_name, const std::string& y,
                                         const std::string& y_name) {
  Examples examples;
  examples.x = read_array(x, x_name);
  add_input(x);
  examples.shape = examples.x.shape();
  if (examples.shape.size() < 2 || examples.shape.size() > 4)
    throw InvalidInput(x + ": shape " + io::shape_text(examples.shape) + "; expected [n][d], [n][H][W] or [n][C][H][W]");
  if (examples.x.size() == 0)
    throw InvalidInput(x + ": shape " + io::shape_text(examples.shape) + " has no elements; expected at least one example with one feature");
  if (examples.shape.size() == 3) examples.shape.insert(examples.shape.begin() + 1, 1);
  if (examples.x.holds<std::int32_t>() || examples.x.holds<std::int64_t>())
    throw InvalidInput(x + ": dtype " + std::string(io::dtype_name(examples.x.dtype())) +
                       "; expected float64, float32, or uint8 (which is divided by 255)");
  io::require_finite(examples.x, x);

  const std::vector<Index> labels = read_integers(y, y_name);
  add_input(y);
  if (static_cast<Index>(labels.size()) != examples.shape[0])
    throw InvalidInput(y + ": " + elements(static_cast<Index>(labels.size()), "labels") + " for " +
                       elements(examples.shape[0], "examples") + " in " + x + "; expected as many");
  examples.labels = to_classes(labels, y);
  return examples;
}

std::vector<std::int32_t> Problem::to_classes(const std::vector<Index>& labels, const std::string& y) const {
  // A margin model's −1 and +1 are its classes 0 and 1; one −1 says that all labels are meant so.
  const bool are_signs = model_.is_margin() && std::ranges::find(labels, -1) != labels.end();
  const Index least = are_signs ? -1 : 0, step = are_signs ? 2 : 1, most = least + (model_.classes() - 1) * step;
  std::vector<std::int32_t> classes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < least || labels[i] > most || (labels[i] - least) % step != 0)
      throw InvalidInput(y + ": label " + std::to_string(labels[i]) + " at [" + std::to_string(i) + "]; expected " +
                         (are_signs ? "-1 or 1 as elsewhere in it"
                                    : "0 to " + std::to_string(most) + (model_.is_margin() ? ", or -1 and 1" : "") + " (" +
                                          std::to_string(model_.classes()) + " classes)"));
    classes.push_back(static_cast<std::int32_t>((labels[i] - least) / step));
  }
  return classes;
}

Dataset<double> Problem::to_dataset(const Examples& examples, std::span<const Index> rows, const std::string& name) {
  Index d = 1;
  for (std::size_t axis = 1; axis < examples.shape.size(); ++axis) d *= examples.shape[axis];
  const auto chosen = [&]<class V>(std::span<const V> all) {
    std::vector<V> some;
    for (const Index row : rows) some.insert(some.end(), all.begin() + row * d, all.begin() + (row + 1) * d);
    return some;
  };
  std::vector<std::int32_t> labels;
  for (const Index row : rows) labels.push_back(examples.labels[static_cast<std::size_t>(row)]);
  if (rows.empty()) labels = examples.labels;
  return naming(name, [&] {
    if (examples.x.holds<std::uint8_t>()) {
      const auto all = examples.x.values<std::uint8_t>();
      if (rows.empty()) return Dataset<double>::from_bytes(*device_, all, labels, d, model_.classes());
      return Dataset<double>::from_bytes(*device_, chosen(all), labels, d, model_.classes());
    }
    if (examples.x.holds<double>()) {
      const auto all = examples.x.values<double>();
      if (rows.empty()) return Dataset<double>::from_values(*device_, all, labels, d, model_.classes());
      return Dataset<double>::from_values(*device_, chosen(all), labels, d, model_.classes());
    }
    const auto narrow = examples.x.values<float>();
    const std::vector<double> all(narrow.begin(), narrow.end());
    return Dataset<double>::from_values(*device_, rows.empty() ? all : chosen(std::span<const double>(all)), labels, d,
                                        model_.classes());
  });
}

void Problem::load_parameters() {
  std::vector<Index> shape;
  std::vector<double> theta = read_numbers(options_.params, "params", shape);
  add_input(options_.params);
  if (shape.size() != 1 || shape[0] != parameters())
    throw InvalidInput(options_.params + ": shape " + io::shape_text(shape) + "; expected [" +
                       std::to_string(parameters()) + "]: " + model_.layout_text());
  set_parameters(std::move(theta));
  warn_of_rounded_logits(options_.params, theta_);
}

double Problem::largest_input() {
  if (!largest_input_) {
    const std::vector<double> norms = data_->input_norms();
    const double largest = *std::max_element(norms.begin(), norms.end());
    largest_input_ = options_.bias ? std::hypot(largest, 1.0) : largest;
  }
  return *largest_input_;
}

void Problem::warn_of_rounded_logits(const std::string& name, const std::vector<double>& theta) {
  const double size = model_.is_linear() ? scaled_norm(theta) * largest_input() : largest_logit(model_.network(), theta);
  const double rounding = std::numeric_limits<double>::epsilon() * size;
  if (rounding > kRoundedLogits && std::isfinite(rounding))
    warn(name + (model_.is_margin() ? ": outputs" : ": logits") + " are sums of terms of up to " + number_text(size, 2) +
         (model_.is_margin() ? ", so margins" : ", so probabilities") +
         ", and what gradients and residuals are made of, are known to some " + number_text(rounding, 2) +
         " only" + (model_.is_linear() ? ": where such terms cancel, centre and scale x" : ""));
}

void Problem::set_parameters(std::vector<double> theta) {
  theta_ = std::move(theta);
  if (exact_) move_to<double>(*exact_, *exact_, theta_);
  if (single_) {
    const std::vector<float> rounded(theta_.begin(), theta_.end());
    const Buffer<float> on_device(*device_, std::span<const float>(rounded));
    single_->set_parameters(on_device.view(1, parameters()));
  }
}

template <class T>
std::unique_ptr<Objective<T>> Problem::objective_on(const Dataset<double>& data, double l2) const {
  const Curvature curvature = options_.curvature == "ggn" ? Curvature::gauss_newton : Curvature::hessian;
  std::unique_ptr<Objective<T>> objective = model_.objective(data.as<T>(), l2, curvature);
  if (theta_.empty()) return objective;
  const std::vector<T> rounded(theta_.begin(), theta_.end());
  const Buffer<T> on_device(*device_, std::span<const T>(rounded));
  objective->set_parameters(on_device.view(1, parameters()));
  return objective;
}
template std::unique_ptr<Objective<float>> Problem::objective_on(const Dataset<double>&, double) const;
template std::unique_ptr<Objective<double>> Problem::objective_on(const Dataset<double>&, double) const;

template <>
Objective<double>& Problem::objective<double>() {
  if (!exact_) exact_ = objective_on<double>(*data_, options_.l2);
  return *exact_;
}

template <>
Objective<float>& Problem::objective<float>() {
  if (!single_) single_ = objective_on<float>(*data_, options_.l2);
  return *single_;
}

void Problem::choose_solver(Index right_hand_sides, std::size_t direct_bytes) {
  if (options_.solver != "auto") return;
  const auto choose = [&]<class T>(const Objective<T>& fast) {
    return clout::choose_solver(fast, right_hand_sides, options_.tolerance, kMostDirectParameters, direct_bytes);
  };
  const SolverChoice choice = options_.is_single() ? choose(objective<float>()) : choose(objective<double>());
  options_.solver = choice.name;
  solver_choice_ = choice.name + ": " + choice.reason;
  manifest_.set("solver_choice", solver_choice_);
}

double start_gradient_norm(Problem& problem, const std::string& so) {
  const double norm = gradient_norm(problem.objective<double>());
  const std::string what = problem.options().params + ": gradient norm " + number_text(norm, 3);
  if (!(norm <= kLargestNorm))
    throw NotCertified(what + "; expected one whose square is a number: the parameters, the data, the weights or --l2 " +
                       "are too large (nothing was written)");
  const bool is_linear = problem.model().is_linear();
  if (problem.model().is_hinge()) {  // at a minimum, too, the loss may fall steeply on one side
    warn_of_kinks(problem);
    return norm;
  }
  if (norm > kStationary * (is_linear ? std::min(1.0, problem.largest_input()) : 1.0))
    warn(what + " is not that of a minimum; " +
         (!so.empty() ? so
                      : std::string("predictions leave that out (") +
                            (is_linear ? "clout train fits" : "retrain --retraining proximal has what they predict there") + ")"));
  return norm;
}

void check_batch(const Options& options, Index examples) {
  if (options.batch > examples)
    throw InvalidInput("--batch " + std::to_string(options.batch) + ": expected 1 to " + std::to_string(examples) +
                       ", the number of examples");
}

Problem::Tests Problem::load_tests() {
  if (options_.test_x.empty() != options_.test_y.empty())
    throw InvalidInput("--test-x and --test-y: only one is given; expected both");
  if (options_.test_x.empty() && options_.test_index.empty())
    throw InvalidInput("test examples: none are named; expected --test-x and --test-y, or --test-index");
  Examples other;
  if (!options_.test_x.empty()) {
    other = read_examples(options_.test_x, "test_x", options_.test_y, "test_y");
    if (!std::equal(other.shape.begin() + 1, other.shape.end(), input_shape_.begin() + 1, input_shape_.end()))
      throw InvalidInput(options_.test_x + ": examples of shape " + io::shape_text(std::span(other.shape).subspan(1)) +
                         "; expected " + io::shape_text(std::span(input_shape_).subspan(1)) + " as in " + options_.x);
  }
  const Examples& examples = options_.test_x.empty() ? examples_ : other;
  Tests tests;
  tests.rows = options_.test_index;
  if (tests.rows.empty())
    for (Index i = 0; i < examples.shape[0]; ++i) tests.rows.push_back(i);
  for (const Index row : tests.rows)
    if (row < 0 || row >= examples.shape[0])
      throw InvalidInput("--test-index " + std::to_string(row) + " is out of range; expected 0 to " +
                         std::to_string(examples.shape[0] - 1));
  // No regulariser on the test side: what is predicted is the change of a loss.
  const Dataset<double> data =
      to_dataset(examples, tests.rows, options_.test_x.empty() ? options_.x : options_.test_x);
  tests.input_norms = data.input_norms();
  tests.objective = model_.objective(data, 0.0);
  tests.data = data;
  const Buffer<double> theta(*device_, std::span<const double>(theta_));
  tests.objective->set_parameters(theta.view(1, parameters()));
  return tests;
}

template <class T>
std::vector<T> Problem::read_vectors(Index& k) {
  std::vector<Index> shape;
  const std::vector<double> numbers = read_numbers(options_.vectors, "vectors", shape);
  add_input(options_.vectors);
  if (shape.size() != 2 || shape[1] != parameters() || shape[0] == 0)
    throw InvalidInput(options_.vectors + ": shape " + io::shape_text(shape) + "; expected [k][" +
                       std::to_string(parameters()) + "] with k at least 1");
  k = shape[0];
  for (Index j = 0; j < k; ++j) {
    double largest = 0;
    for (Index i = j * shape[1]; i < (j + 1) * shape[1]; ++i)
      largest = std::max(largest, std::abs(numbers[static_cast<std::size_t>(i)]));
    if (largest > static_cast<double>(std::numeric_limits<T>::max()) ||
        (largest > 0 && largest < static_cast<double>(std::numeric_limits<T>::min())))
      throw InvalidInput(options_.vectors + ": the largest entry of vector " + std::to_string(j) +
                         " is outside the range of " + (sizeof(T) == 4 ? "float32" : "float64") +
                         "; expected it inside (results scale with vectors)");
  }
  return std::vector<T>(numbers.begin(), numbers.end());
}

template <class T>
Buffer<T> Problem::load_vectors(Index& k) {
  const std::vector<T> vectors = read_vectors<T>(k);
  return Buffer<T>(*device_, std::span<const T>(vectors));
}
template std::vector<double> Problem::read_vectors<double>(Index&);
template Buffer<float> Problem::load_vectors<float>(Index&);
template Buffer<double> Problem::load_vectors<double>(Index&);

}  // namespace clout::cli
