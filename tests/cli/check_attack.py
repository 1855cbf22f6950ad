#!/usr/bin/python3
"""`attack` against the same attacks computed anew in NumPy: training by Newton's method, H^-1 by a dense solve, gradients by the
input from their formulas, a network's by complex steps of its forward pass.

A plain script, no test framework: `check_attack.py --clout build/bin/clout`.
"""

import json
import os
import sys

import numpy as np

import reference
from margin_cases import Margin
from program import Program, parse_json, scratch


class MarginTop:
    """Two-class logistic regression on features, labels 0 and 1."""

    def __init__(self, f, y, l2):
        self.f, self.y, self.l2 = f, y, l2
        self.model = Margin(f, 2 * y - 1, "logistic", l2=l2)

    def on(self, f, y, l2):
        return MarginTop(f, y, l2)

    def minimum(self):
        return self.model.minimum().astype(float)

    def hessian(self, theta):
        return self.model.hessian(theta).astype(float)

    def losses(self, theta):
        return self.model.losses(theta).astype(float)

    def gradients(self, theta):
        return self.model.example_gradients(theta).astype(float)

    def perturb(self, theta, s):
        return self.model.perturb(theta, s).astype(float)

    def right(self, theta):
        return (self.f @ theta > 0) == (self.y == 1)


class SoftmaxTop:
    """Multinomial logistic regression with a bias."""

    def __init__(self, f, y, l2, classes=3):
        self.classes = classes
        self.problem = reference.Problem(f, y, classes, l2, True)

    def on(self, f, y, l2):
        return SoftmaxTop(f, y, l2, self.classes)

    def minimum(self):
        return reference.train(self.problem)[0]

    def hessian(self, theta):
        h, n = reference.hessian(self.problem, theta), self.problem.regularised
        h[n:, n:] += 1.0  # the biases together: no gradient has a part along them
        return h

    def losses(self, theta):
        return reference.losses(self.problem, theta)

    def gradients(self, theta):
        return reference.example_gradients(self.problem, theta)

    def perturb(self, theta, s):
        return reference.perturb(self.problem, theta, s[None])[0]

    def right(self, theta):
        return reference.logits(self.problem, theta).argmax(-1) == self.problem.y


def identity(x):
    return x, lambda u: u


def simulate(case, rows, tests, steps, step, box, low, high, stops=True):
    """One attack: inputs at the end, test losses before and after each step, wrong ones, predicted change of the first."""
    top, x, phi = case["top"], case["x"], case["phi"]
    start = x[rows].copy()
    now, features = start.copy(), phi(x)[0].copy()
    on_tests = top.on(phi(case["tx"][tests])[0], case["ty"][tests], 0.0)
    theta = top.on(features, case["y"], case["l2"]).minimum()
    losses, predicted = [on_tests.losses(theta).mean()], None
    for _ in range(steps):
        model = top.on(features, case["y"], case["l2"])
        s = np.linalg.solve(model.hessian(theta), on_tests.gradients(theta).mean(0))
        g = phi(now)[1](model.perturb(theta, s)[rows])
        moved = np.clip(now - step * np.sign(g), np.maximum(low, start - box), np.minimum(high, start + box))
        if predicted is None:
            predicted = -(g * (moved - now)).sum() / len(x)
        now = moved
        features[rows] = phi(now)[0]
        theta = top.on(features, case["y"], case["l2"]).minimum()
        losses.append(on_tests.losses(theta).mean())
        right = on_tests.right(theta)
        if stops and not right.any():
            break
    return now, losses, right, predicted


def strongest(case, tests, count):
    top, phi = case["top"], case["phi"]
    features, back = phi(case["x"])
    model = top.on(features, case["y"], case["l2"])
    theta = model.minimum()
    on_tests = top.on(phi(case["tx"][tests])[0], case["ty"][tests], 0.0)
    s = np.linalg.solve(model.hessian(theta), on_tests.gradients(theta).mean(0))
    g = back(model.perturb(theta, s)).reshape(len(case["x"]), -1)
    return np.argsort(-np.abs(g).sum(1), kind="stable")[:count]


