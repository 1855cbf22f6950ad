#!/usr/bin/python3
"""Holds `spectrum`, explicit and by Lanczos, to NumPy's eigenvalues of the matrix that `hvp` gives, and solves to its advice.

    check_spectrum.py --clout build/bin/clout [--device cpu]

For logistic regression and for the paper's network, at random parameters, where its Hessian is indefinite: there solves
are refused with the reason, and at the damping max(0.01, 0.01 - 2 lambda_min) CG and the direct solver agree to twice
the condition number times their tolerance.
"""

import json
import os
import sys

import numpy as np
from program import Files, Program, scratch

TOLERANCE = 1e-10


class Bench:
    def __init__(self, program, name, folder, options, p):
        self.program, self.name, self.folder, self.options, self.p = program, name, folder, options, p

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, verb, out, *more, code=0):
        done = self.program.run(verb, *self.options, *more, "--device", self.program.device, "--out", self.path(out))
        self.expect(done.returncode == code, f"{verb}: exit code {done.returncode}, expected {code}: {done.stderr}")
        return done

    def expect(self, holds, why):
        return self.program.expect(holds, self.name, why)

    def spectrum(self, *more):
        self.run("spectrum", "spectrum.json", *more)
        with open(self.path("spectrum.json"), encoding="utf-8") as file:
            return json.load(file)

    def matrix(self, *more):
        np.save(self.path("identity.npy"), np.eye(self.p))
        self.run("hvp", "matrix.npy", "--vectors", self.path("identity.npy"), *more)
        return np.load(self.path("matrix.npy"))

    def solve(self, out, damping, *more, code=0):
        done = self.run("solve", out, "--vectors", self.path("vectors.npy"), "--damping", repr(damping), "--tolerance",
                        TOLERANCE, *more, code=code)
        return done.stderr if code else np.load(self.path(out))

    def compare(self, *more):
        """The spectrum against NumPy's; returns it."""
        told, matrix = self.spectrum(*more), self.matrix(*more)
        values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        scale = np.abs(values[[0, -1]]).max()
        self.expect(np.abs(matrix - matrix.T).max() <= 1e-13 * scale, "products with unit vectors are not symmetric")
        # Both are backward stable, and both matrices have the rounding of their products.
        bound = 2 * self.p * np.finfo(float).eps * scale
        self.expect(len(told["eigenvalues"]) == self.p, "not p eigenvalues")
        self.expect(np.abs(np.array(told["eigenvalues"]) - values).max() <= bound,
                    f"eigenvalues differ by {np.abs(np.array(told['eigenvalues']) - values).max():.2e}")
        self.expect(told["smallest"] == told["eigenvalues"][0] and told["largest"] == told["eigenvalues"][-1], "ends")
        self.expect(abs(told["trace"] - np.trace(matrix)) <= self.p * bound, "trace")
        for what, count in (("negative", (values < -bound).sum()), ("positive", (values > bound).sum())):
            self.expect(abs(told[what] - count) <= (np.abs(np.abs(values) - bound) < bound).sum(), f"number {what}")
        counted = told["negative"] + told["zero_within_rounding"] + told["positive"]
        self.expect(counted == len(values), f"{counted} of {len(values)} eigenvalues are counted")
        self.expect(told["positive_definite"] == bool(values[0] > told["rounding"]), "positive_definite")
        self.advice(told, values, bound)
        self.compare_lanczos(values, scale, np.trace(matrix), *more)
        return told

    def advice(self, told, values, error):
        """`error` is that of both ends"""
        damping = told["advised_damping"]
        least = values[0] + damping
        if least > 4 * error:
            self.expect(abs(told["condition"] * least / (values[-1] + damping) - 1) <= 4 * error / least, "condition number")
        for line in ("definiteness", "damping_advice", "solver_advice"):
            self.expect(told[line] and "\n" not in told[line], f"{line} is not one line")
        self.expect(not any("seconds" in key for key in told), "a time is in the file")

    def compare_lanczos(self, values, scale, trace, *more):
        """Both ends without the matrix: within the errors that are told, the same file again, the trace within its bar"""
        told, again = self.spectrum("--method", "lanczos", *more), self.spectrum("--method", "lanczos", *more)
        self.expect(told == again, "another run, another file")
        rounding = self.p * np.finfo(float).eps * scale
        for end, at in (("smallest", 0), ("largest", -1)):
            self.expect(np.abs(values - told[end]).min() <= told[end + "_error"] + rounding, f"no eigenvalue near the {end}")
            if told["converged"]:
                self.expect(abs(told[end] - values[at]) <= 1e-6 * scale, f"{end}: {told[end]}, NumPy {values[at]}")
        self.expect(told["at_least"] is None or told["at_least"] <= values[0], "an eigenvalue below at_least")
        self.expect(told["positive_definite"] in (None, bool(values[0] > told["rounding"])), "lanczos: positive_definite")
        self.expect(told["negative_at_least"] <= (values < 0).sum(), "more negative Ritz values than eigenvalues")
        self.expect(abs(told["trace"] - trace) <= 5 * told["trace_standard_error"] + self.p * rounding,
                    f"trace {told['trace']} +- {told['trace_standard_error']}, NumPy {trace}")
        if told["converged"]:
            self.advice(told, values, 1e-6 * scale)


