"""captum: NaiveInfluenceFunction, which makes the whole Hessian by backward passes and takes its eigenvectors, and
ArnoldiInfluenceFunction, which goes on with the 50 directions of largest curvature alone (its default).
"""

import captum
import torch
from captum.influence import NaiveInfluenceFunction
from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction

import softmax_module
from task import Task

NAME = "captum"


def version():
    return captum.__version__


def influence_of(problem, kind):
    model = softmax_module.module(problem)
    data = softmax_module.loader(problem)

    # The mean loss of the data set is what both make the Hessian of; a sum over the batch is what they ask for.
    loss = torch.nn.CrossEntropyLoss(reduction="sum")
    options = {"checkpoint": "", "checkpoints_load_func": lambda *_: 1.0, "loss_fn": loss, "hessian_reg": problem.l2 * problem.n,
               "sample_wise_grads_per_batch": True}
    if kind == "naive":
        return NaiveInfluenceFunction(model, data, projection_dim=problem.p, hessian_inverse_tol=0.0, **options)
    return ArnoldiInfluenceFunction(model, data, **options)


def variants(problem, work, k):
    if work != "self-influence" and not work.startswith("scores-"):
        return {}

    def make(kind):
        # What it prepares is the larger part of the work, so it is inside the clock.
        def run():
            influence = influence_of(problem, kind)
            if work == "self-influence":
                return influence.self_influence(softmax_module.loader(problem, 5_000))
            return influence.influence(softmax_module.tests(problem, k))
        return Task(run, lambda result: result.detach().double().numpy(), is_worth_warming=False)

    found = {"ArnoldiInfluenceFunction": lambda: make("arnoldi")}
    if work == "self-influence":  # what takes its time is the same for scores
        found["NaiveInfluenceFunction"] = lambda: make("naive")
    return found
