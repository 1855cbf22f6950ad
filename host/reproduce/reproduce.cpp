// The verb `reproduce`: the paper's figures from the data that comes with the program.

#include <algorithm>
#include <clout/host/progress.hpp>
#include <clout/host/reproduce/all.hpp>
#include <clout/host/reproduce/figure1.hpp>
#include <clout/host/reproduce/figure2_convnet.hpp>
#include <clout/host/reproduce/figure2_linear.hpp>
#include <clout/host/reproduce/figure2_lissa.hpp>
#include <clout/host/reproduce/figure3.hpp>
#include <clout/host/reproduce/figure4.hpp>
#include <clout/host/reproduce/figure5.hpp>
#include <clout/host/reproduce/figure6.hpp>
#include <clout/host/reproduce/hospital.hpp>
#include <clout/kernels/error.hpp>
#include <filesystem>

namespace clout::cli {
namespace {

const std::vector<std::string> kPanels{"linear", "lissa", "convnet"};
constexpr const char* kLongPanel = "convnet";  // takes hours without a GPU

template <class T>
void run_figure2(const Invocation& call) {
  const Options& o = call.options;
  if (o.panel.empty()) throw InvalidInput("--panel: is not given; expected one of linear, lissa, convnet");
  if (o.panel == "convnet") return reproduce::figure2_convnet<T>(call);
  for (const std::string option : {"--checkpoint", "--adam-points"})
    if (o.is_given(option)) throw InvalidInput(option + ": is of --panel convnet, not of " + o.panel);
  if (o.panel == "lissa") return reproduce::figure2_lissa<T>(call);
  reproduce::figure2_linear<T>(call);
}

/// One of the paper's experiments.
template <class T>
struct Figure {
  std::string name;
  void (*run)(const Invocation&);
  std::vector<std::string> takes;     // of the options that not every figure has
  std::vector<std::string> panels{};  // where it has several: each is an experiment of its own

