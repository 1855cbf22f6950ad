#include <clout/host/cli/problem.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/host/reproduce/run.hpp>

namespace clout::reproduce {

nlohmann::ordered_json request_of(const cli::Options& o) {
  nlohmann::ordered_json request{{"figure", o.figure}, {"precision", o.precision}, {"quick", o.quick}};
  for (const auto& [name, value] : {std::pair("panel", o.panel),
                                    {"levels", o.is_given("--levels") ? o.levels : ""},
                                    {"checkpoint", o.checkpoint},
                                    {"train_features", o.train_features},
                                    {"test_features", o.test_features},
                                    {"data", o.data}})
    if (!value.empty()) request[name] = value;
  if (o.is_given("--adam-points")) request["adam_points"] = o.adam_points;
  return request;
}

ExperimentRun::ExperimentRun(const cli::Invocation& call, std::initializer_list<const char*> results)
    : options_(call.options),
      folder_(call.options, results),
      device_(cli::open_device(call.options)),
      manifest_(cli::make_manifest(call.options, call.command_line, *device_)),
      bar_(options_.quiet && !options_.progress ? std::optional(false) : options_.progress) {
  require_plotting();
  manifest_.set("request", request_of(options_));
}

std::optional<std::filesystem::path> ExperimentRun::data_folder() const {
  return options_.data.empty() ? std::nullopt : std::optional<std::filesystem::path>(options_.data);
}

io::Journal ExperimentRun::open_journal(const std::string& name, nlohmann::ordered_json request,
                                        const nlohmann::ordered_json& more) {
  const DeviceInfo device = device_->info();
  request.update({{"inputs", manifest_.to_json()["inputs"]},
                  {"seed", options_.seed},
                  {"precision", options_.precision},
                  {"quick", options_.quick},
                  {"device", device.name + ", " + device.model}});
  request.update(more);
  return io::Journal::open(folder_ / (name + ".journal"), request.dump(), options_.resume);
}

void ExperimentRun::finish(io::ResultFiles& results, nlohmann::ordered_json facts, const std::string& figure,
                           const std::vector<std::string>& arguments) {
  seconds_["statistics"] = watch_.lap();
  facts["peak_device_memory"] = device_->peak_memory();
  facts["seconds"] = seconds_;
  facts["device"] = device_->info().name;
  facts["precision"] = options_.precision;
  results.add(folder_ / "summary.json", facts.dump(2) + "\n");
  folder_.supersede_earlier(results);
  results.commit();  // the figure is drawn from the files
  draw_figure(figure, arguments);
  manifest_.write(folder_ / "manifest.json");
  facts["figure_file"] = (folder_ / (figure + ".png")).string();
  cli::print_facts(options_, facts);
}

}  // namespace clout::reproduce
