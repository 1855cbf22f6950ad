// info: devices, build, parameter layout.

#include <clout/host/cli/model.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/verbs.hpp>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

Facts device_facts(const DeviceInfo& info) {
  return {{"name", info.name},
          {"model", info.model},
          {"libraries", info.libraries},
          {"threads", info.threads},
          {"memory_total", info.memory_total},
          {"memory_available", info.memory_available}};
}

void print_device(const Facts& device) {
  constexpr double kGiB = 1024.0 * 1024 * 1024;
  std::printf("%-7s %s, %s threads or multiprocessors, %.1f GiB (%.1f GiB free)\n        %s\n",
              device["name"].get<std::string>().c_str(), device["model"].get<std::string>().c_str(),
              device["threads"].dump().c_str(), device["memory_total"].get<double>() / kGiB,
              device["memory_available"].get<double>() / kGiB, device["libraries"].get<std::string>().c_str());
}

void run_info(const Invocation& call) {
  const Options& o = call.options;
  Facts facts{{"version", CLOUT_VERSION}, {"build", CLOUT_BUILD}, {"devices", Facts::array()}};
  facts["devices"].push_back(device_facts(make_cpu_device(o.threads)->info()));
  const CudaAvailability cuda = cuda_availability();
  for (int i = 0; i < cuda.count; ++i) facts["devices"].push_back(device_facts(make_cuda_device(i)->info()));
  if (cuda.count == 0) facts["cuda"] = "not available: " + cuda.reason;
  if (o.model == "margin" && o.features == 0)
    throw InvalidInput("--model margin: --features is missing; expected the numbers in one example");
  if (o.classes > 0 || o.features > 0 || o.model != "logistic") {
    Facts blocks = Facts::array();
    const Model model(o);
    for (const ParameterBlock& block : model.layout())
      blocks.push_back({{"name", block.name},
                        {"shape", block.shape},
                        {"offset", block.offset},
                        {"regularized", block.regularized}});
    facts["parameters"] = model.parameters();
    facts["model"] = o.model;
    facts["layout"] = blocks;
  }
  if (o.json) return print_facts(o, facts);

  std::printf("clout %s, %s\n", CLOUT_VERSION, CLOUT_BUILD);
  for (const Facts& device : facts["devices"]) print_device(device);
  if (facts.contains("cuda")) std::printf("cuda    %s\n", facts["cuda"].get<std::string>().c_str());
  if (!facts.contains("layout")) return;
  std::printf("model   %s, %s parameters in PyTorch's order:\n", o.model.c_str(), facts["parameters"].dump().c_str());
  for (const Facts& block : facts["layout"])
    std::printf("        %-13s %-12s from %s%s\n", block["name"].get<std::string>().c_str(),
                block["shape"].dump().c_str(), block["offset"].dump().c_str(),
                block["regularized"].get<bool>() ? ", regularised" : "");
}

}  // namespace

void add_info(CLI::App& app, Options& o, Run& chosen) {
  CLI::App& sub = add_verb(app, "info", "devices, build, and with --classes and --features (margin: --features alone) the parameter layout",
                           "clout info --model logistic --classes 10 --features 784", run_info, chosen);
  add_common(sub, o);
  sub.add_option("--model", o.model, "logistic, margin or convnet")->check(one_of(kModelNames));
  add_margin(sub, o);
  sub.add_option("--spec", o.spec, "convnet: the network, .json (without: the paper's)");
  CLI::Option* classes = sub.add_option("--classes", o.classes, "number of classes K")->check(whole(2, kMostClasses));
  CLI::Option* features =
      sub.add_option("--features", o.features, "logistic, margin: numbers in one example")->check(whole(1));
  classes->needs(features);
  sub.add_flag("--bias", o.bias, "logistic, margin: with a bias per output");
}

}  // namespace clout::cli
