#!/usr/bin/python3
"""Bad conditions, every solver: a certified answer that NumPy confirms, or an exit code with one line that says what to change.

    check_conditions.py --clout build/bin/clout [--device cpu]

The first part is a matrix of cases and solvers; the second holds the program to the faults that other packages are known
for: damping that means something else in each solver, residuals that are believed and not measured, scores that are not
divided by n, and so on. A solution s is confirmed by its residual v - (H + damping I)s with the reference's H, at most
the tolerance plus the rounding of that product.
"""

import json
import os
import sys
import time

import numpy as np
import reference
from bad_inputs import Bench
from program import Files, Program, fit, scratch

TOLERANCE, EPS = 1e-10, np.finfo(float).eps
ANY_MODELS = ("cg", "block-cg", "direct", "lissa")
SOLVERS = (*ANY_MODELS, "cg jacobi", "cg kronecker")  # with a preconditioner of linear models
CERTIFIED = 0, ()


def options_of(solver):
    name, *preconditioner = solver.split()
    return ["--solver", name, *(["--preconditioner", *preconditioner] if preconditioner else [])]


def refused(*parts):
    """Exit code 3, and a line with these parts"""
    return 3, parts


class Case(Files):
    """A logistic problem in trouble: arrays of Files changed, and what each solver makes of it."""

    def __init__(self, bench, name, bias=False, l2=0.05, **arrays):
        super().__init__(bench.files.path(name.replace(" ", "-")), bias=bias, l2=l2)
        self.name, self.bias, self.l2 = name, bias, l2
        for array, values in arrays.items():
            self.save(array, np.ascontiguousarray(values))

    def problem(self):
        return reference.Problem(np.load(self.path("x.npy")), np.load(self.path("y.npy")), 3, l2=self.l2, bias=self.bias)

    def gradients(self, rows=2):
        return reference.example_gradients(self.problem(), np.load(self.path("params.npy")))[:rows]


def check(bench, case, outcomes, vectors=None, damping=0.0, extra=()):
    """`solve` with every solver; `outcomes` maps solvers to CERTIFIED or refused(...), None means all certified."""
    vectors = np.load(case.path("vectors.npy")) if vectors is None else vectors
    given = case.save("right-hand-sides", vectors)
    for solver in SOLVERS:
        of = solver if solver in (outcomes or {}) else solver.removeprefix("block-").split()[0]  # what stops cg stops its kin
        code, parts = (outcomes or {}).get(of, CERTIFIED)
        name, out = f"{case.name}, {solver}", case.path(f"{solver}.npy")
        command = ["solve", *case.options(vectors=given), *options_of(solver), "--damping", repr(damping), *extra]
        if code:
            bench.fails(name, code, command, *parts, out=f"{solver}.npy")
            continue
        started = time.monotonic()
        done = bench.program.run(*command, "--device", bench.program.device, "--out", out)
        if bench.program.expect(done.returncode == 0, name, f"exit code {done.returncode}: {done.stderr.strip()}"):
            confirm(bench, name, case, vectors, out, damping)
        bench.program.expect(time.monotonic() - started < 60, name, "took more than a minute")


def confirm(bench, name, case, vectors, out, damping):
    theta, solutions = np.load(case.path("params.npy")), np.load(out)
    with open(out + ".report.json", encoding="utf-8") as file:
        report = json.load(file)
    expect = lambda holds, why: bench.program.expect(holds, name, why)
    size = np.linalg.eigvalsh(reference.hessian(case.problem(), theta))[-1] + damping
    left = vectors - reference.hvp(case.problem(), theta, solutions, damping)
    for j, (v, s, column) in enumerate(zip(vectors, solutions, report["columns"])):
        norm, rounding = np.linalg.norm(v), 100 * EPS * size * np.linalg.norm(s)
        residual = np.linalg.norm(left[j])
        expect(residual <= TOLERANCE * norm + rounding, f"column {j}: residual {residual / max(norm, 1e-300):.1e}")
        expect(abs(column["relative_residual"] * norm - residual) <= rounding + 1e-6 * residual,
               f"column {j}: reports {column['relative_residual']:.2e}, NumPy finds {residual / max(norm, 1e-300):.2e}")
        expect(column["status"] == "converged", f"column {j}: {column['status']}")
    expect(report["certified"] and report["effective_damping"] == damping, "report")


