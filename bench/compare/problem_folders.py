"""Lays the problems down as raw arrays (bench/peers/problem.py says which) and as .npy files for the program."""

import subprocess

import numpy as np

from checks import CLASSES, PIXELS
from work_list import EXAMPLES, QUICK, REMOVED

TESTS, VECTORS, SMALL = 1_000, 32, 10  # SMALL: the trial problems have a tenth of the examples


def write(folder, x, y, minimum, test_x, test_y, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    np.ascontiguousarray(x.reshape(len(x), PIXELS)).tofile(folder / "x.uint8")
    y.astype(np.int32).tofile(folder / "y.int32")
    minimum.tofile(folder / "minimum.float64")
    (0.9 * minimum).tofile(folder / "params.float64")
    random.uniform(-1, 1, (VECTORS, len(minimum))).tofile(folder / "vectors.float64")
    np.ascontiguousarray(test_x.reshape(len(test_x), PIXELS)).tofile(folder / "test-x.uint8")
    test_y.astype(np.int32).tofile(folder / "test-y.int32")


def test_gradients(theta, x, y):
    """∇ℓ of softmax regression for every test: [tests][p]."""
    x = x.reshape(-1, PIXELS) / 255.0
    z = x @ theta.reshape(CLASSES, PIXELS).T
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return (p[:, :, None] * x[:, None, :]).reshape(len(y), -1)


def removals(folder):
    """The examples that are left out, one a model; the first few are a sample."""
    examples = (folder / "y.int32").stat().st_size // 4
    removed = np.random.default_rng(1).choice(examples, min(REMOVED, examples), replace=False).astype(np.int64)
    removed.tofile(folder / "removed.int64")
    np.save(folder / "removed.npy", removed)


def make(root, program, out, part):
    """{model: folder}, and small ones for trials. Made once: what is there is taken. `part`: of so many examples one."""
    folders = {name: out / name for name in ("logistic", "logistic-small", "convnet", "convnet-small")}
    if (out / "done").exists():
        return folders
    for name, options in (("mnist", []), ("small", ["--small"])):
        subprocess.run([root / "scripts/mnist-arrays", *options, out / name], check=True)
    large, small = ({name: np.load(out / part / f"{name}.npy") for name in ("x", "y", "test-x", "test-y")}
                    for part in ("mnist", "small"))
    for name in ("x", "y"):
        large[name] = large[name][: EXAMPLES["logistic"] // part]
        small[name] = small[name][: EXAMPLES["convnet"] // part]
        np.save(out / f"{name}.npy", large[name])
    fit = out / "fit"
    subprocess.run([program, "train", "--model", "logistic", "--classes", "10", "--l2", "0.01", "--x", out / "x.npy", "--y",
                    out / "y.npy", "--tolerance", "1e-12", "--out", fit, "--quiet"], check=True)
    minimum = np.load(fit / "params.npy")
    tests = large["test-x"][:TESTS], large["test-y"][:TESTS]
    write(folders["logistic"], large["x"], large["y"], minimum, *tests)
    network = np.load(root / "data/models/convnet-seed0/params.npy").astype(np.float64)
    write(folders["convnet"], small["x"], small["y"], network, *tests)
    for name, data, point in (("logistic-small", large, minimum), ("convnet-small", small, network)):
        few = len(data["x"]) // SMALL
        write(folders[name], data["x"][:few], data["y"][:few], point, *tests)

    gradients = test_gradients(minimum, *tests)
    for name in ("logistic", "logistic-small"):
        gradients.tofile(folders[name] / "tests.float64")
        removals(folders[name])
    folder = folders["logistic"]
    for name in ("x", "y", "test-x", "test-y"):
        np.save(folder / f"{name}.npy", large[name][:TESTS] if name.startswith("test") else large[name])
    np.save(folder / "minimum.npy", minimum)
    for k in (1, 32, TESTS):
        np.save(folder / f"tests-{k}.npy", gradients[:k])
    (out / "done").touch()
    return folders
