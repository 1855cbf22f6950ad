#!/usr/bin/python3
"""Hessian products, iterations and seconds of `clout solve --solver cg` to 1e-10 with each preconditioner: MNIST's first 5,500 images,
whose pixels have one scale, and the hospital's table, whose columns have many. Some minutes.

    bench/preconditioners.py [--clout build/bin/clout] [--vectors 8]
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
WAYS = ([], ["jacobi"], ["nystrom", "--rank", "64"], ["kronecker"])


def mnist():
    def read(name, header):
        with gzip.open(ROOT / "data/mnist" / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)
    return read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:5_500], read("train-labels-idx1-ubyte.gz", 8)[:5_500].astype(np.int64)


def hospital():
    import check_hospital
    _, x, y = check_hospital.design(*check_hospital.read_table())
    train, _ = check_hospital.split(y)
    return x[train], y[train].astype(np.int64)


def gradients(x, y, theta, count):
    """Of the first examples' losses: [count][p]."""
    x = x[:count] / 255.0 if x.dtype == np.uint8 else x[:count]
    z = x @ theta.reshape(-1, x.shape[1]).T
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(count), y[:count]] -= 1
    return (p[:, :, None] * x[:, None, :]).reshape(count, -1)


def run(clout, *arguments):
    done = subprocess.run([clout, *map(str, arguments), "--no-progress"], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


def measure(clout, folder, name, x, y, l2, count):
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    model = ["--model", "logistic", "--classes", y.max() + 1, "--l2", l2, "--x", folder / "x.npy", "--y", folder / "y.npy"]
    failure = run(clout, "train", *model, "--tolerance", 1e-10, "--out", folder / "fit")
    if failure:
        sys.exit(f"preconditioners: {failure}")
    np.save(folder / "v.npy", gradients(x, y, np.load(folder / "fit/params.npy"), count))
    for precision in ("double", "single"):
        for way in WAYS:
            failure = run(clout, "solve", *model, "--params", folder / "fit/params.npy", "--vectors", folder / "v.npy", "--solver", "cg",
                          "--precision", precision, *(["--preconditioner", *way] if way else []), "--out", folder / "s.npy")
            line = f"{name}, lambda {l2:g}, {precision}, {' '.join(way) or 'none'}: "
            if failure:
                print(line + failure, flush=True)
                continue
            report = json.loads((folder / "s.npy.report.json").read_text())
            iterations = [column["iterations"] for column in report["columns"]]
            print(line + f"{report['hessian_products']} products, {max(iterations)} iterations at most, {report['seconds']:.2f} s, "
                  f"residual {report['max_relative_residual']:.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clout", default=ROOT / "build/bin/clout", help="the program")
    parser.add_argument("--vectors", type=int, default=8, help="right-hand sides: gradients of the first examples")
    options = parser.parse_args()
    for name, data, weights in (("mnist", mnist, (1e-2, 1e-3)), ("hospital", hospital, (1e-4,))):
        x, y = data()
        for l2 in weights:
            with tempfile.TemporaryDirectory() as folder:
                measure(options.clout, pathlib.Path(folder), name, x, y, l2, options.vectors)


if __name__ == "__main__":
    main()
