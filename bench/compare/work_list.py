"""The rows of the table: which work, of whom, and what must be right before a time counts."""

import dataclasses

EXAMPLES = {"logistic": 55_000, "convnet": 5_500}
QUICK = 10  # --quick takes so many times fewer
PIXELS, CLASSES, REMOVED, BATCH = 784, 10, 500, 500

# Multiply-adds of the paper's network per example: all layers, the first.
NETWORK, NETWORK_FIRST = 201_156, 48_672

PASSES = {"logistic": ("torch_peer", "torch_by_hand", "jax_peer"), "convnet": ("torch_peer", "jax_peer")}


@dataclasses.dataclass(frozen=True)
class Row:
    key: str
    title: str
    model: str
    precision: str
    work: str
    k: int
    ours: tuple
    peers: tuple
    check: str  # a function of checks.py
    flops: float = 0  # counted as performance notes count them, without a thought for zeros; 0: not counted


def pass_flops(model, n, work, k):
    """Of all examples."""
    if model == "logistic":
        return {"gradient": 4, "hvp": 4 * k}.get(work, 0) * n * PIXELS * CLASSES
    primal, tangent = 2 * NETWORK - NETWORK_FIRST, 6 * NETWORK - 4 * NETWORK_FIRST
    gradient = 3 * NETWORK - NETWORK_FIRST
    macs = {"gradient": gradient, "hvp": primal + k * tangent}.get(work, 0) * n
    return 2 * (macs or (gradient * BATCH * k if work == "adam" else 0))


def passes(part):
    for model, name in (("logistic", "logistic regression"), ("convnet", "network")):
        ours = ("clout", "clout, dense") if model == "logistic" else ("clout",)
        for precision in ("single", "double"):
            def row(work, k, title):
                return Row(f"{model}-{work}-{k}-{precision}", f"{name}: {title}, {precision}", model, precision, work, k,
                           ours, PASSES[model], "same_numbers", pass_flops(model, EXAMPLES[model] // part, work, k))

            yield row("gradient", 1, "gradient")
            for k in (1, 8, 32):
                yield row("hvp", k, f"Hessian product, k = {k}")
            if model == "convnet":
                steps = EXAMPLES[model] // part // BATCH  # an epoch, the first, which is in the data's order
                yield row("adam", steps, f"{steps} steps of Adam, batches of {BATCH}")
            yield row("tangents", 32, "scores of all training points from 32 solutions")
            yield row("hessian", 1, "explicit Hessian")


def tasks(part):
    """Whole commands of the program, the reading of the data included, against what a peer does with data in memory."""
    def row(key, title, work, k, peers, check):
        return Row(key, "logistic regression: " + title, "logistic", "double", work, k, ("program",), peers, check)

    solvers = ("torch_by_hand", "jax_peer", "curvlinops_peer", "pydvl_peer")
    for tolerance in ("1e-06", "1e-10"):
        for k in (1, 32, 1_000):
            tests = f"{k:,} test point" + ("s" if k > 1 else "")
            yield row(f"solve-{tolerance}-{k}", f"s_test of {tests} to {tolerance}", f"solve-{tolerance}", k,
                      solvers if k <= 32 else solvers[:2], "true_residuals")
    packages = ("torch_by_hand", "pydvl_peer", "dattri_peer")
    for k in (1, 32):
        yield row(f"scores-{k}", f"scores of all training points on {k} test point" + ("s" if k > 1 else ""), "scores-1e-06",
                  k, packages, "same_up_to_means")
    yield row("train", "training from zero to a gradient norm of 1e-8", "train", 1, ("scikit_peer",), "gradient_norm")
    yield row("leave-one-out", f"{REMOVED} models, each without one point, to a gradient norm of 1e-10", "leave-one-out",
              REMOVED, ("scikit_peer",), "removed_gradient_norms")
    yield row("self-influence", "self-influence of all training points", "self-influence", EXAMPLES["logistic"] // part,
              (*packages, "captum_peer", "torch_influence_peer"), "same_numbers")


def rows(is_quick=False):
    part = QUICK if is_quick else 1
    return [*tasks(part), *passes(part)]
