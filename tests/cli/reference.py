#!/usr/bin/python3
"""Multinomial logistic regression in float64 NumPy, written from the formulas: the reference of check_verbs.py.

Shares no line with the product. Run as a program it checks itself: complex steps, closed forms, retraining.
Parameters are in PyTorch's order: [K][d] weights, then, with a bias, [K]. Scores and signs as in README.md.
"""

import dataclasses
import sys
from typing import Optional

import numpy as np


@dataclasses.dataclass
class Problem:
    """R(theta) = (1/W) sum_i w_i l_i + (l2/2) |weights of theta|^2, W = sum_i w_i."""

    x: np.ndarray  # [n][d], as the model sees it
    y: np.ndarray  # [n], 0 ... K-1
    classes: int
    l2: float
    bias: bool = False
    weights: Optional[np.ndarray] = None  # [n]; None: all 1

    @property
    def regularised(self):
        return self.classes * self.x.shape[1]

    @property
    def parameters(self):
        return self.regularised + (self.classes if self.bias else 0)

    @property
    def w(self):
        """The example weights divided by their sum."""
        w = np.ones(len(self.y)) if self.weights is None else np.asarray(self.weights, np.float64)
        return (w / w.sum()).astype(self.x.real.dtype)

    def split(self, theta):
        """[..., p] -> [..., K][d] and [..., K]"""
        lead, m = theta.shape[:-1], self.regularised
        matrix = theta[..., :m].reshape(*lead, self.classes, self.x.shape[1])
        return matrix, theta[..., m:] if self.bias else np.zeros((*lead, self.classes), theta.dtype)

    def join(self, matrix, shift):
        """The inverse of split."""
        flat = matrix.reshape(*matrix.shape[:-2], self.regularised)
        return np.concatenate([flat, shift], axis=-1) if self.bias else flat

    def penalised(self, theta):
        """theta with the bias set to 0: what l2 acts on."""
        result = theta.copy()
        result[..., self.regularised :] = 0
        return result

    def one_hot(self):
        return np.eye(self.classes, dtype=self.x.real.dtype)[self.y]


def logits(problem, theta):
    matrix, shift = problem.split(theta)
    return np.einsum("nd,...kd->...nk", problem.x, matrix) + shift[..., None, :]


def shifted_exponentials(a):
    """exp(a - max), with the place of the maximum. The maximum is taken of the real part: safe for complex steps."""
    top = np.argmax(a.real, axis=1)[:, None]
    return np.exp(a - np.take_along_axis(a, top, 1)), top


def softmax(a):
    e, _ = shifted_exponentials(a)
    return e / e.sum(axis=1, keepdims=True)


def losses(problem, theta):
    """[n]: logsumexp(a) - a_y, without regulariser; relative accuracy also where the loss is tiny."""
    a = logits(problem, theta)
    e, top = shifted_exponentials(a)
    np.put_along_axis(e, top, 0, 1)
    label = problem.y.astype(np.int64)[:, None]
    gap = np.take_along_axis(a, top, 1) - np.take_along_axis(a, label, 1)
    return np.log1p(e.sum(axis=1)) + gap[:, 0]


def objective(problem, theta):
    return problem.w @ losses(problem, theta) + problem.l2 / 2 * np.sum(problem.penalised(theta) ** 2)


def residuals(problem, theta):
    """[n][K]: delta = p - e_y"""
    return softmax(logits(problem, theta)) - problem.one_hot()


def example_gradients(problem, theta):
    """[n][p], without regulariser"""
    delta = residuals(problem, theta)
    return problem.join(np.einsum("nk,nd->nkd", delta, problem.x), delta)


def gradient(problem, theta):
    """[p], regulariser included"""
    delta = residuals(problem, theta)
    mean = problem.join(np.einsum("n,nk,nd->kd", problem.w, delta, problem.x), problem.w @ delta)
    return mean + problem.x.real.dtype.type(problem.l2) * problem.penalised(theta)


