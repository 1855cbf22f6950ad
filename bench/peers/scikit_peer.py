"""scikit-learn: fits by its own solvers, from zero or warm-started at the full fit without one example."""

import numpy as np
import sklearn
import threadpoolctl
from sklearn.linear_model import LogisticRegression

from task import Task

NAME = "scikit-learn"
# Its stopping rule looks at the largest entry of the gradient of the mean loss; beyond this it gains nothing.
TOLERANCE, MOST_ITERATIONS = 1e-10, 5_000
SOLVERS = ("lbfgs", "newton-cg")
MODELS = 2  # of the leave-one-out models: a sample, each takes seconds


def version():
    return sklearn.__version__


def fitted(problem, solver, x, y, start=None):
    """Its objective is C Σ ℓ + ‖w‖²/2: λ = 1/(C n)."""
    model = LogisticRegression(C=1 / (problem.l2 * len(y)), fit_intercept=False, solver=solver, tol=TOLERANCE,
                               max_iter=MOST_ITERATIONS, warm_start=start is not None)
    if start is not None:
        model.coef_, model.intercept_, model.classes_ = start.reshape(10, -1).copy(), np.zeros(10), np.arange(10)
    with threadpoolctl.threadpool_limits(problem.threads):
        return model.fit(x, y).coef_.ravel()


def train(problem, solver):
    return Task(lambda: fitted(problem, solver, problem.x, problem.y), is_worth_warming=False)


def leave_one_out(problem, solver, k):
    removed = np.fromfile(problem.folder / "removed.int64", np.int64)[:MODELS]
    minimum = problem.point("minimum")
    # What is left is copied before the clock starts.
    rest = [(np.delete(problem.x, i, 0), np.delete(problem.y, i)) for i in removed]
    return Task(lambda: np.concatenate([fitted(problem, solver, x, y, minimum) for x, y in rest]), share=MODELS / k,
                note=f"{MODELS} of {k} models, time scaled", is_worth_warming=False)


def variants(problem, work, k):
    make = {"train": lambda solver: train(problem, solver),
            "leave-one-out": lambda solver: leave_one_out(problem, solver, k)}.get(work)
    return {solver: lambda s=solver: make(s) for solver in SOLVERS} if make else {}
