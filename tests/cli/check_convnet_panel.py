#!/usr/bin/python3
"""Runs `reproduce figure2 --panel convnet --quick` from a checkpoint that it trains first, for a few steps.

    check_convnet_panel.py --clout build/bin/clout

Its numbers are held to other verbs: the influential points are those of `influence`, and the proximal minima those of
`retrain --retraining proximal`. Killed in the middle and resumed, the files have the same bytes.
"""

import argparse
import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
from program import ENVIRONMENT, Program, scratch

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "mnist")


def mnist(name, header, shape):
    with gzip.open(os.path.join(DATA, name + "-ubyte.gz")) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header).reshape(shape)


def table(path):
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def files_of(folder):
    keep = ("loo.csv", "loo_random.csv", "random_tests.csv", "changes.npy", "figure2_convnet.png", "figure2_convnet.svg")
    return {name: open(os.path.join(folder, name), "rb").read() for name in keep}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clout", required=True, help="the program")
    options = parser.parse_args()
    program = Program(options.clout, "cpu")
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
        done = program.run(*panel, "--out", path("whole"), "--json")
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

        asked = [*model, "--params", path("fit/params.npy"), "--test-x", path("tx.npy"), "--test-y", path("ty.npy"),
                 "--test-index", 6558, "--damping", damping]
        done = program.run("influence", *asked, "--solver", "direct", "--out", path("scores"))
        program.expect(done.returncode == 0, "influence", done.stderr)
        scores = np.load(path("scores/scores.npy"))[0]
        chosen = loo["train_index"].astype(int)
        program.expect(np.array_equal(np.sort(np.abs(scores))[::-1][:10], np.abs(scores[chosen])) or
                       np.allclose(np.sort(np.abs(scores))[::-1][:10], np.abs(scores[chosen]), rtol=1e-8), "chosen points",
                       "are not those with the largest scores")
        apart = np.max(np.abs(loo["predicted"] - scores[chosen])) / np.max(np.abs(scores[chosen]))
        program.expect(apart <= 1e-8, "predictions", f"{apart:.1e} from influence's scores")
        np.save(path("indices.npy"), chosen[:3])
        done = program.run("retrain", *asked, "--retraining", "proximal", "--indices", path("indices.npy"), "--out",
                           path("proximal"))
        program.expect(done.returncode == 0, "retrain --retraining proximal", done.stderr)
        again = table(path("proximal/loo.csv"))["actual"]
        apart = np.max(np.abs(again - loo["proximal"][:3])) / np.max(np.abs(again))
        program.expect(apart <= 1e-6, "proximal minima", f"{apart:.1e} from retrain's")

        run = subprocess.Popen([program.path, *map(str, panel), "--out", path("killed")], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        journal = path("killed/retrain.journal")  # Adam's, the last of the three
        while run.poll() is None and not (os.path.exists(journal) and os.path.getsize(journal) > 100_000):
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
        program.expect(os.path.exists(journal) and not os.path.exists(path("killed/loo.csv")), "kill -9", "it was done before")
        done = program.run(*panel, "--out", path("killed"), "--resume")
        program.expect(done.returncode == 0, "--resume", done.stderr)
        program.expect(files_of(path("killed")) == files_of(path("whole")), "killed and resumed", "other bytes")
        program.expect(not os.path.exists(journal), "resumed", "the journal is still there")

        done = program.run(*panel[:-1], path("nowhere"), "--out", path("no"))
        program.expect(done.returncode == 2 and "params.npy" in done.stderr and not os.path.exists(path("no")),
                       "no checkpoint", f"exit code {done.returncode}: {done.stderr}")
        done = program.run("reproduce", "figure2", "--panel", "linear", "--checkpoint", path("fit"), "--out", path("no"))
        program.expect(done.returncode == 2 and "--checkpoint" in done.stderr and not os.path.exists(path("no")),
                       "--checkpoint of the linear panel", f"exit code {done.returncode}: {done.stderr}")
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