def check_ill_conditioned(bench):
    case = Case(bench, "condition 1e6", l2=1e-6)
    theta = np.load(case.path("params.npy"))
    values = np.linalg.eigvalsh(reference.hessian(case.problem(), theta))
    bench.program.expect(values[-1] / values[0] > 1e5, case.name, "is not")
    # LiSSA's depth is the condition number's: what it would take is said, not begun.
    check(bench, case, {"lissa": refused("--damping")})
    check(bench, case, None, damping=0.05)
    check(bench, case, {solver: refused("--damping") for solver in SOLVERS}, extra=["--tolerance", 1e-18])


def check_singular(bench):
    flat = Case(bench, "no regulariser", l2=0)
    outside, singular = {}, refused("singular", "--damping")
    outside.update(cg=singular, direct=refused("--damping"), lissa=refused("--damping"))
    check(bench, flat, outside)
    check(bench, flat, None, vectors=flat.gradients())  # in H's range: shifts of all classes alone are flat
    check(bench, flat, None, damping=0.1)

    x = np.load(flat.path("x.npy"))
    for name, deficient in (("equal columns", x[:, [0, 1, 1]]), ("a column of zeros", x * [1, 0, 1])):
        check(bench, Case(bench, "rank-deficient, " + name, x=deficient), None)
        bare = Case(bench, "rank-deficient, no regulariser, " + name, x=deficient, l2=0)
        check(bench, bare, outside)
        check(bench, bare, {"direct": refused("not positive definite", "raise --l2", "--damping")}, vectors=bare.gradients())
        check(bench, bare, None, damping=0.1)


def check_data(bench):
    base = Case(bench, "as it is")
    x, y = np.load(base.path("x.npy")), np.load(base.path("y.npy"))
    check(bench, base, None)
    twice = Case(bench, "every example twice", x=np.concatenate([x, x]), y=np.concatenate([y, y]))
    check(bench, twice, None)
    for solver in SOLVERS:  # the same Hessian, so the same solutions but for LiSSA's batches
        apart = np.abs(np.load(twice.path(f"{solver}.npy")) - np.load(base.path(f"{solver}.npy"))).max()
        bench.program.expect(apart <= 1e-8, f"every example twice, {solver}", f"differs by {apart:.1e}")
    for bias in (False, True):
        absent = Case(bench, "a class is absent" + (", bias" if bias else ""), bias=bias, y=np.where(y == 2, 0, y))
        check(bench, absent, None, vectors=absent.gradients())
    for l2 in (0.05, 0):
        one = Case(bench, f"one example, l2 {l2}", l2=l2, x=x[:1], y=y[:1])
        bare = {"direct": refused("not positive definite", "raise --l2", "--damping")}
        check(bench, one, None if l2 else bare, vectors=one.gradients(1))
        check(bench, one, None, damping=0.3)


def check_right_hand_sides(bench):
    case = Case(bench, "right-hand sides")
    some = np.load(case.path("vectors.npy"))
    zeros = np.stack([some[0], np.zeros_like(some[0])])
    check(bench, case, None, vectors=zeros)
    for solver in SOLVERS:
        bench.program.expect(not np.load(case.path(f"{solver}.npy"))[1].any(), f"a zero right-hand side, {solver}", "not zero")
        for bad in (np.nan, np.inf, -np.inf):
            vectors = some.copy()
            vectors[1, 3] = bad
            bench.fails(f"{bad} in a right-hand side, {solver}", 2, ["solve", *case.options(
                vectors=case.save("bad", vectors)), *options_of(solver)], "[1][3]", "expected")


