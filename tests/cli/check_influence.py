#!/usr/bin/python3
"""influence beyond single pairs in memory: sets, labels, second order, every point on itself, against reference.py and
against really retraining; and results larger than memory, killed and resumed.

    check_influence.py --clout build/bin/clout [--device cpu] [--only NAME]

Exit status: 0 all as it should be, 1 something else.
"""

import csv
import dataclasses
import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import reference

from bad_inputs import Bench
from program import ENVIRONMENT, Files, Program, command_line, fit, parse_json, scratch

MNIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "mnist")
relative = lambda actual, expected: np.linalg.norm(actual - expected) / np.linalg.norm(expected)


class Job:
    """A fitted problem on disk, the reference's view of it, and `influence` on it."""

    def __init__(self, program, files, classes, bias, l2):
        self.program, self.files = program, files
        fit(program, files)
        read = lambda name: np.load(files.path(name + ".npy"))
        self.theta = read("params")
        self.train = reference.Problem(read("x").astype(float), read("y"), classes, l2, bias)
        self.test = reference.Problem(read("tx").astype(float), read("ty"), classes, l2, bias)

    def run(self, name, array, *more, tests=True, verb="influence"):
        """The array that the run wrote, and its printed facts; None where it failed."""
        out = self.files.path(name.replace(" ", "-"))
        given = [*self.files.options(), *(self.files.tests() if tests else []), *more]
        done = self.program.run(verb, *given, "--json", "--out", out, "--device", self.program.device)
        if not self.program.expect(done.returncode == 0, name, f"exit code {done.returncode}: {done.stderr.strip()}"):
            return None, None
        return np.load(os.path.join(out, array)) if array else out, parse_json(done.stdout)

    def groups(self, name, groups):
        with open(self.files.path(name + ".json"), "w", encoding="utf-8") as file:
            json.dump(groups, file)
        return self.files.path(name + ".json")


def small_job(program, folder, bias=False, n=60, d=4, classes=3, l2=0.02):
    files = Files(os.path.join(folder, f"small-{bias}-{n}"), n=n, d=d, classes=classes, bias=bias, l2=l2)
    return Job(program, files, classes, bias, l2)


def newton_steps(job, groups):
    """[n_test][groups]: the test losses' slopes along (kappa H_G)^-1 times the sets' gradients"""
    train, theta, n = job.train, job.theta, len(job.train.y)
    g = reference.example_gradients(train, theta) + train.l2 * train.penalised(theta)
    of_tests, columns = reference.example_gradients(job.test, theta), []
    for group in groups:
        left = reference.without(train, group)
        h = (n - len(group)) / n * reference.hessian(left, theta)
        if train.bias:
            h[train.regularised :, train.regularised :] += 1 / train.classes
        columns.append(of_tests @ np.linalg.solve(h, g[group].sum(axis=0) / n))
    return np.array(columns).T


