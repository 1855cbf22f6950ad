#!/usr/bin/python3
"""Iterations of conjugate gradients on a softmax Hessian of MNIST (the first 5,500 images) to a residual of 1e-10: plain, and with the
preconditioners that clout does not have: H's diagonal, Kronecker factors, the classes' own blocks. NumPy alone; a minute.

    bench/preconditioners.py [LAMBDA ...]      default 1e-2 1e-3
"""

import gzip
import pathlib
import sys

import numpy as np

MNIST = pathlib.Path(__file__).resolve().parent.parent / "data/mnist"
N, CLASSES, TOLERANCE, MOST = 5_500, 10, 1e-10, 5_000


def images(name, header):
    with gzip.open(MNIST / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def solve(product, right, tolerance, inverse=lambda r: r):
    """The solution, and the iterations it took."""
    x, r = np.zeros_like(right), right.copy()
    z = inverse(r)
    p, rho = z, (r * z).sum()
    for iteration in range(1, MOST + 1):
        q = product(p)
        alpha = rho / (p * q).sum()
        x, r = x + alpha * p, r - alpha * q
        if np.linalg.norm(r) < tolerance * np.linalg.norm(right):
            break
        z = inverse(r)
        rho, before = (r * z).sum(), rho
        p = z + rho / before * p
    return x, iteration


def probabilities(x, w):
    z = x @ w.T
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def hessian(x, p, l2):
    def product(v):
        z = x @ v.T
        return (p * (z - (p * z).sum(1, keepdims=True))).T @ x / len(x) + l2 * v
    return product


def fit(x, targets, l2):
    w = np.zeros((CLASSES, x.shape[1]))
    while True:
        p = probabilities(x, w)
        gradient = (p - targets).T @ x / len(x) + l2 * w
        if np.linalg.norm(gradient) < 1e-8:
            return p
        w -= solve(hessian(x, p, l2), gradient, 1e-2)[0]


def preconditioners(x, p, l2):
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    class_values, class_vectors = np.linalg.eigh(np.diag(p.mean(0)) - p.T @ p / len(x))
    factors = np.outer(class_values, values) + l2
    yield "plain", lambda r: r
    diagonal = (p * (1 - p)).T @ (x * x) / len(x) + l2
    yield "diagonal", lambda r: r / diagonal
    yield "Kronecker", lambda r: class_vectors @ (class_vectors.T @ r @ vectors / factors) @ vectors.T
    blocks = [np.linalg.inv((x * (p[:, c] * (1 - p[:, c]))[:, None]).T @ x / len(x) + l2 * np.eye(x.shape[1])) for c in range(CLASSES)]
    yield "class blocks", lambda r: np.stack([block @ row for block, row in zip(blocks, r)])


def main():
    x = images("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:N] / 255
    targets = np.eye(CLASSES)[images("train-labels-idx1-ubyte.gz", 8)[:N]]
    for l2 in map(float, sys.argv[1:] or ("1e-2", "1e-3")):
        p = fit(x, targets, l2)
        right = np.outer(p[17] - targets[17], x[17])  # an example's gradient
        for name, inverse in preconditioners(x, p, l2):
            print(f"lambda {l2:g}, {name}: {solve(hessian(x, p, l2), right, TOLERANCE, inverse)[1]} iterations", flush=True)


if __name__ == "__main__":
    main()