def check_indefinite(bench):
    """A network at random parameters: refused; at the damping that `spectrum` advises, certified"""
    files, save, rng = bench.files, bench.files.save, np.random.default_rng(1)
    spec = bench.raw("indefinite.json", b'{"input":[1,6,5],"layers":[{"conv":{"out":2,"kernel":3}},{"mean_pool":{}},{"linear":{"out":3}}]}')
    network = ["--model", "convnet", "--l2", 1e-3, "--spec", spec, "--x", save("rough", rng.standard_normal((24, 1, 6, 5))),
               "--y", files.path("y.npy"), "--params", save("curved", rng.standard_normal(29) * 2)]
    run = lambda verb, out, *more: bench.program.run(verb, *network, *more, "--device", bench.program.device, "--out", files.path(out))
    run("hvp", "network-hessian.npy", "--vectors", save("identity", np.eye(29)))
    hessian = np.load(files.path("network-hessian.npy"))  # held to PyTorch's in check_network.py
    values = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    bench.program.expect(values[0] < -1e-3, "indefinite", f"its smallest eigenvalue is {values[0]}")
    vectors = rng.standard_normal((2, 29))
    given = ["--vectors", save("network-vectors", vectors)]
    advised = {}
    for method in ("explicit", "lanczos"):
        run("spectrum", method + ".json", "--method", method)
        with open(files.path(method + ".json"), encoding="utf-8") as file:
            told = json.load(file)
        advised[method] = told["advised_damping"]
        bench.program.expect(not told["positive_definite"], "indefinite, " + method, "positive definite, it says")
        bench.program.expect(abs(advised[method] + 2 * values[0]) <= 4e-6 * np.abs(values).max(), "indefinite, " + method, "another damping")
    for solver in ANY_MODELS:
        bench.fails(f"indefinite, {solver}", 3, ["solve", *network, *given, *options_of(solver)], "not positive definite",
                    "damping")
        damping = advised["lanczos"]
        done = run("solve", solver + "-network.npy", *given, *options_of(solver), "--damping", repr(damping))
        if bench.program.expect(done.returncode == 0, f"indefinite, damped, {solver}", done.stderr):
            left = vectors - np.load(files.path(solver + "-network.npy")) @ (hessian + damping * np.eye(29))
            worst = (np.linalg.norm(left, axis=1) / np.linalg.norm(vectors, axis=1)).max()
            bench.program.expect(worst <= 1.01 * TOLERANCE, f"indefinite, damped, {solver}", f"residual {worst:.1e}")


def check_faults_of_others(bench):
    case = Case(bench, "faults of others")
    solve = ["solve", *case.options(vectors=case.path("vectors.npy"))]
    # Damping times scale in one solver and plain in the other; an inverse of each minibatch, summed.
    for extra in (["--scale", 3], ["--scale", 40], ["--batch-size", 1], ["--batch-size", 24]):
        out = case.path("lissa-scaled.npy")
        done = bench.program.run(*solve, "--solver", "lissa", "--damping", 0.2, *extra, "--device", bench.program.device, "--out", out)
        if bench.program.expect(done.returncode == 0, f"damping is damping, {extra}", done.stderr):
            confirm(bench, f"damping is damping, {extra}", case, np.load(case.path("vectors.npy")), out, 0.2)
    check(bench, case, None, damping=0.2)
    # A status that is dropped; residuals that are believed.
    bench.fails("iterations run out", 3, [*solve, "--max-iterations", 2], "iteration_limit", "--max-iterations")
    bench.fails("iterations of a factor", 2, [*solve, "--solver", "direct", "--max-iterations", 2], "--max-iterations",
                "auto, cg, block-cg", "direct")
    bench.fails("a tolerance of all", 2, [*solve, "--tolerance", 1], "--tolerance", "below 1")
    check(bench, case, None, extra=["--seed", 7])
    # NaN found hours later, or never said.
    started = time.monotonic()
    bench.fails("divergence", 3, [*solve, "--solver", "lissa", "--published", "--scale", 1e-3, "--depth", 10**5], "diverged", "sigma")
    bench.program.expect(time.monotonic() - started < 10, "divergence", "was found after many steps")
    # No word how much memory is needed.
    for solver in SOLVERS:
        bench.fails(f"no memory, {solver}", 4, [*solve, *options_of(solver), "--memory-limit", "8K"], "limit")
    # Half precision that is noise.
    bench.fails("half precision", 2, [*solve, "--precision", "half"], "--precision")
    # Other numbers in another run, or with another number of threads (a direct solve is LAPACK's).
    for solver in ("cg", "cg jacobi", "block-cg", "lissa"):
        for threads in (1, 2, 2):
            out = case.path(f"{solver}-{threads}.npy")
            bench.program.run(*solve, *options_of(solver), "--device", bench.program.device, "--out", out, threads=threads)
            first = first if threads == 2 else open(out, "rb").read()
            bench.program.expect(open(out, "rb").read() == first, f"the same bits, {solver}", f"not with {threads} threads")


