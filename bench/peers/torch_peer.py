"""PyTorch: the passes, written in every way that might be the fastest. scripts/bench times the one that is."""

import itertools

import torch
import torch.nn.functional as F
from torch.func import grad, jvp, linearize, vmap

from problem import CONVOLUTIONS
from task import Task

NAME = "PyTorch"
ADAM_EPSILON = 1e-12  # so small that the two usual forms of Adam are the same
ADAM_RATE, ADAM_BATCH = 1e-4, 500
HESSIAN_SAMPLE = 64  # columns of a Hessian of thousands
CHUNKS = {"logistic": (None, 4_000), "convnet": (125, 500, None)}  # examples at once; None: all


def version():
    return torch.__version__


def to_numpy(tensor):
    return tensor.detach().numpy()


class Model:
    """R(θ) of a flat θ, in chunks of the examples."""

    def __init__(self, problem, point="params", channels_last=False):
        torch.set_num_threads(problem.threads)
        self.problem, self.n = problem, problem.n
        self.x = torch.from_numpy(problem.x)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        if problem.model == "convnet":
            self.x = self.x.view(-1, 1, 28, 28).to(memory_format=self.format)
        self.y = torch.from_numpy(problem.y)
        self.theta = torch.from_numpy(problem.point(point))
        self.penalties = torch.from_numpy(problem.penalties)

    def vectors(self, k, name="vectors"):
        return torch.from_numpy(self.problem.rows(name, k))

    def logits(self, theta, x):
        parts = [theta[start:end].view(shape) for shape, start, end, _ in self.problem.blocks]
        if self.problem.model == "logistic":
            return F.linear(x, parts[0])
        for layer, (_, _, stride) in enumerate(CONVOLUTIONS):
            weight = parts[2 * layer]
            if self.format is torch.channels_last:
                weight = weight.contiguous(memory_format=torch.channels_last)
            x = torch.tanh(F.conv2d(x, weight, parts[2 * layer + 1], stride=stride))
        return F.linear(x.mean((2, 3)), parts[-2], parts[-1])

    def loss(self, theta, x, y):
        """The part of R that these examples are, with their share of the regulariser: the chunks add up to R."""
        share = len(x) / self.n
        data = F.cross_entropy(self.logits(theta, x), y, reduction="sum") / self.n
        return data + share * 0.5 * (self.penalties * theta) @ theta

    def chunks(self, size):
        size = size or self.n
        return [(self.x[i : i + size], self.y[i : i + size]) for i in range(0, self.n, size)]


def summed(function, chunks):
    def run():
        total = function(*chunks[0])
        for chunk in chunks[1:]:
            total = total + function(*chunk)
        return total

    return run


# Every function below takes the model, and gives a function of a chunk (x, y) that returns its part of the result.


def backward(model):
    theta = model.theta.clone().requires_grad_()
    return lambda x, y: torch.autograd.grad(model.loss(theta, x, y), theta)[0]


def compiled_gradient(model):
    theta = model.theta.clone().requires_grad_()
    loss = torch.compile(model.loss, dynamic=False)
    return lambda x, y: torch.autograd.grad(loss(theta, x, y), theta)[0]


def function_gradient(model):
    return lambda x, y: grad(model.loss)(model.theta, x, y)


def double_backward(model, vectors):
    theta = model.theta.clone().requires_grad_()

    def part(x, y):
        first = torch.autograd.grad(model.loss(theta, x, y), theta, create_graph=True)[0]
        return torch.stack([torch.autograd.grad(first, theta, v, retain_graph=True)[0] for v in vectors])

    return part


def batched_double_backward(model, vectors):
    theta = model.theta.clone().requires_grad_()

    def part(x, y):
        first = torch.autograd.grad(model.loss(theta, x, y), theta, create_graph=True)[0]
        return torch.autograd.grad(first, theta, vectors, is_grads_batched=True)[0]

    return part


def forward_over_reverse(model, vectors):
    def product(v, x, y):
        return jvp(lambda theta: grad(model.loss)(theta, x, y), (model.theta,), (v,))[1]

    if len(vectors) == 1:
        return lambda x, y: product(vectors[0], x, y)[None]
    return lambda x, y: vmap(product, in_dims=(0, None, None))(vectors, x, y)


def reverse_over_forward(model, vectors):
    def product(v, x, y):
        return grad(lambda theta: jvp(lambda t: model.loss(t, x, y), (theta,), (v,))[1])(model.theta)

    if len(vectors) == 1:
        return lambda x, y: product(vectors[0], x, y)[None]
    return lambda x, y: vmap(product, in_dims=(0, None, None))(vectors, x, y)


def compiled(make):
    return lambda *arguments: torch.compile(make(*arguments), dynamic=False)


def kept_graph(model, vectors):
    """The first backward pass is done once, outside the clock, as clout keeps the probabilities at θ."""
    theta = model.theta.clone().requires_grad_()
    first = torch.autograd.grad(model.loss(theta, model.x, model.y), theta, create_graph=True)[0]
    if len(vectors) == 1:
        return lambda: torch.autograd.grad(first, theta, vectors[0], retain_graph=True)[0][None]
    return lambda: torch.autograd.grad(first, theta, vectors, is_grads_batched=True, retain_graph=True)[0]


