"""captum: NaiveInfluenceFunction, which makes the whole Hessian by backward passes and takes its eigenvectors. Its
ArnoldiInfluenceFunction goes on with the 50 directions of largest curvature alone: another quantity.
"""

import captum
import torch
from captum.influence import NaiveInfluenceFunction

import softmax_module
from task import Task

NAME = "captum"


def version():
    return captum.__version__


def of_itself(problem):
    # The mean loss of the data set is what the Hessian is made of; a sum over the batch is what it asks for.
    loss = torch.nn.CrossEntropyLoss(reduction="sum")

    # What it prepares is the larger part of the work, so it is inside the clock.
    def run():
        influence = NaiveInfluenceFunction(
            softmax_module.module(problem), softmax_module.loader(problem), checkpoint="", checkpoints_load_func=lambda *_: 1.0,
            loss_fn=loss, hessian_reg=problem.l2 * problem.n, sample_wise_grads_per_batch=True, projection_dim=problem.p,
            hessian_inverse_tol=0.0)
        return influence.self_influence(softmax_module.loader(problem, 5_000))

    return Task(run, lambda result: result.detach().double().numpy(), is_worth_warming=False)


def variants(problem, work, k):
    return {"NaiveInfluenceFunction": lambda: of_itself(problem)} if work == "self-influence" else {}
