"""JAX on XLA's CPU backend: jit of every pass, jvp of grad vmapped over the tangents, chunks of the examples by lax.scan."""

import os

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from problem import CLASSES, CONVOLUTIONS, PIXELS
from task import Task

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

NAME = "JAX"
ADAM_EPSILON, ADAM_RATE, ADAM_BATCH = 1e-12, 1e-4, 500
HESSIAN_SAMPLE = 64  # columns of a Hessian of thousands
SOLVE_SAMPLE = 32    # right-hand sides of a thousand
CHUNKS = {"logistic": (None, 5_000), "convnet": (110, 550, None)}  # examples at once, or the next smaller divisor of n; None: all


def version():
    return f"{jax.__version__}, {len(os.sched_getaffinity(0))} processors"


def logits(problem, theta, x):
    parts = [theta[start:end].reshape(shape) for shape, start, end, _ in problem.blocks]
    if problem.model == "logistic":
        return x @ parts[0].T
    x = x.reshape(-1, 1, 28, 28)
    for layer, (_, _, stride) in enumerate(CONVOLUTIONS):
        x = lax.conv_general_dilated(x, parts[2 * layer], (stride, stride), "VALID")
        x = jnp.tanh(x + parts[2 * layer + 1][:, None, None])
    return x.mean((2, 3)) @ parts[-2].T + parts[-1]


def losses(problem, theta, x, y):
    z = logits(problem, theta, x)
    return jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], 1)[:, 0]


@jax.tree_util.register_pytree_node_class
class Model:
    """R(θ) on the data. A pytree, so that the data are arguments of what is compiled: constants would be folded."""

    def tree_flatten(self):
        return (self.x, self.y, self.theta, self.penalties), self.problem

    @classmethod
    def tree_unflatten(cls, problem, arrays):
        model = object.__new__(cls)
        model.problem, model.n = problem, problem.n
        model.x, model.y, model.theta, model.penalties = arrays
        return model

    def __init__(self, problem, point="params"):
        self.problem, self.n = problem, problem.n
        self.x, self.y = jnp.asarray(problem.x), jnp.asarray(problem.y, jnp.int32)
        self.theta, self.penalties = jnp.asarray(problem.point(point)), jnp.asarray(problem.penalties)

    def vectors(self, k, name="vectors"):
        return jnp.asarray(self.problem.rows(name, k))

    def loss(self, theta, x, y):
        """The part of R that these examples are; the chunks add up to R."""
        share = len(x) / self.n
        return losses(self.problem, theta, x, y).sum() / self.n + 0.5 * share * (self.penalties * theta) @ theta

    def summed(self, part, size):
        """Σ part(x, y) over chunks of `size` examples."""
        if size is None or size >= self.n:
            return part(self.x, self.y)
        size = next(smaller for smaller in range(size, 0, -1) if self.n % smaller == 0)
        chunks = self.x.reshape(-1, size, PIXELS), self.y.reshape(-1, size)
        start = jax.tree.map(jnp.zeros_like, jax.eval_shape(part, chunks[0][0], chunks[1][0]))
        return lax.scan(lambda total, chunk: (total + part(*chunk), None), start, chunks)[0]


def forward_over_reverse(model, vectors, size):
    def part(x, y):
        return jax.vmap(lambda v: jax.jvp(lambda t: jax.grad(model.loss)(t, x, y), (model.theta,), (v,))[1])(vectors)
    return model.summed(part, size)


def reverse_over_forward(model, vectors, size):
    def part(x, y):
        slope = lambda t, v: jax.jvp(lambda u: model.loss(u, x, y), (t,), (v,))[1]
        return jax.vmap(lambda v: jax.grad(slope)(model.theta, v))(vectors)
    return model.summed(part, size)


def by_hand(model, vectors, probabilities):
    """Softmax regression alone: two products, the probabilities kept."""
    k = len(vectors)
    z = (model.x @ vectors.reshape(-1, PIXELS).T).reshape(-1, k, CLASSES)
    p = probabilities[:, None, :]
    s = p * (z - (z * p).sum(2, keepdims=True))
    return (s.reshape(len(z), -1).T @ model.x).reshape(k, -1) / model.n + model.problem.l2 * vectors


def probabilities_of(model):
    return jax.nn.softmax(logits(model.problem, model.theta, model.x))


def linearized(model):
    """v ↦ Hv with what it keeps of the point θ: a pytree."""
    return jax.linearize(lambda t: jax.grad(model.loss)(t, model.x, model.y), model.theta)[1]


def timed(function, *arguments, to_numpy=np.asarray, **options):
    """Compiled before the clock starts."""
    run = jax.jit(function).lower(*arguments).compile()
    return Task(lambda: jax.block_until_ready(run(*arguments)), to_numpy, **options)


def gradient_variants(problem, k):
    def make(size):
        model = Model(problem)
        return timed(lambda m: m.summed(lambda x, y: jax.grad(m.loss)(m.theta, x, y), size), model)

    return {f"grad, {size or 'all'} examples at once": lambda s=size: make(s) for size in CHUNKS[problem.model]}


