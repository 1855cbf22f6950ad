#!/usr/bin/python3
"""Runs `reproduce figure2 --panel convnet --quick` from a checkpoint that it trains first, for a few steps.

    check_convnet_panel.py --clout build/bin/clout

One of its models is held to what `retrain` gives by itself, and the minima of both proximal objectives to their predictions.
"""

import csv
import gzip
import json
import os
import sys

import numpy as np
from program import Program, scratch

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "mnist")


def mnist(name, header, shape):
    with gzip.open(os.path.join(DATA, name + "-ubyte.gz")) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header).reshape(shape)


def table(path):
    """Columns; NaN where a cell is empty."""
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        path = lambda name: os.path.join(folder, name)
        rows = 5000 + np.loadtxt(os.path.join(DATA, "small_mnist_seed0_indices.txt"), dtype=np.int64)
        np.save(path("x.npy"), mnist("train-images-idx3", 16, (-1, 28, 28))[rows])
        np.save(path("y.npy"), mnist("train-labels-idx1", 8, -1)[rows].astype(np.int32))
        np.save(path("tx.npy"), mnist("t10k-images-idx3", 16, (-1, 28, 28)))
        np.save(path("ty.npy"), mnist("t10k-labels-idx1", 8, -1).astype(np.int32))
        model = ["--model", "convnet", "--l2", 0.001, "--x", path("x.npy"), "--y", path("y.npy")]
        done = program.run("train", *model, "--precision", "single", "--steps", 600, "--learning-rate", 0.003, "--drops", 400,
                           "--seed", 3, "--out", path("fit"))
        program.expect(done.returncode == 0, "train", done.stderr)

        panel = ["reproduce", "figure2", "--panel", "convnet", "--quick", "--checkpoint", path("fit")]
        done = program.run(*panel, "--out", path("whole"), "--json", seconds=1500)
        if not program.expect(done.returncode == 0, "reproduce", done.stderr):
            return program.summary()
        summary = json.loads(done.stdout)
        loo = table(path("whole/loo.csv"))
        program.expect(summary["checkpoint"]["steps"] == 600 and summary["checkpoint"]["seed"] == 3, "summary",
                       f"checkpoint {summary['checkpoint']}")
        smallest, damping = summary["hessian"]["smallest"], summary["damping"]
        program.expect(damping == (0.01 if smallest > -0.01 else 0.01 - 2 * smallest), "damping",
                       f"{damping} at a smallest eigenvalue of {smallest}")
        program.expect(summary["max_gradient_norm"] <= 1e-10 and summary["max_relative_residual"] <= 1e-10, "certificates",
                       f"{summary['max_gradient_norm']}, {summary['max_relative_residual']}")

        predicted = loo["predicted"]
        program.expect(len(predicted) == 10 and np.all(np.diff(np.abs(predicted)) <= 0), "chosen points", "are not in order")
        for name, expected, actual in (("proximal", predicted, loo["proximal"]),
                                       ("pbrf", loo["predicted_gauss_newton"], loo["pbrf"])):
            slope = np.polyfit(expected, actual, 1)[0]
            program.expect(np.corrcoef(expected, actual)[0, 1] > 0.99 and abs(slope - 1) < 0.1, name, f"slope {slope}")
            program.expect(abs(summary[name]["slope"] - slope) <= 1e-9, name, f"summary's slope is {summary[name]['slope']}")

        # The same model by itself: what `retrain` makes of the checkpoint without the first point.
        np.save(path("indices.npy"), loo["train_index"][:1].astype(np.int64))
        done = program.run("retrain", *model, "--precision", "single", "--params", path("fit/params.npy"), "--moments",
                           path("fit/moments.npy"), "--start-step", 600, "--steps", 300, "--learning-rate", 0.003, "--drops",
                           400, "--seed", 3, "--controls", 1, "--indices", path("indices.npy"), "--test-x", path("tx.npy"),
                           "--test-y", path("ty.npy"), "--test-index", 6558, "--damping", damping, "--out", path("alone"))
        if program.expect(done.returncode == 0, "retrain", done.stderr):
            alone = table(path("alone/loo.csv"))
            program.expect(alone["actual"][0] == loo["actual"][0], "a model by itself",
                           f"{alone['actual'][0]!r}, in the panel {loo['actual'][0]!r}")
            apart = abs(alone["predicted"][0] / predicted[0] - 1)
            # retrain scores in single precision here, which is known to some 2**-24 times the root of 2,616 terms.
            program.expect(apart <= 3e-6, "its prediction", f"{apart:.1e} from retrain's")

        # Adam without some points only: the same models, what was not trained is empty.
        done = program.run(*panel, "--adam-points", 4, "--out", path("some"), "--json", seconds=1500)
        if program.expect(done.returncode == 0, "--adam-points", done.stderr):
            some, facts = table(path("some/loo.csv")), json.loads(done.stdout)
            program.expect(np.array_equal(some["actual"][:4], loo["actual"][:4]) and np.all(np.isnan(some["actual"][4:])),
                           "--adam-points", f"{some['actual']}, all of them: {loo['actual']}")
            program.expect(all(np.array_equal(some[name], loo[name]) for name in ("predicted", "proximal", "pbrf")),
                           "--adam-points", "the other columns differ")
            program.expect(list(facts["random"]) == ["proximal", "pbrf"] and facts["n_adam"] == 4 and
                           not os.path.exists(path("some/random_tests.csv")) and np.load(path("some/changes.npy")).shape[0] == 4,
                           "--adam-points", f"{facts['random'].keys()}, {facts['n_adam']}")
            slope = np.polyfit(some["predicted"][:4], some["actual"][:4], 1)[0]
            program.expect(abs(facts["slope"] / slope - 1) <= 1e-9, "--adam-points", f"{facts['slope']}, expected {slope}")
        for points, expected in ((1, "at least 2"), ("x", "at least 2"), (11, "2 to 10")):
            done = program.run(*panel, "--adam-points", points, "--out", path("no"))
            program.expect(done.returncode == 2 and f"--adam-points: {points}; expected" in done.stderr and expected in done.stderr
                           and not os.path.exists(path("no")), "--adam-points", f"exit code {done.returncode}: {done.stderr}")

        done = program.run(*panel[:-1], path("nowhere"), "--out", path("no"))
        program.expect(done.returncode == 2 and "params.npy" in done.stderr and not os.path.exists(path("no")),
                       "no checkpoint", f"exit code {done.returncode}: {done.stderr}")
        for option, value in (("--checkpoint", path("fit")), ("--adam-points", 5)):
            done = program.run("reproduce", "figure2", "--panel", "linear", option, value, "--out", path("no"))
            program.expect(done.returncode == 2 and option in done.stderr and not os.path.exists(path("no")),
                           f"{option} of the linear panel", f"exit code {done.returncode}: {done.stderr}")
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
