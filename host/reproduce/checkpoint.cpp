#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/trained_network.hpp>
#include <clout/host/reproduce/checkpoint.hpp>

namespace clout::reproduce {

Checkpoint read_checkpoint(const std::filesystem::path& folder, Index parameters, io::Manifest& manifest) {
  const std::filesystem::path params = folder / "params.npy", moments = folder / "moments.npy",
                              how = folder / "train.json";
  Checkpoint checkpoint;
  AdamState<double>& state = checkpoint.state;
  std::vector<Index> shape;
  state.parameters = cli::read_numbers(params.string(), "params", shape);
  if (shape != std::vector<Index>{parameters})
    throw InvalidInput(params.string() + ": shape " + io::shape_text(shape) + "; expected [" +
                       std::to_string(parameters) + "]");
  const std::vector<double> both = cli::read_moments(moments.string(), parameters);
  state.first_moments.assign(both.begin(), both.begin() + parameters);
  state.second_moments.assign(both.begin() + parameters, both.end());
  const cli::NetworkTraining training = cli::read_network_training(how);
  state.step = training.steps;
  checkpoint.options = training.options;
  for (const auto& path : {params, moments, how}) manifest.add_input(path);
  return checkpoint;
}

}  // namespace clout::reproduce
