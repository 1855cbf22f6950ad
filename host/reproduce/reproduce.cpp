// The verb `reproduce`: the paper's figures from the data that comes with the program.

#include <algorithm>
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

namespace clout::cli {
namespace {

template <class T>
void run_figure2(const Invocation& call) {
  const Options& o = call.options;
  if (o.panel.empty()) throw InvalidInput("--panel: is not given; expected one of linear, lissa, convnet");
  if (o.panel == "convnet") return reproduce::figure2_convnet<T>(call);
  if (!o.checkpoint.empty()) throw InvalidInput("--checkpoint: is of --panel convnet, not of " + o.panel);
  if (o.panel == "lissa") return reproduce::figure2_lissa<T>(call);
  reproduce::figure2_linear<T>(call);
}

/// One of the paper's experiments.
template <class T>
struct Figure {
  std::string name;
  void (*run)(const Invocation&);
  std::vector<std::string> takes;  // of the options that not every figure has
};

template <class T>
const std::vector<Figure<T>>& figures() {
  static const std::vector<Figure<T>> all{
      {"figure1", reproduce::figure1, {}},
      {"figure2", run_figure2<T>, {"--panel", "--checkpoint", "--resume", "--quick", "--precision"}},
      {"figure3", reproduce::figure3, {"--quick"}},
      {"figure4", reproduce::figure4, {"--train-features", "--test-features"}},
      {"figure5", reproduce::figure5, {"--resume", "--quick"}},
      {"figure6", reproduce::figure6<T>, {"--levels", "--resume", "--quick", "--precision"}},
      {"hospital", reproduce::hospital, {}}};
  return all;
}

const std::vector<std::string> kNotOfAll{"--panel",         "--checkpoint", "--train-features",
                                         "--test-features", "--levels",     "--resume",
                                         "--quick",         "--precision"};

template <class T>
void run_reproduce(const Invocation& call) {
  const Options& o = call.options;
  const auto figure = std::find_if(figures<T>().begin(), figures<T>().end(),
                                   [&](const Figure<T>& each) { return each.name == o.figure; });
  const auto takes = [&](const Figure<T>& each, const std::string& option) {
    return std::find(each.takes.begin(), each.takes.end(), option) != each.takes.end();
  };
  for (const std::string& option : kNotOfAll) {
    if (!o.is_given(option) || takes(*figure, option)) continue;
    std::string owners;
    for (const Figure<T>& each : figures<T>())
      if (takes(each, option)) owners += (owners.empty() ? "" : ", ") + each.name;
    throw InvalidInput(option + ": is of " + owners + ", not of " + o.figure);
  }
  Invocation its = call;
  if (!takes(*figure, "--precision")) its.options.precision = "double";
  figure->run(its);
}

std::vector<std::string> figure_names() {
  std::vector<std::string> names;
  for (const Figure<double>& figure : figures<double>()) names.push_back(figure.name);
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
      ->description("of the products inside (default single); every result is certified in double");
  sub.preparse_callback([&o](std::size_t) { o.precision = "single"; });
  sub.add_option("figure", o.figure, "which one")->required()->check(one_of(figure_names()));
  sub.add_option("--panel", o.panel,
                 "of figure2: linear, lissa (the same models, predicted by LiSSA as published and tuned by itself), or "
                 "convnet (hours without a GPU; resumable)")
      ->check(one_of({"linear", "lissa", "convnet"}));
  sub.add_option("--data", o.data, "folder with the data set's files");
  sub.add_option("--checkpoint", o.checkpoint,
                 "of --panel convnet: folder that `clout train` wrote (default: the one that comes with the program)");
  sub.add_option("--train-features", o.train_features,
                 "of figure4: another network's features of the training photographs, .npy [1800][features]");
  sub.add_option("--test-features", o.test_features, "of figure4: those of the test photographs, .npy [600][features]");
  sub.add_option("--levels", o.levels,
                 "of figure6: published (10 % of the labels are flipped), or all six of the published code, 5 to 30 %")
      ->check(one_of({"published", "all"}))
      ->capture_default_str();
  sub.add_flag("--quick", o.quick, "less of everything that takes long; said in summary.json and the figure");
  sub.add_flag("--resume", o.resume, "go on with the unfinished work in --out");
  add_out(sub, o, "the folder to write into");
}

}  // namespace clout::cli
