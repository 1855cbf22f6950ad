"""pyDVL: CgInfluence on all of the data in one batch, with tolerances that stop it where the residual asked for is reached.

Version 0.10.0 compares a residual's norm with the square of its tolerance times the right-hand side's norm, or with the
square of its absolute tolerance; solving one by one, that norm is of another axis, so there the absolute one is given.
"""

import math

import pydvl
import torch
import torch.nn.functional as F
from pydvl.influence.torch import CgInfluence

import softmax_module
from task import Task

NAME = "pyDVL"
SELF_SAMPLE = 8  # training points of n


def version():
    return pydvl.__version__


def fitted(problem, tolerance, together, least_norm):
    root = math.sqrt(0.8 * tolerance)
    limits = {"rtol": root, "atol": 0.0} if together else {"rtol": 0.0, "atol": root * math.sqrt(least_norm)}
    influence = CgInfluence(softmax_module.module(problem), F.cross_entropy, regularization=problem.l2, maxiter=1_000,
                            solve_simultaneously=together, precompute_grad=False, **limits)
    return influence.fit(softmax_module.loader(problem))


def variants(problem, work, k):
    what, _, tolerance = work.partition("-")
    if work == "self-influence":
        what, tolerance = work, "1e-06"
    if what not in ("solve", "scores", "self-influence"):
        return {}

    def make(together):
        x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
        of_itself = what == "self-influence"
        some = softmax_module.sample_of(k)
        points = (x[:SELF_SAMPLE], y[:SELF_SAMPLE]) if of_itself else softmax_module.tests(problem, some)
        least_norm = float(softmax_module.gradients(problem, *points).norm(dim=1).min())
        influence = fitted(problem, float(tolerance), together, least_norm)
        if of_itself:
            return Task(lambda: influence.influences(*points, *points).diagonal() / problem.n, lambda r: r.detach().numpy(),
                        SELF_SAMPLE / problem.n, f"{SELF_SAMPLE} of {problem.n} points, time scaled", is_worth_warming=False)
        if what == "solve":
            run = lambda: influence.influence_factors(*points)
        else:
            run = lambda: influence.influences(*points, x, y) / problem.n
        return Task(run, lambda result: result.detach().numpy(), some / k, softmax_module.note_of(some, k), is_worth_warming=False)

    return {"CgInfluence, right-hand sides together": lambda: make(True), "CgInfluence, one by one": lambda: make(False)}
