"""The softmax regression as a torch.nn.Module at its minimum, as packages for influence functions want it."""

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from problem import CLASSES, PIXELS


def module(problem):
    torch.set_num_threads(problem.threads)
    dtype = torch.from_numpy(problem.x[:1]).dtype
    torch.set_default_dtype(dtype)  # in which packages keep what they make themselves
    model = torch.nn.Linear(PIXELS, CLASSES, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(problem.point("minimum")).view(CLASSES, PIXELS))
    return model


class InOrder(Dataset):
    """Examples that are fetched in order, so that a batch is a slice: gathered one by one, and again for every product,
    they would take longer than the products.
    """

    def __init__(self, *tensors):
        self.tensors = tensors

    def __len__(self):
        return len(self.tensors[0])

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices):
        return tuple(tensor[indices[0]: indices[-1] + 1] for tensor in self.tensors)


def in_batches(x, y, batch=None):
    return DataLoader(InOrder(x, y), batch_size=batch or len(x), collate_fn=lambda batch: batch)


def loader(problem, batch=None, count=None):
    """The training data in order."""
    return in_batches(torch.from_numpy(problem.x[:count]), torch.from_numpy(problem.y[:count]), batch)


def tests(problem, count):
    return torch.from_numpy(problem.images("test-x")[:count]), torch.from_numpy(problem.labels("test-y")[:count])


def gradients(problem, x, y):
    """∇ℓ of every example at the minimum: [n][p]."""
    weight = module(problem).weight.detach()
    residuals = torch.softmax(x @ weight.T, 1) - F.one_hot(y, CLASSES)
    return (residuals[:, :, None] * x[:, None, :]).flatten(1)


def sample_of(k):
    """Of k test points as many as a package takes minutes for: their times grow as their number does."""
    return min(k, 4)


def note_of(some, k):
    return "" if some == k else f"{some} of {k} test points, time scaled"
