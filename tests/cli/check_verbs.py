#!/usr/bin/python3
"""Runs the program's verbs on random logistic problems of odd shapes and compares what they write with reference.py.

    check_verbs.py --clout build/bin/clout [--device cpu] [--precision double|single|both] [--random 2] [--seed 1]
                   [--only VERB] [--keep DIR]

Bounds, all on norm-wise relative errors of signed vectors:
  loss, gradient, hvp, tangent, perturb   double: 1e-12; single: see reference.single_bounds
  solve          cg: 2 cond(H + damping I) tolerance; direct: the same with 1e-12, the bound on H, for the tolerance
  influence      the bound of its solve, carried through |s| |g_i| w_i / W
  train          the gradient norm asked for; parameters within 2 (norm / smallest eigenvalue) of the optimum
  retrain        the same, through the gradient of the test loss
"""

import contextlib
import csv
import dataclasses
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import reference
from program import ENVIRONMENT, command_line

DOUBLE, DAMPING = 1e-12, 0.05
norm = np.linalg.norm


@dataclasses.dataclass
class Case:
    n: int
    shape: tuple  # (d,), (H, W) or (C, H, W)
    classes: int
    k: int
    bias: bool = False
    weighted: bool = False
    kind: str = "float64"  # of x: float64, float32, uint8
    labels: str = "int64"
    l2: float = 0.02
    extreme: bool = False  # logits in the thousands; small integers, so that they are exact

    @property
    def name(self):
        flags = [name for name in ("bias", "weighted", "extreme") if getattr(self, name)]
        return " ".join([f"n={self.n} d={'x'.join(map(str, self.shape))} K={self.classes} k={self.k} {self.kind}/{self.labels}", *flags])


CASES = [
    Case(1, (1,), 2, 1),
    Case(1, (7,), 3, 2, bias=True, labels="int32"),
    Case(2, (3,), 2, 1, weighted=True, labels="uint8"),
    Case(37, (13,), 2, 1, bias=True, weighted=True),
    Case(53, (29,), 5, 3, kind="float32", labels="int32"),
    Case(131, (11,), 100, 4, bias=True, weighted=True),
    Case(129, (17,), 10, 5, kind="uint8", labels="uint8"),
    Case(41, (3, 5, 7), 4, 2, kind="uint8", weighted=True),
    Case(23, (2, 3, 5), 3, 7, bias=True, kind="float32"),
    Case(31, (5, 3), 3, 2, kind="uint8", bias=True, labels="int32"),
    Case(19, (1, 4, 4), 2, 3),
    Case(40, (9,), 3, 2, extreme=True),
    Case(67, (33,), 7, 1, l2=1.0),
]


def random_case(rng):
    shape = tuple(rng.integers(1, 7, 3)) if rng.random() < 0.3 else (int(rng.integers(1, 40)),)
    return Case(int(rng.integers(1, 150)), tuple(map(int, shape)), int(rng.integers(2, 12)), int(rng.integers(1, 9)),
                bool(rng.random() < 0.5), bool(rng.random() < 0.5), str(rng.choice(["float64", "float32", "uint8"])),
                str(rng.choice(["int64", "int32", "uint8"])), float(rng.choice([1e-3, 0.02, 1.0])))


