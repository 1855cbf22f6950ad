#include <chrono>
#include <clout/host/cli/hinge.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/removed_sets.hpp>
#include <clout/host/cli/train_network.hpp>
#include <clout/host/linear_svm.hpp>

namespace clout::cli {

void expect_dual(const Options& o) {
  if (o.bias)
    throw InvalidInput("--bias: a hinge loss is trained by its dual problem, without a bias; expected none (a feature of x "
                       "that is always 1 is one that --l2 acts on)");
  if (!(o.l2 > 0)) throw InvalidInput("--l2 " + number_text(o.l2) + ": expected more than 0, which bounds the dual problem of a hinge loss");
}

template <class T>
void train_hinge(const Invocation& call) {
  const Options& o = call.options;
  expect_dual(o);
  expect_not_given(o, {"--params"}, "the dual problem is solved from zero");
  const OutputFolder folder(o, kTrainResults);
  Problem problem(o, call.command_line);
  const auto start = std::chrono::steady_clock::now();
  const LinearSvm svm(problem.data(), o.l2);
  const SvmFit fit = svm.fit({}, {}, {.tolerance = o.tolerance, .seed = o.seed}, problem.progress());
  if (!fit.converged) {
    const std::string line = "train: duality gap " + number_text(fit.gap, 3) + " after " + std::to_string(fit.rounds) +
                             " passes, tolerance " + number_text(o.tolerance, 3) + ": raise --l2 or --tolerance";
    if (!o.allow_uncertified) throw NotCertified(line + " (nothing was written; --allow-uncertified would)");
    warn("not certified: " + line);
  }
  problem.warn_of_rounded_logits("train", fit.weights);
  const nlohmann::ordered_json facts{{"converged", fit.converged},
                                     {"duality_gap", fit.gap},
                                     {"objective", fit.objective},
                                     {"parameters", problem.parameters()},
                                     {"passes", fit.rounds},
                                     {"on_margin", fit.on_margin},
                                     {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()}};
  io::ResultFiles results;
  folder.supersede_earlier(results);
  write_values<T>(results, folder / "params.npy", {problem.parameters()}, fit.weights);
  write_values<double>(results, folder / "dual.npy", {problem.data().examples()}, fit.dual);
  results.add(folder / "train.json", facts.dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  nlohmann::ordered_json shown = facts;
  shown["written"] = folder.path().string();
  print_facts(o, shown);
}
template void train_hinge<float>(const Invocation&);
template void train_hinge<double>(const Invocation&);

}  // namespace clout::cli
