#!/usr/bin/python3
"""--model margin: every verb against formulas written anew in NumPy, and hinge fits against their dual problem in long double.

A plain script, no test framework: `check_margin.py --clout build/bin/clout`.
"""

import json
import os
import sys

import numpy as np

from program import ENVIRONMENT, Program, scratch

LONG = np.longdouble


class Margin:
    """R(theta) = sum_i w_i/W l(y_i z_i) + l2/2 |w|^2 in long double; y is -1 or 1."""

    def __init__(self, x, y, loss, t=1.0, bias=False, l2=0.0, weights=None):
        x = np.asarray(x, LONG)
        self.u = np.concatenate([x, np.ones((len(x), 1), LONG)], 1) if bias else x
        self.d, self.y, self.loss, self.t, self.l2 = x.shape[1], np.asarray(y, LONG), loss, LONG(t), LONG(l2)
        w = np.ones(len(x), LONG) if weights is None else np.asarray(weights, LONG)
        self.w = w / w.sum()
        self.mask = np.arange(self.u.shape[1]) < self.d

    def derivatives(self, z):
        """Loss, dl/dz and d2l/dz2 of every output."""
        m = self.y * z
        if self.loss == "hinge":
            return np.maximum(0, 1 - m), np.where(m < 1, -self.y, 0), 0 * m
        shift, t = (LONG(1), self.t) if self.loss == "smooth-hinge" else (LONG(0), LONG(1))
        a = (shift - m) / t
        small = np.exp(-np.abs(a))
        share = np.where(a < 0, small, 1) / (1 + small)
        return t * (np.maximum(a, 0) + np.log1p(small)), -self.y * share, small / (1 + small) ** 2 / t

    def losses(self, theta):
        return self.derivatives(self.u @ theta)[0]

    def example_gradients(self, theta):
        return self.derivatives(self.u @ theta)[1][:, None] * self.u

    def objective(self, theta):
        return self.w @ self.losses(theta) + self.l2 / 2 * np.sum((theta * self.mask) ** 2)

    def gradient(self, theta):
        return self.w @ self.example_gradients(theta) + self.l2 * theta * self.mask

    def hessian(self, theta):
        c = self.derivatives(self.u @ theta)[2]
        return (self.u * (self.w * c)[:, None]).T @ self.u + np.diag(self.l2 * self.mask)

    def perturb(self, theta, v):
        """grad_x (v . grad_theta l_i): [n][d]"""
        _, slope, curvature = self.derivatives(self.u @ theta)
        return slope[:, None] * v[: self.d] + (curvature * (self.u @ v))[:, None] * theta[: self.d]

    def without(self, row):
        other = Margin.__new__(Margin)
        other.__dict__ = dict(self.__dict__)
        other.w = self.w.copy()
        other.w[row] = 0
        other.w = other.w / other.w.sum()
        return other

    def minimum(self):
        """Newton's method with halved steps."""
        theta = np.zeros(self.u.shape[1], LONG)
        for _ in range(400):
            g = self.gradient(theta)
            if np.sqrt(g @ g) < 1e-17:
                break
            step = np.linalg.solve(self.hessian(theta).astype(float), g.astype(float)).astype(LONG)
            length = LONG(1)
            while length > 1e-9 and self.objective(theta - length * step) > self.objective(theta) * (1 + LONG(1e-18)):
                length /= 2
            theta = theta - length * step
        return theta


