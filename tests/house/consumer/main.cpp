// Four points on a line, two classes: fits them, and solves with the Hessian. Ends with 0 if both are certified.

#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/training.hpp>
#include <clout/models/logistic_regression.hpp>

int main() {
  const auto device = clout::make_cpu_device();
  const std::vector<double> x{-2, -1, 1, 2};
  const std::vector<std::int32_t> labels{0, 0, 1, 1};
  clout::LogisticRegression<double> model(clout::Dataset<double>::from_values(*device, x, labels, 1, 2), false, 0.1);

  std::vector<double> theta(2);
  const clout::TrainingReport trained = clout::train<double>(model, model, theta, {});

  const auto solver = clout::make_conjugate_gradient<double>(model, model, 0.0, 1e-10);
  const clout::Buffer<double> v(*device, std::span<const double>(x).first(2));
  clout::Buffer<double> s(*device, 2);
  const clout::SolveReport solved = solver->solve(v.view(1, 2), s.view(1, 2));
  return trained.converged && solved.certified() && theta[1] > theta[0] ? 0 : 1;
}