class Bench:
    """One case: its arrays on disk, the reference's view of them, and a way to run verbs on them."""

    def __init__(self, case, rng, folder, options, table):
        self.case, self.folder, self.options, self.table = case, folder, options, table
        os.makedirs(folder, exist_ok=True)
        self.problem, self.x = self.draw(rng, case.n)
        self.test, self.test_x = self.draw(rng, 3)
        self.test.weights = None
        p, d = self.problem.parameters, self.problem.x.shape[1]
        self.theta = rng.standard_normal(p) / np.sqrt(d)
        if case.extreme:
            self.theta = rng.integers(-9, 10, p) * 50.0
        self.vectors = rng.standard_normal((case.k, p))
        self.save("x", self.x), self.save("y", self.problem.y.astype(case.labels))
        self.save("test-x", self.test_x), self.save("test-y", self.test.y.astype(case.labels))
        self.save("params", self.theta), self.save("vectors", self.vectors)
        if case.weighted:
            self.save("weights", self.problem.weights)

    def draw(self, rng, n):
        case, full = self.case, (n, *self.case.shape)
        x = rng.integers(0, 256, full) if case.kind == "uint8" else rng.standard_normal(full)
        if case.extreme:
            x = rng.integers(-3, 4, full)
        x = x.astype(case.kind)
        seen = x.reshape(n, -1).astype(np.float64) / (255 if case.kind == "uint8" else 1)
        y = np.concatenate([np.arange(min(n, case.classes)), rng.integers(0, case.classes, max(0, n - case.classes))])
        weights = np.where(np.arange(n) % 4 == 1, 0.0, rng.uniform(0.2, 2, n)) if case.weighted else None
        return reference.Problem(seen, y[:n], case.classes, case.l2, case.bias, weights), x

    def path(self, name):
        return os.path.join(self.folder, name)

    def save(self, name, array):
        np.save(self.path(name + ".npy"), np.ascontiguousarray(array))

    def run(self, label, verb, *arguments, params=True, folder=False, precision="double"):
        """Runs the verb; the path of what it wrote, or None (and a failed line in the table)."""
        out = self.path("out-" + label.replace(" ", "-") + ("" if folder else ".npy"))
        command = [self.options.clout, verb, "--model", "logistic", "--classes", str(self.case.classes), "--l2",
                   repr(self.case.l2), "--x", self.path("x.npy"), "--y", self.path("y.npy")]
        command += (["--bias"] if self.case.bias else []) + (["--storage", "sparse"] if self.case.n % 2 else [])
        command += ["--weights", self.path("weights.npy")] if self.case.weighted else []
        command += ["--params", self.path("params.npy")] if params else []
        command += [*map(str, arguments), "--device", self.options.device, "--precision", precision, "--quiet"]
        done = subprocess.run([*command, "--out", out], capture_output=True, text=True, timeout=600, env=ENVIRONMENT)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["(nothing on standard error)"])[-1]
            return self.fail(label, f"exit status {done.returncode}: {last}")
        self.check_json(label, os.path.join(out, "manifest.json") if folder else out + ".manifest.json")
        return out

    def check_json(self, label, path):
        try:
            with open(path, encoding="utf-8") as file:
                json.load(file)
        except (OSError, ValueError) as error:
            self.fail(label, f"{os.path.basename(path)}: {error}")

    def fail(self, label, why):
        self.table.append((label, self.case.name, None, None, why))

    def load(self, label, path, shape, dtype=np.float64, also=()):
        """The array, in `shape`; its stored shape must be that or one of `also`."""
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            return self.fail(label, f"result: {error}")
        if array.shape not in (shape, *also) or array.dtype != dtype:
            return self.fail(label, f"wrote {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}{list(shape)}")
        return array.reshape(shape).astype(np.float64)

    def compare(self, label, actual, expected, bound, axes=None):
        """The vector with the largest error in units of its bound goes into the table; axes: those of one vector."""
        if actual is None:
            return
        relative = ratio(norm_over(actual - expected, axes), norm_over(expected, axes))
        relative = np.where(np.isfinite(relative), relative, np.inf)
        relative, bound = np.broadcast_arrays(relative, np.maximum(bound, DOUBLE))
        worst = np.unravel_index(np.argmax(relative / bound), relative.shape)
        self.table.append((label, self.case.name, relative[worst], bound[worst], None))


def norm_over(array, axes):
    return np.sqrt(np.sum(np.square(array), axis=axes))


def ratio(error, size):
    """error / size, where a vector of zeros allows no error at all"""
    return error / np.maximum(size, np.finfo(float).tiny)


