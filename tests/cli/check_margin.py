#!/usr/bin/python3
"""--model margin: every verb against formulas written anew in NumPy's long double (check_hinge.py has the hinge's own).

A plain script, no test framework: `check_margin.py --clout build/bin/clout`.
"""

import json
import os
import sys

import numpy as np

from margin_cases import LONG, Case, Margin
from program import Program, scratch

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


def cold_and_biased(program, folder):
    """Smooth hinges with hardly any curvature at zero are trained from zero all the same."""
    for t in (0.03, 0.01, 0.001):
        case = Case(program, folder, f"cold {t}", "smooth-hinge", t, bias=True, n=60, seed=12)
        if case.run("train", params=None, out="fit"):
            norm = np.sqrt(np.sum(case.model.gradient(case.array("fit/params.npy").astype(LONG)) ** 2))
            program.expect(norm <= 1e-10 * 1.01, case.name, f"gradient norm {norm:.2e}")


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
        cold_and_biased(program, folder)
        extremes(program, folder)
        refusals(program, folder)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
