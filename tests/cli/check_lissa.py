#!/usr/bin/python3
"""`--solver lissa` from outside: against NumPy's elimination, its report, its exit codes, its bad options.

    check_lissa.py --clout build/bin/clout [--device cpu]

Solutions at a true relative residual r differ from the exact ones by at most the condition number times r.
"""

import json
import os
import sys

import numpy as np
import reference
from bad_inputs import Bench
from program import Files, Program, parse_json, scratch

TOLERANCE = 1e-10


def problem_of(files, l2):
    return reference.Problem(np.load(files.path("x.npy")), np.load(files.path("y.npy")), 3, l2=l2)


def solve(bench, name, *more, code=0, allowed=False):
    """A run of `solve`: the solutions and the report"""
    out = bench.files.path(name + ".npy")
    done = bench.program.run("solve", *bench.files.options(vectors=bench.files.path("vectors.npy")), "--solver", "lissa", *more,
                             *(["--allow-uncertified"] if allowed else []), "--json", "--device", bench.program.device,
                             "--out", out)
    if not bench.program.expect(done.returncode == code, name, f"exit code {done.returncode}: {done.stderr}"):
        return None, {}
    with open(out + ".report.json", encoding="utf-8") as file:
        return np.load(out), json.load(file)


def check_solutions(bench, l2):
    expect, problem = bench.program.expect, problem_of(bench.files, l2)
    theta, vectors = np.load(bench.files.path("params.npy")), np.load(bench.files.path("vectors.npy"))
    for damping in (0.0, 0.2):
        for precision in ("double", "single"):
            name = f"solve, damping {damping}, {precision}"
            s, report = solve(bench, "s", "--damping", damping, "--precision", precision)
            if s is None:
                continue
            exact = reference.solve(problem, theta, vectors, damping)
            values = np.linalg.eigvalsh(reference.hessian(problem, theta)) + damping
            apart = np.linalg.norm(s - exact, axis=1) / np.linalg.norm(exact, axis=1)
            bound = values[-1] / values[0] * TOLERANCE + (np.finfo(np.float32).eps if precision == "single" else 0)
            expect(apart.max() <= bound, name, f"{apart.max():.2e} from NumPy's, bound {bound:.2e}")
            expect(report["solver"] == "lissa" and report["certified"], name, "not certified")
            expect(report["effective_damping"] == damping, name, "another damping")
            expect(report["max_relative_residual"] <= TOLERANCE, name, "residual")
            expect(values[-1] / 2 <= report["scale"], name, f"sigma {report['scale']} for an eigenvalue {values[-1]}")
            expect(abs(report["damping_as_published"] * report["scale"] - damping) <= 1e-15, name, "published damping")
            for key in ("depth", "batch_size", "repeats", "steps", "data_passes", "max_spread"):
                expect(report[key] > 0, name, f"{key} is {report[key]}")
            expect(report["scale_doublings"] == 0, name, "sigma was doubled")
            expect(all(column["spread"] > 0 for column in report["columns"]), name, "a column without a spread")


def check_options(bench):
    expect = bench.program.expect
    given = ["--scale", 3, "--depth", 60, "--batch-size", 5, "--repeats", 3]
    _, report = solve(bench, "given", "--damping", 0.2, *given)
    told = [report.get(key) for key in ("scale", "depth", "batch_size", "repeats")]
    expect(told == [3, 60, 5, 3], "options", f"report says {told}")
    first, _ = solve(bench, "first", "--seed", 1)
    again, _ = solve(bench, "again", "--seed", 1)
    other, _ = solve(bench, "other", "--seed", 2)
    expect(np.array_equal(first, again) and not np.array_equal(first, other), "--seed", "does not choose the samples")
    _, report = solve(bench, "doubled", "--scale", 1e-3)
    expect(report.get("scale_doublings", 0) > 0, "a scale far too small", "sigma was not doubled, or nothing says so")