def check_engine(bench, precision):
    """loss, gradient, hvp, tangent, perturb"""
    case, problem, theta, vectors = bench.case, bench.problem, bench.theta, bench.vectors
    vectors_path, n, k = bench.path("vectors.npy"), case.n, case.k
    single = precision == "single"
    dtype = np.float32 if single else np.float64
    names = ("loss", "gradient", "per-example", "hvp", "tangent", "perturb")
    bounds = lambda d: reference.single_bounds(problem, theta, vectors, d) if single else dict.fromkeys(names, DOUBLE)
    plain, damped = bounds(0.0), bounds(0.37)

    def check(name, verb, arguments, expected, axes, bound=None, also=()):
        label = name + (" single" if single else "")
        if bench.options.only in (None, verb):
            out = bench.run(label, verb, *arguments, precision=precision)
            if out:
                actual = bench.load(label, out, expected.shape, dtype, also)
                bench.compare(label, actual, expected, plain[verb] if bound is None else bound, axes)

    given = ["--vectors", vectors_path]
    check("loss", "loss", [], reference.losses(problem, theta), None)
    check("gradient", "gradient", [], reference.gradient(problem, theta), None)
    # Saturated examples have gradients that vanish: only the whole array has a relative accuracy (single: always).
    check("gradient per-example", "gradient", ["--per-example"], reference.example_gradients(problem, theta),
          None if single or case.extreme else 1, plain["per-example"])
    check("hvp", "hvp", given, reference.hvp(problem, theta, vectors), 1)
    with_damping = reference.hvp(problem, theta, vectors, 0.37)
    check("hvp damped", "hvp", [*given, "--damping", 0.37], with_damping, 1, damped["hvp"])
    check("hvp ggn", "hvp", [*given, "--curvature", "ggn"], reference.hvp(problem, theta, vectors), 1)
    check("tangent", "tangent", given, reference.tangent(problem, theta, vectors), 0)
    # [n][H][W] input is one channel: its perturbations may say so or not.
    channels = (k, n, 1, *case.shape) if len(case.shape) == 2 else (k, n, *case.shape)
    check("perturb", "perturb", given, reference.perturb(problem, theta, vectors).reshape(k, n, *case.shape),
          tuple(range(1, 2 + len(case.shape))), also=(channels,))


def condition(problem, theta, damping):
    """Of H + damping I; undamped, with a bias, of what is left without the flat direction, which gradients avoid."""
    values = np.linalg.eigvalsh(reference.hessian(problem, theta))
    return (values[-1] + damping) / (values[1 if problem.bias and damping == 0 else 0] + damping)


def needed_damping(bench, gradients=False):
    """Saturated examples leave H near l2 alone; with a bias it is singular, but for gradients: then damped."""
    return DAMPING if bench.case.l2 < 0.01 or (bench.case.bias and not gradients) else 0.0


def check_solve(bench):
    damping, tolerance = needed_damping(bench), 1e-10
    expected = reference.solve(bench.problem, bench.theta, bench.vectors, damping)
    cond = condition(bench.problem, bench.theta, damping)
    for solver, accuracy in (("cg", tolerance), ("direct", DOUBLE)):
        label = f"solve {solver}"
        out = bench.run(label, "solve", "--vectors", bench.path("vectors.npy"), "--solver", solver, "--tolerance",
                        tolerance, "--damping", damping)
        if not out:
            continue
        actual = bench.load(label, out, expected.shape)
        bench.compare(label, actual, expected, 2 * cond * accuracy, 1)
        if actual is not None:  # the true residual, by the reference's own product
            residual = bench.vectors - reference.hvp(bench.problem, bench.theta, actual, damping)
            bench.compare(label + " residual", bench.vectors + residual, bench.vectors, 2 * tolerance, 1)
        bench.check_json(label, out + ".report.json")


def influence_bound(bench, theta, damping, tolerance):
    """[n_test][n_train], absolute: the error of s, at most 2 cond tolerance |s|, times |g_i| w_i / W"""
    problem = bench.problem
    s = reference.solve(problem, theta, reference.example_gradients(bench.test, theta), damping)
    g = reference.example_gradients(problem, theta) + problem.l2 * problem.penalised(theta)
    accuracy = 2 * condition(problem, theta, damping) * tolerance + DOUBLE
    return accuracy * norm(s, axis=1)[:, None] * norm(g, axis=1) * problem.w


