"""dattri: IFAttributorCG on all of the data in one batch."""

from importlib.metadata import version as version_of

import torch
import torch.nn.functional as F
from dattri.algorithm.influence_function import IFAttributorCG
from dattri.task import AttributionTask
from torch.utils.data import DataLoader, TensorDataset

import softmax_module
from task import Task

NAME = "dattri"
SELF_SAMPLE = 32  # training points of n


def version():
    return version_of("dattri")


MODES = ("rev-rev", "rev-fwd")  # its Hessian products: double backward, forward over reverse


def attributor(problem, tolerance, mode):
    model = softmax_module.module(problem)

    def loss(parameters, data):
        x, y = data
        output = torch.func.functional_call(model, parameters, x.unsqueeze(0) if x.dim() == 1 else x)
        return F.cross_entropy(output, y.unsqueeze(0) if y.dim() == 0 else y)

    task = AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict())
    found = IFAttributorCG(task, max_iter=300, tol=tolerance, mode=mode, regularization=problem.l2)
    found.cache(softmax_module.loader(problem))
    return found


def of_itself(problem, mode):
    influence, some = attributor(problem, 1e-7, mode), softmax_module.loader(problem, SELF_SAMPLE, SELF_SAMPLE)
    return Task(lambda: influence.self_attribute(some) / problem.n, lambda result: result.detach().numpy(), SELF_SAMPLE / problem.n,
                f"{SELF_SAMPLE} of {problem.n} points, time scaled", is_worth_warming=False)


def scores(problem, mode, tolerance, k):
    # What its tolerance is of is its own affair: a tenth is on the safe side, and the check says what came of it.
    influence = attributor(problem, 0.1 * tolerance, mode)
    tests = DataLoader(TensorDataset(*softmax_module.tests(problem, k)), batch_size=k)
    train = softmax_module.loader(problem, 1_000)  # its gradients are [batch][p]
    return Task(lambda: influence.attribute(train, tests) / problem.n, lambda result: result.detach().T.numpy(),
                is_worth_warming=False)


def variants(problem, work, k):
    if work == "self-influence":
        return {f"IFAttributorCG, {mode}": lambda m=mode: of_itself(problem, m) for mode in MODES}
    if work.startswith("scores-"):
        tolerance = float(work.removeprefix("scores-"))
        return {f"IFAttributorCG, {mode}": lambda m=mode: scores(problem, m, tolerance, k) for mode in MODES}
    return {}