def check_logistic(program, folder):
    files = Files(os.path.join(folder, "logistic"), n=40, d=7, classes=4)
    told = Bench(program, "logistic", files.folder, files.options(), files.p).compare()
    program.expect(told["positive_definite"] and told["advised_damping"] == 0, "logistic", "is positive definite")
    flat = Files(os.path.join(folder, "flat"), n=40, d=3, classes=4, l2=0)
    told = Bench(program, "logistic, l2 0", flat.folder, flat.options(), flat.p).compare()
    program.expect(told["negative"] == 0 and told["positive"] == 9, "logistic, l2 0",
                   f"{told['positive']} of 12 positive; expected 9: equal shifts of all classes are flat")
    program.expect(told["advised_damping"] > 0, "logistic, l2 0", "no damping is advised")


def check_network(program, folder):
    rng, p = np.random.default_rng(7), 2616
    save = lambda name, array: np.save(os.path.join(folder, name), array)
    save("x.npy", rng.integers(0, 256, (19, 1, 28, 28)).astype(np.uint8)), save("y.npy", rng.integers(0, 10, 19))
    save("params.npy", rng.standard_normal(p) * 0.3), save("vectors.npy", rng.standard_normal((3, p)))
    bench = Bench(program, "network", folder, [
        "--model", "convnet", "--l2", 1e-3, "--x", f"{folder}/x.npy", "--y", f"{folder}/y.npy", "--params",
        f"{folder}/params.npy"], p)
    told = bench.compare()
    print(f"network: eigenvalues {told['smallest']:.4g} to {told['largest']:.4g}, {told['negative']} negative")
    bench.expect(told["negative"] > 0 and told["advised_damping"] == -2 * told["smallest"], "is not found indefinite")
    bench.expect("negative_curvature" in bench.solve("s.npy", 0.0, "--solver", "cg", code=3), "CG gives another reason")
    bench.expect("not positive definite" in bench.solve("s.npy", 0.0, "--solver", "direct", code=3),
                 "the direct solver gives another reason")
    bench.expect(not os.path.exists(bench.path("s.npy")), "a refused solve has written")
    for damping in (max(0.01, 0.01 - 2 * told["smallest"]), told["advised_damping"]):
        cg, direct = (bench.solve(f"{solver}.npy", damping, "--solver", solver) for solver in ("cg", "direct"))
        condition = (told["largest"] + damping) / (told["smallest"] + damping)
        apart = np.linalg.norm(cg - direct, axis=1) / np.linalg.norm(direct, axis=1)
        print(f"network: damping {damping:.4g}: condition {condition:.4g}, cg and direct {apart.max():.1e} apart")
        bench.expect(apart.max() <= 2 * condition * TOLERANCE, f"cg and direct are {apart.max():.2e} apart")
    gauss_newton = bench.spectrum("--curvature", "ggn")
    bench.expect(gauss_newton["negative"] == 0, "a Gauss-Newton matrix has negative eigenvalues")


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        check_logistic(program, folder)
        check_network(program, folder)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