def product_variants(problem, k):
    def make(way, size):
        model = Model(problem)
        return timed(lambda m, vectors: way(m, vectors, size), model, model.vectors(k))

    def make_linearized():
        model = Model(problem)
        return timed(lambda product, vectors: jax.vmap(product)(vectors), linearized(model), model.vectors(k))

    def make_by_hand():
        model = Model(problem)
        return timed(by_hand, model, model.vectors(k), probabilities_of(model))

    ways = {"jvp of grad": forward_over_reverse, "grad of jvp": reverse_over_forward}
    found = {f"{name}, {size or 'all'} examples at once": lambda w=way, s=size: make(w, s)
             for name, way in ways.items() for size in CHUNKS[problem.model]}
    if problem.model == "logistic":
        found.update({"linearize, primal kept": make_linearized, "by hand": make_by_hand})
    return found


def tangent_variants(problem, k):
    def make():
        model = Model(problem)
        run = lambda m, v: jax.jvp(lambda t: losses(problem, t, m.x, m.y), (m.theta,), (v,))[1]
        return timed(jax.vmap(run, in_axes=(None, 0), out_axes=1), model, model.vectors(k))
    return {"jvp, vmapped": make}


def adam_variants(problem, steps):
    def make():
        model = Model(problem)
        whole = model.n // ADAM_BATCH
        batches = model.x[: whole * ADAM_BATCH].reshape(whole, ADAM_BATCH, -1), model.y[: whole * ADAM_BATCH].reshape(whole, -1)

        def loss(theta, penalties, x, y):
            return losses(problem, theta, x, y).mean() + 0.5 * (penalties * theta) @ theta

        def run(theta, penalties, batches):
            def step(state, t):
                theta, first, second = state
                g = jax.grad(loss)(theta, penalties, batches[0][t % whole], batches[1][t % whole])
                first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
                age = (t + 1).astype(theta.dtype)
                rate = (ADAM_RATE * jnp.sqrt(1 - 0.999**age) / (1 - 0.9**age)).astype(theta.dtype)
                return (theta - rate * first / (jnp.sqrt(second) + ADAM_EPSILON), first, second), None

            return lax.scan(step, (theta, jnp.zeros_like(theta), jnp.zeros_like(theta)), jnp.arange(steps))[0][0]

        return timed(run, model.theta, model.penalties, batches,
                     to_numpy=lambda theta: np.asarray(theta) - np.asarray(model.theta))
    return {"steps in one scan": make}


def hessian_variants(problem, k):
    def make(size):
        model = Model(problem)
        units = jnp.eye(problem.p, dtype=model.theta.dtype)[:HESSIAN_SAMPLE]
        return timed(lambda m, vectors: forward_over_reverse(m, vectors, size), model, units, share=HESSIAN_SAMPLE / problem.p,
                     note=f"{HESSIAN_SAMPLE} of {problem.p} columns, time scaled", is_worth_warming=False)
    return {f"columns of jax.hessian, {size} examples at once": lambda s=size: make(s)
            for size in CHUNKS[problem.model] if size}


def conjugate_gradients(product, v, tolerance, most=1_000):
    """For all rows of v side by side; what has arrived stays as it is."""
    limit = (tolerance**2) * (v * v).sum(1)

    def step(state):
        s, r, p, rho, count = state
        q = product(p)
        alpha = jnp.where(rho > limit, rho / (p * q).sum(1), 0)[:, None]
        s, r = s + alpha * p, r - alpha * q
        new = (r * r).sum(1)
        return s, r, r + (new / rho)[:, None] * p, new, count + 1

    start = jnp.zeros_like(v), v, v, (v * v).sum(1), 0
    return lax.while_loop(lambda state: (state[3] > limit).any() & (state[4] < most), step, start)[0]


def solve_variants(problem, tolerance, k):
    done = min(k, SOLVE_SAMPLE)
    options = {"share": done / k, "note": "" if done == k else f"{done} of {k} right-hand sides, time scaled",
               "is_worth_warming": False}

    def make_linearized():
        def solve(product, v):
            return jax.scipy.sparse.linalg.cg(product, v, tol=0.8 * tolerance, maxiter=1_000)[0]

        model = Model(problem, "minimum")
        return timed(jax.vmap(solve, in_axes=(None, 0)), linearized(model), model.vectors(done, "tests"), **options)

    def make_by_hand():
        # scipy.sparse.linalg.cg, compiled, gives NaN with this product, and without jit the right numbers (JAX 0.10.2).
        def solve(model, probabilities, v):
            return conjugate_gradients(lambda vectors: by_hand(model, vectors, probabilities), v, 0.8 * tolerance)

        model = Model(problem, "minimum")
        return timed(solve, model, probabilities_of(model), model.vectors(done, "tests"), **options)

    return {"scipy.sparse.linalg.cg, vmapped, linearize": make_linearized, "CG, by hand": make_by_hand}


WORKS = {"gradient": gradient_variants, "hvp": product_variants, "tangents": tangent_variants, "adam": adam_variants,
         "hessian": hessian_variants}


def variants(problem, work, k):
    if work.startswith("solve-"):
        return solve_variants(problem, float(work.removeprefix("solve-")), k) if problem.model == "logistic" else {}
    if work == "adam" and problem.model != "convnet":
        return {}
    return WORKS[work](problem, k) if work in WORKS else {}
