// The verb `reproduce`: the paper's figures from the data that comes with the program.

#include <clout/host/reproduce/figure2_convnet.hpp>
#include <clout/host/reproduce/figure2_linear.hpp>
#include <clout/host/reproduce/figure2_lissa.hpp>
#include <clout/kernels/error.hpp>

namespace clout::cli {
namespace {

template <class T>
void run_reproduce(const Invocation& call) {
  const Options& o = call.options;
  if (o.panel == "convnet") return reproduce::figure2_convnet<T>(call);
  if (!o.checkpoint.empty()) throw InvalidInput("--checkpoint: is of --panel convnet, not of " + o.panel);
  if (o.panel == "lissa") return reproduce::figure2_lissa<T>(call);
  reproduce::figure2_linear<T>(call);
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
  sub.add_option("figure", o.figure, "figure2")->required()->check(one_of({"figure2"}));
  sub.add_option("--panel", o.panel,
                 "linear, lissa (the same models, predicted by LiSSA as published and tuned by itself), or convnet (hours "
                 "without a GPU; resumable)")
      ->required()
      ->check(one_of({"linear", "lissa", "convnet"}));
  sub.add_option("--data", o.data, "folder with MNIST's four files");
  sub.add_option("--checkpoint", o.checkpoint,
                 "of --panel convnet: folder that `clout train` wrote (default: the one that comes with the program)");
  sub.add_flag("--quick", o.quick, "fewer removed points, test images and steps; said in summary.json and the figure");
  sub.add_flag("--resume", o.resume, "go on with the unfinished work in --out");
  add_out(sub, o, "the folder to write into");
}

}  // namespace clout::cli