def check_published(bench):
    run = ["solve", *bench.files.options(vectors=bench.files.path("vectors.npy")), "--solver", "lissa", "--published"]
    bench.fails("--published", 3, [*run, "--depth", 200], "--published", "sigma = 25", "200 steps", "10 repeats")
    bench.fails("--published diverging", 3, [*run, "--scale", 1e-3], "diverged", "sigma = 0.001", "--scale")
    s, report = solve(bench, "published", "--published", "--depth", 200, "--damping", 0.5, allowed=True)
    if s is None:
        return
    expect = bench.program.expect
    told = [report[key] for key in ("published", "scale", "depth", "batch_size", "repeats", "damping_as_published")]
    expect(told == [True, 25, 200, 1, 10, 0.02], "--published", f"report says {told}")
    expect(not report["certified"] and report["max_relative_residual"] < 1, "--published", "certified, or no use")
    expect(all(column["refinements"] == 1 for column in report["columns"]), "--published", "was refined")


def check_influence(bench, l2):
    problem, theta = problem_of(bench.files, l2), np.load(bench.files.path("params.npy"))
    test = reference.Problem(np.load(bench.files.path("tx.npy")), np.load(bench.files.path("ty.npy")), 3, l2=0)
    out = bench.files.path("scores")
    done = bench.program.run("influence", *bench.files.options(), *bench.files.tests(), "--solver", "lissa", "--json",
                             "--device", bench.program.device, "--out", out)
    if not bench.program.expect(done.returncode == 0, "influence", done.stderr):
        return
    expected, scores = reference.influence(problem, theta, test), np.load(os.path.join(out, "scores.npy"))
    values = np.linalg.eigvalsh(reference.hessian(problem, theta))
    s = reference.solve(problem, theta, reference.example_gradients(test, theta))
    g = reference.example_gradients(problem, theta) + l2 * theta
    bound = (values[-1] / values[0] * TOLERANCE + 1e-13) * np.linalg.norm(s, axis=1)[:, None] * np.linalg.norm(g, axis=1) / len(g)
    bench.program.expect(np.all(np.abs(scores - expected) <= bound), "influence",
                         f"{np.abs(scores - expected).max():.2e} from NumPy's, bound {bound.max():.2e}")
    told = parse_json(done.stdout) or {}
    bench.program.expect(told.get("solver") == "lissa" and told.get("scale", 0) > 0, "influence", "the table does not say how")


def check_plan(bench, l2):
    """Chains take memory for each right-hand side and repeat: the plan says how much"""
    wide = Bench(bench.program, Files(os.path.join(os.path.dirname(bench.files.path("x.npy")), "wide"), n=500, d=60, l2=l2))
    for repeats in (2, 64):
        arguments = ["influence", *wide.files.options(), *wide.files.tests(), "--solver", "lissa", "--repeats", repeats,
                     "--tolerance", 1e-4, "--json", "--device", bench.program.device, "--out", wide.files.path(f"plan{repeats}")]
        plan = parse_json(bench.program.run(*arguments, "--plan").stdout) or {}
        done = bench.program.run(*arguments)
        planned, peak = plan.get("device_memory_mib", 0), (parse_json(done.stdout) or {}).get("peak_device_memory_mib", 1e9)
        bench.program.expect(0 < peak <= planned, f"plan for {repeats} repeats", f"{planned} MiB planned, {peak} taken")


def check_bad_options(bench):
    run = ["solve", *bench.files.options(vectors=bench.files.path("vectors.npy"))]
    for flag, value in (("--scale", 0), ("--scale", -1), ("--scale", "nan"), ("--scale", "x"), ("--depth", 0),
                        ("--depth", 2**31), ("--depth", 1.5), ("--batch-size", 0), ("--batch-size", -3), ("--repeats", 0),
                        ("--repeats", 5000)):
        bench.fails(f"{flag} {value}", 2, [*run, "--solver", "lissa", f"{flag}={value}"], flag)
    bench.fails("a batch larger than the data", 2, [*run, "--solver", "lissa", "--batch-size", 25], "25", "1 to 24")
    for option in (["--scale", 2], ["--depth", 5], ["--batch-size", 5], ["--repeats", 2], ["--published"]):
        bench.fails(f"{option[0]} of another solver", 2, [*run, *option], option[0], "--solver lissa", "cg")


def main():
    program, l2 = Program.of(__doc__), 0.05
    with scratch() as folder:
        bench = Bench(program, Files(folder, l2=l2))
        check_solutions(bench, l2)
        check_options(bench)
        check_published(bench)
        check_influence(bench, l2)
        check_plan(bench, l2)
        check_bad_options(bench)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