def check_sets(program, folder):
    groups = [[0], [5, 9, 2], [10, 11, 12, 13], [59, 9]]
    for bias in (False, True):
        job = small_job(program, folder, bias)
        given = ["--groups", job.groups("groups", groups)]
        first, facts = job.run("groups", "group_scores.npy", *given)
        single = reference.influence(job.train, job.theta, job.test)
        sums = np.array([single[:, group].sum(axis=1) for group in groups]).T
        second, _ = job.run("groups to second order", "group_scores.npy", *given, "--second-order")
        if first is None or second is None:
            continue
        program.expect(facts["groups"] == len(groups), "groups", f"facts are {facts}")
        program.expect(relative(first, sums) < 1e-7, "groups", f"off by {relative(first, sums):.1e}")
        error = relative(second, newton_steps(job, groups))
        program.expect(error < 1e-7, "groups to second order", f"off by {error:.1e}")
        loo, _ = job.run("retrain groups", None, *given, verb="retrain")
        with open(os.path.join(loo, "loo.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        read = lambda name: np.array([float(row[name]) for row in rows]).reshape(len(groups), -1).T
        program.expect(relative(read("predicted"), first) < 1e-7, "groups", "retrain predicts something else")
        # Both are linear in the parameters' change: the test loss's own curvature is left out of one comparison.
        moved = [reference.train(reference.without(job.train, group), job.theta)[0] - job.theta for group in groups]
        linear = reference.example_gradients(job.test, job.theta) @ np.array(moved).T
        for truth, part in ((read("actual"), 0.8), (linear, 0.4)):
            errors = [np.linalg.norm(predicted - truth) for predicted in (first, second)]
            program.expect(errors[1] < part * errors[0], "groups to second order", f"errors {errors} against retraining")
        with open(job.files.path("groups/top.csv"), encoding="utf-8", newline="") as file:
            top = [row for row in csv.DictReader(file) if row["test_index"] == "2" and row["kind"] == "helpful"]
        order = [g for g in np.argsort(-first[2], kind="stable") if first[2, g] > 0]
        program.expect([int(row["group"]) for row in top] == order, "groups", f"top.csv has {top}")


def check_labels(program, folder):
    for bias in (False, True):
        job = small_job(program, folder, bias)
        scores, _ = job.run("flips", "relabel_scores.npy", "--flips")
        s = reference.solve(job.train, job.theta, reference.example_gradients(job.test, job.theta))
        own, expected = reference.example_gradients(job.train, job.theta), np.empty((4, 60, 3))
        for label in range(3):
            other = dataclasses.replace(job.train, y=np.full(60, label))
            expected[:, :, label] = -s @ (reference.example_gradients(other, job.theta) - own).T / 60
        if scores is None or not program.expect(scores.shape == expected.shape, "flips", f"shape {scores.shape}"):
            continue
        program.expect(relative(scores, expected) < 1e-7, "flips", f"off by {relative(scores, expected):.1e}")
        program.expect(np.all(scores[:, np.arange(60), job.train.y] == 0), "flips", "an own label changes something")
        with open(job.files.path("flips/top.csv"), encoding="utf-8", newline="") as file:
            row = next(row for row in csv.DictReader(file) if row["test_index"] == "1")
        at = np.unravel_index(np.argmax(scores[1]), (60, 3))
        found = int(row["train_index"]), int(row["new_label"])
        program.expect(found == at and row["kind"] == "raises", "flips", f"top.csv begins with {row}, expected {at}")
    actual = np.empty((4, 6))
    picked = list(range(0, 60, 10))
    for column, i in enumerate(picked):
        y = job.train.y.copy()
        y[i] = (y[i] + 1) % 3
        theta, _, _ = reference.train(dataclasses.replace(job.train, y=y), job.theta)
        actual[:, column] = reference.losses(job.test, theta) - reference.losses(job.test, job.theta)
    predicted = scores[:, picked, (job.train.y[picked] + 1) % 3]
    slope = np.sum(predicted * actual) / np.sum(predicted**2)
    program.expect(abs(slope - 1) < 0.3 and np.corrcoef(predicted.ravel(), actual.ravel())[0, 1] > 0.97, "flips",
                   f"slope {slope:.3f} against retraining")


def mnist_job(program, folder):
    """400 digits, 4 x 4 pixels averaged: [400][49]"""
    def idx(name, skip):
        with gzip.open(os.path.join(MNIST, name), "rb") as file:
            return np.frombuffer(file.read(), np.uint8, offset=skip)
    files = Files(os.path.join(folder, "mnist"), n=12, d=2, classes=10, l2=0.01)
    for kind, prefix, count in (("train", "", 400), ("t10k", "t", 20)):
        x = idx(f"{kind}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:count].astype(float) / 255
        files.save(prefix + "x", x.reshape(count, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(count, 49))
        files.save(prefix + "y", idx(f"{kind}-labels-idx1-ubyte.gz", 8)[:count].astype(np.int64))
    return Job(program, files, 10, False, 0.01)


def check_second_order(program, folder):
    """Nearer to retraining, most of all where the leverage is high"""
    for bias in (False, True):
        job = small_job(program, folder, bias)
        second, _ = job.run("second order", "scores.npy", "--second-order")
        error = relative(second, newton_steps(job, [[i] for i in range(60)]))
        program.expect(error < 1e-7, "second order", f"off by {error:.1e}, bias {bias}")
        damped = [job.run(f"damped {solver}", "scores.npy", "--second-order", "--damping", 0.05, "--solver", solver)[0]
                  for solver in ("cg", "direct")]
        program.expect(relative(*damped) < 1e-7, "second order", "cg and direct differ")
    single, _ = job.run("second order single", "scores.npy", "--second-order", "--precision", "single")
    program.expect(single.dtype == np.float32 and relative(single, second) < 1e-4, "second order", "single differs")

    job = mnist_job(program, folder)
    first, _ = job.run("first", "scores.npy", "--solver", "direct")
    second, _ = job.run("second", "scores.npy", "--solver", "direct", "--second-order")
    job.files.save("all", np.arange(400))
    loo, _ = job.run("loo", None, "--indices", job.files.path("all.npy"), verb="retrain")
    with open(os.path.join(loo, "loo.csv"), encoding="utf-8", newline="") as file:
        actual = np.array([float(row["actual"]) for row in csv.DictReader(file)]).reshape(400, 20).T
    p = reference.softmax(reference.logits(job.train, job.theta))
    h = np.linalg.inv(reference.hessian(job.train, job.theta)).reshape(10, 49, 10, 49)
    leverage = np.einsum("nc,nc->n", p, 1 - p) * np.einsum("nd,cdce,ne->n", job.train.x, h, job.train.x) / 400
    high = np.argsort(-leverage)[:40]
    slope = lambda a, rows: np.sum(a[:, rows] * actual[:, rows]) / np.sum(a[:, rows] ** 2)
    for name, rows in (("high leverage", high), ("all", np.arange(400))):
        errors = [np.linalg.norm(a[:, rows] - actual[:, rows]) for a in (first, second)]
        slopes = [slope(a, rows) for a in (first, second)]
        program.expect(errors[1] < 0.5 * errors[0], f"MNIST, {name}", f"errors {errors}")
        program.expect(abs(slopes[1] - 1) < 0.5 * abs(slopes[0] - 1), f"MNIST, {name}", f"slopes {slopes}")
        print(f"  MNIST, {name}: slopes {slopes[0]:.4f} and {slopes[1]:.4f}, errors {errors[0]:.2e} and {errors[1]:.2e}")


def check_self(program, folder):
    """By a solve for every point, or by the inverse where there are many"""
    for n, columns in ((20, 20), (60, 15)):
        job = small_job(program, folder, True, n=n)
        expected = reference.self_influence(job.train, job.theta)
        for more in ([], ["--solver", "direct"], ["--damping", 0.05], ["--weights", job.files.path("weights.npy")]):
            own, facts = job.run("self", "self_influence.npy", "--self", *more, tests=False)
            if own is None or more and more[0] == "--weights":
                continue
            wanted = reference.self_influence(job.train, job.theta, 0.05) if more and more[0] == "--damping" else expected
            program.expect(relative(own, wanted) < 1e-7, "self", f"n {n}, {more}: off by {relative(own, wanted):.1e}")
            program.expect(facts["max_relative_residual"] <= 1e-10, "self", f"n {n}: {facts}")
            with open(job.files.path("self/report.json"), encoding="utf-8") as file:
                count = len(json.load(file)["columns"])
            program.expect(count == columns, "self", f"n {n}: {count} solves, expected {columns}")


def check_networks(program, folder):
    files = Files(os.path.join(folder, "net"))
    rng = np.random.default_rng(3)
    layers = '{"input":[1,6,5],"layers":[{"conv":{"out":2,"kernel":3}},{"mean_pool":{}},{"linear":{"out":3}}]}'
    spec = Bench(program, files).raw("net.json", layers.encode())
    x, params = files.save("images", rng.standard_normal((24, 1, 6, 5))), files.save("net", rng.standard_normal(29) * 0.3)
    common = lambda y: ["--model", "convnet", "--spec", spec, "--l2", 0.01, "--x", x, "--y", y, "--params", params,
                        "--device", program.device]
    def run(verb, out, *more, y=files.path("y.npy"), array=None):
        done = program.run(verb, *common(y), *more, "--out", files.path(out))
        program.expect(done.returncode == 0, f"convnet {out}", done.stderr)
        return np.load(files.path(array or out))
    damping = ["--damping", 2]
    scores = run("influence", "pairs", "--test-index", "1,7", *damping, array="pairs/scores.npy")
    with open(files.path("sets.json"), "w", encoding="utf-8") as file:
        json.dump([[3], [1, 8, 20]], file)
    given = ["--test-index", "1,7", "--groups", files.path("sets.json"), *damping]
    first = run("influence", "sets", *given, array="sets/group_scores.npy")
    program.expect(np.allclose(first, np.array([scores[:, 3], scores[:, [1, 8, 20]].sum(axis=1)]).T, rtol=1e-12),
                   "convnet, sets", "are not sums")
    second = run("influence", "newton", *given, "--second-order", array="newton/group_scores.npy")
    program.expect(0 < relative(second, first) < 0.2, "convnet, sets to second order", f"{first}, {second}")
    flips = run("influence", "flips", "--test-index", "1,7", "--flips", *damping, array="flips/relabel_scores.npy")
    y = np.load(files.path("y.npy"))
    gradients = run("gradient", "g.npy", "--per-example")
    files.save("rhs", gradients[[1, 7]])
    s = files.save("s", run("solve", "solved.npy", "--vectors", files.path("rhs.npy"), *damping))
    own = run("tangent", "own.npy", "--vectors", s)
    expected = np.stack([-(run("tangent", "t.npy", "--vectors", s, y=files.save("same", np.full(24, c))) - own).T / 24
                         for c in range(3)], axis=-1)
    program.expect(relative(flips, expected) < 1e-8 and np.all(flips[:, np.arange(24), y] == 0), "convnet, flips",
                   f"off by {relative(flips, expected):.1e}")
    own = run("influence", "self", "--self", *damping, array="self/self_influence.npy")
    program.expect(own.shape == (24,) and np.all(own > 0), "convnet, self", f"{own}")
    Bench(program, files).fails("convnet, second order", 2, ["influence", *common(files.path("y.npy"))[:-2], "--test-index",
                                1, "--second-order"], "linear in its parameters", "--groups", out="refused")


def check_refusals(program, folder):
    files = Files(os.path.join(folder, "refused"))
    bench = Bench(program, files)
    influence = ["influence", *files.options(), *files.tests()]
    fails = lambda name, code, *more, parts=(), **options: bench.fails(name, code, [*influence, *more], *parts, out="scores",
                                                                      **options)
    groups = bench.raw("groups.json", b"[[0, 3], [2]]")
    fails("flips of groups", 2, "--flips", "--groups", groups, parts=["--flips", "--groups"])
    fails("flips to second order", 2, "--flips", "--second-order", parts=["--second-order"])
    fails("a set that is not there", 2, "--groups", bench.raw("far.json", b"[[0], [24]]"), parts=["far.json", "0 to 23"])
    fails("second order with weights", 2, "--second-order", "--weights", files.path("weights.npy"), parts=["--groups"])
    for more in ("--resume", "--flips", "--second-order"):
        bench.fails(f"self with {more}", 2, ["influence", *files.options(), "--self", more], more, out="self")
    fails("too little memory", 4, "--memory-limit", "1M", parts=["MiB of device memory are needed", "limit"])
    few = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9)), "restore_signals": False}
    fails("no room for the journal", 2, warned=True, **few)
    wide = Files(os.path.join(folder, "wide"), n=3000)
    few["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    bench.fails("no room for the scores", 2, ["influence", *wide.options(), *wide.tests()], "scores.npy",
                "room for its 96128 bytes", out="scores", warned=True, **few)


def check_plan_of_few(program, folder):
    """Memory is planned for as many tests as there are: planned for a block of 32 it was 104 MiB, where one took 7"""
    files = Files(os.path.join(folder, "classes"), n=3000, d=30, classes=100)
    fit(program, files)
    few = ["influence", *files.options(), *files.tests(), "--test-index", 1, "--device", program.device, "--json", "--out",
           files.path("few")]
    planned = parse_json(program.run(*few, "--plan").stdout)["device_memory_mib"]
    done = program.run(*few)
    if program.expect(done.returncode == 0, "one test", done.stderr):
        peak = parse_json(done.stdout)["peak_device_memory_mib"]
        program.expect(peak <= planned <= 3 * peak, "one test", f"{planned} MiB planned, {peak} taken")


def check_larger_than_memory(program, folder):
    """48 MB of scores and 8 MB of tests within 24 MB; the plan covers what was taken"""
    files = Files(os.path.join(folder, "large"), n=3000, d=20, classes=4, l2=0.05)
    rng = np.random.default_rng(2)
    files.save("tx", rng.standard_normal((2000, 20))), files.save("ty", rng.integers(0, 4, 2000))
    fit(program, files)
    for more in ([], ["--solver", "direct", "--precision", "single"], ["--second-order"], ["--solver", "block-cg"]):
        name, out = " ".join(["larger than memory", *more]), files.path("".join(["scores", *more]))
        arguments = ["influence", *files.options(), *files.tests(), *more, "--device", program.device, "--json", "--out",
                     out, *([] if "direct" in more else ["--max-iterations", 200]), "--memory-limit", "24M"]
        plan = parse_json(program.run(*arguments, "--plan").stdout)
        program.expect(not os.path.exists(out), name, "--plan left something")
        parts = plan["data_mib"] + plan["solver_mib"] + plan["scores_mib"]
        program.expect(parts == plan["device_memory_mib"], name, f"parts add up to {parts}: {plan}")
        done = program.run(*arguments)
        if not program.expect(done.returncode == 0, name, done.stderr):
            continue
        peak, planned = parse_json(done.stdout)["peak_device_memory_mib"], plan["device_memory_mib"]
        program.expect(peak <= planned <= 24 and planned <= 4 * peak, name, f"{planned} MiB planned, {peak} taken")
        scores = np.load(os.path.join(out, "scores.npy"), mmap_mode="r")
        program.expect(scores.shape == (2000, 3000) and plan["disk_mib"] == -(-(scores.nbytes + 128) // 2**20), name,
                       f"{plan}, shape {scores.shape}")
        # Under a lower limit fewer right-hand sides are solved at a time, down to one.
        limited = lambda limit, *rest: program.run(*arguments[:-1], f"{limit}M", *rest)
        least = parse_json(limited(plan["data_mib"] + 1, "--plan").stdout)["device_memory_mib"]
        narrow = limited(least)
        program.expect(narrow.returncode == 0, name, f"{least} MiB: {narrow.stderr}")
        program.expect(least < planned if "block-cg" in more else least <= planned, name, f"{least} MiB at least of {planned}")
        if narrow.returncode == 0:
            peak = parse_json(narrow.stdout)["peak_device_memory_mib"]
            program.expect(peak <= least, name, f"{least} MiB planned for one at a time, {peak} taken")
        tight = limited(least - 1)
        program.expect(tight.returncode == 4 and "are needed" in tight.stderr, name, f"a limit below: {tight.stderr}")


class Stopped(Job):
    """Many blocks, to be stopped in the middle."""

    def __init__(self, program, folder):
        files = Files(os.path.join(folder, "medium"), n=6000, d=40, classes=10, l2=0.01)
        rng = np.random.default_rng(1)
        files.save("tx", rng.standard_normal((900, 40))), files.save("ty", rng.integers(0, 10, 900))
        super().__init__(program, files, 10, False, 0.01)
        self.arguments = ["influence", *files.options(), *files.tests(), "--solver", "direct", "--top", 3, "--threads", 2,
                          "--device", program.device]

    def results(self, out, *more):
        done = self.program.run(*self.arguments, "--out", self.files.path(out), *more)
        self.program.expect(done.returncode == 0, out, done.stderr)
        read = lambda name: open(self.files.path(f"{out}/{name}"), "rb").read()
        return [read(name) for name in ("scores.npy", "top.csv")], sorted(os.listdir(self.files.path(out)))

    def stop(self, out, how):
        journal = self.files.path(out + "/influence.journal")
        run = subprocess.Popen([self.program.path, *map(str, self.arguments), "--out", self.files.path(out)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        while run.poll() is None and not (os.path.exists(journal) and os.path.getsize(journal) > 12_000):
            time.sleep(0.002)
        run.send_signal(how)
        _, said = run.communicate(timeout=300)
        left = sorted(os.listdir(self.files.path(out)))
        self.program.expect(left == [".scores.npy.part", "influence.journal"], f"{how.name}", f"left {left}")
        return run.returncode, said


def check_kill_and_resume(program, folder):
    job = Stopped(program, folder)
    whole, names = job.results("whole")
    program.expect(names == ["manifest.json", "report.json", "scores.npy", "top.csv"], "whole", f"wrote {names}")
    for how, expected in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        code, said = job.stop(how.name, how)
        program.expect(code == expected, how.name, f"exit code {code}: {said}")
        if how == signal.SIGINT:
            program.expect("--resume goes on" in said and said.count("\n") == 1, how.name, f"said {said!r}")
        refused = program.run(*job.arguments, "--out", job.files.path(how.name))
        program.expect(refused.returncode == 2 and "--resume" in refused.stderr, how.name, refused.stderr)
        other = program.run(*[4 if part == 3 else part for part in job.arguments], "--out", job.files.path(how.name), "--resume")
        program.expect(other.returncode == 2 and "top is 3 there, 4 now" in other.stderr, how.name, other.stderr)
        program.expect(job.results(how.name, "--resume") == (whole, names), how.name, "resumed: other bytes")
    job.stop("gone", signal.SIGKILL)
    os.remove(job.files.path("gone/.scores.npy.part"))
    gone = program.run(*job.arguments, "--out", job.files.path("gone"), "--resume")
    program.expect(gone.returncode == 2 and "delete the journal" in gone.stderr, "no file", gone.stderr)
    program.expect(job.results("nothing to resume", "--resume") == (whole, names), "nothing to resume", "other bytes")


CHECKS = [check_sets, check_labels, check_second_order, check_self, check_networks, check_refusals,
          check_plan_of_few, check_larger_than_memory, check_kill_and_resume]


def main():
    parser = command_line(__doc__)
    parser.add_argument("--only", help="one check")
    options = parser.parse_args()
    program = Program(options.clout, options.device)
    with scratch() as folder:
        for check in CHECKS:
            if options.only in (None, check.__name__.removeprefix("check_")):
                check(program, folder)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
