"""The softmax regression as a torch.nn.Module at its minimum, as packages for influence functions want it."""

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from problem import CLASSES, PIXELS


def module(problem):
    torch.set_num_threads(problem.threads)
    model = torch.nn.Linear(PIXELS, CLASSES, bias=False, dtype=torch.from_numpy(problem.x[:1]).dtype)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(problem.point("minimum")).view(CLASSES, PIXELS))
    return model


def loader(problem, batch=None, count=None):
    """The training data in order."""
    data = TensorDataset(torch.from_numpy(problem.x[:count]), torch.from_numpy(problem.y[:count]))
    return DataLoader(data, batch_size=batch or len(data))


def tests(problem, count):
    return torch.from_numpy(problem.images("test-x")[:count]), torch.from_numpy(problem.labels("test-y")[:count])


def penalised(model, l2):
    """The mean loss and the regulariser: the R whose Hessian is asked for."""
    return lambda output, label: F.cross_entropy(output, label) + 0.5 * l2 * (model.weight**2).sum()
