// The verb `reproduce`: the paper's figures from the data that comes with the program.

#include <clout/host/reproduce/figure2_linear.hpp>
#include <clout/host/reproduce/figure2_lissa.hpp>

namespace clout::cli {
namespace {

template <class T>
void run_reproduce(const Invocation& call) {
  if (call.options.panel == "lissa") return reproduce::figure2_lissa<T>(call);
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
  sub.add_option("figure", o.figure, "figure2")->required()->check(CLI::IsMember({"figure2"}));
  sub.add_option("--panel", o.panel,
                 "linear, or lissa (the same models, predicted by LiSSA as published and tuned by itself)")
      ->required()
      ->check(CLI::IsMember({"linear", "lissa"}));
  sub.add_option("--data", o.data, "folder with MNIST's four files");
  sub.add_flag("--quick", o.quick, "64 removed points (and 20 random test images) only; said in summary.json");
  sub.add_flag("--resume", o.resume, "go on with the unfinished work in --out");
  add_out(sub, o, "the folder to write into");
}

}  // namespace clout::cli
