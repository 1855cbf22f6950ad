"""What the tests of the program share: running it, small problems on disk, and a list of what went wrong."""

import argparse
import json
import os
import subprocess
import tempfile

import numpy as np

# Threads that spin starve each other where tests run side by side.
ENVIRONMENT = dict(os.environ, OMP_WAIT_POLICY="passive")


def command_line(description):
    """What every check is told: the program and its device."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clout", required=True, help="the program")
    parser.add_argument("--device", default="cpu")
    return parser


class Program:
    """The program under test, and the failures found so far."""

    def __init__(self, path, device):
        self.path, self.device, self.failures, self.checks = path, device, [], 0

    @classmethod
    def of(cls, description):
        options = command_line(description).parse_args()
        return cls(options.clout, options.device)

    def run(self, *arguments, threads=None, seconds=300, **options):
        command = [self.path, *map(str, arguments)]
        if threads:
            command += ["--threads", str(threads)]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=ENVIRONMENT, **options)

    def expect(self, holds, name, why):
        self.checks += 1
        if not holds:
            self.failures.append((name, why))
        return holds

    def summary(self):
        for name, why in self.failures:
            print(f"FAILED  {name}: {why}")
        print(f"{self.checks - len(self.failures)} of {self.checks} checks passed")
        return 1 if self.failures else 0


class Files:
    """A small logistic problem on disk; `common` are the options that name it."""

    def __init__(self, folder, n=24, d=3, classes=3, bias=False, l2=0.05, seed=1):
        self.folder, self.n, self.p = folder, n, classes * (d + bias)
        os.makedirs(folder, exist_ok=True)
        rng = np.random.default_rng(seed)
        self.save("x", rng.standard_normal((n, d)))
        self.save("y", np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)]))
        self.save("tx", rng.standard_normal((4, d)))
        self.save("ty", rng.integers(0, classes, 4))
        self.save("params", rng.standard_normal(self.p) * 0.1)
        self.save("vectors", rng.standard_normal((2, self.p)))
        self.save("weights", rng.uniform(0.5, 2, n))
        self.save("indices", np.arange(0, n, 5))
        self.model = ["--classes", classes, "--l2", l2, *(["--bias"] if bias else [])]

    def path(self, name):
        return os.path.join(self.folder, name)

    def save(self, name, array):
        np.save(self.path(name + ".npy"), array)
        return self.path(name + ".npy")

    def options(self, fitted=True, **changed):
        """--x … --y … --params … with the values of `changed` instead (underscore: hyphen; None: left out)"""
        values = {"x": self.path("x.npy"), "y": self.path("y.npy")}
        if fitted:
            values["params"] = self.path("params.npy")
        values.update({name.replace("_", "-"): value for name, value in changed.items()})
        given = [part for name, value in values.items() if value is not None for part in (f"--{name}", value)]
        return [*self.model, *given]

    def tests(self):
        return ["--test-x", self.path("tx.npy"), "--test-y", self.path("ty.npy")]


def fit(program, files):
    """Trains on `files` and makes the result their params.npy."""
    out = files.path("fit")
    done = program.run("train", *files.options(fitted=False), "--out", out, "--device", program.device)
    if program.expect(done.returncode == 0, "train", done.stderr):
        os.replace(os.path.join(out, "params.npy"), files.path("params.npy"))


def scratch():
    return tempfile.TemporaryDirectory(prefix="clout-cli-")


def parse_json(text):
    try:
        return json.loads(text)
    except ValueError:
        return None
