"""curvlinops: its Hessian as a linear operator, solved by its conjugate gradients."""

from importlib.metadata import version as version_of

import curvlinops
import torch
from curvlinops.examples import IdentityLinearOperator

import softmax_module
from task import Task

NAME = "curvlinops"


def version():
    return version_of("curvlinops-for-pytorch")


def variants(problem, work, k):
    if not work.startswith("solve-"):
        return {}
    tolerance = float(work.removeprefix("solve-"))

    def make():
        model = softmax_module.module(problem)
        hessian = curvlinops.HessianLinearOperator(
            model, torch.nn.CrossEntropyLoss(), list(model.parameters()), softmax_module.loader(problem),
            check_deterministic=False)
        identity = IdentityLinearOperator([model.weight.shape], model.weight.device, model.weight.dtype)
        damped = hessian + problem.l2 * identity
        inverse = curvlinops.CGInverseLinearOperator(damped, eps=0.0, tolerance=0.5 * tolerance, max_iter=1_000,
                                                     max_tridiag_iter=0, stop_updating_after=0.1 * tolerance)
        some = softmax_module.sample_of(k)
        v = torch.from_numpy(problem.rows("tests", some)).T.contiguous()
        return Task(lambda: inverse @ v, lambda s: s.detach().T.numpy(), some / k, softmax_module.note_of(some, k),
                    is_worth_warming=False)

    return {"CGInverseLinearOperator": make}
