// influence: scores of pairs, of sets, of labels, and of training points on themselves.

#include <clout/engine/inverse.hpp>
#include <clout/host/cli/influence.hpp>
#include <clout/host/cli/memory_plan.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/score_blocks.hpp>
#include <clout/host/cli/self_influence.hpp>
#include <clout/host/cli/scorer.hpp>
#include <clout/host/cli/solvers.hpp>
#include <numeric>
#include <optional>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

/// Everything that a run may write into its folder.
constexpr std::initializer_list<const char*> kResults = {"scores.npy",         "group_scores.npy", "relabel_scores.npy",
                                                         "self_influence.npy", "top.csv",          "report.json",
                                                         "manifest.json"};

constexpr const char* kJournal = "influence.journal";

/// What is scored against every test example: training points, sets of them, or their labels.
struct Candidates {
  std::string file;      // of the array
  Index columns, width;  // [tests][columns][width]
  Groups groups;
};

Candidates candidates_of(Problem& problem) {
  const Options& o = problem.options();
  if (!o.groups.empty()) {
    Groups groups = read_groups(o.groups, problem.data());
    problem.manifest().add_input(o.groups);
    return {"group_scores.npy", std::ssize(groups), 1, std::move(groups)};
  }
  if (o.flips) return {"relabel_scores.npy", problem.data().examples(), problem.model().classes(), {}};
  return {"scores.npy", problem.data().examples(), 1, {}};
}

/// Everything that changes the results' bits.
std::string fingerprint(Problem& problem, Index block) {
  const Options& o = problem.options();
  const Facts all = problem.manifest().to_json();
  Facts facts{{"verb", "influence"},
              {"inputs", all["inputs"]},
              {"model", o.model},
              {"loss", o.loss},
              {"temperature", o.temperature},
              {"bias", o.bias},
              {"classes", o.classes},
              {"l2", o.l2},
              {"test_index", o.test_index},
              {"flips", o.flips},
              {"second_order", o.second_order},
              {"top", o.top},
              {"seed", o.seed},
              {"block", block},
              {"sparse", problem.data().is_sparse()}};
  facts.update(solver_facts(o, problem.device().info()));
  return facts.dump();
}

std::string top_header(const Candidates& candidates) {
  const std::string who = candidates.groups.empty() ? "train_index,label" : "group,size";
  const bool relabels = candidates.width > 1;
  return "test_index,kind,rank," + who +
         (relabels ? ",new_label,loss_change_if_relabelled\n" : ",loss_change_if_removed\n");
}

/// "17,3" or, of a relabelling, "17,3,8".
std::string candidate_name(const Candidates& candidates, Index candidate, const std::vector<std::int32_t>& labels) {
  const Index row = candidate / candidates.width;
  if (!candidates.groups.empty()) return name_of(candidates.groups, static_cast<std::size_t>(row), true, labels);
  std::string name = std::to_string(row) + "," + std::to_string(labels[static_cast<std::size_t>(row)]);
  if (candidates.width > 1) name += "," + std::to_string(candidate % candidates.width);
  return name;
}

/// The candidates that raise and that lower a test example's loss most: the helpful and the harmful, where they are
/// removed.
std::string top_lines(const Candidates& candidates, Index test, const TopPoints& top,
                      const std::vector<std::int32_t>& labels) {
  std::string text;
  for (const bool positive : {true, false}) {
    const char* kind = candidates.width > 1 ? (positive ? ",raises," : ",lowers,")
                       : positive           ? ",helpful,"
                                            : ",harmful,";
    Index rank = 0;
    for (const auto& [score, candidate] : positive ? top.largest() : top.smallest())
      text += std::to_string(test) + kind + std::to_string(++rank) + "," +
              candidate_name(candidates, candidate, labels) + "," + number_text(score, 17) + "\n";
  }
  return text;
}

