#!/usr/bin/python3
"""Figures 1, 3 and 4 on real data against NumPy: every plotted point, the correlations, and the same bytes when run again.

A plain script, no test framework: `check_figures.py --clout build/bin/clout --data data`.
"""

import gzip
import json
import os
import sys

import numpy as np

from program import Program, command_line, scratch


def ones_and_sevens(folder):
    """Training images after the first 5,000 and test images: x as the model sees it, y = 1 for ones and -1 for sevens."""

    def read(name, offset):
        with gzip.open(os.path.join(folder, name)) as file:
            return np.frombuffer(file.read(), np.uint8, offset=offset)

    parts = []
    for name, first in (("train", 5000), ("t10k", 0)):
        x, y = read(f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 784)[first:], read(f"{name}-labels-idx1-ubyte.gz", 8)[first:]
        some = (y == 1) | (y == 7)
        parts.append((x[some] / 255.0, np.where(y[some] == 1, 1.0, -1.0), np.flatnonzero(some)))
    return parts


def table(path):
    return np.genfromtxt(path, delimiter=",", names=True, deletechars="")


def close(program, name, got, expected, tolerance):
    error = np.abs(got - expected).max() / np.abs(expected).max()
    program.expect(got.shape == expected.shape and error <= tolerance, name, f"error {error:.2e}")


def run(program, figure, out, *more):
    done = program.run("reproduce", figure, "--device", program.device, "--out", out, *more, seconds=900)
    program.expect(done.returncode == 0, figure, done.stderr)
    return done.returncode == 0


def check_figure1(program, folder, train, test):
    out = os.path.join(folder, "figure1")
    if not run(program, "figure1", out):
        return
    (x, y, images), (tx, ty, _), l2 = train, test, 0.01
    w = np.zeros(784)
    for _ in range(30):  # Newton's method
        p = 1 / (1 + np.exp(y * (x @ w)))
        g = -(p * y) @ x / len(y) + l2 * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x / len(y) + l2 * np.eye(784)
        w = w - np.linalg.solve(hessian, g)
        if np.linalg.norm(g) < 1e-14:
            break
    p = 1 / (1 + np.exp(y * (x @ w)))
    hessian = (x * (p * (1 - p))[:, None]).T @ x / len(y) + l2 * np.eye(784)
    v = -ty[30] / (1 + np.exp(ty[30] * (tx[30] @ w))) * tx[30]
    s = np.linalg.solve(hessian, v)
    g = -(p * y)[:, None] * x + l2 * w
    expected = dict(influence=g @ s, without_training_loss=-y * (x @ s), without_hessian=g @ v, neither=-y * (x @ v))
    points = table(os.path.join(out, "figure1.csv"))
    summary = json.load(open(os.path.join(out, "summary.json")))
    for name, values in expected.items():
        close(program, f"figure1: {name}", points[name], values, 1e-8)
    program.expect((points["image"] == images).all() and (points["digit"] == np.where(y > 0, 1, 7)).all(), "figure1", "other images")
    for name in ("without_training_loss", "without_hessian", "neither"):
        r = np.corrcoef(expected["influence"], expected[name])[0, 1]
        for which in ("pearson", "pearson_by_cg"):
            program.expect(abs(summary[which][name] - r) < 1e-6, f"figure1: {which}", f"{summary[which][name]}, expected {r}")
    same = np.flatnonzero(y == ty[30])
    harmful = same[np.argsort(expected["influence"][same], kind="stable")[4]]
    program.expect(summary["harmful"]["train_index"] == harmful, "figure1: the harmful image", f"{summary['harmful']}, expected {harmful}")
    pictures = np.load(os.path.join(out, "images.npy")).reshape(2, 784) / 255.0
    program.expect((pictures == np.stack([tx[30], x[harmful]])).all(), "figure1: images.npy", "holds other images")
    again = os.path.join(folder, "again")
    if run(program, "figure1", again):
        for name in ("figure1.csv", "images.npy", "figure1.png", "figure1.svg"):
            first, second = (open(os.path.join(each, name), "rb").read() for each in (out, again))
            program.expect(first == second, "figure1 again", f"{name} has other bytes")