def check_influence(bench):
    problem, theta, damping = bench.problem, bench.theta, needed_damping(bench, gradients=True)
    points = ["--test-x", bench.path("test-x.npy"), "--test-y", bench.path("test-y.npy"), "--damping", damping]
    expected = reference.influence(problem, theta, bench.test, damping)
    for solver, tolerance in (("cg", 1e-10), ("direct", DOUBLE)):
        label = f"influence {solver}"
        out = bench.run(label, "influence", *points, "--solver", solver, "--tolerance", max(tolerance, 1e-10),
                        folder=True)
        if not out:
            continue
        bound = ratio(norm(influence_bound(bench, theta, damping, tolerance), axis=1), norm(expected, axis=1))
        scores = bench.load(label, os.path.join(out, "scores.npy"), expected.shape)
        bench.compare(label, scores, expected, bound, 1)
        if not os.path.exists(os.path.join(out, "top.csv")):
            bench.fail(label, "no top.csv")
    check_self_influence(bench, damping)


def check_self_influence(bench, damping):
    problem, theta, label = bench.problem, bench.theta, "influence --self"
    out = bench.run(label, "influence", "--self", "--solver", "direct", "--damping", damping, folder=True)
    if not out:
        return
    own, g = reference.self_influence(problem, theta, damping), reference.example_gradients(problem, theta)
    # The solver was asked for 1e-10 and a factor in double reaches the bound on H.
    accuracy = 2 * condition(problem, theta, damping) * DOUBLE + DOUBLE
    size = norm(g, axis=1) * norm(reference.solve(problem, theta, g, damping), axis=1) * problem.w
    bench.compare(label, bench.load(label, os.path.join(out, "self_influence.npy"), own.shape), own,
                  ratio(accuracy * norm(size), norm(own)))


def centred(problem, theta):
    """theta with the biases shifted to sum 0: the objective does not see such a shift."""
    matrix, shift = problem.split(theta)
    return problem.join(matrix, shift - shift.mean())


def smallest_curvature(problem, theta):
    """The smallest eigenvalue of H, the flat direction of the biases left out."""
    return np.linalg.eigvalsh(reference.hessian(problem, theta))[1 if problem.bias else 0]


def check_train(bench, tolerance=1e-10):
    optimum, reached, _ = reference.train(bench.problem)
    out = bench.run("train", "train", "--tolerance", tolerance, params=False, folder=True)
    if not out:
        return optimum
    params = bench.load("train", os.path.join(out, "params.npy"), optimum.shape)
    if params is not None:
        slack = 2 * (tolerance + reached) / smallest_curvature(bench.problem, optimum)
        bench.compare("train params", centred(bench.problem, params), centred(bench.problem, optimum),
                      ratio(slack, norm(optimum)))
        achieved = norm(reference.gradient(bench.problem, params))
        bench.table.append(("train gradient norm", bench.case.name, achieved, tolerance + 1e-14, None))
    bench.check_json("train", os.path.join(out, "train.json"))
    return optimum


COLUMNS = "rank,train_index,label,test_index,predicted,actual,gradient_norm,iterations,actual_error".split(",")