/// The facts of a plan: printed by --plan, and nothing is computed.
Facts plan_facts(const MemoryPlan& plan, std::uint64_t disk) {
  const MemoryPlan::Mebibytes parts = plan.in_mebibytes();
  return Facts{{"device_memory_mib", mebibytes(plan.total())},
               {"data_mib", parts.data},
               {"solver_mib", parts.solver},
               {"scores_mib", parts.scoring},
               {"disk_mib", mebibytes(disk)}};
}

/// Scores one block of tests: solves, and hands tiles to the file and the lists of the largest.
template <class T>
ScoredBlock score_block(Problem& problem, Influence<T>& influence, const Candidates& candidates, Index first,
                        Index count, ScoreFile<T>& file) {
  const Options& o = problem.options();
  std::vector<Index> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), first);
  auto products = influence.inverse_products(rows);
  if (!o.allow_uncertified) settle(o, products.report);
  ScoredBlock block{products.report, std::vector<TopPoints>(rows.size(), TopPoints(o.top))};
  const auto receive = [&](const typename Influence<T>::Tile& tile) {
    file.write(first, tile);
    const Index row = tile.count * tile.width;
    for (Index t = 0; t < tile.tests; ++t)
      for (Index i = 0; i < row; ++i)
        block.tops[static_cast<std::size_t>(t)].add(tile.first * tile.width + i,
                                                    tile.values[static_cast<std::size_t>(t * row + i)]);
  };
  if (!candidates.groups.empty()) {
    const std::vector<double> sums =
        influence.group_scores(products, GroupMembers(candidates.groups, problem.data().examples()));
    receive({count, 0, candidates.columns, 1, sums});
  } else if (o.flips) {
    influence.relabel_tiles(products, problem.data().host_labels(), receive);
  } else {
    influence.removal_tiles(products, receive);
  }
  return block;
}

