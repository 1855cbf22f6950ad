"""pyDVL: CgInfluence, as its manual has it, on all of the data in one batch."""

import pydvl
import torch.nn.functional as F
from pydvl.influence.torch import CgInfluence

import softmax_module
from task import Task

NAME = "pyDVL"
SELF_SAMPLE = 32  # training points of n


def version():
    return pydvl.__version__


def fitted(problem, tolerance, together):
    influence = CgInfluence(softmax_module.module(problem), F.cross_entropy, regularization=problem.l2, rtol=0.8 * tolerance,
                            atol=0.0, maxiter=1_000, solve_simultaneously=together, precompute_grad=False)
    return influence.fit(softmax_module.loader(problem))


def variants(problem, work, k):
    what, _, tolerance = work.partition("-")
    if work == "self-influence":
        what, tolerance = work, "1e-06"
    if what not in ("solve", "scores", "self-influence"):
        return {}

    def make(together):
        import torch

        influence = fitted(problem, float(tolerance), together)
        x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
        if what == "self-influence":
            some = x[:SELF_SAMPLE], y[:SELF_SAMPLE]
            return Task(lambda: influence.influences(*some, *some).diagonal() / problem.n, lambda r: r.detach().numpy(),
                        SELF_SAMPLE / problem.n, f"{SELF_SAMPLE} of {problem.n} points, time scaled", is_worth_warming=False)
        tests = softmax_module.tests(problem, k)
        if what == "solve":
            run = lambda: influence.influence_factors(*tests)
        else:
            run = lambda: influence.influences(*tests, x, y) / problem.n
        return Task(run, lambda result: result.detach().numpy(), is_worth_warming=False)

    return {"CgInfluence, right-hand sides together": lambda: make(True), "CgInfluence, one by one": lambda: make(False)}