def residual_tangents(problem, theta, vectors):
    """R{a} and R{delta} = p o (R{a} - p.R{a}), both [k][n][K]"""
    p, ra = softmax(logits(problem, theta)), logits(problem, vectors)
    return ra, p * (ra - np.einsum("nc,knc->kn", p, ra)[..., None])


def hvp(problem, theta, vectors, damping=0.0):
    """[k][p]: (H + damping I) v for each row v"""
    _, rd = residual_tangents(problem, theta, vectors)
    mean = problem.join(np.einsum("n,knc,nd->kcd", problem.w, rd, problem.x), np.einsum("n,knc->kc", problem.w, rd))
    scalar = problem.x.real.dtype.type
    return mean + scalar(problem.l2) * problem.penalised(vectors) + scalar(damping) * vectors


def tangent(problem, theta, vectors):
    """[n][k]: v_j . grad l_i, without regulariser"""
    return np.einsum("nc,knc->nk", residuals(problem, theta), logits(problem, vectors))


def perturb(problem, theta, vectors):
    """[k][n][d]: the gradient in x of v_j . grad l_i"""
    _, rd = residual_tangents(problem, theta, vectors)
    through_v = np.einsum("nc,kcd->knd", residuals(problem, theta), problem.split(vectors)[0])
    return through_v + np.einsum("knc,cd->knd", rd, problem.split(theta)[0])


def hessian(problem, theta):
    """[p][p] in closed form: sum_i (w_i/W) (diag p - p p^T) (x) (x x^T), + l2 on the weights"""
    p = softmax(logits(problem, theta))
    curvature = np.einsum("nc,ce->nce", p, np.eye(problem.classes)) - np.einsum("nc,ne->nce", p, p)
    m, d, k = problem.regularised, problem.x.shape[1], problem.classes
    weighted = problem.w[:, None, None] * curvature
    h = np.zeros((problem.parameters, problem.parameters))
    for c in range(k):  # one block row at a time: [n][K][d] in memory, not [n][K][K][d]
        rows = np.einsum("ne,nd->ned", weighted[:, c], problem.x)
        h[c * d : (c + 1) * d, :m] = np.einsum("nj,ned->jed", problem.x, rows, optimize=True).reshape(d, m)
        if problem.bias:
            h[m + c, :m] = rows.sum(axis=0).reshape(m)
            h[:m, m + c] = h[m + c, :m]
    if problem.bias:
        h[m:, m:] = weighted.sum(axis=0)
    h[np.arange(m), np.arange(m)] += problem.l2
    return h


def solve(problem, theta, vectors, damping=0.0):
    """[k][p]: (H + damping I)^-1 v. With a bias H is singular along equal shifts of all classes: without damping the
    vectors must be orthogonal to that, as all gradients are, and the solutions are too."""
    h = hessian(problem, theta) + damping * np.eye(problem.parameters)
    if problem.bias and damping == 0:
        h[problem.regularised :, problem.regularised :] += 1 / problem.classes
    return np.linalg.solve(h, vectors.T).T


def influence(problem, theta, test, damping=0.0):
    """[n_test][n_train] loss_change_if_removed: +(w_i/W) s . (grad l_i + l2 theta_reg) with
    s = (H + damping I)^-1 grad l_test. The test loss carries no regulariser."""
    s = solve(problem, theta, example_gradients(test, theta), damping)
    training = example_gradients(problem, theta) + problem.l2 * problem.penalised(theta)
    return np.einsum("tp,np->tn", s, training) * problem.w


def self_influence(problem, theta, damping=0.0):
    """[n]: +(w_i/W) grad l_i . (H + damping I)^-1 grad l_i, no regulariser in either factor"""
    g = example_gradients(problem, theta)
    return np.einsum("np,np->n", g, solve(problem, theta, g, damping)) * problem.w


