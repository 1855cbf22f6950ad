// loss, gradient, hvp, tangent, perturb, solve: arrays in, arrays out, so that any outside tool can check the engine.

#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/direct_solver.hpp>
#include <clout/engine/scaling.hpp>
#include <clout/host/cli/memory_plan.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/cli/verbs.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout::cli {
namespace {

// Per-example results that are on the device at once.
constexpr Index kExampleBlock = 1024;

using Facts = nlohmann::ordered_json;

template <class T>
void run_loss(const Invocation& call) {
  check_writable(call.options);
  Problem problem(call.options, call.command_line);
  Objective<T>& objective = problem.objective<T>();
  const Index n = objective.examples();
  Buffer<T> losses(problem.device(), n);
  objective.losses(losses.view(n, 1));
  const std::vector<T> host = losses.to_host();
  double mean = 0;
  for (Index i = 0; i < n; ++i)
    mean += objective.example_weight(i) / objective.total_weight() * static_cast<double>(host[static_cast<std::size_t>(i)]);
  write_array<T>(call.options, problem.manifest(), {n}, host);
  print_facts(call.options, Facts{{"examples", n},
                                  {"mean_loss", mean},
                                  {"written", call.options.out}});
}

template <class T>
void run_gradient(const Invocation& call) {
  check_writable(call.options);
  Problem problem(call.options, call.command_line);
  Objective<T>& objective = problem.objective<T>();
  const Index n = objective.examples(), p = objective.parameters();
  Buffer<T> gradient(problem.device(), p);
  objective.gradient(gradient.view(1, p));
  const double norm = row_norms<T>(problem.device(), gradient.view(1, p))[0];
  if (!call.options.per_example) {
    write_array<T>(call.options, problem.manifest(), {p}, gradient.to_host());
  } else {
    std::vector<T> all(static_cast<std::size_t>(n * p));
    Buffer<T> block(problem.device(), std::min(n, kExampleBlock) * p);
    std::vector<Index> rows;
    for (Index first = 0; first < n; first += kExampleBlock) {
      rows.clear();
      for (Index i = first; i < std::min(n, first + kExampleBlock); ++i) rows.push_back(i);
      const Index count = static_cast<Index>(rows.size());
      objective.example_gradients(rows, block.view(count, p));
      block.download(std::span(all).subspan(static_cast<std::size_t>(first * p), static_cast<std::size_t>(count * p)));
    }
    write_array<T>(call.options, problem.manifest(), {n, p}, all);
  }
  print_facts(call.options,
              Facts{{"parameters", p}, {"gradient_norm", norm}, {"written", call.options.out}});
}

template <class T>
void run_hvp(const Invocation& call) {
  check_writable(call.options);
  Problem problem(call.options, call.command_line);
  Index k = 0;
  const Buffer<T> vectors = problem.load_vectors<T>(k);
  Objective<T>& objective = problem.objective<T>();
  const Index p = objective.parameters();
  Buffer<T> products(problem.device(), k * p);
  HessianOperator<T>(objective, call.options.damping).apply(vectors.view(k, p), products.view(k, p));
  write_array<T>(call.options, problem.manifest(), {k, p}, products.to_host());
  print_facts(call.options, Facts{{"vectors", k},
                                  {"parameters", p},
                                  {"damping", call.options.damping},
                                  {"written", call.options.out}});
}

template <class T>
void run_tangent(const Invocation& call) {
  check_writable(call.options);
  Problem problem(call.options, call.command_line);
  Index k = 0;
  const Buffer<T> vectors = problem.load_vectors<T>(k);
  Objective<T>& objective = problem.objective<T>();
  const Index n = objective.examples(), p = objective.parameters();
  Buffer<T> tangents(problem.device(), n * k);
  objective.loss_tangents(vectors.view(k, p), 0, tangents.view(n, k));
  write_array<T>(call.options, problem.manifest(), {n, k}, tangents.to_host());
  print_facts(call.options, Facts{{"examples", n}, {"vectors", k}, {"written", call.options.out}});
}

template <class T>
void run_perturb(const Invocation& call) {
  check_writable(call.options);
  Problem problem(call.options, call.command_line);
  Index k = 0;
  const Buffer<T> vectors = problem.load_vectors<T>(k);
  Objective<T>& objective = problem.objective<T>();
  const Index n = objective.examples(), p = objective.parameters(), d = objective.input_size();
  Buffer<T> gradients(problem.device(), k * n * d);
  objective.input_gradients(vectors.view(k, p), 0, n, gradients.view(k, n * d));
  std::vector<Index> shape = problem.input_shape();
  shape.insert(shape.begin(), k);
  write_array<T>(call.options, problem.manifest(), shape, gradients.to_host());
  print_facts(call.options, Facts{{"examples", n}, {"vectors", k}, {"written", call.options.out}});
}

/// Right-hand sides that are on the device at once, with their solutions: half of what the memory limit leaves, the
/// other half for the solver; whole blocks of the solver's where there are any.
Index right_hand_sides_at_once(const Device& device, Index k, Index p) {
  constexpr Index kMatrices = 3;  // at most: right-hand sides, solutions, and residuals of what was written
  const std::size_t limit = device.memory_limit(), used = device.used_memory(), left = limit > used ? limit - used : 0;
  const std::size_t fit = left / 2 / (static_cast<std::size_t>(kMatrices * p) * sizeof(double));
  if (fit >= static_cast<std::size_t>(k)) return k;
  const Index some = std::max(static_cast<Index>(fit), Index{1}), block = CertifiedSolver<double>::kBlock;
  return some < block ? some : some / block * block;
}

/// The largest relative residual of solutions as they stand in the file, [k][p] both: rounded to T, the residual still
/// in double.
template <class T>
double written_residual(Problem& problem, std::span<const double> right_hand_sides, std::span<const T> solutions) {
  const Index p = problem.parameters(), k = static_cast<Index>(solutions.size()) / p;
  Device& device = problem.device();
  std::vector<double> v(right_hand_sides.begin(), right_hand_sides.end()), s(solutions.begin(), solutions.end());
  for (std::size_t first = 0; first < v.size(); first += static_cast<std::size_t>(p)) {
    const double unit = binary_unit(std::span(v).subspan(first, static_cast<std::size_t>(p)));
    for (std::size_t i = first; i < first + static_cast<std::size_t>(p); ++i) v[i] /= unit, s[i] /= unit;
  }
  const Buffer<double> in_units(device, std::span<const double>(v)), written(device, std::span<const double>(s));
  Buffer<double> residual(device, k * p);
  HessianOperator<double>(problem.objective<double>(), problem.options().damping)
      .apply(written.view(k, p), residual.view(k, p));
  device.kernels<double>().combine(device, {1.0, in_units.view(k, p), -1.0, residual.view(k, p)});
  const std::vector<double> norms = row_norms<double>(device, in_units.view(k, p));
  const std::vector<double> residuals = row_norms<double>(device, residual.view(k, p));
  double worst = 0;
  for (std::size_t j = 0; j < norms.size(); ++j)
    if (norms[j] > 0) worst = std::max(worst, residuals[j] / norms[j]);
  return worst;
}

/// Solutions below the range of T would be written with few digits or none.
template <class T>
void check_underflow(const std::vector<double>& solutions, Index p) {
  constexpr double kSmallest = static_cast<double>(std::numeric_limits<T>::min());
  for (std::size_t first = 0; first < solutions.size(); first += static_cast<std::size_t>(p)) {
    double largest = 0;
    for (std::size_t i = first; i < first + static_cast<std::size_t>(p); ++i) largest = std::max(largest, std::abs(solutions[i]));
    if (largest > 0 && largest < kSmallest)
      throw NotCertified("solve: the largest entry of solution " + std::to_string(first / static_cast<std::size_t>(p)) +
                         " is " + number_text(largest, 3) + ", below the range of " +
                         (sizeof(T) == 4 ? "float32" : "float64") + ": scale the vector up (nothing was written)");
  }
}

template <class T>
void run_solve(const Invocation& call) {
  check_writable(call.options, {kReport});
  Problem problem(call.options, call.command_line);
  Index k = 0;
  const std::vector<double> right_hand_sides = problem.read_vectors<double>(k);
  const Index p = problem.parameters();
  choose_solver<T>(problem, k);
  const std::unique_ptr<Solver> solver = make_solver<T>(problem);
  const Index at_once = right_hand_sides_at_once(problem.device(), k, p);
  const auto rows_of = [&](const auto& all, Index first, Index count) {
    return std::span(all).subspan(static_cast<std::size_t>(first * p), static_cast<std::size_t>(count * p));
  };
  SolveReport report;
  std::vector<double> host;
  for (Index first = 0; first < k; first += at_once) {
    const Index count = std::min(at_once, k - first);
    const Buffer<double> some(problem.device(), rows_of(right_hand_sides, first, count));
    Buffer<double> solutions(problem.device(), count * p);
    report.append(solver->solve(some.view(count, p), solutions.view(count, p)));
    const std::vector<double> solved = solutions.to_host();
    host.insert(host.end(), solved.begin(), solved.end());
  }
  settle(call.options, report);
  const std::vector<T> rounded(host.begin(), host.end());
  check_underflow<T>(host, p);
  double worst = 0;
  for (Index first = 0; first < k; first += at_once) {
    const Index count = std::min(at_once, k - first);
    worst = std::max(worst, written_residual<T>(problem, rows_of(right_hand_sides, first, count), rows_of(rounded, first, count)));
  }
  Facts facts = to_json(report);
  facts["max_written_residual"] = worst;
  add_choice(facts, problem);
  write_array<T>(call.options, problem.manifest(), {k, p}, rounded, facts.dump(2) + "\n");
  if (!call.options.json) facts.erase("columns");
  facts["written"] = call.options.out;
  print_facts(call.options, facts);
}

const char* const kCommon = " --model logistic --classes 10 --l2 0.01 --x x.npy --y y.npy --params params.npy";

}  // namespace