def check_figure3(program, folder, train, test):
    out = os.path.join(folder, "figure3")
    if not run(program, "figure3", out, "--quick"):
        return
    x, y = train[0][:11800], train[1][:11800]
    z_x, z_y, l2 = test[0][1597], test[1][1597], 0.01
    np.save(os.path.join(folder, "x.npy"), np.round(x * 255).astype(np.uint8))
    np.save(os.path.join(folder, "y.npy"), y.astype(np.int64))
    fit = os.path.join(folder, "fit")
    # The weights themselves are checked by check_hinge.py, in long double.
    done = program.run("train", "--model", "margin", "--loss", "hinge", "--l2", l2, "--x", os.path.join(folder, "x.npy"),
                       "--y", os.path.join(folder, "y.npy"), "--out", fit, "--device", program.device)
    if not program.expect(done.returncode == 0, "figure3: train", done.stderr):
        return
    w, share = np.load(os.path.join(fit, "params.npy")), np.load(os.path.join(fit, "dual.npy")) * l2 * len(y)
    margins, test_margin = y * (x @ w), z_y * (z_x @ w)
    points = table(os.path.join(out, "figure3.csv"))
    summary = json.load(open(os.path.join(out, "summary.json")))
    chosen = points["train_index"].astype(int)
    share = np.clip(share, 0, 1)
    hinge = (-(y * share)[:, None] * x + l2 * w) @ (-z_y * z_x * (test_margin < 1)) / l2 / len(y)
    order = np.argsort(-np.abs(hinge), kind="stable")[: len(chosen)]
    program.expect((order == chosen).all(), "figure3: chosen points", "are others than those of largest influence at t = 0")
    close(program, "figure3: hinge", points["predicted_hinge"], hinge[chosen], 1e-9)
    for t in (0.001, 0.1):
        sigma, at_test = 1 / (1 + np.exp(np.clip((margins - 1) / t, -700, 700))), 1 / (1 + np.exp((test_margin - 1) / t))
        hessian = (x * (sigma * (1 - sigma) / t)[:, None]).T @ x / len(y) + l2 * np.eye(784)
        s = np.linalg.solve(hessian, -z_y * at_test * z_x)
        smooth = (-(y * sigma)[:, None] * x + l2 * w) @ s / len(y)
        # Rounding of margins counts 1/t times.
        close(program, f"figure3: t = {t}", points[f"predicted_{t:g}"], smooth[chosen], 1e-7)
    for facts, name in zip(summary["temperatures"], ("predicted_hinge", "predicted_0.001", "predicted_0.1")):
        r = np.corrcoef(points[name], points["actual"])[0, 1]
        program.expect(abs(facts["pearson"] - r) < 1e-10, f"figure3: {name}", f"{facts['pearson']}, expected {r}")
    program.expect(summary["max_duality_gap"] <= 1e-10 and summary["max_relative_residual"] <= 1e-10 and summary["quick"],
                   "figure3: certificates", str(summary))
    done = program.run("retrain", "--model", "margin", "--loss", "hinge", "--l2", l2, "--x", os.path.join(folder, "x.npy"),
                       "--y", os.path.join(folder, "y.npy"), "--params", os.path.join(fit, "params.npy"), *tests_of(folder, z_x, z_y),
                       "--indices", save(folder, "rows", chosen[:4]), "--out", os.path.join(folder, "loo"), "--device", program.device)
    if program.expect(done.returncode == 0, "figure3: retrain", done.stderr):
        loo = table(os.path.join(folder, "loo", "loo.csv"))
        # Both are within their bounds of the same minima.
        close(program, "figure3: actual", loo["actual"], points["actual"][:4], 1e-4)


def photographs(data, part):
    """uint8 [n][3][32][32], and -1 for dogs, 1 for ships."""
    with gzip.open(os.path.join(data, "cifar10-dog-ship", part + ".bin.gz")) as file:
        records = np.frombuffer(file.read(), np.uint8).reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32), np.where(records[:, 0] == 8, 1.0, -1.0)


def network_features(folder, images):
    """The network's forward pass up to the mean over the last map: [n][channels]."""
    spec = json.load(open(os.path.join(folder, "spec.json")))
    theta, at, maps = np.load(os.path.join(folder, "params.npy")).astype(np.float64), 0, images / 255.0
    for layer in (each["conv"] for each in spec["layers"] if "conv" in each):
        out, k, step = layer["out"], layer["kernel"], layer.get("stride", 1)
        size = out * maps.shape[1] * k * k
        weight, bias = theta[at : at + size].reshape(out, -1), theta[at + size : at + size + out]
        at += size + out
        patches = np.lib.stride_tricks.sliding_window_view(maps, (k, k), axis=(2, 3))[:, :, ::step, ::step]
        n, channels, height, width = patches.shape[:4]
        rows = patches.transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, channels * k * k)
        maps = np.tanh(rows @ weight.T + bias).reshape(n, height, width, out).transpose(0, 3, 1, 2)
    return maps.mean((2, 3))