def train(problem, start=None, tolerance=1e-14, max_iterations=100):
    """Newton with backtracking to |grad R| <= tolerance; returns (theta, gradient norm, iterations). The step of least
    norm keeps the sum of the biases over the classes at 0."""
    theta = np.zeros(problem.parameters) if start is None else start.copy()
    g = gradient(problem, theta)
    for iteration in range(max_iterations):
        if np.linalg.norm(g) <= tolerance:
            return theta, np.linalg.norm(g), iteration
        step = np.linalg.lstsq(hessian(problem, theta), g, rcond=1e-12)[0]
        value, length = objective(problem, theta), 1.0
        while length > 1e-9:
            trial = theta - length * step
            trial_gradient = gradient(problem, trial)
            # Near the optimum the objective no longer changes in its last digit: there the gradient decides.
            if objective(problem, trial) <= value - 1e-4 * length * (g @ step) or np.linalg.norm(
                trial_gradient
            ) < 0.5 * np.linalg.norm(g):
                break
            length /= 2
        else:
            raise RuntimeError(f"reference: no step lowers the objective, gradient norm {np.linalg.norm(g):.1e}")
        theta, g = trial, trial_gradient
    raise RuntimeError(f"reference: training did not converge, gradient norm {np.linalg.norm(g):.1e}")


def without(problem, removed):
    """The mean over the others, the same l2: the removed ones get weight 0."""
    weights = np.ones(len(problem.y)) if problem.weights is None else problem.weights.astype(np.float64)
    weights[removed] = 0
    return dataclasses.replace(problem, weights=weights)


def leave_one_out(problem, theta, index, test, tolerance=1e-14):
    """[n_test]: the test losses after exact retraining without `index`, minus those before"""
    retrained, _, _ = train(without(problem, index), theta, tolerance)
    return losses(test, retrained) - losses(test, theta)


def has_optimum(problem):
    """Without a regulariser on the bias, that of a class that never occurs runs off to minus infinity."""
    present = problem.y if problem.weights is None else problem.y[problem.weights > 0]
    needed = problem.classes if problem.bias else 1
    return problem.l2 > 0 and len(np.unique(present)) >= needed


def rounding_bounds(problem, theta, vectors, damping, unit):
    """Relative (norm-wise) bounds on the rounding error of each quantity, computed in arithmetic of unit
    roundoff `unit` (single: 2^-24), the inputs rounded to it too: name -> scalar or one per vector.

    To first order, sums in any order (a sum of m terms: m unit sum|terms|), with A_i = max_c sum_j |x_ij theta_cj| +
    |b_c| and B_ik the same for vector k:
      logits      e = (d + 8) u A             (two inputs, product, sum, the subtraction of the maximum)
      p           p_c rho, rho = 2e + (K + 8) u        (softmax moves by at most 2e relatively; exp, sum, quotient)
      R{a}        (d + 6) u B
      R{delta}    q = B (2 (d + 6) u + 3 rho + (K + 12) u)   (|R{a} - p.R{a}| <= 2B)
    and then the plain product rule for each output; 10 % is added for the second order.
    """
    u, n, d, k = unit, len(problem.y), problem.x.shape[1], problem.classes
    size = dataclasses.replace(problem, x=np.abs(problem.x))
    a = logits(size, np.abs(theta)).max(axis=-1)  # [n]
    b = logits(size, np.abs(vectors)).max(axis=-1)  # [k][n]
    x_norm = np.sqrt(np.sum(problem.x**2, axis=1) + (1 if problem.bias else 0))
    norm = np.linalg.norm
    e = (d + 8) * u * a
    rho = 2 * e + (k + 8) * u
    q = b * (2 * (d + 6) * u + 3 * rho + (k + 12) * u)
    loss = losses(problem, theta)
    by_example = x_norm * (rho + 6 * u)
    reduced = problem.w @ (x_norm * (rho + 6 * u + 1.5 * (n + 6) * u)) + 4 * u * problem.l2 * norm(theta)
    along = b * ((2 * (d + 6) + 2 * (k + 2) + 2) * u + rho)
    product = (q + 2 * b * (n + 8) * u) @ (problem.w * x_norm) + 4 * u * (problem.l2 + damping) * norm(vectors, axis=1)
    v_norm, theta_norm = (norm(problem.split(t)[0], axis=(-2, -1)) for t in (vectors, theta))
    moved = v_norm[:, None] * (rho + 6 * u + 1.5 * (k + 4) * u) + theta_norm * (q + 2 * b * (k + 6) * u)
    absolute = {
        "loss": (norm(2 * e + (k + 8) * u + 2 * u * loss), norm(loss)),
        "gradient": (reduced, norm(gradient(problem, theta))),
        "per-example": (norm(by_example), norm(example_gradients(problem, theta))),
        "hvp": (product, norm(hvp(problem, theta, vectors, damping), axis=1)),
        "tangent": (norm(along, axis=1), norm(tangent(problem, theta, vectors), axis=0)),
        "perturb": (norm(moved, axis=1), norm(perturb(problem, theta, vectors), axis=(1, 2))),
    }
    tiny = np.finfo(np.float64).tiny
    return {name: 1.1 * error / np.maximum(value, tiny) for name, (error, value) in absolute.items()}


