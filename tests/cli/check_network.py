#!/usr/bin/python3
"""Holds the verbs of --model convnet to PyTorch's double backward in float64, for the paper's network and others.

    check_network.py --clout build/bin/clout [--device cpu]

Exit status: 0 all within their bounds, 1 something else, 77 no PyTorch here (Debian: python3-torch).
"""

import json
import sys

import numpy as np

try:
    import torch
    from torch.nn.functional import conv2d, cross_entropy, softmax
except ImportError:
    print("no PyTorch here: nothing was compared")
    sys.exit(77)

from program import Program, scratch

LIMIT = 1e-12  # relative, per array
CONV, POOL = "conv", {"mean_pool": {}}


def layers(*convolutions, classes):
    named = [{CONV: {"out": out, "kernel": kernel, "stride": stride}} for out, kernel, stride in convolutions]
    return [*named, POOL, {"linear": {"out": classes}}]


PAPER = {"input": [1, 28, 28],
         "layers": layers((8, 3, 1), (8, 3, 2), (8, 3, 1), (8, 3, 2), (8, 3, 1), (10, 1, 1), classes=10)}
COLOUR = {"input": [3, 17, 14], "layers": layers((5, 5, 1), (6, 3, 2), classes=4)}
STRIDE_3 = {"input": [1, 20, 23], "layers": layers((4, 3, 3), (7, 2, 1), (3, 1, 1), classes=2)}
LARGE_KERNELS = {"input": [2, 15, 15], "layers": layers((9, 5, 2), (11, 5, 1), classes=7)}


class Network:
    """The network of a specification, as plain functions of a flat parameter vector."""

    def __init__(self, spec):
        self.input, self.shapes, self.strides = spec["input"], [], []
        channels = spec["input"][0]
        for layer in spec["layers"]:
            if CONV in layer:
                c = layer[CONV]
                self.shapes += [(c["out"], channels, c["kernel"], c["kernel"]), (c["out"],)]
                self.strides.append(c["stride"])
                channels = c["out"]
        self.classes = spec["layers"][-1]["linear"]["out"]
        self.shapes += [(self.classes, channels), (self.classes,)]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]
        self.p = sum(self.sizes)
        self.weights = torch.cat([torch.full((size,), float(len(shape) > 1), dtype=torch.float64)
                                  for size, shape in zip(self.sizes, self.shapes)])

    def logits(self, theta, x):
        parts = [part.reshape(shape) for part, shape in zip(torch.split(theta, self.sizes), self.shapes)]
        for stride, weight, bias in zip(self.strides, parts[0::2], parts[1::2]):
            x = torch.tanh(conv2d(x, weight, bias, stride=stride))
        return x.mean(dim=(2, 3)) @ parts[-2].T + parts[-1]

    def losses(self, theta, x, y):
        return cross_entropy(self.logits(theta, x), y, reduction="none")


def gradient(value, at, keep=False):
    return torch.autograd.grad(value, at, create_graph=keep, retain_graph=True)[0]


def expected(net, x, y, weights, theta, vectors, l2, damping):
    """Every verb's array by double backward"""
    theta = theta.clone().requires_grad_()
    losses = net.losses(theta, x, y)
    objective = (weights * losses).sum() / weights.sum() + 0.5 * l2 * (net.weights * theta**2).sum()
    slope = gradient(objective, theta, keep=True)
    jacobian = torch.stack([gradient(loss, theta) for loss in losses])
    hessian = torch.stack([gradient(slope @ v, theta) for v in vectors]) + damping * vectors
    p = softmax(net.logits(theta, x), dim=1).detach()
    products = []
    for v in vectors:
        tangent = torch.autograd.functional.jvp(lambda t: net.logits(t, x), theta.detach(), v)[1]
        residual = p * (tangent - (p * tangent).sum(dim=1, keepdim=True)) * (weights / weights.sum())[:, None]
        logits = net.logits(theta, x)
        products.append(gradient((logits * residual).sum(), theta) + l2 * net.weights * v + damping * v)
    perturbed = []
    for v in vectors:
        inputs = x.clone().requires_grad_()
        inner = gradient(net.losses(theta, inputs, y).sum(), theta, keep=True) @ v
        perturbed.append(gradient(inner, inputs))
    return {"loss": losses, "gradient": slope, "per-example": jacobian, "hvp": hessian,
            "ggn": torch.stack(products), "tangent": jacobian @ vectors.T, "perturb": torch.stack(perturbed)}


def check(program, folder, name, spec, weighted, image_bytes):
    net = Network(spec)
    rng = np.random.default_rng(net.p)
    n, k, l2, damping = 13, 3, 0.02, 0.3
    shape = (n, *net.input)
    x = rng.integers(0, 256, shape).astype(np.uint8) if image_bytes else rng.standard_normal(shape)
    arrays = {"x": x, "y": rng.integers(0, net.classes, n), "params": rng.standard_normal(net.p) * 0.4,
              "vectors": rng.standard_normal((k, net.p)), "weights": rng.integers(0, 4, n) / 2 + (np.arange(n) == 0)}
    path = lambda file: f"{folder}/{file}"
    for file, array in arrays.items():
        np.save(path(file + ".npy"), array)
    with open(path("spec.json"), "w", encoding="utf-8") as file:
        json.dump(spec, file)
    tensor = lambda array: torch.tensor(array.astype(np.float64))
    inputs = tensor(x) / 255 if image_bytes else tensor(x)
    weights = tensor(arrays["weights"]) if weighted else torch.ones(n, dtype=torch.float64)
    truth = expected(net, inputs, torch.tensor(arrays["y"]), weights, tensor(arrays["params"]),
                     tensor(arrays["vectors"]), l2, damping)
    given = ["--model", "convnet", "--l2", l2, "--x", path("x.npy"), "--y", path("y.npy"), "--params", path("params.npy"),
             *(["--spec", path("spec.json")] if spec is not PAPER else []),
             *(["--weights", path("weights.npy")] if weighted else [])]
    with_vectors = ["--vectors", path("vectors.npy")]
    calls = {"loss": ["loss"], "gradient": ["gradient"], "per-example": ["gradient", "--per-example"],
             "hvp": ["hvp", *with_vectors, "--damping", damping],
             "ggn": ["hvp", *with_vectors, "--damping", damping, "--curvature", "ggn"],
             "tangent": ["tangent", *with_vectors], "perturb": ["perturb", *with_vectors]}
    for what, call in calls.items():
        out = path("out.npy")
        done = program.run(*call, *given, "--device", program.device, "--out", out)
        if not program.expect(done.returncode == 0, f"{name}: {what}", done.stderr):
            continue
        right = truth[what].detach().numpy()
        got = np.load(out)
        if not program.expect(got.shape == right.shape, f"{name}: {what}", f"{got.shape}, expected {right.shape}"):
            continue
        error = np.linalg.norm(got - right) / np.linalg.norm(right)
        print(f"{name:24} {what:12} {error:.1e}")
        program.expect(error <= LIMIT, f"{name}: {what}", f"relative error {error:.2e}, limit {LIMIT:.0e}")


def main():
    program = Program.of(__doc__)
    torch.set_num_threads(1)
    cases = [("paper", PAPER, False, True), ("paper, weights", PAPER, True, False), ("colour, 5x5", COLOUR, True, False),
             ("stride 3", STRIDE_3, False, False), ("5x5 twice, stride 2", LARGE_KERNELS, True, True)]
    with scratch() as folder:
        for case in cases:
            check(program, folder, *case)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
