#include <algorithm>
#include <charconv>
#include <clout/engine/lissa.hpp>
#include <clout/host/cli/options.hpp>
#include <clout/kernels/error.hpp>
#include <cmath>
#include <limits>
#include <system_error>

namespace clout::cli {

namespace {

constexpr std::uint64_t kMostThreads = 4096;
constexpr std::uint64_t kMostIterations = 10'000'000;  // whose history is kept, 16 bytes a step and right-hand side

CLI::Validator finite(const std::string& expected, bool (*accepts)(double)) {
  return CLI::Validator(
      [expected, accepts](std::string& text) {
        double value = 0;
        const bool fits = CLI::detail::lexical_cast(text, value) && std::isfinite(value) && accepts(value);
        return fits ? std::string() : text + "; expected a " + expected;
      },
      "");
}

}  // namespace

CLI::Validator positive() {
  return finite("finite number above 0", [](double value) { return value > 0; });
}
CLI::Validator share() {
  return finite("finite number above 0 and below 1", [](double value) { return value > 0 && value < 1; });
}
CLI::Validator not_negative() {
  return finite("finite number, not negative", [](double value) { return value >= 0; });
}

CLI::Validator whole(std::uint64_t least, std::uint64_t most) {
  return CLI::Validator(
      [least, most](std::string& text) {
        std::uint64_t value = 0;
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, value);
        const bool too_large = stop == end && (error == std::errc::result_out_of_range || value > most);
        if (stop == end && error == std::errc() && value >= least && !too_large) {
          text = std::to_string(value);  // CLI11 takes a leading zero for octal
          return std::string();
        }
        const bool has_limit = too_large || most != std::numeric_limits<Index>::max();
        return text + "; expected an integer, " + (has_limit ? "" : "at least ") + std::to_string(least) +
               (has_limit ? " to " + std::to_string(most) : "");
      },
      "");
}

CLI::Validator one_of(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
  return CLI::Validator(
      [words, list](const std::string& text) {
        const bool is_known = std::find(words.begin(), words.end(), text) != words.end();
        return is_known ? std::string() : text + "; expected " + (words.size() > 1 ? "one of " : "") + list;
      },
      "{" + list + "}");
}