def single_errors(problem, theta, vectors, damping):
    """The relative errors of this very code run in float32: name -> scalar or one per vector, as rounding_bounds."""
    single = dataclasses.replace(problem, x=problem.x.astype(np.float32))
    theta32, vectors32 = theta.astype(np.float32), vectors.astype(np.float32)
    ways = {
        "loss": (lambda p, t, v: losses(p, t), None),
        "gradient": (lambda p, t, v: gradient(p, t), None),
        "per-example": (lambda p, t, v: example_gradients(p, t), None),
        "hvp": (lambda p, t, v: hvp(p, t, v, damping), 1),
        "tangent": (tangent, 0),
        "perturb": (perturb, (1, 2)),
    }
    found = {}
    for name, (f, axes) in ways.items():
        exact, rounded = f(problem, theta, vectors), f(single, theta32, vectors32)
        assert rounded.dtype == np.float32, name
        size = np.sqrt(np.sum(exact**2, axis=axes))
        found[name] = np.sqrt(np.sum((rounded - exact) ** 2, axis=axes)) / np.maximum(size, np.finfo(np.float64).tiny)
    return found


def single_bounds(problem, theta, vectors, damping):
    """What single precision is held to: the rounding bounds, which hold for certain but are far from sharp; and, where
    that is less, four times the worst error of naive float32 code or of four roundings, which TF32 would not meet."""
    unit, naive = 2.0**-24, single_errors(problem, theta, vectors, damping)
    certain = rounding_bounds(problem, theta, vectors, damping, unit)
    return {name: np.minimum(certain[name], 4 * max(np.max(naive[name]), 4 * unit)) for name in certain}


def random_problem(rng, n, d, classes, bias=False, weighted=False, l2=0.02):
    y = np.concatenate([np.arange(min(n, classes)), rng.integers(0, classes, max(n - classes, 0))])
    weights = np.where(np.arange(n) % 4 == 3, 0.0, rng.uniform(0.2, 2, n)) if weighted else None
    return Problem(rng.standard_normal((n, d)), y, classes, l2, bias, weights)


# ---- Self-check ------------------------------------------------------------------------------------------------------

TINY = 1e-200  # a complex step: no subtraction, so no cancellation, however small


def complex_gradient(f, at):
    """The derivative of f (scalar or array) along every coordinate of `at`, last axis: the coordinate."""
    columns = []
    for j in np.ndindex(at.shape):
        moved = at.astype(np.complex128)
        moved[j] += 1j * TINY
        columns.append(f(moved).imag / TINY)
    return np.stack(columns, axis=-1)