  bool has(const std::string& option) const { return std::find(takes.begin(), takes.end(), option) != takes.end(); }
};

template <class T>
const std::vector<Figure<T>>& figures() {
  static const std::vector<Figure<T>> all{
      {"figure1", reproduce::figure1, {}},
      {"figure2", run_figure2<T>, {"--panel", "--checkpoint", "--adam-points", "--resume", "--quick", "--precision"}, kPanels},
      {"figure3", reproduce::figure3, {"--quick"}},
      {"figure4", reproduce::figure4, {"--train-features", "--test-features"}},
      {"figure5", reproduce::figure5, {"--resume", "--quick"}},
      {"figure6", reproduce::figure6<T>, {"--levels", "--resume", "--quick", "--precision"}},
      {"hospital", reproduce::hospital, {}}};
  return all;
}

const std::string kAll = "all";
const std::vector<std::string> kTakenByAll{"--resume", "--quick", "--precision"};
const std::vector<std::string> kNotOfEvery{"--panel",         "--checkpoint", "--adam-points", "--train-features",
                                           "--test-features", "--levels",     "--resume",      "--quick",
                                           "--precision"};

/// What `figure` is run with, or one of its panels, when it is run alone, into a folder of its own in --out.
template <class T>
reproduce::ExperimentCall alone(const Invocation& call, const Figure<T>& figure, const std::string& panel) {
  const Options& o = call.options;
  Invocation its = call;
  Options& given = its.options;
  const std::string name = figure.name + (panel.empty() ? "" : "_" + panel);
  given.figure = figure.name;
  given.panel = panel;
  given.out = (std::filesystem::path(o.out) / name).string();
  given.quick = o.quick && figure.has("--quick");
  given.resume = o.resume && figure.has("--resume");
  if (!figure.has("--precision")) given.precision = "double";
  given.progress = o.progress.value_or(!o.quiet && is_on_terminal());
  given.quiet = true;  // standard output is the whole run's
  given.json = false;

  its.command_line = {call.command_line.front(), "reproduce", figure.name};
  const auto add = [&](std::initializer_list<std::string> words) {
    its.command_line.insert(its.command_line.end(), words);
  };
  if (!panel.empty()) add({"--panel", panel});
  add({"--out", given.out});
  for (const auto& [option, value] : {std::pair<std::string, std::string>{"--data", o.data},
                                      {"--device", o.device},
                                      {"--precision", o.precision},
                                      {"--threads", std::to_string(o.threads)},
                                      {"--memory-limit", o.memory_limit},
                                      {"--seed", std::to_string(o.seed)}})
    if (o.is_given(option) && (option != "--precision" || figure.has(option))) add({option, value});
  if (given.quick) add({"--quick"});
  if (given.resume) add({"--resume"});
  return {name, std::move(its), figure.run};
}

template <class T>
void run_all(const Invocation& call) {
  std::vector<reproduce::ExperimentCall> experiments;
  for (const Figure<T>& figure : figures<T>()) {
    if (figure.panels.empty()) experiments.push_back(alone(call, figure, ""));
    for (const std::string& panel : figure.panels) experiments.push_back(alone(call, figure, panel));
  }
  // What takes hours comes last.
  std::stable_partition(experiments.begin(), experiments.end(),
                        [](const auto& each) { return each.call.options.panel != kLongPanel; });
  reproduce::reproduce_all(call, experiments);
}

void expect_options_of(const std::vector<std::string>& takes, const Options& o) {
  for (const std::string& option : kNotOfEvery) {
    if (!o.is_given(option) || std::find(takes.begin(), takes.end(), option) != takes.end()) continue;
    std::string owners;
    for (const Figure<double>& each : figures<double>())
      if (each.has(option)) owners += (owners.empty() ? "" : ", ") + each.name;
    throw InvalidInput(option + ": is of " + owners + ", not of " + o.figure);
  }
}

template <class T>
void run_reproduce(const Invocation& call) {
  const Options& o = call.options;
  if (o.figure == kAll) {
    expect_options_of(kTakenByAll, o);
    return run_all<T>(call);
  }
  const auto figure = std::find_if(figures<T>().begin(), figures<T>().end(),
                                   [&](const Figure<T>& each) { return each.name == o.figure; });
  expect_options_of(figure->takes, o);
  Invocation its = call;
  if (!figure->has("--precision")) its.options.precision = "double";
  figure->run(its);
}

std::vector<std::string> figure_names() {
  std::vector<std::string> names;
  for (const Figure<double>& figure : figures<double>()) names.push_back(figure.name);
  names.push_back(kAll);
  return names;
}

}  // namespace

void add_reproduce(CLI::App& app, Options& o, Run& chosen) {
  CLI::App& sub = add_verb(app, "reproduce", "a figure of Koh & Liang 2017, with the numbers behind it",
                           "clout reproduce figure2 --panel linear --out out/figure2-linear",
                           in_precision([]<class T>(const Invocation& call) { run_reproduce<T>(call); }), chosen);
  add_common(sub, o);
  // Single precision halves the time and changes no certificate: gradients and residuals are checked in double.
  sub.get_option("--precision")
      ->default_str("single")
      ->description("of the products inside (default single); every result is certified in double");
  sub.preparse_callback([&o](std::size_t) { o.precision = "single"; });
  sub.add_option("figure", o.figure,
                 "which one; all: every one of them, each in a folder of its own in --out as if run alone, what takes "
                 "hours (figure2_convnet) last; after each, report.html shows what there is, published beside measured")
      ->required()
      ->check(one_of(figure_names()));
  sub.add_option("--panel", o.panel,
                 "of figure2: linear, lissa (the same models, predicted by LiSSA as published and tuned by itself), or "
                 "convnet (hours without a GPU; resumable)")
      ->check(one_of(kPanels));
  sub.add_option("--data", o.data, "folder with the data set's files");
  sub.add_option("--checkpoint", o.checkpoint,
                 "of --panel convnet: folder that `clout train` wrote (default: the one that comes with the program)");
  sub.add_option("--adam-points", o.adam_points,
                 "of --panel convnet: by Adam, which takes hours, train without so many of the most influential points only "
                 "(default: all of them and random ones)")
      ->check(whole(2));
  sub.add_option("--train-features", o.train_features,
                 "of figure4: another network's features of the training photographs, .npy [1800][features]");
  sub.add_option("--test-features", o.test_features, "of figure4: those of the test photographs, .npy [600][features]");
  sub.add_option("--levels", o.levels,
                 "of figure6: published (10 % of the labels are flipped), or all six of the published code, 5 to 30 %")
      ->check(one_of({"published", "all"}))
      ->capture_default_str();
  sub.add_flag(
      "--quick", o.quick,
      "less of everything that takes long, where there is such a thing; said in summary.json, figure and report");
  sub.add_flag("--resume", o.resume,
               "go on with the unfinished work in --out; all: what is finished there stays as it is");
  add_out(sub, o, "the folder to write into");
}

}  // namespace clout::cli
