#!/usr/bin/python3
"""Hessian products, iterations and seconds of `clout solve`: what each iterative solver, precision and preconditioner takes.

    bench/solves.py [--part solvers|precisions|preconditioners] [--clout build/bin/clout] [--passes build/bin/clout_passes]

solvers: cg and block-cg in double for 1, 8 and 32 gradients of test images, all 55,000 images of MNIST; beside the seconds, how many times
    those that the same number of products with as many vectors takes by itself (`clout_passes`).
precisions: products in single precision and residuals in double, against double throughout, there too.
preconditioners: of 8 gradients on MNIST's first 5,500 images, whose pixels have one scale, and on the hospital's table, whose columns have many.

Right-hand sides are gradients of losses at the fit. Counts are exact and the same on every machine of a kind; all parts take some ten minutes.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/cli"))
ALL, FEW = 55_000, 5_500


def images(part, count):
    def read(name, header):
        with gzip.open(ROOT / "data/mnist" / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)
    return (read(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:count],
            read(f"{part}-labels-idx1-ubyte.gz", 8)[:count].astype(np.int64))


def hospital():
    import check_hospital
    _, x, y = check_hospital.design(*check_hospital.read_table())
    train, _ = check_hospital.split(y)
    return x[train], y[train].astype(np.int64)


def gradients(x, y, theta):
    """Of every example's loss: [count][p]."""
    x = x / 255.0 if x.dtype == np.uint8 else x
    z = x @ theta.reshape(-1, x.shape[1]).T
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return (p[:, :, None] * x[:, None, :]).reshape(len(y), -1)


class Problem:
    """A data set at the minimum for one lambda, in a folder of its own."""

    def __init__(self, options, name, train, test, l2):
        self.options, self.name, self.l2 = options, name, l2
        self.place = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.place.name)
        x, y = train
        np.save(self.folder / "x.npy", x)
        np.save(self.folder / "y.npy", y)
        self.model = ["--model", "logistic", "--classes", y.max() + 1, "--l2", l2, "--x", self.folder / "x.npy", "--y",
                      self.folder / "y.npy"]
        failure = self.run("train", *self.model, "--tolerance", 1e-10, "--out", self.folder / "fit")
        if failure:
            sys.exit(f"solves: {failure}")
        theta = np.load(self.folder / "fit/params.npy")
        self.vectors = gradients(*test, theta)
        if x.dtype == np.uint8:  # what clout_passes reads
            x.tofile(self.folder / "x.uint8")
            y.astype(np.int32).tofile(self.folder / "y.int32")
            theta.tofile(self.folder / "params.float64")
            self.vectors.tofile(self.folder / "vectors.float64")

    def run(self, *arguments):
        done = subprocess.run([self.options.clout, *map(str, arguments), "--no-progress"], capture_output=True, text=True)
        return done.stderr.strip() if done.returncode else ""

    def product_seconds(self, k):
        """The median of a few."""
        done = subprocess.run([self.options.passes, "logistic", "double", "auto", str(self.options.threads), self.folder],
                              input=f"hvp {k} 9 -\n", capture_output=True, text=True, check=True)
        return float(np.median(json.loads(done.stdout.splitlines()[-1])["seconds"]))

    def solve(self, k, *how, product_seconds=None):
        """Prints one line."""
        np.save(self.folder / "v.npy", self.vectors[:k])
        failure = self.run("solve", *self.model, "--params", self.folder / "fit/params.npy", "--vectors", self.folder / "v.npy",
                           *how, "--out", self.folder / "s.npy")
        line = f"{self.name}, lambda {self.l2:g}, k = {k}, {' '.join(map(str, how))}: "
        if failure:
            return print(line + failure, flush=True)
        report = json.loads((self.folder / "s.npy.report.json").read_text())
        products, seconds = report["hessian_products"], report["seconds"]
        line += f"{products} products, {max(column['iterations'] for column in report['columns'])} iterations at most, {seconds:.2f} s, "
        if product_seconds:
            line += f"{seconds / (products / k * product_seconds):.2f} times the products', "
        print(line + f"residual {report['max_relative_residual']:.1e}", flush=True)


def solvers(options):
    problem = Problem(options, "mnist", images("train", ALL), images("t10k", 32), 1e-2)
    for k in (1, 8, 32):
        product_seconds = problem.product_seconds(k)
        for tolerance in ("1e-6", "1e-10"):
            for solver in ("cg", "block-cg"):
                problem.solve(k, "--solver", solver, "--tolerance", tolerance, product_seconds=product_seconds)


def precisions(options):
    for l2 in (1e-2, 1e-4):
        problem = Problem(options, "mnist", images("train", ALL), images("t10k", 32), l2)
        for k, solver, tolerance in ((1, "cg", "1e-10"), (1, "cg", "1e-12"), (32, "block-cg", "1e-12")):
            for precision in ("double", "single"):
                problem.solve(k, "--solver", solver, "--tolerance", tolerance, "--precision", precision)


def preconditioners(options):
    ways = ([], ["jacobi"], ["nystrom", "--rank", "64"], ["kronecker"])
    for name, (x, y), weights in (("mnist", images("train", FEW), (1e-2, 1e-3)), ("hospital", hospital(), (1e-4,))):
        for l2 in weights:
            problem = Problem(options, name, (x, y), (x[:8], y[:8]), l2)
            for precision in ("double", "single"):
                for way in ways:
                    problem.solve(8, "--solver", "cg", "--precision", precision, *(["--preconditioner", *way] if way else []))


PARTS = {part.__name__: part for part in (solvers, precisions, preconditioners)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, help="one part alone")
    parser.add_argument("--clout", default=ROOT / "build/bin/clout", help="the program")
    parser.add_argument("--passes", default=ROOT / "build/bin/clout_passes", help="the passes alone")
    parser.add_argument("--threads", type=int, default=2, help="of the passes alone")
    options = parser.parse_args()
    for name, part in PARTS.items():
        if options.part in (None, name):
            part(options)


if __name__ == "__main__":
    main()
