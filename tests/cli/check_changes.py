#!/usr/bin/python3
"""Whether actual changes of retrain are as far from the true minima's as actual_error says, in long double.

A plain script, no test framework: `check_changes.py --clout build/bin/clout`.
"""

import os
import sys

import numpy as np

import reference
from program import Files, Program, fit, scratch

LONG = np.longdouble


def long_problem(x, y, classes, **how):
    return reference.Problem(np.asarray(x, LONG), y, classes, **how)


def minimum(problem, start):
    """Newton's method in long double, its directions in double: every step gains their ten digits or so."""
    theta, smallest = start.astype(LONG), np.inf
    for _ in range(300):
        g = reference.gradient(problem, theta)
        norm = np.sqrt(np.sum(g * g))
        if norm < 1e-17 * max(1, np.abs(problem.x).max()) and norm >= smallest / 2:
            return theta
        smallest = min(smallest, norm)
        scale = norm if norm > 0 else LONG(1)
        h = reference.hessian(problem, theta.astype(np.float64)).astype(np.float64)
        # Symmetries leave H singular, to rounding, along what no gradient has a part of.
        step = scale * np.linalg.lstsq(h, (g / scale).astype(np.float64), rcond=1e-15)[0].astype(LONG)
        value, length, slope = reference.objective(problem, theta), LONG(1), np.sum(g * step)
        while length > 1e-12 and slope > 1e-16 * abs(value) and reference.objective(problem, theta - length * step) > value:
            length /= 2
        theta = theta - length * step
    raise RuntimeError(f"no minimum, gradient norm {norm:.1e}")


def check(program, folder, name, x, y, tx, ty, l2, bias=False, weights=None, tolerance=1e-10, classes=2, sharp=None):
    """All single removals; `sharp`: actual_error is at most this part of the largest change."""
    files = Files(os.path.join(folder, name.replace(" ", "-")), bias=bias, l2=l2)
    files.model[1] = classes
    for array, values in dict(x=x, y=y, tx=tx, ty=ty).items():
        files.save(array, values)
    weighted = [] if weights is None else ["--weights", files.save("weights", weights)]
    out, tight = files.path("loo"), ["--tolerance", tolerance, *weighted]
    done = program.run("train", *files.options(fitted=False), *tight, "--out", files.path("fit"), "--device", program.device)
    if not program.expect(done.returncode == 0, name, done.stderr):
        return
    params = files.path("fit/params.npy")
    done = program.run("retrain", *files.options(params=params), *tight, *files.tests(), "--all", "--device", program.device, "--out", out)
    if not program.expect(done.returncode == 0, name, done.stderr):
        return
    rows = np.genfromtxt(os.path.join(out, "loo.csv"), delimiter=",", names=True)
    problem = long_problem(x, y, classes, l2=LONG(l2), bias=bias, weights=weights)
    tests = long_problem(tx, ty, classes, l2=LONG(0), bias=bias)
    start = minimum(problem, np.load(params))
    before = reference.losses(tests, start)
    true = [reference.losses(tests, minimum(reference.without(problem, [row]), start)) - before for row in range(len(y))]
    off = np.abs(rows["actual"] - np.concatenate(true))
    claimed, largest = rows["actual_error"], np.abs(rows["actual"]).max()
    worst = np.argmax(off / claimed)
    print(f"{name}: off by up to {off.max():.1e} of {largest:.1e}; at worst {off[worst]:.1e} where {claimed[worst]:.1e} is claimed")
    program.expect(np.all(off <= claimed), name, f"off by {off[worst]:.1e}, {claimed[worst]:.1e} claimed")
    if sharp:
        program.expect(claimed.max() <= sharp * largest, name, f"claims {claimed.max():.1e} beside changes of {largest:.1e}")


def main():
    program = Program.of(__doc__)
    rng = np.random.default_rng(10)
    x, tx = rng.standard_normal((12, 6)), rng.standard_normal((4, 6))
    y, ty = np.arange(12) % 2, np.arange(4) % 2
    wide, narrow, noisy = rng.standard_normal((40, 3)), rng.standard_normal((24, 3)), rng.integers(0, 3, 40)
    spread = 10.0 ** rng.uniform(-6, 0, 12)
    with scratch() as folder:
        all_of = lambda name, *data, **how: check(program, folder, name, *data, **how)
        # With inputs of 1e-8 a loss changes by less than a double of its size can tell.
        all_of("tiny inputs", narrow * 1e-8, noisy[:24], tx[:, :3] * 1e-8, ty, l2=0.01, classes=3)
        all_of("regularised", wide, noisy, tx[:, :3], ty, l2=0.05, classes=3, sharp=1e-6)
        all_of("with bias", wide, noisy, tx[:, :3], ty, l2=0.05, bias=True, classes=3, sharp=1e-6)
        all_of("no regulariser", wide, noisy, tx[:, :3], ty, l2=0, classes=3, sharp=1e-6)
        all_of("no regulariser, bias", wide, noisy, tx[:, :3], ty, l2=0, bias=True, classes=3, sharp=1e-6)
        # Removals that change the fit from certain to wrong.
        all_of("nearly separable", x, y, tx, ty, l2=1e-6, bias=True)
        all_of("nearly separable, no bias", x, y, tx, ty, l2=1e-6)
        all_of("spread weights", x, y, tx, ty, l2=1e-4, bias=True, weights=spread)
        # Gradients that are rounding.
        all_of("strong regulariser", x, y, tx, ty, l2=1e6, tolerance=1e-13)
        all_of("strong regulariser, bias", x, y, tx, ty, l2=1e6, bias=True, tolerance=1e-13)
        all_of("large inputs", x * 1e3, y, tx * 1e3, ty, l2=1, tolerance=1e-9)
        # A class that a removal leaves next to no weight: the minimum lies far out where gradients are next to nothing.
        far = dict(x=np.array([[0.5], [-1], [1.5], [-0.3], [0.2], [2]]), y=np.array([0, 0, 0, 0, 1, 1]), tx=np.array([[2.0]]), ty=np.array([1]))
        all_of("next to no weight", *far.values(), l2=0.1, bias=True, weights=np.array([1, 1, 1, 1, 1, 1e-14]))
        for seed in range(6):
            other = np.random.default_rng(100 + seed)
            all_of(f"random {seed}", other.standard_normal((16, 4)), np.concatenate([[0, 1], other.integers(0, 2, 14)]), other.standard_normal((3, 4)),
                   other.integers(0, 2, 3), l2=10.0 ** -other.integers(1, 8), bias=bool(seed % 2))
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
