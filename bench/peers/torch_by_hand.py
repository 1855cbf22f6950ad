"""Softmax regression in PyTorch with the formulas written out, as an expert would who needs no autodiff: two products a
Hessian product, the probabilities kept; X dense or without its zeros (CSR), whole or in blocks of rows.
"""

import torch

from problem import CLASSES, PIXELS
from task import Task

BLOCKS = (55_000, 8_192, 1_024)  # rows at once
GRADIENT_BLOCK = 1_000           # examples whose gradients are there at once


def version():
    return torch.__version__


def to_numpy(tensor):
    return tensor.numpy()


def without_zeros(x):
    """CSR with indices of 32 bits: those of 64 that PyTorch makes itself it turns into such for every product of MKL's."""
    csr = x.contiguous().to_sparse_csr()
    return torch.sparse_csr_tensor(csr.crow_indices().int(), csr.col_indices().int(), csr.values(), csr.shape)


class Softmax:
    """∇R and ∇²R in closed form at a point."""

    def __init__(self, problem, point, block, is_sparse=False):
        torch.set_num_threads(problem.threads)
        self.n, self.l2, self.block, self.problem = problem.n, problem.l2, min(block, problem.n), problem
        x = torch.from_numpy(problem.x)
        self.y = torch.from_numpy(problem.y)
        self.theta = torch.from_numpy(problem.point(point))
        self.probabilities = torch.softmax(x @ self.left(self.theta).T, 1)
        self.residuals = self.probabilities - torch.nn.functional.one_hot(self.y, CLASSES).to(x.dtype)
        self.x, self.transposed = x, None
        if is_sparse:
            self.x, self.transposed = without_zeros(x), without_zeros(x.t())

    def vectors(self, name, k):
        return torch.from_numpy(self.problem.rows(name, k))

    @staticmethod
    def left(vectors):
        """[k][p] as the left factor of (V Xᵀ)ᵀ: [k·K][d]."""
        return vectors.reshape(-1, PIXELS)

    def parts(self):
        """(rows, X, P) of every block of rows."""
        slices = [slice(i, i + self.block) for i in range(0, self.n, self.block)]
        return [(rows, self.x if len(slices) == 1 else self.x[rows], self.probabilities[rows]) for rows in slices]

    def back(self, s, x):
        """SᵀX: [k·K][d]."""
        return s.T @ x if self.transposed is None else (self.transposed @ s).T

    def gradient(self):
        # From θ on, as everybody else's: the probabilities are not given here.
        total = torch.zeros(CLASSES, PIXELS, dtype=self.theta.dtype)
        for rows, x, _ in self.parts():
            r = torch.softmax(x @ self.left(self.theta).T, 1)
            r[torch.arange(len(r)), self.y[rows]] -= 1
            total += self.back(r, x)
        return total.reshape(-1) / self.n + self.l2 * self.theta

    def hessian_product(self, vectors):
        k, total = len(vectors), torch.zeros_like(vectors)
        for _, x, p in self.parts():
            z, p = (x @ self.left(vectors).T).view(-1, k, CLASSES), p[:, None, :]
            s = z.sub_((z * p).sum(2, keepdim=True)).mul_(p)
            total += self.back(s.view(len(s), -1), x).reshape(k, -1)
        return total / self.n + self.l2 * vectors

    def tangents(self, vectors):
        z = (self.x @ self.left(vectors).T).view(self.n, len(vectors), CLASSES)
        return torch.einsum("nkc,nc->nk", z, self.residuals)

    def hessian(self):
        """Blocks (c, c') are Xᵀ diag(w) X; those of the diagonal follow from the others, as rows of ∇²ℓ add up to 0."""
        out = torch.zeros(CLASSES, PIXELS, CLASSES, PIXELS, dtype=self.x.dtype)
        for a in range(CLASSES):
            for b in range(a):
                for _, x, p in self.parts():
                    out[a, :, b] -= (x * (p[:, a] * p[:, b])[:, None]).T @ x
                out[b, :, a] = out[a, :, b]
        for a in range(CLASSES):
            out[a, :, a] = -out[a].sum(1)
        out = out.view(self.problem.p, self.problem.p).div_(self.n)
        out.diagonal().add_(self.l2)
        return out