def check_choice(bench):
    """--solver auto: one of the others, to the bit, and why"""
    case = Case(bench, "choice")
    for name, vectors, chosen in (("one", np.load(case.path("vectors.npy"))[:1], "direct"), ("many", np.random.default_rng(2).standard_normal((40, 9)), "direct")):
        given, files = case.save(name, vectors), {}
        for solver in ("auto", chosen):
            out = case.path(f"{name}-{solver}.npy")
            done = bench.program.run("solve", *case.options(vectors=given), *options_of(solver), "--device", bench.program.device, "--out", out)
            bench.program.expect(done.returncode == 0, f"choice, {name}, {solver}", done.stderr)
            with open(out, "rb") as file:
                files[solver] = file.read()
        bench.program.expect(files["auto"] == files[chosen], f"choice, {name}", f"not the bits of {chosen}")
        with open(case.path(f"{name}-auto.npy.report.json"), encoding="utf-8") as file:
            report = json.load(file)
        bench.program.expect(report["solver"] == chosen and report["solver_choice"].startswith(chosen + ": "), f"choice, {name}", str(report))


def check_scores(bench):
    """Scores that are not divided by n, of the other sign, or of another regulariser"""
    case = Case(bench, "scores")
    fit(bench.program, case)
    x, y = np.load(case.path("x.npy")), np.load(case.path("y.npy"))
    twice = Case(bench, "scores of twice", x=np.concatenate([x, x]), y=np.concatenate([y, y]), params=np.load(case.path("params.npy")))
    scores = {}
    for solver in SOLVERS:
        for files in (case, twice):
            out = files.path("scores-" + solver)
            done = bench.program.run("influence", *files.options(), *case.tests(), *options_of(solver), "--device",
                                     bench.program.device, "--out", out)
            if bench.program.expect(done.returncode == 0, f"scores, {solver}", done.stderr):
                scores[files.name] = np.load(os.path.join(out, "scores.npy"))
        once, halved = scores["scores"], scores["scores of twice"]
        bench.program.expect(np.abs(halved[:, :24] - once / 2).max() <= 1e-7 * np.abs(once).max(), f"scores, {solver}",
                             "twice the examples do not halve a point's score")
        theta, changes = np.load(case.path("params.npy")), []
        tests = reference.Problem(np.load(case.path("tx.npy")), np.load(case.path("ty.npy")), 3, l2=0)
        for row in range(24):
            left = case.problem()
            left.weights = np.arange(24) != row
            step = reference.solve(left, theta, reference.gradient(left, theta)[None])[0]
            changes.append(reference.losses(tests, theta - step) - reference.losses(tests, theta))
        slope = np.sum(np.array(changes).T * once) / np.sum(once * once)
        bench.program.expect(0.9 < slope < 1.2, f"scores, {solver}", f"a Newton step without a point changes losses by {slope:.2f} of them")


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        bench = Bench(program, Files(folder))
        for part in (check_ill_conditioned, check_singular, check_data, check_right_hand_sides, check_indefinite,
                     check_faults_of_others, check_choice, check_scores):
            part(bench)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
