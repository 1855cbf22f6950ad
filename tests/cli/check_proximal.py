#!/usr/bin/python3
"""Runs `retrain --retraining proximal` and `pbrf` on a small network and holds them to what they are for: damped influence
with the matrix of the same kind predicts them to first order.

    check_proximal.py --clout build/bin/clout [--device cpu]

Points of weight 1e-3 stand among points of weight 1: what removing one does is small, so prediction and outcome agree
to a part in a hundred or better, while points of weight 1 differ visibly; and `predicted` is what `influence` says.
"""

import csv
import json
import os
import sys

import numpy as np
from program import Program, scratch

SPEC = {"input": [1, 9, 8], "layers": [{"conv": {"out": 3, "kernel": 3, "stride": 1}},
                                       {"conv": {"out": 4, "kernel": 3, "stride": 2}}, {"mean_pool": {}},
                                       {"linear": {"out": 3}}]}
N, LIGHT, DAMPING = 60, 8, 0.2


def main():
    program = Program.of(__doc__)
    rng = np.random.default_rng(3)
    with scratch() as folder:
        path = lambda name: os.path.join(folder, name)
        y = rng.integers(0, 3, N)
        x = rng.standard_normal((N, 9, 8)) + 0.5 * y[:, None, None]
        for name, array in {"x": x, "y": y, "tx": rng.standard_normal((4, 9, 8)), "ty": rng.integers(0, 3, 4),
                            "weights": np.where(np.arange(N) < LIGHT, 1e-3, 1.0), "indices": np.arange(2 * LIGHT)}.items():
            np.save(path(name + ".npy"), array)
        with open(path("spec.json"), "w", encoding="utf-8") as file:
            json.dump(SPEC, file)
        model = ["--model", "convnet", "--spec", path("spec.json"), "--l2", 1e-3, "--x", path("x.npy"), "--y",
                 path("y.npy"), "--weights", path("weights.npy"), "--device", program.device]
        tests = ["--params", path("fit/params.npy"), "--test-x", path("tx.npy"), "--test-y", path("ty.npy"), "--damping", DAMPING]
        done = program.run("train", *model, "--steps", 400, "--batch", 20, "--learning-rate", 0.01, "--out", path("fit"))
        program.expect(done.returncode == 0, "train", done.stderr)
        for kind, curvature in (("proximal", "hessian"), ("pbrf", "ggn")):
            asked = [*model, *tests, "--curvature", curvature]
            done = program.run("influence", *asked, "--out", path("scores"), "--solver", "direct")
            program.expect(done.returncode == 0, f"{kind}: influence", done.stderr)
            done = program.run("retrain", *asked, "--retraining", kind, "--indices", path("indices.npy"), "--out", path(kind))
            if not program.expect(done.returncode == 0, kind, done.stderr):
                continue
            scores = np.load(path("scores/scores.npy"))
            with open(path(f"{kind}/loo.csv"), encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            number = lambda name: np.array([float(row[name]) for row in rows]).reshape(2 * LIGHT, 4)
            predicted, actual = number("predicted"), number("actual")
            program.expect(number("gradient_norm").max() <= 1e-10, kind, "a gradient norm is above the tolerance")
            apart = np.linalg.norm(predicted - scores[:, : 2 * LIGHT].T) / np.linalg.norm(predicted)
            program.expect(apart <= 1e-8, kind, f"predictions are {apart:.1e} from influence's scores")
            errors = np.linalg.norm(actual - predicted, axis=1) / np.linalg.norm(predicted, axis=1)
            print(f"{kind}: relative errors of the prediction up to {errors[:LIGHT].max():.1e} for light points, "
                  f"{errors[LIGHT:].max():.1e} for others")
            program.expect(errors[:LIGHT].max() <= 1e-2, kind, "light points are not predicted")
            program.expect(errors[LIGHT:].max() > errors[:LIGHT].max(), kind, "heavy points are predicted as well as light ones")

        refuse = lambda name, part, *more: program.expect(
            (done := program.run("retrain", *model, *tests[:6], *more, "--indices", path("indices.npy"), "--out",
                                 path("no"))).returncode == 2 and part in done.stderr and not os.path.exists(path("no")),
            name, f"exit code {done.returncode}: {done.stderr}")
        refuse("pbrf with the Hessian", "--curvature ggn", "--retraining", "pbrf", "--damping", 0.1)
        refuse("proximal with Gauss-Newton", "--curvature hessian", "--retraining", "proximal", "--curvature", "ggn",
               "--damping", 0.1)
        refuse("proximal without damping", "--damping", "--retraining", "proximal")
        refuse("proximal in single", "--precision double", "--retraining", "proximal", "--damping", 0.1, "--precision", "single")
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
