#!/usr/bin/python3
"""Hinge losses: fits against their dual problem, exact leave-one-out against another solver, in long double.

A plain script, no test framework: `check_hinge.py --clout build/bin/clout`.
"""

import json
import os
import sys

import numpy as np

from margin_cases import LONG, Case, Margin
from program import ENVIRONMENT, Program, scratch


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


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        hinge_retraining(Case(program, folder, "hinge", "hinge", n=14, d=3, seed=30))
        hinge_retraining(Case(program, folder, "hinge weighted", "hinge", n=14, d=3, seed=31, weighted=True, l2=0.01))
        hard_hinges(program, folder)
        threads_do_not_matter(program, folder)
        written_in_single(program, folder)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