def linearized(model, vectors):
    product = linearize(lambda theta: grad(model.loss)(theta, model.x, model.y), model.theta)[1]
    return lambda: torch.stack([product(v) for v in vectors]) if len(vectors) == 1 else vmap(product)(vectors)


def in_chunks(problem, ways, arguments, channels_last=(False,)):
    """{name: make} for every way, size of chunks and memory format."""
    found = {}
    for (name, way), size, last in itertools.product(ways.items(), CHUNKS[problem.model], channels_last):
        title = f"{name}, {size or 'all'} examples at once" + (", channels last" if last else "")

        def make(way=way, size=size, last=last):
            model = Model(problem, channels_last=last)
            return Task(summed(way(model, *arguments(model)), model.chunks(size)), to_numpy)

        found[title] = make
    return found


def gradient_variants(problem, k):
    ways = {"backward": backward, "func.grad": function_gradient, "compiled backward": compiled_gradient}
    formats = (False, True) if problem.model == "convnet" else (False,)
    return in_chunks(problem, ways, lambda model: (), formats)


def product_variants(problem, k):
    ways = {"forward over reverse": forward_over_reverse, "compiled forward over reverse": compiled(forward_over_reverse),
            "reverse over forward": reverse_over_forward, "double backward": double_backward}
    if k > 1:
        ways["double backward, batched"] = batched_double_backward
    formats = (False, True) if problem.model == "convnet" and k == 1 else (False,)
    found = in_chunks(problem, ways, lambda model: (model.vectors(k),), formats)
    if problem.model == "logistic":
        for name, way in {"double backward, graph kept": kept_graph, "linearize": linearized}.items():
            found[name] = lambda way=way: (lambda model: Task(way(model, model.vectors(k)), to_numpy))(Model(problem))
    return found


def tangent_variants(problem, k):
    def make(is_compiled):
        model = Model(problem)
        vectors = model.vectors(k)

        def losses(theta):
            return F.cross_entropy(model.logits(theta, model.x), model.y, reduction="none")

        def tangents(vs):
            return vmap(lambda v: jvp(losses, (model.theta,), (v,))[1])(vs)

        run = torch.compile(tangents, dynamic=False) if is_compiled else tangents
        return Task(lambda: run(vectors), lambda result: to_numpy(result).T)

    return {"jvp, batched": lambda: make(False), "compiled jvp, batched": lambda: make(True)}


def adam_variants(problem, steps):
    def make(is_compiled, channels_last, **options):
        model = Model(problem, channels_last=channels_last)
        batches = model.chunks(ADAM_BATCH)

        def loss(theta, x, y):  # of a batch: a mean over it
            return F.cross_entropy(model.logits(theta, x), y) + 0.5 * (model.penalties * theta) @ theta

        called = torch.compile(loss, dynamic=False) if is_compiled else loss

        def run():
            theta = model.theta.clone().requires_grad_()
            adam = torch.optim.Adam([theta], lr=ADAM_RATE, eps=ADAM_EPSILON, **options)
            for step in range(steps):
                theta.grad = None
                called(theta, *batches[step % len(batches)]).backward()
                adam.step()
            return theta

        return Task(run, lambda theta: to_numpy(theta) - to_numpy(model.theta))

    found = {}
    for is_compiled, last, fused in itertools.product((False, True), (False, True), (False, True)):
        name = ("compiled loss" if is_compiled else "eager") + (", fused Adam" if fused else ", Adam")
        options = {"fused": True} if fused else {"foreach": True}
        found[name + (", channels last" if last else "")] = (
            lambda c=is_compiled, l=last, o=options: make(c, l, **o))
    return found


def hessian_variants(problem, k):
    """By columns: products with unit vectors, as torch.func.hessian and jacfwd make them; a sample of them."""
    def make(size, width):
        model = Model(problem)
        units = torch.eye(problem.p, dtype=model.theta.dtype)[:HESSIAN_SAMPLE]
        groups = [summed(forward_over_reverse(model, units[i : i + width]), model.chunks(size))
                  for i in range(0, HESSIAN_SAMPLE, width)]
        return Task(lambda: torch.cat([group() for group in groups]), to_numpy, HESSIAN_SAMPLE / problem.p,
                    f"{HESSIAN_SAMPLE} of {problem.p} columns, time scaled", is_worth_warming=False)

    return {f"jacfwd of grad, {width} columns and {size} examples at once": lambda s=size, w=width: make(s, w)
            for size, width in ((125, HESSIAN_SAMPLE), (500, 16), (4_000, 16))}


WORKS = {"gradient": gradient_variants, "hvp": product_variants, "tangents": tangent_variants, "adam": adam_variants,
         "hessian": hessian_variants}


def variants(problem, work, k):
    return WORKS[work](problem, k) if work in WORKS else {}
