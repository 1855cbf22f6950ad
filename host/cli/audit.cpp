// audit: which labels to look at first.

#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/self_influence.hpp>
#include <clout/host/cli/verbs.hpp>
#include <clout/host/statistics.hpp>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

std::string ranked(const Problem& problem, const std::vector<double>& influence, const std::vector<double>& losses) {
  std::vector<std::size_t> loss_rank(losses.size());
  std::size_t by_loss = 0;
  for (const Index place : descending(losses)) loss_rank[static_cast<std::size_t>(place)] = ++by_loss;
  std::string text = "rank,train_index,label,self_influence,loss,rank_by_loss\n";
  std::size_t rank = 0;
  for (const Index place : descending(influence)) {
    const auto row = static_cast<std::size_t>(place);
    text += std::to_string(++rank) + "," + std::to_string(row) + "," + std::to_string(problem.data().host_labels()[row]) +
            "," + number_text(influence[row], 17) + "," + number_text(losses[row], 17) + "," +
            std::to_string(loss_rank[row]) + "\n";
  }
  return text;
}

template <class T>
void run_audit(const Invocation& call) {
  const Options& o = call.options;
  const OutputFolder folder(o, {"audit.csv", "report.json", "manifest.json"});
  Problem problem(o, call.command_line);
  require_memory("audit", self_influence_plan<T>(problem), problem.device());
  const double norm = start_gradient_norm(problem);
  const SelfInfluence result = all_self_influences<T>(problem);
  const Index n = problem.data().examples();
  Buffer<double> losses(problem.device(), n);
  problem.objective<double>().losses(losses.view(n, 1));
  io::ResultFiles results;
  folder.supersede_earlier(results);
  results.add(folder / "audit.csv", ranked(problem, result.values, losses.to_host()));
  results.add(folder / "report.json", to_json(result.report).dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  Facts facts = first_facts(problem, result.report, norm, result.residual);
  facts["written"] = folder.path().string();
  print_facts(o, facts);
}

}  // namespace

void add_audit(CLI::App& app, Options& o, Run& chosen) {
  CLI::App& sub = add_verb(app, "audit", "training points by self-influence: which labels to look at first (audit.csv)",
                           "clout audit --model logistic --classes 10 --l2 0.01 --x x.npy --y y.npy --params fit/params.npy "
                           "--out audit",
                           in_precision([]<class T>(const Invocation& call) { run_audit<T>(call); }), chosen);
  add_common(sub, o);
  add_model(sub, o);
  add_data(sub, o, true);
  add_solver(sub, o);
  add_out(sub, o, "the folder to write into");
}

}  // namespace clout::cli
