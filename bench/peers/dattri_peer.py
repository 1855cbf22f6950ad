"""dattri: IFAttributorCG on all of the data in one batch. Its conjugate gradients run as many iterations as they are told
(version 0.3.0 does not use its tolerance).
"""

from importlib.metadata import version as version_of

import torch
import torch.nn.functional as F
from dattri.algorithm.influence_function import IFAttributorCG
from dattri.task import AttributionTask

import softmax_module
from task import Task

NAME = "dattri"
SELF_SAMPLE = 8  # training points of n


def version():
    return version_of("dattri")


# That many do on MNIST with λ = 0.01: for scores to 1e-6, for self-influences to half of the digits.
ITERATIONS = {"scores": 40, "self": 90}
MODES = ("rev-rev", "rev-fwd")  # its Hessian products: double backward, forward over reverse


def attributor(problem, iterations, mode):
    model = softmax_module.module(problem)

    def loss(parameters, data):
        x, y = data
        output = torch.func.functional_call(model, parameters, x.unsqueeze(0) if x.dim() == 1 else x)
        return F.cross_entropy(output, y.unsqueeze(0) if y.dim() == 0 else y)

    task = AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict())
    found = IFAttributorCG(task, max_iter=iterations, mode=mode, regularization=problem.l2)
    found.cache(softmax_module.loader(problem))
    return found


def of_itself(problem, iterations, mode):
    influence, some = attributor(problem, iterations, mode), softmax_module.loader(problem, SELF_SAMPLE, SELF_SAMPLE)
    return Task(lambda: influence.self_attribute(some) / problem.n, lambda result: result.detach().numpy(), SELF_SAMPLE / problem.n,
                f"{SELF_SAMPLE} of {problem.n} points, time scaled", is_worth_warming=False)


def scores(problem, iterations, mode, k):
    influence = attributor(problem, iterations, mode)
    some = softmax_module.sample_of(k)
    tests = softmax_module.in_batches(*softmax_module.tests(problem, some))
    train = softmax_module.loader(problem, 1_000)  # its gradients are [batch][p]
    return Task(lambda: influence.attribute(train, tests) / problem.n, lambda result: result.detach().T.numpy(),
                some / k, softmax_module.note_of(some, k), is_worth_warming=False)


def variants(problem, work, k):
    if work != "self-influence" and not work.startswith("scores-"):
        return {}

    iterations = ITERATIONS[work.split("-")[0]]

    def make(mode):
        return of_itself(problem, iterations, mode) if work == "self-influence" else scores(problem, iterations, mode, k)

    return {f"IFAttributorCG, {mode}, {iterations} iterations": lambda m=mode: make(m) for mode in MODES}