class Case:
    """Files of one problem, and what names them on the command line."""

    def __init__(self, program, folder, name, loss, t=None, bias=False, l2=0.05, n=40, d=5, seed=0, weighted=False, scale=1.0):
        rng = np.random.default_rng(seed)
        self.program, self.folder, self.name = program, os.path.join(folder, name.replace(" ", "-")), name
        os.makedirs(self.folder)
        self.x = rng.standard_normal((n, d)) * scale
        self.x[rng.random((n, d)) < 0.5] = 0
        self.y = np.where(rng.random(n) < 0.5, -1, 1)
        self.tx, self.ty = rng.standard_normal((6, d)) * scale, np.where(rng.random(6) < 0.5, -1, 1)
        self.p = d + bias
        self.theta, self.vectors = rng.standard_normal(self.p) * 0.4, rng.standard_normal((3, self.p))
        self.weights = rng.uniform(0.2, 3, n) if weighted else None
        self.how = dict(loss=loss, t=t or 1.0, bias=bias)
        self.l2 = l2
        self.options = ["--model", "margin", "--loss", loss, "--l2", l2, *(["--temperature", t] if t else []),
                        *(["--bias"] if bias else []), "--device", program.device]
        for array in ("x", "tx", "theta", "vectors", "weights"):
            if getattr(self, array) is not None:
                np.save(self.path(array + ".npy"), getattr(self, array))
        np.save(self.path("y.npy"), self.y)
        np.save(self.path("ty.npy"), self.ty)
        np.save(self.path("y01.npy"), (self.y + 1) // 2)
        self.model = Margin(self.x, self.y, l2=l2, weights=self.weights, **self.how)
        self.tests = Margin(self.tx, self.ty, **self.how)

    def path(self, name):
        return os.path.join(self.folder, name)

    def data(self, params="theta.npy", y="y.npy"):
        return ["--x", self.path("x.npy"), "--y", self.path(y), *(["--params", self.path(params)] if params else []),
                *(["--weights", self.path("weights.npy")] if self.weights is not None else [])]

    def run(self, verb, *more, params="theta.npy", y="y.npy", out="out.npy"):
        done = self.program.run(verb, *self.options, *self.data(params, y), *more, "--out", self.path(out))
        return self.program.expect(done.returncode == 0, f"{self.name}: {verb}", done.stderr)

    def array(self, name="out.npy"):
        return np.load(self.path(name))

    def same(self, what, got, expected, tolerance):
        expected = np.asarray(expected, LONG)
        error = np.abs(got - expected).max() / max(np.abs(expected).max(), LONG(1e-300))
        self.program.expect(got.shape == expected.shape and error <= tolerance, f"{self.name}: {what}", f"error {error:.2e}")


def engine_verbs(case, tolerance, *precision):
    model, theta = case.model, case.theta.astype(LONG)
    tests_of = ["--test-x", case.path("tx.npy"), "--test-y", case.path("ty.npy")]
    if case.run("loss", *precision):
        case.same("loss", case.array(), model.losses(theta), tolerance)
        signs = open(case.path("out.npy"), "rb").read()
        case.run("loss", *precision, y="y01.npy")
        case.program.expect(open(case.path("out.npy"), "rb").read() == signs, case.name, "labels 0 and 1 give other losses than -1 and 1")
    if case.run("gradient", *precision):
        case.same("gradient", case.array(), model.gradient(theta), tolerance)
    if case.run("gradient", "--per-example", *precision):
        case.same("gradients", case.array(), model.example_gradients(theta), tolerance)
    vectors = ["--vectors", case.path("vectors.npy")]
    v = case.vectors.astype(LONG)
    hessian = model.hessian(theta)
    if case.run("hvp", *vectors, "--damping", 0.3, *precision):
        case.same("hvp", case.array(), v @ hessian + LONG(0.3) * v, tolerance)
    if case.run("tangent", *vectors, *precision):
        case.same("tangent", case.array(), model.example_gradients(theta) @ v.T, tolerance)
    if case.run("perturb", *vectors, *precision):
        case.same("perturb", case.array(), np.stack([model.perturb(theta, each) for each in v]), tolerance)
    damped = (hessian + LONG(0.1) * np.eye(case.p)).astype(float)
    condition = np.linalg.cond(damped)
    for solver in ("cg", "block-cg", "direct"):
        if case.run("solve", *vectors, "--solver", solver, "--damping", 0.1, "--tolerance", 1e-6 if precision else 1e-12, *precision):
            case.same("solve " + solver, case.array(), np.linalg.solve(damped, case.vectors.T).T,
                      condition * (3e-6 if precision else 1e-11))
    regularised = (model.l2 * theta * model.mask)
    solutions = np.linalg.solve(damped, case.tests.example_gradients(theta).T.astype(float)).T
    scores = ((model.example_gradients(theta) + regularised) * model.w[:, None]) @ solutions.T.astype(LONG)
    if case.run("influence", *tests_of, "--damping", 0.1, "--tolerance", 1e-6 if precision else 1e-12, *precision, out="scores"):
        case.same("scores", case.array("scores/scores.npy"), scores.T, condition * (3e-6 if precision else 1e-11))
    if precision:
        return
    if case.run("influence", "--self", "--damping", 0.1, out="self"):
        g = model.example_gradients(theta).astype(float)
        own = model.w * np.einsum("id,id->i", g, np.linalg.solve(damped, g.T).T)
        case.same("self-influence", case.array("self/self_influence.npy"), own, condition * 1e-9)
        if case.run("audit", "--damping", 0.1, out="audit"):
            audited(case, own, model.losses(theta), condition * 1e-9)
    if case.run("influence", *tests_of, "--flips", "--damping", 0.1, "--tolerance", 1e-12, out="flips"):
        slopes = {}
        for label in (-1, 1):
            relabelled = Margin(case.x, np.full(len(case.y), label), **case.how)
            slopes[label] = relabelled.example_gradients(theta)
        own = model.example_gradients(theta)
        expected = np.stack([(own - slopes[label]) * model.w[:, None] @ solutions.T for label in (-1, 1)], -1)
        case.same("flips", case.array("flips/relabel_scores.npy"), np.moveaxis(expected, 0, 1), condition * 1e-10)


def audited(case, own, losses, tolerance):
    rows = np.genfromtxt(case.path("audit/audit.csv"), delimiter=",", names=True)
    who = rows["train_index"].astype(int)
    case.program.expect(sorted(who) == list(range(len(own))) and (rows["rank"] == np.arange(len(own)) + 1).all() and
                        (rows["label"] == (case.y[who] + 1) // 2).all(), f"{case.name}: audit", "other rows")
    case.same("audit", rows["self_influence"], own[who], tolerance)
    case.same("audited losses", rows["loss"], losses[who], 1e-11)
    case.program.expect((np.diff(rows["self_influence"]) <= 0).all(), f"{case.name}: audit", "is not in order")
    order = np.argsort(-rows["loss"], kind="stable")
    case.program.expect((np.diff(rows["rank_by_loss"][order]) > 0).all() or len(set(rows["loss"])) < len(who),
                        f"{case.name}: audit", "ranks by loss are not in order")


def training(case):
    """Fits and retrained fits against Newton's method here."""
    if not case.run("train", params=None, out="fit"):
        return
    theta = case.array("fit/params.npy").astype(LONG)
    norm = np.sqrt(np.sum(case.model.gradient(theta) ** 2))
    case.program.expect(norm <= 1e-10, f"{case.name}: train", f"gradient norm {norm:.2e}")
    np.save(case.path("rows.npy"), np.arange(0, len(case.y), 7))
    if not case.run("retrain", "--test-x", case.path("tx.npy"), "--test-y", case.path("ty.npy"), "--indices", case.path("rows.npy"),
                    params="fit/params.npy", out="loo"):
        return
    table = np.genfromtxt(case.path("loo/loo.csv"), delimiter=",", names=True)
    start = case.tests.losses(case.model.minimum())
    expected = np.concatenate([case.tests.losses(case.model.without(row).minimum()) - start for row in range(0, len(case.y), 7)])
    # The table's bounds hold between minima; here is what rounds besides.
    wrong = np.abs(table["actual"] - expected) > table["actual_error"] + 1e-15
    case.program.expect(not wrong.any(), f"{case.name}: retrain", f"{wrong.sum()} of {len(wrong)} changes are beyond actual_error")
    # Two gradients of 1e-10 at most, over l2, times the slope of a loss.
    sharp = 2.01e-10 / case.l2 * np.linalg.norm(case.tx, axis=1).max()
    case.program.expect(table["actual_error"].max() <= sharp or case.how["bias"], f"{case.name}: retrain",
                        f"actual_error up to {table['actual_error'].max():.1e}")


def dual_descent(x, y, c, passes=4000):
    """Coordinate descent on a hinge loss's dual in long double, one example after the other: slow, and surely right."""
    rows, alpha = (np.asarray(x, LONG) * np.asarray(y, LONG)[:, None]), np.zeros(len(y), LONG)
    w, norms = np.zeros(x.shape[1], LONG), np.sum(rows * rows, 1)
    for _ in range(passes):
        largest = LONG(0)
        for i in range(len(y)):
            if c[i] == 0:
                continue
            goal = alpha[i] + (1 - rows[i] @ w) / norms[i] if norms[i] > 0 else c[i]
            change = min(max(goal, LONG(0)), c[i]) - alpha[i]
            alpha[i] += change
            w = w + change * rows[i]
            largest = max(largest, abs(change) * np.sqrt(norms[i]))
        if largest < 1e-19 * max(LONG(1), np.sqrt(w @ w)):
            break
    return w


def hinge_fit(case):
    """Reported gaps are gaps, parameters are those of the dual variables, all of it in long double."""
    if not case.run("train", params=None, out="fit"):
        return None
    w, alpha = case.array("fit/params.npy").astype(LONG), case.array("fit/dual.npy").astype(LONG)
    facts = json.load(open(case.path("fit/train.json")))
    c = case.model.w / case.model.l2
    case.program.expect((alpha >= 0).all() and (alpha <= c * (1 + LONG(1e-15))).all(), f"{case.name}: dual", "leaves its bounds")
    combined = (alpha * case.model.y) @ case.model.u
    size = max(np.abs(combined).max(), LONG(1e-300))
    case.program.expect(np.abs(combined - w).max() <= 1e-15 * size, f"{case.name}: params", "are not those of the dual")
    gap = case.model.objective(combined) - case.model.l2 * (alpha.sum() - combined @ combined / 2)
    rounding = LONG(1e-17) * (1 + case.model.objective(combined))
    case.program.expect(gap <= facts["duality_gap"] + rounding and facts["duality_gap"] <= 1e-10, f"{case.name}: gap",
                        f"{gap:.3e}, reported {facts['duality_gap']:.3e}")
    return c


def hinge_retraining(case):
    c = hinge_fit(case)
    if c is None or not case.run("retrain", "--test-x", case.path("tx.npy"), "--test-y", case.path("ty.npy"), "--all",
                                 params="fit/params.npy", out="loo"):
        return
    table = np.genfromtxt(case.path("loo/loo.csv"), delimiter=",", names=True)
    start, expected = case.tests.losses(dual_descent(case.x, case.y, c)), []
    for row in range(len(case.y)):
        without = case.model.without(row)
        expected.append(case.tests.losses(dual_descent(case.x, case.y, without.w / without.l2)) - start)
    errors = np.abs(table["actual"] - np.concatenate(expected))
    wrong = errors > table["actual_error"] + 1e-15
    case.program.expect(not wrong.any(), f"{case.name}: retrain", f"{wrong.sum()} changes beyond actual_error, by up to {errors.max():.1e}")
    largest = np.abs(table["actual"]).max()
    case.program.expect(table["actual_error"].max() <= 1e-4 * largest, f"{case.name}: retrain",
                        f"actual_error {table['actual_error'].max():.1e} beside changes of up to {largest:.1e}")
    theta = case.array("fit/params.npy").astype(LONG)
    g, v = case.model.example_gradients(theta), case.tests.example_gradients(theta)
    predicted = ((g + case.model.l2 * theta) * case.model.w[:, None]) @ v.T / case.model.l2
    # On the margin the loss has a kink, and rounding decides which side's slope is taken.
    aside = np.abs(1 - case.model.y * (case.model.u @ theta)) > 1e-9
    case.program.expect(aside.sum() >= len(aside) / 2, case.name, "nearly all examples are on the margin")
    case.same("hinge predictions", table["predicted"].reshape(predicted.shape)[aside], predicted[aside], 1e-9)


def hard_hinges(program, folder):
    """Duplicates, rows of zeros, one class alone, one example, weights of zero, and scales of x."""
    case = Case(program, folder, "duplicates", "hinge", n=30, d=4, seed=3)
    case.x[10:20], case.y[10:20] = case.x[:10], case.y[:10]
    case.x[20:24] = 0
    np.save(case.path("x.npy"), case.x), np.save(case.path("y.npy"), case.y)
    case.model = Margin(case.x, case.y, l2=case.l2, **case.how)
    hinge_fit(case)
    case = Case(program, folder, "one class", "hinge", n=12, d=3, seed=4)
    case.y[:] = 1
    np.save(case.path("y.npy"), case.y)
    case.model = Margin(case.x, case.y, l2=case.l2, **case.how)
    hinge_fit(case)
    hinge_fit(Case(program, folder, "one example", "hinge", n=1, d=3, seed=5))
    case = Case(program, folder, "weights of zero", "hinge", n=30, d=3, seed=6, weighted=True)
    case.weights[::3] = 0
    np.save(case.path("weights.npy"), case.weights)
    case.model = Margin(case.x, case.y, l2=case.l2, weights=case.weights, **case.how)
    hinge_fit(case)
    for scale in (1e-4, 1e3):
        hinge_fit(Case(program, folder, f"scale {scale}", "hinge", l2=0.01 * scale * scale, n=60, d=5, seed=7, scale=scale))
    for l2 in (1e-5, 1e-3, 10):
        hinge_fit(Case(program, folder, f"l2 {l2}", "hinge", l2=l2, n=200, d=12, seed=8))


def threads_do_not_matter(program, folder):
    """One problem whose Newton steps are large enough for a threaded library, fitted and retrained as OpenMP has 1 and 3."""
    case = Case(program, folder, "threads", "hinge", n=160, d=60, l2=1e-3, seed=11)
    np.save(case.path("rows.npy"), np.arange(6))
    results = []
    for threads in ("1", "3"):
        os.environ["OMP_NUM_THREADS"] = threads
        ENVIRONMENT["OMP_NUM_THREADS"] = threads
        case.run("train", params=None, out="fit" + threads)
        case.run("retrain", "--test-x", case.path("tx.npy"), "--test-y", case.path("ty.npy"), "--indices", case.path("rows.npy"),
                 "--threads", threads, params="fit1/params.npy", out="loo" + threads)
        results.append([open(case.path(name.format(threads)), "rb").read() for name in ("fit{}/dual.npy", "loo{}/loo.csv")])
    del ENVIRONMENT["OMP_NUM_THREADS"], os.environ["OMP_NUM_THREADS"]
    program.expect(results[0] == results[1], "threads", "other bits with other threads")


def cold_and_biased(program, folder):
    """Smooth hinges with hardly any curvature at zero are trained from zero all the same."""
    for t in (0.03, 0.01, 0.001):
        case = Case(program, folder, f"cold {t}", "smooth-hinge", t, bias=True, n=60, seed=12)
        if case.run("train", params=None, out="fit"):
            norm = np.sqrt(np.sum(case.model.gradient(case.array("fit/params.npy").astype(LONG)) ** 2))
            program.expect(norm <= 1e-10 * 1.01, case.name, f"gradient norm {norm:.2e}")


def written_in_single(program, folder):
    case = Case(program, folder, "single hinge", "hinge", n=30, seed=13)
    if case.run("train", "--precision", "single", params=None, out="fit"):
        w, alpha = case.array("fit/params.npy").astype(LONG), case.array("fit/dual.npy").astype(LONG)
        combined = (alpha * case.model.y) @ case.model.u
        gap = case.model.objective(w) - case.model.l2 * (alpha.sum() - combined @ combined / 2)
        facts = json.load(open(case.path("fit/train.json")))
        program.expect(abs(facts["written_duality_gap"] - gap) <= 1e-6 * gap + 1e-17, case.name, f"{gap:.3e}, reported {facts}")
    done = program.run("audit", *case.options, *case.data("fit/params.npy"), "--out", case.path("audit"))
    program.expect(done.returncode == 0, "audit", done.stderr)
    case.run("train", params=None, out="fit")
    done = program.run("audit", *case.options, *case.data("fit/params.npy"), "--out", case.path("audit"))
    program.expect("on their margin" in done.stderr, "a hinge's kinks", f"no warning: {done.stderr}")


def extremes(program, folder):
    """Margins of 1e4 and temperatures of 1e-6: finite, and right."""
    for name, loss, t in (("logistic far out", "logistic", None), ("cold", "smooth-hinge", 1e-6)):
        case = Case(program, folder, name, loss, t, seed=9)
        case.theta *= 1e4
        np.save(case.path("theta.npy"), case.theta)
        theta = case.theta.astype(LONG)
        if case.run("loss"):
            case.same("loss", case.array(), case.model.losses(theta), 1e-14)
        if case.run("gradient"):
            case.same("gradient", case.array(), case.model.gradient(theta), 1e-13)
        if case.run("hvp", "--vectors", case.path("vectors.npy")):
            # What margins of that size round to moves curvatures between 0 and 1/(4t).
            case.program.expect(np.isfinite(case.array()).all(), name, "a product is not finite")


def refusals(program, folder):
    case = Case(program, folder, "refusals", "logistic")
    data, out = ["--l2", 0.1, *case.data(), "--device", program.device], ["--out", case.path("no.npy")]

    def refuse(what, words, *arguments, verb="loss", data=data):
        done = program.run(verb, *arguments, *data, *out)
        lines = done.stderr.strip().splitlines()
        program.expect(done.returncode == 2 and len(lines) == 1 and all(word in lines[0] for word in words) and not os.path.exists(out[1]),
                       what, f"exit {done.returncode}: {done.stderr}")

    margin = ["--model", "margin"]
    refuse("three classes", ["--classes 3", "expected 2"], *margin, "--classes", 3)
    refuse("no temperature", ["--temperature"], *margin, "--loss", "smooth-hinge")
    refuse("temperature of the hinge", ["--temperature", "smooth-hinge"], *margin, "--loss", "hinge", "--temperature", 1)
    for t in (0, -1, "nan", "inf", "1e-400"):
        refuse(f"temperature {t}", ["--temperature"], *margin, "--loss", "smooth-hinge", "--temperature", t)
    refuse("temperature whose inverse overflows", ["temperature"], *margin, "--loss", "smooth-hinge", "--temperature", 1e-310)
    refuse("unknown loss", ["--loss"], *margin, "--loss", "squared")
    refuse("loss of logistic", ["--loss", "margin", "not of logistic"], "--classes", 2, "--loss", "hinge")
    refuse("loss of convnet", ["--loss", "margin", "not of convnet"], "--model", "convnet", "--loss", "hinge")
    refuse("bias of convnet", ["--bias", "logistic, margin", "not of convnet"], "--model", "convnet", "--bias")
    for name, labels, words in (("label 2", [2] + [0] * 39, ["label 2", "[0]", "expected 0 to 1", "-1 and 1"]),
                                ("signs and 0", [-1, 0] + [1] * 38, ["label 0", "[1]", "-1 or 1"])):
        np.save(case.path("bad.npy"), np.array(labels))
        refuse(name, ["bad.npy", *words], *margin, data=["--l2", 0.1, *case.data(y="bad.npy"), "--device", program.device])
    hinge = [*margin, "--loss", "hinge"]
    unfitted = [*case.data(params=None), "--device", program.device]
    refuse("hinge with a bias", ["--bias", "expected none"], *hinge, "--bias", verb="train", data=["--l2", 0.1, *unfitted])
    refuse("hinge without a regulariser", ["--l2 0", "expected more than 0"], *hinge, verb="train", data=unfitted)
    refuse("a solver for a hinge", ["--solver", "would do nothing"], *hinge, "--solver", "direct", verb="retrain",
           data=["--l2", 0.1, *case.data(), "--test-index", 0, "--all", "--device", program.device])
    refuse("a start for a hinge", ["--params", "would do nothing"], *hinge, verb="train")
    done = program.run("info", *margin, "--features", 7, "--json")
    layout = json.loads(done.stdout) if done.returncode == 0 else {}
    program.expect(layout.get("parameters") == 7 and layout["layout"][0]["shape"] == [7], "info", done.stdout + done.stderr)


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        for seed, (loss, t) in enumerate((("logistic", None), ("smooth-hinge", 0.1), ("smooth-hinge", 0.01), ("hinge", None))):
            for bias, weighted in ((False, False), (True, True)):
                name = f"{loss} {t} {bias}"
                # Rounding of a margin counts 1/t times.
                engine_verbs(Case(program, folder, name, loss, t, bias, weighted=weighted, seed=seed), 1e-13 / (t or 1))
                engine_verbs(Case(program, folder, name + " single", loss, t, bias, weighted=weighted, seed=seed), 3e-6 / (t or 1),
                             "--precision", "single")
        training(Case(program, folder, "train logistic", "logistic", seed=20))
        training(Case(program, folder, "train smooth", "smooth-hinge", 0.1, seed=21, weighted=True))
        training(Case(program, folder, "train cold", "smooth-hinge", 0.01, seed=22))
        training(Case(program, folder, "train bias", "logistic", bias=True, seed=23))
        hinge_retraining(Case(program, folder, "hinge", "hinge", n=14, d=3, seed=30))
        hinge_retraining(Case(program, folder, "hinge weighted", "hinge", n=14, d=3, seed=31, weighted=True, l2=0.01))
        hard_hinges(program, folder)
        threads_do_not_matter(program, folder)
        cold_and_biased(program, folder)
        written_in_single(program, folder)
        extremes(program, folder)
        refusals(program, folder)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