def check_shape(rng, n, d, classes, k, bias, weighted):
    """name -> relative difference between two ways to the same thing, or ratio of a float32 error to its bound"""
    problem = random_problem(rng, n, d, classes, bias, weighted)
    theta = rng.standard_normal(problem.parameters) / np.sqrt(d)
    vectors = rng.standard_normal((k, problem.parameters))
    relative = lambda actual, expected: np.linalg.norm(actual - expected) / np.linalg.norm(expected)
    h, hv = hessian(problem, theta), hvp(problem, theta, vectors)
    stepped = np.stack([gradient(problem, theta + 1j * TINY * v).imag / TINY for v in vectors])
    moved_x = lambda x: tangent(dataclasses.replace(problem, x=x), theta, vectors)
    by_x = complex_gradient(moved_x, problem.x).reshape(n, k, n, d)
    found = {
        "gradient, complex step": relative(
            gradient(problem, theta), complex_gradient(lambda t: objective(problem, t), theta)),
        "per-example, complex step": relative(
            example_gradients(problem, theta), complex_gradient(lambda t: losses(problem, t), theta)),
        "hvp, complex step of the gradient": relative(hv, stepped),
        "hvp, explicit Hessian": relative(vectors @ h, hv),
        "hvp, damping": relative(hvp(problem, theta, vectors, 0.3), hv + 0.3 * vectors),
        "tangent, per-example gradients": relative(
            tangent(problem, theta, vectors), example_gradients(problem, theta) @ vectors.T),
        "perturb, complex step in x": relative(perturb(problem, theta, vectors), np.einsum("iki...->ki...", by_x)),
        "Hessian, symmetry": relative(h, h.T),
        "solve, residual": relative(
            hvp(problem, theta, solve(problem, theta, vectors, 0.1), 0.1), vectors),
    }
    bounds = rounding_bounds(problem, theta, vectors, 0.25, 2.0**-24)
    for name, error in single_errors(problem, theta, vectors, 0.25).items():
        found[f"float32 error / bound: {name}"] = np.max(error / bounds[name])
    return found


def check_retraining(rng):
    """The score is minus the derivative of the retrained test loss by the example weight: sign, 1/n, regulariser."""
    problem, test = random_problem(rng, 12, 3, 3), random_problem(rng, 2, 3, 3)
    theta, _, _ = train(problem)
    step, difference = 1e-3, np.zeros((2, 12))
    for i in range(12):
        retrained = lambda h: losses(test, train(
            dataclasses.replace(problem, weights=1 + h * (np.arange(12) == i)), theta)[0])
        near, far = (retrained(h) - retrained(-h) for h in (step, 2 * step))
        difference[:, i] = (8 * near - far) / (12 * step)
    scores = influence(problem, theta, test)
    actual = np.stack([leave_one_out(problem, theta, i, test) for i in range(12)], axis=1)
    slope = np.polyfit(scores.ravel(), actual.ravel(), 1)[0]
    print(f"  leave-one-out against score, n = 12: slope {slope:.3f} (1 and terms of order 1/n)")
    return np.linalg.norm(scores + difference) / np.linalg.norm(scores)


def main():
    rng = np.random.default_rng(1)
    shapes = [(1, 1, 2, 1, False, False), (1, 7, 3, 2, True, False), (5, 3, 2, 1, True, True),
              (23, 6, 5, 3, False, True), (11, 5, 13, 2, True, False)]
    worst = {}
    for shape in shapes:
        for name, value in check_shape(rng, *shape).items():
            worst[name] = max(worst.get(name, 0), value)
    failed = False
    for name, value in worst.items():
        limit = 1 if name.startswith("float32") else 1e-13
        failed |= not value <= limit
        print(f"  {name:40s} {value:8.1e}{'' if value <= limit else '   FAILED'}")
    # Training to 1e-14 leaves 1e-14/l2 in theta, 18 of those over 12 h in the difference: some 1e-9.
    value = check_retraining(rng)
    failed |= not value <= 1e-9
    print(f"  {'influence, difference of retrainings':40s} {value:8.1e}{'' if value <= 1e-9 else '   FAILED'}")
    print("max relative differences:", "FAILED" if failed else "all within bounds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
