#include <clout/host/cli/problem.hpp>
#include <clout/host/io/file.hpp>
#include <clout/host/io/json_text.hpp>
#include <clout/host/reproduce/checkpoint.hpp>

namespace clout::reproduce {
namespace {

std::vector<double> numbers(const std::filesystem::path& path, const std::vector<Index>& expected) {
  std::vector<Index> shape;
  std::vector<double> values = cli::read_numbers(path.string(), "", shape);
  if (shape != expected)
    throw InvalidInput(path.string() + ": shape " + io::shape_text(shape) + "; expected " + io::shape_text(expected));
  return values;
}

}  // namespace

Checkpoint read_checkpoint(const std::filesystem::path& folder, Index parameters, io::Manifest& manifest) {
  const std::filesystem::path params = folder / "params.npy", moments = folder / "moments.npy",
                              how = folder / "train.json";
  Checkpoint checkpoint;
  AdamState<double>& state = checkpoint.state;
  state.parameters = numbers(params, {parameters});
  const std::vector<double> both = numbers(moments, {2, parameters});
  state.first_moments.assign(both.begin(), both.begin() + parameters);
  state.second_moments.assign(both.begin() + parameters, both.end());

  const std::string expected =
      "what `clout train --model convnet` writes: steps, seed, batch, first_learning_rate, drops";
  const nlohmann::json facts =
      cli::naming(how.string(), [&] { return io::parse_json(io::read_text(how, expected), expected); });
  try {
    state.step = facts.at("steps").get<Index>();
    checkpoint.options = {.learning_rate = facts.at("first_learning_rate").get<double>(),
                          .drops = facts.at("drops").get<std::vector<Index>>(),
                          .batch = facts.at("batch").get<Index>(),
                          .seed = facts.at("seed").get<std::uint64_t>()};
  } catch (const nlohmann::json::exception& error) {
    throw InvalidInput(how.string() + ": " + error.what() + "; expected " + expected);
  }
  for (const auto& path : {params, moments, how}) manifest.add_input(path);
  return checkpoint;
}

}  // namespace clout::reproduce