def check_figure4(program, folder, data):
    out = os.path.join(folder, "figure4")
    if not run(program, "figure4", out, "--data", data):
        return
    (images, y), (test_images, test_y), l2, test = photographs(data, "train"), photographs(data, "test"), 1e-3, 462
    points = table(os.path.join(out, "figure4.csv"))
    summary = json.load(open(os.path.join(out, "summary.json")))
    n, model = len(y), os.path.join(data, "models", "convnet-eight")

    x, z = network_features(model, images), network_features(model, test_images)
    w = np.zeros(x.shape[1])
    for _ in range(50):  # Newton's method
        p = 1 / (1 + np.exp(y * (x @ w)))
        g = -(p * y) @ x / n + l2 * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x / n + l2 * np.eye(len(w))
        if np.linalg.norm(g) < 1e-14:
            break
        w = w - np.linalg.solve(hessian, g)
    v = -test_y[test] / (1 + np.exp(test_y[test] * (z[test] @ w))) * z[test]
    close(program, "figure4: network", points["influence_network"], (-(p * y)[:, None] * x + l2 * w) @ np.linalg.solve(hessian, v), 1e-7)
    accuracy = np.mean(test_y * (z @ w) > 0)
    program.expect(abs(summary["network"]["test_accuracy"] - accuracy) < 1e-12, "figure4: network", f"accuracy {accuracy}")

    pixels = np.concatenate([images, test_images]).reshape(n + len(test_y), -1) / 127.5 - 1
    norms = np.sum(pixels * pixels, 1)
    squares = np.maximum(norms[:, None] + norms - 2 * pixels @ pixels.T, 0)
    np.fill_diagonal(squares, 0)
    close(program, "figure4: distances", points["distance"], np.sqrt(squares[n + test, :n]), 1e-10)
    factor = np.linalg.cholesky(np.exp(-0.05 / 1800 * 268203 / 3072 * squares))
    x, z = factor[:n, :n], factor[n:, :n]
    fit = os.path.join(folder, "rbf")
    # The weights themselves are checked by check_hinge.py, in long double.
    done = program.run("train", "--model", "margin", "--loss", "hinge", "--l2", l2, "--x", save(folder, "rows", x),
                       "--y", save(folder, "signs", y.astype(np.int64)), "--out", fit, "--device", program.device)
    if not program.expect(done.returncode == 0, "figure4: train", done.stderr):
        return
    w, t = np.load(os.path.join(fit, "params.npy")), 1e-3
    sigma = 1 / (1 + np.exp(np.clip((y * (x @ w) - 1) / t, -700, 700)))
    at_test = 1 / (1 + np.exp(np.clip((test_y[test] * (z[test] @ w) - 1) / t, -700, 700)))
    hessian = (x * (sigma * (1 - sigma) / t)[:, None]).T @ x / n + l2 * np.eye(n)
    influence = (-(y * sigma)[:, None] * x + l2 * w) @ np.linalg.solve(hessian, -test_y[test] * at_test * z[test])
    # Rounding of margins counts 1/t times.
    close(program, "figure4: rbf", points["influence_rbf"], influence, 1e-6)
    shown = np.load(os.path.join(out, "images.npy"))
    order = [np.argsort(-points[name], kind="stable")[:5] for name in ("influence_rbf", "influence_network")]
    expected = np.concatenate([test_images[test : test + 1], images[order[0]], images[order[1]]])
    program.expect((shown == expected).all(), "figure4: images.npy", "holds other images")
    given = os.path.join(folder, "given")
    features = ["--train-features", save(folder, "ftrain", network_features(model, images)),
                "--test-features", save(folder, "ftest", network_features(model, test_images))]
    if run(program, "figure4", given, "--data", data, *features):
        again = table(os.path.join(given, "figure4.csv"))
        close(program, "figure4: given features", again["influence_network"], points["influence_network"], 1e-7)
    done = program.run("reproduce", "figure4", "--data", data, "--out", os.path.join(folder, "no"), *features[:2])
    program.expect(done.returncode == 2 and "expected both" in done.stderr, "figure4: one file of features", done.stderr)
    done = program.run("reproduce", "figure4", "--data", data, "--out", os.path.join(folder, "no"), *features[:3], features[1])
    program.expect(done.returncode == 2 and "expected [600][64]" in done.stderr, "figure4: rows for other images", done.stderr)


def save(folder, name, array):
    np.save(os.path.join(folder, name + ".npy"), array)
    return os.path.join(folder, name + ".npy")


def tests_of(folder, x, y):
    return ["--test-x", save(folder, "tx", x[None]), "--test-y", save(folder, "ty", np.array([int(y)]))]


def refusals(program, folder):
    for figure, option, owners in (("figure1", ["--quick"], "figure2"), ("figure1", ["--panel", "linear"], "figure2"),
                                   ("figure3", ["--resume"], "figure2"), ("figure3", ["--precision", "single"], "figure2")):
        done = program.run("reproduce", figure, *option, "--out", os.path.join(folder, "no"))
        program.expect(done.returncode == 2 and option[0] in done.stderr and owners in done.stderr and done.stderr.count("\n") == 1,
                       f"{figure} {option[0]}", f"exit {done.returncode}: {done.stderr}")


def main():
    parser = command_line(__doc__)
    parser.add_argument("--data", required=True, help="the folder of data sets that comes with the program")
    options = parser.parse_args()
    program = Program(options.clout, options.device)
    train, test = ones_and_sevens(os.path.join(options.data, "mnist"))
    with scratch() as folder:
        check_figure4(program, folder, options.data)
        check_figure1(program, folder, train, test)
        check_figure3(program, folder, train, test)
        refusals(program, folder)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