template <class T>
void run_blocks(Problem& problem, Problem::Tests& tests, const Candidates& candidates, const OutputFolder& folder,
                const std::string& request, double norm) {
  const Options& o = problem.options();
  constexpr Index kBlock = Influence<T>::kTestBlock;
  const Index m = std::ssize(tests.rows);
  io::Journal journal = io::Journal::open(folder / kJournal, request, o.resume);
  std::optional<ScoreFile<T>> file;
  UnfinishedScores unfinished{journal};
  file.emplace(folder / candidates.file, m, candidates.columns, candidates.width, !journal.completed().empty());
  unfinished.file = &file->file();
  SolveReport report;
  std::string top = top_header(candidates);
  Scorer<T> scorer;
  try {
    for (Index first = 0; first < m; first += kBlock) {
      const Index count = std::min(kBlock, m - first);
      const auto number = static_cast<std::uint64_t>(first / kBlock);
      ScoredBlock block;
      if (journal.completed().contains(number)) {
        block = ScoredBlock::unpack(journal.completed().at(number), count, o, solve_tolerance(problem));
      } else {
        if (!scorer.influence) scorer = make_scorer<T>(problem, *tests.objective);
        block = score_block<T>(problem, *scorer.influence, candidates, first, count, *file);
        file->file().sync();
        journal.append(number, block.pack());
      }
      report.append(block.report);
      for (Index t = 0; t < count; ++t)
        top += top_lines(candidates, tests.rows[static_cast<std::size_t>(first + t)],
                         block.tops[static_cast<std::size_t>(t)], problem.data().host_labels());
      if (problem.progress())
        problem.progress()("influence", static_cast<double>(first + count), static_cast<double>(m));
    }
    settle(o, report);
  } catch (const NotCertified&) {
    unfinished.refused = true;
    throw;
  }
  io::ResultFiles results;
  folder.supersede_earlier(results);
  results.add(file->file());
  results.add(folder / "top.csv", top);
  results.add(folder / "report.json", to_json(report).dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  journal.finish();
  Facts facts{{"test_examples", m}};
  facts.update(first_facts(problem, report, norm, report.max_relative_residual()));
  if (!candidates.groups.empty()) facts["groups"] = candidates.columns;
  facts["written"] = folder.path().string();
  print_facts(o, facts);
}

/// --groups with --second-order: every set has a solve of its own, whatever the number of tests.
template <class T>
void run_newton_steps(Problem& problem, Problem::Tests& tests, const Candidates& candidates, const OutputFolder& folder,
                      const std::string& request, double norm) {
  const Options& o = problem.options();
  const Index m = std::ssize(tests.rows), count = candidates.columns;
  io::Journal journal = io::Journal::open(folder / kJournal, request, o.resume);  // keeps other runs out of the folder
  const EmptyJournal nothing_in_it{journal};
  const NewtonStepScores scores = newton_step_scores<T>(problem, *tests.objective, candidates.groups);
  std::string top = top_header(candidates);
  for (Index t = 0; t < m; ++t) {
    TopPoints points(o.top);
    for (Index g = 0; g < count; ++g) points.add(g, scores.values[static_cast<std::size_t>(t * count + g)]);
    top += top_lines(candidates, tests.rows[static_cast<std::size_t>(t)], points, problem.data().host_labels());
  }
  io::ResultFiles results;
  folder.supersede_earlier(results);
  write_values<T>(results, folder / candidates.file, {m, count}, scores.values);
  results.add(folder / "top.csv", top);
  results.add(folder / "report.json", to_json(scores.report).dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  Facts facts{{"test_examples", m}};
  facts.update(first_facts(problem, scores.report, norm, scores.report.max_relative_residual()));
  facts["groups"] = count;
  facts["written"] = folder.path().string();
  print_facts(o, facts);
}

template <class T>
void run_self_influence(Problem& problem, const OutputFolder& folder) {
  const Options& o = problem.options();
  const Index n = problem.data().examples();
  const MemoryPlan plan = self_influence_plan<T>(problem);
  if (o.plan) return print_facts(o, plan_facts(plan, static_cast<std::uint64_t>(n) * sizeof(T)));
  require_memory("influence", plan, problem.device());
  const double norm = start_gradient_norm(problem);
  io::Journal journal = io::Journal::open(folder / kJournal, fingerprint(problem, 0), false);  // keeps other runs out
  const EmptyJournal nothing_in_it{journal};
  const SelfInfluence result = all_self_influences<T>(problem);
  io::ResultFiles results;
  folder.supersede_earlier(results);
  write_values<T>(results, folder / "self_influence.npy", {n}, result.values);
  results.add(folder / "report.json", to_json(result.report).dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  Facts facts = first_facts(problem, result.report, norm, result.residual);
  facts["written"] = folder.path().string();
  print_facts(o, facts);
}

}  // namespace

template <class T>
void run_influence(const Invocation& call) {
  const Options& o = call.options;
  const OutputFolder folder(o, kResults);
  Problem problem(o, call.command_line);
  if (o.self) return run_self_influence<T>(problem, folder);
  if (o.second_order) require_second_order(problem);
  Problem::Tests tests = problem.load_tests();
  const Candidates candidates = candidates_of(problem);
  const Index m = std::ssize(tests.rows);
  const bool solves_by_set = o.second_order && !candidates.groups.empty();
  const Index right_hand_sides = solves_by_set ? 1 : o.second_order ? m + problem.parameters() : m;
  const MemoryPlan plan = influence_plan<T>(problem, *tests.objective, candidates.width, right_hand_sides);
  if (o.plan) return print_facts(o, plan_facts(plan, ScoreFile<T>::bytes(m, candidates.columns, candidates.width)));
  require_memory("influence", plan, problem.device());
  const std::string request = fingerprint(problem, Influence<T>::kTestBlock);
  if (is_finished(o, folder, kJournal, request, problem.manifest())) return;
  const double norm = start_gradient_norm(problem);
  // What cannot take its place in the end is refused now.
  for (const char* name : {"top.csv", "report.json", "manifest.json"}) const io::AtomicFile probe(folder / name);
  if (solves_by_set) return run_newton_steps<T>(problem, tests, candidates, folder, request, norm);
  run_blocks<T>(problem, tests, candidates, folder, request, norm);
}

template void run_influence<float>(const Invocation&);
template void run_influence<double>(const Invocation&);

}  // namespace clout::cli