def check_retrain(bench, optimum, tolerance=1e-10):
    problem = bench.problem
    left = {i: reference.without(problem, [i]) for i in range(bench.case.n) if bench.case.n > 1}
    removable = [i for i in left if reference.has_optimum(left[i])]
    indices = np.array(removable[:: max(1, len(removable) // 4)][:5], dtype=np.int64)
    if len(indices) == 0:
        return
    bench.save("indices", indices), bench.save("optimum", optimum)
    out = bench.run("retrain", "retrain", "--params", bench.path("optimum.npy"), "--indices", bench.path("indices.npy"),
                    "--test-x", bench.path("test-x.npy"), "--test-y", bench.path("test-y.npy"),
                    "--tolerance", tolerance, params=False, folder=True)
    if not out:
        return
    try:
        with open(os.path.join(out, "loo.csv"), encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        if reader.fieldnames != COLUMNS:
            return bench.fail("retrain", f"loo.csv has the columns {reader.fieldnames}")
        table = {(int(row["train_index"]), int(row["test_index"])): row for row in rows}
        read = lambda name: np.array([[float(table[i, t][name]) for i in indices] for t in range(3)])
        if len(rows) != 3 * len(indices):
            return bench.fail("retrain", f"loo.csv has {len(rows)} rows, expected {3 * len(indices)}")
        predicted, actual, reached = read("predicted"), read("actual"), read("gradient_norm")
        labels = read("label")[0].astype(int)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return bench.fail("retrain", f"loo.csv: {error!r}")
    if not np.array_equal(labels, problem.y[indices]):
        bench.fail("retrain", f"loo.csv has the labels {labels}, the training points {problem.y[indices]}")
    expected = reference.influence(problem, optimum, bench.test)[:, indices]  # predictions are undamped
    bound = influence_bound(bench, optimum, 0.0, tolerance)[:, indices]
    bench.compare("retrain predicted", predicted, expected, ratio(norm(bound, axis=1), norm(expected, axis=1)), 1)
    truth = np.stack([reference.leave_one_out(problem, optimum, i, bench.test) for i in indices], axis=1)
    # Both ends may be off by tolerance/curvature in the parameters; a loss difference is rounded at eps |loss|.
    slope = norm(reference.example_gradients(bench.test, optimum), axis=1)
    curvature = min([smallest_curvature(problem, optimum)] + [
        smallest_curvature(left[i], reference.train(left[i], optimum)[0]) for i in indices])
    slack = 4 * slope * tolerance / curvature + 1e-14 * (1 + reference.losses(bench.test, optimum))
    bench.compare("retrain actual", actual, truth, ratio(slack * np.sqrt(len(indices)), norm(truth, axis=1)), 1)
    bench.table.append(("retrain gradient norm", bench.case.name, reached.max(), tolerance, None))


def check_case(bench):
    wanted = lambda *verbs: bench.options.only is None or bench.options.only in verbs
    if bench.options.precision != "single":
        check_engine(bench, "double")
        if wanted("solve"):
            check_solve(bench)
        if wanted("influence"):
            check_influence(bench)
        small = bench.problem.parameters <= 300 and not bench.case.extreme
        if wanted("train", "retrain") and small and reference.has_optimum(bench.problem):
            optimum = check_train(bench)
            if wanted("retrain"):
                check_retrain(bench, optimum)
    if bench.options.precision != "double":
        check_engine(bench, "single")


def show(table):
    width = max(len(row[1]) for row in table)
    failed = 0
    for label, case, error, bound, why in table:
        good = why is None and error <= bound
        failed += not good
        text = f"{error:9.1e}  <= {bound:8.1e}" if why is None else why
        print(f"{'ok    ' if good else 'FAILED'}  {label:28s}  {case:{width}s}  {text}")
    print(f"{len(table) - failed} of {len(table)} within bounds" + (f", {failed} FAILED" if failed else ""))
    return 1 if failed else 0


def main():
    parser = command_line(__doc__)
    parser.add_argument("--precision", choices=["double", "single", "both"], default="both")
    parser.add_argument("--random", type=int, default=2, help="random cases beside the fixed ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one verb")
    parser.add_argument("--keep", help="folder for the arrays, kept (default: a temporary one, removed)")
    options = parser.parse_args()
    if not os.access(options.clout, os.X_OK):
        parser.error(f"--clout {options.clout}: no such program")
    table = []
    rng = np.random.default_rng(options.seed)
    cases = CASES + [random_case(rng) for _ in range(options.random)]
    with contextlib.ExitStack() as stack:
        folder = options.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="clout-verbs-"))
        for number, case in enumerate(cases):
            own = np.random.default_rng([options.seed, number])
            check_case(Bench(case, own, os.path.join(folder, str(number)), options, table))
    if not table:
        parser.error(f"--only {options.only}: no such verb")
    return show(table)


if __name__ == "__main__":
    sys.exit(main())