void add_common(CLI::App& app, Options& o) {
  app.add_option("--device", o.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--precision", o.precision, "double or single")
      ->check(one_of({"double", "single"}))
      ->capture_default_str();
  app.add_option("--threads", o.threads, "CPU threads (0: all cores)")->check(whole(0, kMostThreads));
  app.add_option("--memory-limit", o.memory_limit, "most device memory to use, such as 8G");
  app.add_option("--seed", o.seed, "of everything drawn at random")
      ->check(whole(0, std::numeric_limits<std::uint64_t>::max()))
      ->capture_default_str();
  app.add_flag("--quiet", o.quiet, "no table on standard output");
  app.add_flag("--json", o.json, "the results' facts as one JSON object on standard output");
  app.add_flag_callback(
      "--progress", [&o] { o.progress = true; }, "show progress even where there is no terminal");
  app.add_flag_callback(
      "--no-progress", [&o] { o.progress = false; }, "show no progress");
}

void add_model(CLI::App& app, Options& o) {
  app.add_option("--model", o.model, "logistic, margin (two classes by the sign of one output) or convnet")
      ->check(one_of(kModelNames))
      ->capture_default_str();
  app.add_option("--classes", o.classes, "number of classes K (convnet: its linear layer's out)")
      ->check(whole(2, kMostClasses));
  app.add_flag("--bias", o.bias, "logistic, margin: with a bias per output (never regularised)");
  add_margin(app, o);
  app.add_option("--spec", o.spec, "convnet: the network, .json (without: the paper's, 2,616 parameters)");
  app.add_option("--l2", o.l2, "lambda of the regulariser (lambda/2)||weights||^2")
      ->check(not_negative())
      ->capture_default_str();
}

void add_margin(CLI::App& app, Options& o) {
  app.add_option("--loss", o.loss, "margin: logistic, hinge or smooth-hinge, of the margin y z")
      ->check(one_of({"logistic", "hinge", "smooth-hinge"}))
      ->capture_default_str();
  app.add_option("--temperature", o.temperature, "margin: t of t log(1 + exp((1 - y z)/t)), the smooth hinge")
      ->check(positive());
}

void add_data(CLI::App& app, Options& o, bool with_params) {
  app.add_option("--x", o.x, "examples: .npy [n][d] or images [n][C][H][W]; uint8 is divided by 255")->required();
  app.add_option("--y", o.y, "labels: .npy [n], integers 0..K-1 (margin, too: -1 and 1)")->required();
  app.add_option("--weights", o.weights, "example weights: .npy [n], not negative");
  app.add_option("--storage", o.storage,
                 "logistic, margin: how x is stored, dense or sparse (without its zeros); auto: sparse on the CPU where at least "
                 "60 % of x is zero")
      ->check(one_of({"auto", "dense", "sparse"}))
      ->capture_default_str();
  if (with_params) app.add_option("--params", o.params, "parameters: .npy [p], PyTorch's order")->required();
}

void add_vectors(CLI::App& app, Options& o) {
  app.add_option("--vectors", o.vectors, "vectors: .npy [k][p]")->required();
}

void add_solver(CLI::App& app, Options& o) {
  app.add_option("--solver", o.solver, "cg, block-cg (directions shared by all right-hand sides), direct, lissa, or auto: the one of the first three that should take the least work")
      ->check(one_of({"auto", "cg", "block-cg", "direct", "lissa"}))
      ->capture_default_str();
  app.add_option("--damping", o.damping, "added to the Hessian's diagonal; the same in every solver")
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--tolerance", o.tolerance, "on the true relative residual, in double")
      ->check(share())
      ->capture_default_str();
  app.add_option("--max-iterations", o.max_iterations, "auto, cg, block-cg: most iterations")
      ->check(whole(1, kMostIterations))
      ->capture_default_str();
  app.add_option("--preconditioner", o.preconditioner,
                 "cg: none; nystrom, which --rank products with random vectors make of a positive semidefinite H: worth it where the "
                 "condition is bad (a small --l2 and --damping) and right-hand sides are several; of linear models jacobi, the Hessian's "
                 "diagonal, where features have scales of their own, and kronecker, the factors of the features and of the "
                 "classes")
      ->check(one_of({"none", "nystrom", "jacobi", "kronecker"}))
      ->capture_default_str();
  app.add_option("--rank", o.rank, "cg: of the nystrom preconditioner")->check(whole(1))->capture_default_str();
  add_lissa(app, o);
  add_curvature(app, o);
  app.add_flag("--allow-uncertified", o.allow_uncertified, "write results that could not be certified, too");
}

void add_lissa(CLI::App& app, Options& o) {
  app.add_option("--scale", o.scale, "lissa: sigma, by which steps are divided (without: found from the Hessian)")
      ->check(positive());
  app.add_option("--depth", o.depth, "lissa: steps of a round (without: from sigma and the smallest eigenvalue)")
      ->check(whole(1, std::numeric_limits<std::int32_t>::max()));
  app.add_option("--batch-size", o.batch_size, "lissa: examples of a step (without: from the Hessian)")
      ->check(whole(1));
  app.add_option("--repeats", o.repeats, "lissa: chains with batches of their own (without: 2)")
      ->check(whole(1, LissaOptions::kMostRepeats));
  app.add_flag(
      "--published", o.published,
      "lissa: the paper's way: no refinement, no averaging along a chain, batches without replacement; scale 25, "
      "depth 5000, batch size 1, 10 repeats unless given");
}

void add_curvature(CLI::App& app, Options& o) {
  app.add_option("--curvature", o.curvature, "hessian, or ggn (Gauss-Newton); equal for --model logistic")
      ->check(one_of({"hessian", "ggn"}))
      ->capture_default_str();
}

void add_adam(CLI::App& app, Options& o) {
  app.add_option("--steps", o.steps, "convnet: steps of Adam in all")->check(whole(1))->capture_default_str();
  app.add_option("--batch", o.batch, "convnet: examples of a step")->check(whole(1))->capture_default_str();
  app.add_option("--learning-rate", o.learning_rate, "convnet: of Adam")->check(positive())->capture_default_str();
  app.add_option("--drops", o.drops, "convnet: steps from which on the learning rate is a tenth")
      ->delimiter(',')
      ->check(whole(0))
      ->capture_default_str();
}

void add_tests(CLI::App& app, Options& o) {
  app.add_option("--test-x", o.test_x, "test examples, as --x");
  app.add_option("--test-y", o.test_y, "test labels, as --y");
  app.add_option("--test-index", o.test_index, "rows of the test examples (without --test-x: of the training examples)")
      ->delimiter(',')
      ->check(whole(0));
}

void add_out(CLI::App& app, Options& o, const std::string& what) { app.add_option("--out", o.out, what)->required(); }

std::size_t parse_bytes(const std::string& text) {
  const auto bad = [&] {
    return InvalidInput("--memory-limit " + text + ": expected a size such as 8G, 500M or 1048576");
  };
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    throw bad();
  }
  const std::string unit = text.substr(used);
  double factor = 0;
  if (unit.empty() || unit == "B") factor = 1;
  else if (unit == "K" || unit == "KiB") factor = 1024.0;
  else if (unit == "M" || unit == "MiB") factor = 1024.0 * 1024;
  else if (unit == "G" || unit == "GiB") factor = 1024.0 * 1024 * 1024;
  if (factor == 0 || !std::isfinite(value) || value <= 0 || value * factor > 1e18) throw bad();
  return static_cast<std::size_t>(value * factor);
}

}  // namespace clout::cli