def conjugate_gradients(product, v, tolerance, most=1_000):
    """For all rows of v side by side, each to its own relative residual; finished ones leave."""
    s, r = torch.zeros_like(v), v.clone()
    running, p = torch.arange(len(v)), v.clone()
    rho, limit = (r * r).sum(1), (tolerance * v.norm(dim=1)) ** 2
    for _ in range(most):
        q = product(p)
        alpha = rho / (p * q).sum(1)
        s[running] += alpha[:, None] * p
        r -= alpha[:, None] * q
        new = (r * r).sum(1)
        left = new > limit
        if not left.any():
            return s
        p = (r + (new / rho)[:, None] * p)[left]
        r, rho, limit, running = r[left], new[left], limit[left], running[left]
    raise RuntimeError(f"conjugate gradients: not within {tolerance} after {most} iterations")


def solve_variants(problem, tolerance, k):
    blocks_of = 32  # right-hand sides at once: more do not fit the caches any better
    # Of many right-hand sides CG does the first block, and the time is scaled.
    done = min(k, blocks_of)

    def by_iteration(**options):
        softmax = Softmax(problem, "minimum", **options)
        v = softmax.vectors("tests", done)
        note = "" if done == k else f"{done} of {k} right-hand sides, time scaled"
        # The margin is for what rounding puts between the recurrence's residual and the true one.
        return Task(lambda: conjugate_gradients(softmax.hessian_product, v, 0.8 * tolerance), to_numpy, done / k, note,
                    is_worth_warming=False)

    def by_factor(block):
        softmax = Softmax(problem, "minimum", block)
        v = softmax.vectors("tests", k)
        return Task(lambda: torch.cholesky_solve(v.T, torch.linalg.cholesky(softmax.hessian())).T, to_numpy,
                    is_worth_warming=False)

    found = {"CG, CSR": lambda: by_iteration(block=problem.n, is_sparse=True)}
    for block in BLOCKS[:2]:
        found[f"CG, {block} rows at once"] = lambda b=block: by_iteration(block=b)
    if k > blocks_of:
        found["explicit Hessian and Cholesky"] = lambda: by_factor(BLOCKS[1])
    return found


def score_variants(problem, tolerance, k):
    """Test points to scores: gradients, solutions, and their tangents."""
    def make(**options):
        softmax = Softmax(problem, "minimum", **options)
        v = softmax.vectors("tests", k)

        def run():
            solutions = conjugate_gradients(softmax.hessian_product, v, 0.8 * tolerance)
            return softmax.tangents(solutions) / problem.n

        return Task(run, lambda scores: to_numpy(scores.T), is_worth_warming=False)

    return {"CG, CSR": lambda: make(block=problem.n, is_sparse=True), "CG, dense": lambda: make(block=problem.n)}


def self_influence(problem):
    softmax = Softmax(problem, "minimum", BLOCKS[1])

    def run():
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(softmax.hessian()))
        found = []
        for first in range(0, problem.n, GRADIENT_BLOCK):
            rows = slice(first, first + GRADIENT_BLOCK)
            gradients = (softmax.residuals[rows, :, None] * softmax.x[rows, None, :]).flatten(1)
            found.append(((gradients @ inverse) * gradients).sum(1))
        return torch.cat(found) / problem.n

    return Task(run, to_numpy, is_worth_warming=False)


def variants(problem, work, k):
    def of(point, run, **options):
        def make():
            softmax = Softmax(problem, point, **options)
            return Task(run(softmax), to_numpy)
        return make

    if work.startswith("solve-"):
        return solve_variants(problem, float(work.removeprefix("solve-")), k)
    if problem.model != "logistic":
        return {}
    if work.startswith("scores-"):
        return score_variants(problem, float(work.removeprefix("scores-")), k)
    if work == "self-influence":
        return {"inverse, gradients in blocks": lambda: self_influence(problem)}
    if work == "hessian":
        return {"45 products": lambda: Task(Softmax(problem, "params", BLOCKS[1]).hessian, to_numpy,
                                                     is_worth_warming=False)}
    runs = {"gradient": lambda softmax: softmax.gradient,
            "hvp": lambda softmax: (lambda v: lambda: softmax.hessian_product(v))(softmax.vectors("vectors", k)),
            "tangents": lambda softmax: (lambda v: lambda: softmax.tangents(v))(softmax.vectors("vectors", k))}
    if work not in runs:
        return {}
    found = {"CSR": of("params", runs[work], block=problem.n, is_sparse=True)}
    for block in BLOCKS if work != "tangents" else BLOCKS[:1]:
        found[f"{block} rows at once"] = of("params", runs[work], block=block)
    return found