def network(weights, spec):
    """Features of images and the way back, by complex steps: the mean of the last map's channels."""
    layers, at = [], 0
    channels = spec["input"][0]
    for layer in spec["layers"]:
        if "conv" in layer:
            out, k = layer["conv"]["out"], layer["conv"]["kernel"]
            size = out * channels * k * k
            layers.append((weights[at : at + size].reshape(out, channels, k, k), weights[at + size : at + size + out], layer["conv"]["stride"]))
            at, channels = at + size + out, out

    def forward(x):
        h = x
        for w, b, stride in layers:
            k = w.shape[-1]
            patches = np.lib.stride_tricks.sliding_window_view(h, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
            h = np.tanh(np.einsum("nchwij,ocij->nohw", patches, w) + b[:, None, None])
        return h.mean((2, 3))

    def phi(x):
        def back(u):
            g = np.empty(x.shape)
            flat = g.reshape(len(x), -1)
            for i in range(flat.shape[1]):
                moved = x.astype(complex)
                moved.reshape(len(x), -1)[:, i] += 1e-30j
                flat[:, i] = (forward(moved).imag / 1e-30 * u).sum(1)
            return g

        return forward(x), back

    return phi, at


def save(folder, **arrays):
    for name, array in arrays.items():
        np.save(os.path.join(folder, name + ".npy"), array)


def table(path):
    return np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8", ndmin=1)


# A gradient norm of 1e-10 leaves parameters 1e-10 / l2 from the minimum, l2 at least 0.01, and losses as far times a test
# gradient's size, of order 1.
LOSS_TOLERANCE = 2e-8


def compare(program, name, out, case, plans, options, stops=True):
    """`plans`: (rows, tests) of every attack, in order."""
    inputs, rows = np.load(os.path.join(out, "attacked.npy")), table(os.path.join(out, "attack.csv"))
    program.expect(inputs.shape == (len(plans), len(plans[0][0]), *case["x"].shape[1:]), name, f"shape {inputs.shape}")
    line = 0
    for a, (train_rows, tests) in enumerate(plans):
        now, losses, right, predicted = simulate(case, train_rows, tests, stops=stops, **options)
        program.expect(np.abs(inputs[a] - now).max() <= 1e-12 * max(1, np.abs(now).max()), name,
                       f"attack {a}: inputs differ by {np.abs(inputs[a] - now).max():.2e}")
        mine = rows[line : line + len(tests)]
        line += len(tests)
        program.expect([int(r["test_index"]) for r in mine] == list(tests), name, f"attack {a}: tests {mine['test_index']}")
        program.expect([int(i) for i in str(mine[0]["train_indices"]).split()] == list(train_rows), name, f"attack {a}: rows {mine[0]['train_indices']}, expected {train_rows}")
        for column, expected in (("loss_before", losses[0]), ("loss_after", losses[-1]), ("loss_anew", losses[-1])):
            program.expect(abs(mine[column].mean() - expected) <= LOSS_TOLERANCE, name, f"attack {a}: {column} {mine[column].mean()}, expected {expected}")
        program.expect([int(f) for f in mine["flipped"]] == [int(not r) for r in right], name, f"attack {a}: flipped {mine['flipped']}")
        program.expect(list(mine["flipped"]) == list(mine["flipped_anew"]), name, f"attack {a}: anew {mine['flipped_anew']}")
        program.expect(int(mine[0]["steps"]) == len(losses) - 1, name, f"attack {a}: {mine[0]['steps']} steps, expected {len(losses) - 1}")
        program.expect(abs(mine[0]["predicted_first"] - predicted) <= 1e-6 * abs(predicted), name, f"attack {a}: predicted {mine[0]['predicted_first']}, expected {predicted}")
        program.expect(abs(mine[0]["actual_first"] - (losses[1] - losses[0])) <= LOSS_TOLERANCE, name, f"attack {a}: actual {mine[0]['actual_first']}")
        for column in ("gradient_norm", "gradient_norm_anew"):
            program.expect(0 <= mine[0][column] <= 1e-10, name, f"attack {a}: {column} {mine[0][column]}")
    program.expect(line == len(rows), name, f"{len(rows)} rows")


def attack(program, folder, model, out, *more):
    path = lambda name: os.path.join(folder, name + ".npy")
    done = program.run("attack", *model, "--x", path("x"), "--y", path("y"), "--params", path("params"), "--test-x", path("tx"),
                       "--test-y", path("ty"), "--device", program.device, "--json", "--out", out, *more)
    program.expect(done.returncode == 0, out, done.stderr)
    return done.returncode == 0 and parse_json(done.stdout)


def right_tests(case):
    model = case["top"].on(case["phi"](case["x"])[0], case["y"], case["l2"])
    on_tests = case["top"].on(case["phi"](case["tx"])[0], case["ty"], 0.0)
    return [int(i) for i in np.flatnonzero(on_tests.right(model.minimum()))]


def check_margin(program, scratch_folder):
    rng, folder = np.random.default_rng(3), os.path.join(scratch_folder, "margin")
    os.makedirs(folder)
    x, tx = rng.standard_normal((40, 5)), rng.standard_normal((9, 5))
    truth = rng.standard_normal(5)
    y, ty = (x @ truth + 0.5 * rng.standard_normal(40) > 0).astype(int), (tx @ truth > 0).astype(int)
    l2 = 0.05
    save(folder, x=x, y=2 * y - 1, tx=tx, ty=2 * ty - 1, params=np.zeros(5))
    case = {"top": MarginTop(x, y, l2), "x": x, "y": y, "tx": tx, "ty": ty, "l2": l2, "phi": identity}
    right, model = right_tests(case), ["--model", "margin", "--loss", "logistic", "--l2", l2]
    np.save(os.path.join(folder, "params.npy"), case["top"].minimum())
    for points, steps, step, box in ((1, 6, 0.3, 1.0), (3, 25, 0.25, 5.0), (2, 1, 0.01, 0.005)):
        out = os.path.join(folder, f"out{points}")
        facts = attack(program, folder, model, out, "--points", points, "--steps", steps, "--step", step, "--box", box)
        if not facts:
            continue
        plans = [([int(i) for i in strongest(case, [t], points)], [t]) for t in right]
        compare(program, f"margin, {points} points", out, case, plans, dict(steps=steps, step=step, box=box, low=-np.inf, high=np.inf))
        rows = table(os.path.join(out, "attack.csv"))
        program.expect(facts["attacks"] == len(right) and facts["already_wrong"] == 9 - len(right) and facts["flipped"] == rows["flipped"].sum()
                       and facts["flipped_anew"] == rows["flipped"].sum() and facts["refits"] == rows["steps"].sum() + len(right), "margin", f"facts {facts}")
        if points == 3:
            program.expect(0 < facts["flipped"], "margin", "nothing flipped: the case tests too little")
    np.save(os.path.join(folder, "zero.npy"), np.zeros(5))
    path = lambda name: os.path.join(folder, name + ".npy")
    done = program.run("attack", *model, "--x", path("x"), "--y", path("y"), "--params", path("zero"), "--test-x", path("tx"), "--test-y", path("ty"), "--points", 1,
                       "--steps", 6, "--step", 0.3, "--box", 1, "--device", program.device, "--quiet", "--out", os.path.join(folder, "from_zero"))
    program.expect(done.returncode == 0 and "zero.npy: gradient norm 0." in done.stderr and "refitted first" in done.stderr, "margin, from zero", done.stderr)
    gap = np.abs(np.load(os.path.join(folder, "from_zero", "attacked.npy")) - np.load(os.path.join(folder, "out1", "attacked.npy"))).max()
    program.expect(gap <= 1e-12, "margin, from zero", f"inputs differ by {gap:.2e}")
    # Together, on given rows, within a range.
    np.save(os.path.join(folder, "rows.npy"), np.array([7, 2]))
    out = os.path.join(folder, "together")
    if attack(program, folder, model, out, "--indices", os.path.join(folder, "rows.npy"), "--together", "--steps", 5, "--step", 0.5, "--box", 2, "--range", -2.85, 3.33):
        compare(program, "margin, together", out, case, [([7, 2], right)], dict(steps=5, step=0.5, box=2, low=-2.85, high=3.33))
        program.expect(np.load(os.path.join(out, "attacked.npy")).min() == -2.85, "margin, together", "the range is not reached: the case tests too little")
    predicted = np.where(np.isin(np.arange(9), right), ty, 1 - ty)
    np.save(os.path.join(folder, "wrong.npy"), 1 - 2 * predicted)
    return folder, model


def check_cold(program, scratch_folder):
    """Losses so small that their squares leave double, and a bias that has no curvature at zero."""
    rng, folder = np.random.default_rng(8), os.path.join(scratch_folder, "cold")
    os.makedirs(folder)
    x = rng.standard_normal((40, 3))
    y = (x[:, 0] > 0).astype(int)
    x[:, 0] += np.where(y == 1, 1.0, -1.0)
    tx, ty = np.array([[2.9, 0.1, 0.0], [-3.5, 0.0, 0.2]]), np.array([1, 0])
    l2, t = 0.02, 0.005
    save(folder, x=x, y=y, tx=tx, ty=ty)
    path = lambda name: os.path.join(folder, name + ".npy")
    for bias in ([], ["--bias"]):
        model = ["--model", "margin", "--loss", "smooth-hinge", "--temperature", t, "--l2", l2, *bias]
        fit = os.path.join(folder, "fit")
        done = program.run("train", *model, "--x", path("x"), "--y", path("y"), "--device", program.device, "--out", fit)
        program.expect(done.returncode == 0, f"cold {bias}: train", done.stderr)
        os.replace(os.path.join(fit, "params.npy"), path("params"))
        out = os.path.join(folder, "out" + "".join(bias))
        facts = attack(program, folder, model, out, "--points", 4, "--steps", 40, "--step", 0.25, "--box", 5)
        if not facts:
            continue
        theta = np.load(path("params"))
        margins = (2 * ty - 1) * (tx @ theta[:3] + (theta[3] if bias else 0))
        program.expect((facts["trained_anew_from_zero"] < 2) == bool(bias), f"cold {bias}", f"facts {facts}")
        program.expect((margins > 2.9).any(), f"cold {bias}", f"margins {margins}: the case tests too little")
        rows = table(os.path.join(out, "attack.csv"))
        program.expect((rows["loss_after"] > 1e3 * rows["loss_before"]).all(), f"cold {bias}", f"losses {rows['loss_before']} to {rows['loss_after']}")
        program.expect(np.allclose(rows["loss_after"], rows["loss_anew"], rtol=1e-4, atol=1e-7), f"cold {bias}", f"anew {rows['loss_anew']}, refitted {rows['loss_after']}")


def check_softmax(program, scratch_folder):
    rng, folder = np.random.default_rng(4), os.path.join(scratch_folder, "softmax")
    os.makedirs(folder)
    x, tx = rng.integers(0, 256, (30, 4), dtype=np.uint8), rng.integers(0, 256, (7, 4), dtype=np.uint8)
    x[:, 1] //= 64
    truth = rng.standard_normal((3, 4))
    y, ty = (x / 255 @ truth.T).argmax(1), (tx / 255 @ truth.T).argmax(1)
    y[:3] = 0, 1, 2
    l2 = 0.02
    save(folder, x=x, y=y, tx=tx, ty=ty, params=np.zeros(15))
    case = {"top": SoftmaxTop(x / 255, y, l2), "x": x / 255, "y": y, "tx": tx / 255, "ty": ty, "l2": l2, "phi": identity}
    model = ["--model", "logistic", "--classes", 3, "--bias", "--l2", l2]
    right = right_tests(case)
    for points, more, options in ((2, ["--steps", 4, "--step", 40, "--box", 100], dict(steps=4, step=40 / 255, box=100 / 255)),
                                  (1, ["--steps", 30], dict(steps=30, step=0.02 / 255, box=0.5 * (1 - 2.0**-20) / 255))):
        out = os.path.join(folder, f"out{points}")
        if attack(program, folder, model, out, "--points", points, *more):
            plans = [([int(i) for i in strongest(case, [t], points)], [t]) for t in right]
            compare(program, f"softmax, {points} points", out, case, plans, dict(low=0, high=1, **options))
    for low, high in ((0, int(x.max())), (int(x.min()), 255)):  # the ends are inside, for every byte
        attack(program, folder, model, os.path.join(folder, "ends"), "--points", 1, "--steps", 1, "--range", low, high)
    inputs, rows = np.load(os.path.join(folder, "out1", "attacked.npy")), table(os.path.join(folder, "out1", "attack.csv"))
    originals = np.array([x[int(i)] for i in rows["train_indices"]])[:, None]
    for rounded in (np.floor(inputs * 255 + 0.5), np.ceil(inputs * 255 - 0.5)):
        program.expect((rounded == originals).all(), "softmax", "other bytes after rounding")


def check_network(program, scratch_folder):
    rng, folder = np.random.default_rng(5), os.path.join(scratch_folder, "network")
    os.makedirs(folder)
    spec = {"input": [2, 6, 5], "layers": [{"conv": {"out": 3, "kernel": 3, "stride": 1}}, {"conv": {"out": 4, "kernel": 2, "stride": 2}},
                                           {"mean_pool": {}}, {"linear": {"out": 3}}]}
    with open(os.path.join(folder, "spec.json"), "w") as file:
        json.dump(spec, file)
    weights = rng.standard_normal(2 * 9 * 3 + 3 + 3 * 4 * 4 + 4 + 4 * 3 + 3) * 0.6
    phi, at = network(weights, spec)
    x, tx = rng.standard_normal((24, 2, 6, 5)), rng.standard_normal((6, 2, 6, 5))
    truth = rng.standard_normal((3, 4))
    y, ty = (phi(x)[0] @ truth.T).argmax(1), (phi(tx)[0] @ truth.T).argmax(1)
    y[:3] = 0, 1, 2
    l2 = 0.01
    save(folder, x=x, y=y, tx=tx, ty=ty, params=weights)
    case = {"top": SoftmaxTop(phi(x)[0], y, l2), "x": x, "y": y, "tx": tx, "ty": ty, "l2": l2, "phi": phi}
    model = ["--model", "convnet", "--spec", os.path.join(folder, "spec.json"), "--l2", l2]
    program.expect(at == len(weights) - 15, "network", "the reference's layout")
    right, out = right_tests(case), os.path.join(folder, "out")
    if attack(program, folder, model, out, "--points", 2, "--steps", 12, "--step", 0.1, "--box", 0.8):
        plans = [([int(i) for i in strongest(case, [t], 2)], [t]) for t in right]
        compare(program, "network", out, case, plans, dict(steps=12, step=0.1, box=0.8, low=-np.inf, high=np.inf))
    out = os.path.join(folder, "together")  # few attacks choose their rows another way than many
    if attack(program, folder, model, out, "--together", "--points", 3, "--steps", 8, "--step", 0.2, "--box", 1):
        plans = [([int(i) for i in strongest(case, right, 3)], right)]
        compare(program, "network, together", out, case, plans, dict(steps=8, step=0.2, box=1, low=-np.inf, high=np.inf))


def check_refusals(program, folder, model):
    path = lambda name: os.path.join(folder, name + ".npy")
    np.save(path("weights"), np.ones(40))
    np.save(path("outside"), np.array([3, 40]))
    np.save(path("twice"), np.array([3, 3]))
    np.save(path("none"), np.zeros(0, int))
    sizes = ["--step", 0.1, "--box", 1]
    linear = ["--x", path("x"), "--y", path("y"), "--params", path("params"), "--test-x", path("tx"), "--test-y", path("ty")]
    for more, words in (([], "--step and --box"), ([*sizes, "--weights", path("weights")], "--weights"),
                        ([*sizes, "--points", 41], "at most 40"), ([*sizes, "--precision", "single"], "in double"), ([*sizes, "--range", 1], "expected two"),
                        ([*sizes, "--range", -0.5, 0.5], "at [0]["), ([*sizes, "--points", 0], "--points"),
                        ([*sizes, "--indices", path("outside")], "row 40 at [1]"), ([*sizes, "--indices", path("twice")], "each once"), ([*sizes, "--indices", path("none")], "is empty"),
                        ([*sizes, "--range", 2, 1], "--range"), ([*sizes, "--test-y", path("wrong")], "wrong already"),
                        (["--step", -1, "--box", 1], "--step"), ([*sizes, "--steps", 0], "--steps"),
                        ([*sizes, "--points", 2, "--indices", path("rows")], "excludes")):
        out = os.path.join(folder, "refused")
        arguments = [*linear, *more]
        if "--test-y" in more:  # the last one counts nowhere: replace it
            arguments = [a for a in linear if a not in ("--test-y", path("ty"))] + list(more)
        done = program.run("attack", *model, *arguments, "--device", program.device, "--out", out)
        lines = done.stderr.strip().splitlines()
        program.expect(done.returncode == 2 and len(lines) == 1 and words in lines[0], f"attack {more}", f"exit {done.returncode}: {done.stderr}")
        program.expect(not os.path.exists(out), f"attack {more}", "left a folder")
    hinge = ["--model", "margin", "--loss", "hinge", "--l2", 0.05]
    done = program.run("attack", *hinge, *linear, *sizes, "--device", program.device, "--out", os.path.join(folder, "refused"))
    program.expect(done.returncode == 2 and "smooth-hinge" in done.stderr, "attack hinge", done.stderr)
    done = program.run("attack", *model, *linear, *sizes, "--tolerance", 1e-30, "--device", program.device, "--out", os.path.join(folder, "refused"))
    program.expect(done.returncode == 3 and len(done.stderr.strip().splitlines()) == 1, "attack tolerance", f"exit {done.returncode}: {done.stderr}")
    program.expect(not os.path.exists(os.path.join(folder, "refused")), "attack tolerance", "left a folder")


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        refusals = check_margin(program, folder)
        check_cold(program, folder)
        check_softmax(program, folder)
        check_network(program, folder)
        check_refusals(program, *refusals)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
