#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/engine/inverse.hpp>
#include <clout/kernels/kernel_table.hpp>

namespace clout {
namespace {

constexpr Index kBlock = 32;          // right-hand sides that are solved together
constexpr Index kExampleRows = 4096;  // examples whose forms are computed between two words of progress

}  // namespace

SelfInfluence self_influence(Objective<double>& train, Solver& solver, std::span<const Index> rows,
                             const Progress& progress) {
  const Index m = static_cast<Index>(rows.size()), p = train.parameters();
  Device& device = train.device();
  Buffer<double> gradients(device, kBlock * p), products(device, kBlock * p), dots(device, kBlock);
  SelfInfluence result;
  std::vector<double> host(static_cast<std::size_t>(kBlock));
  for (Index first = 0; first < m; first += kBlock) {
    const Index count = std::min(kBlock, m - first);
    const auto block = rows.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    train.example_gradients(block, gradients.view(count, p));
    result.report.append(solver.solve(gradients.view(count, p), products.view(count, p)));
    device.kernels<double>().vector_dots(device, {gradients.view(count, p), products.view(count, p), dots.data()});
    dots.download(std::span<double>(host).first(static_cast<std::size_t>(count)));
    for (Index j = 0; j < count; ++j)
      result.values.push_back(train.example_weight(block[static_cast<std::size_t>(j)]) / train.total_weight() *
                              host[static_cast<std::size_t>(j)]);
    if (progress) progress("self-influence", static_cast<double>(first + count), static_cast<double>(m));
  }
  result.residual = result.report.max_relative_residual();
  return result;
}

bool has_shorter_self_influence(const Objective<double>& train) {
  // Solving is n + p products with the Hessian against p, and the forms are cheaper than a factor's two solves.
  return train.has_leverages() && train.examples() >= 2 * train.parameters();
}

SelfInfluence self_influence_by_inverse(Objective<double>& train, Solver& solver, double damping,
                                        const Progress& progress) {
  const Index n = train.examples(), p = train.parameters();
  CertifiedInverse inverse = certified_inverse(train, solver, damping, progress);
  SelfInfluence result{.values = {}, .report = std::move(inverse.report), .residual = inverse.residual};
  for (Index first = 0; first < n; first += kExampleRows) {
    const Index count = std::min(kExampleRows, n - first);
    const std::vector<double> forms = train.gradient_forms(inverse.matrix.view(p, p), first, count);
    for (Index i = 0; i < count; ++i)
      result.values.push_back(train.example_weight(first + i) / train.total_weight() *
                              forms[static_cast<std::size_t>(i)]);
    if (progress) progress("self-influence", static_cast<double>(first + count), static_cast<double>(n));
  }
  return result;
}

}  // namespace clout