void add_engine_verbs(CLI::App& app, Options& o, Run& chosen) {
  const auto verb = [&](const char* name, const char* what, const std::string& rest, Run run) -> CLI::App& {
    CLI::App& sub = add_verb(app, name, what, "clout " + std::string(name) + kCommon + rest, std::move(run), chosen);
    add_common(sub, o);
    add_model(sub, o);
    add_data(sub, o, true);
    return sub;
  };
  CLI::App& loss = verb("loss", "per-example losses, without regulariser: [n]", " --out loss.npy", in_precision([]<class T>(const Invocation& call) { run_loss<T>(call); }));
  add_out(loss, o, "the .npy file to write");

  CLI::App& gradient = verb("gradient", "gradient of the objective, regulariser included: [p]", " --out g.npy",
                            in_precision([]<class T>(const Invocation& call) { run_gradient<T>(call); }));
  gradient.add_flag("--per-example", o.per_example, "every example's own, without regulariser: [n][p]");
  add_out(gradient, o, "the .npy file to write");

  CLI::App& hvp = verb("hvp", "exact Hessian-vector products (H + damping I)V: [k][p]",
                       " --vectors v.npy --damping 0 --out hv.npy", in_precision([]<class T>(const Invocation& call) { run_hvp<T>(call); }));
  add_vectors(hvp, o);
  hvp.add_option("--damping", o.damping, "added to the Hessian's diagonal")
      ->check(not_negative());
  add_curvature(hvp, o);
  add_out(hvp, o, "the .npy file to write");

  CLI::App& tangent = verb("tangent", "tangents of the per-example losses, v.grad l_i: [n][k]",
                           " --vectors v.npy --out t.npy", in_precision([]<class T>(const Invocation& call) { run_tangent<T>(call); }));
  add_vectors(tangent, o);
  add_out(tangent, o, "the .npy file to write");

  CLI::App& perturb = verb("perturb", "input gradients grad_x (v.grad_theta l_i): [k] of x's shape",
                           " --vectors v.npy --out dx.npy", in_precision([]<class T>(const Invocation& call) { run_perturb<T>(call); }));
  add_vectors(perturb, o);
  add_out(perturb, o, "the .npy file to write");

  CLI::App& solve = verb("solve", "solutions of (H + damping I)s = v with true residuals: [k][p] and a report",
                         " --vectors v.npy --solver cg --tolerance 1e-10 --out s.npy", in_precision([]<class T>(const Invocation& call) { run_solve<T>(call); }));
  add_vectors(solve, o);
  add_solver(solve, o);
  add_out(solve, o, "the .npy file to write; its report goes to FILE.report.json");
}

}  // namespace clout::cli
