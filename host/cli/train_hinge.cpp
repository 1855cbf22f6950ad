#include <algorithm>
#include <chrono>
#include <clout/host/cli/hinge.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/removed_sets.hpp>
#include <clout/host/cli/train_network.hpp>
#include <clout/host/linear_svm.hpp>
#include <cmath>

namespace clout::cli {
namespace {

constexpr Index kRowBlock = 1024;   // rows of X on the host at once
constexpr double kOnMargin = 1e-9;  // from 1

}  // namespace

void expect_dual(const Options& o) {
  if (o.bias)
    throw InvalidInput("--bias: a hinge loss is trained by its dual problem, without a bias; expected none (a feature of x "
                       "that is always 1 is one that --l2 acts on)");
  if (!(o.l2 > 0)) throw InvalidInput("--l2 " + number_text(o.l2) + ": expected more than 0, which bounds the dual problem of a hinge loss");
}

void warn_of_kinks(Problem& problem) {
  const std::vector<double>& theta = problem.theta();
  const Dataset<double>& data = problem.data();
  Index count = 0;
  for (Index first = 0; first < data.examples(); first += kRowBlock) {
    const Index rows = std::min(kRowBlock, data.examples() - first);
    const std::vector<double> x = data.host_features(first, rows);
    for (Index i = 0; i < rows; ++i) {
      double z = problem.options().bias ? theta.back() : 0;
      for (Index f = 0; f < data.features(); ++f)
        z += x[static_cast<std::size_t>(i * data.features() + f)] * theta[static_cast<std::size_t>(f)];
      const double margin = data.host_labels()[static_cast<std::size_t>(first + i)] == 0 ? -z : z;
      count += std::abs(margin - 1) <= kOnMargin ? 1 : 0;
    }
  }
  if (count > 0)
    warn(problem.options().params + ": " + std::to_string(count) +
         " training examples are on their margin to 1e-9, where the hinge has a kink and rounding decides which side's slope "
         "counts; --loss smooth-hinge with a small --temperature has no kinks");
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
                             " passes, tolerance " + number_text(o.tolerance, 3) +
                             ": centre and scale x where its features differ, or raise --l2 or --tolerance";
    if (!o.allow_uncertified) throw NotCertified(line + " (nothing was written; --allow-uncertified would)");
    warn("not certified: " + line);
  }
  problem.warn_of_rounded_logits("train", fit.weights);
  nlohmann::ordered_json facts{{"converged", fit.converged},
                                     {"duality_gap", fit.gap},
                                     {"objective", fit.objective},
                                     {"parameters", problem.parameters()},
                                     {"passes", fit.rounds},
                                     {"on_margin", fit.on_margin},
                                     {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()}};
  if (o.is_single()) {  // the file holds fewer digits than what was certified
    const std::vector<float> rounded(fit.weights.begin(), fit.weights.end());
    facts["written_duality_gap"] = svm.gap_of(std::vector<double>(rounded.begin(), rounded.end()), fit.dual);
  }
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
