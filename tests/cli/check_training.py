#!/usr/bin/python3
"""Networks: training that runs away, retraining with the training's own settings, moments that are none, words about
parameters that are no minimum, and an interrupt in the middle of an explicit Hessian.

    check_training.py --clout build/bin/clout [--device cpu]

Exit status: 0 all as it should be, 1 something else.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np

from bad_inputs import Bench
from program import ENVIRONMENT, Files, Program, scratch

NET = '{"input":[1,6,5],"layers":[{"conv":{"out":2,"kernel":3}},{"mean_pool":{}},{"linear":{"out":3}}]}'


class Network:
    """A small network on disk, and the commands about it."""

    def __init__(self, bench):
        self.bench, self.program, self.files = bench, bench.program, bench.files
        rng = np.random.default_rng(3)
        self.x = self.files.save("images", rng.standard_normal((24, 1, 6, 5)))
        self.spec = bench.raw("net.json", NET.encode())

    def of(self, verb, *more):
        return [verb, "--model", "convnet", "--spec", self.spec, "--l2", 0.01, "--x", self.x, "--y", self.files.path("y.npy"),
                *more]

    def train(self, out, *more):
        done = self.program.run(*self.of("train", "--batch", 6, "--steps", 40, *more), "--out", self.files.path(out), "--device",
                                self.program.device)
        self.program.expect(done.returncode == 0, f"train into {out}", done.stderr)
        return done


def check_divergence(bench):
    """Exit code 3, one line, and nothing written; the journal keeps what was well before"""
    net = Network(bench)
    for rate in (1e30, 1e3):
        for precision in ("double", "single"):
            arguments = net.of("train", "--batch", 6, "--steps", 40, "--learning-rate", rate, "--precision", precision)
            bench.fails(f"rate {rate}, {precision}", 3, arguments, "--learning-rate", out="fit")
    arguments = net.of("train", "--batch", 6, "--steps", 40, "--learning-rate", 1e3)
    allowed = net.program.run(*arguments, "--allow-uncertified", "--out", net.files.path("allowed"), "--device", net.program.device)
    net.program.expect(allowed.returncode == 0 and "not certified: train: diverged" in allowed.stderr and
                       os.path.exists(net.files.path("allowed/params.npy")), "allowed", f"{allowed.returncode}: {allowed.stderr}")
    for rate in (1e-4, 0.03):
        done = net.train(f"well-{rate}", "--learning-rate", rate)
        net.program.expect(done.stderr == "", f"rate {rate}", done.stderr)


def check_settings(bench):
    """retrain goes on as train.json says, and says what differs"""
    net = Network(bench)
    program, files, fit = net.program, net.files, net.files.path("fit")
    net.train("fit", "--learning-rate", 0.01, "--drops", "20,30", "--seed", 5)
    given = lambda *more: net.of("retrain", "--params", os.path.join(fit, "params.npy"), "--moments", os.path.join(fit, "moments.npy"),
                                 "--start-step", 40, "--steps", 30, "--controls", 1, "--damping", 2, "--test-index", "1,7",
                                 "--indices", files.path("indices.npy"), *more)
    for option, value, trained in (("--learning-rate", 0.02, "0.01"), ("--drops", "20,31", "20,30"), ("--batch", 7, "6"),
                                   ("--start-step", 39, "40")):
        arguments = given() if option == "--start-step" else given(option, value)
        if option == "--start-step":
            arguments[arguments.index("--start-step") + 1] = value
        bench.fails(f"retrain {option} {value}", 2, arguments, f"{option} {value}", f"trained with {trained}", "train.json", out="loo")
    tables = []
    for out, more in (("taken", []), ("given", ["--learning-rate", 0.01, "--drops", "20,30", "--batch", 6, "--seed", 5])):
        done = program.run(*given(*more), "--out", files.path(out), "--device", program.device)
        if program.expect(done.returncode == 0, f"retrain, {out}", done.stderr):
            with open(files.path(out + "/loo.csv"), "rb") as file:
                tables.append(file.read())
    # Without --moments and --start-step they are those of the training.
    arguments = given()
    for option in ("--moments", "--start-step"):
        at = arguments.index(option)
        del arguments[at:at + 2]
    done = program.run(*arguments, "--out", files.path("beside"), "--device", program.device)
    if program.expect(done.returncode == 0, "retrain, moments beside train.json", done.stderr):
        with open(files.path("beside/loo.csv"), "rb") as file:
            tables.append(file.read())
    program.expect(len(tables) == 3 and tables[0] == tables[1] == tables[2], "settings of train.json",
                   "other bytes than when given by hand")
    # A rate that runs away is the training's to lower.
    shutil.copytree(fit, files.path("fast"))
    with open(files.path("fast/train.json"), encoding="utf-8") as file:
        fast = json.load(file)
    with open(files.path("fast/train.json"), "w", encoding="utf-8") as file:
        json.dump({**fast, "first_learning_rate": 1e6}, file)
    away = [files.path("fast/params.npy") if part == os.path.join(fit, "params.npy") else part for part in arguments]
    done = program.run(*away, "--out", files.path("away"), "--device", program.device)
    program.expect(done.returncode == 3 and "retrain: diverged" in done.stderr and
                   "lower --learning-rate in `clout train`" in done.stderr, "retrain that runs away", done.stderr)
    other = list(arguments)
    other[other.index("--l2") + 1] = 0.5
    bench.fails("retrain --l2 0.5", 2, other, "--l2 0.5", "trained with 0.01", "train.json", out="loo")
    weights = files.save("some-weights", np.ones(24))
    bench.fails("retrain --weights", 2, [*arguments, "--weights", weights], "without --weights", "train.json", out="loo")
    os.rename(os.path.join(fit, "moments.npy"), files.path("moments-away.npy"))
    bench.fails("retrain, moments gone", 2, arguments, "moments.npy", "40 steps of Adam", out="loo")
    os.rename(files.path("moments-away.npy"), os.path.join(fit, "moments.npy"))
    # Parameters from elsewhere have no train.json.
    os.link(os.path.join(fit, "params.npy"), files.path("elsewhere.npy"))
    arguments = given("--learning-rate", 0.02, "--batch", 6)
    arguments[arguments.index("--params") + 1] = files.path("elsewhere.npy")
    done = program.run(*arguments, "--out", files.path("free"), "--device", program.device)
    program.expect(done.returncode == 0, "retrain from elsewhere", done.stderr)


def check_moments(bench):
    net = Network(bench)
    moments = np.zeros((2, 29))
    moments[0, 3], moments[1, 17] = -1, -0.25
    params = net.files.save("net", np.zeros(29))
    bench.fails("a negative second moment", 2, net.of("retrain", "--params", params, "--moments", net.files.save("moments", moments),
                "--start-step", 9, "--batch", 5, "--test-index", 0, "--indices", net.files.path("indices.npy")), "moments.npy",
                "-0.25 at [1][17]", "second moments", out="loo")


def check_warnings(bench):
    """Of a network that is at no minimum, as of a logistic model"""
    net = Network(bench)
    params = net.files.save("net", np.random.default_rng(1).standard_normal(29) * 0.3)
    for more in (["--test-index", 1], ["--self"]):
        done = net.program.run(*net.of("influence", "--params", params, "--damping", 2, *more), "--json", "--out",
                               net.files.path("scores"), "--device", net.program.device)
        said = "gradient norm" in done.stderr and "is not that of a minimum" in done.stderr and done.stderr.count("\n") == 1
        net.program.expect(done.returncode == 0 and said, f"no minimum {more[0]}", f"{done.returncode}: {done.stderr}")


def check_damaged(bench):
    """A train.json that is none is refused by name, as is JSON that no reader holds"""
    net = Network(bench)
    files = net.files
    os.makedirs(files.path("fit"))
    params = os.path.join(files.path("fit"), "params.npy")
    np.save(params, np.zeros(29))
    whole = {"steps": 4, "seed": 1, "batch": 6, "first_learning_rate": 0.1, "drops": []}
    of = lambda **other: json.dumps({**whole, **other})
    for content, said in (("", "is empty"), (of()[:-1], "ends too early"), ("[]", "no object"), ("{}", "has no steps"),
                          (of(steps=-1), "steps is -1"), (of(batch=0), "batch is 0"), (of(batch="a"), "batch is"),
                          (of(seed=-4), "seed is -4"), (of(drops=[-1]), "one of drops is -1"), (of(drops=3), "drops is no list"),
                          (of(first_learning_rate=-3), "first_learning_rate is -3"), (of(first_learning_rate=None), "is null"),
                          (of(l2="x"), "l2 is"), (of(weighted=1), "weighted is"), (of().replace("0.1", "1e400"), "beyond float64"),
                          (of()[:-1] + ',"steps":5}', "stands twice")):
        bench.raw("fit/train.json", content.encode())
        bench.fails(f"train.json {content[:40]!r}", 2, net.of("retrain", "--params", params, "--test-index", 0, "--indices",
                    files.path("indices.npy")), "fit/train.json: ", said, out="loo")
    bench.raw("fit/train.json", of(seed=2**64 - 1).encode())
    bench.fails("no moments", 2, net.of("retrain", "--params", params, "--test-index", 0, "--indices", files.path("indices.npy")),
                "fit/moments.npy: is not there", "4 steps of Adam", out="loo")
    for name, content, said in (("deep", "[" * 100_000 + "]" * 100_000, "nested"), ("large", "[[1e400]]", "beyond float64")):
        groups = bench.raw(name + ".json", content.encode())
        bench.fails(f"groups, {name}", 2, net.of("influence", "--params", files.save("net", np.zeros(29)), "--damping", 2,
                    "--test-index", 0, "--groups", groups), name + ".json: ", said, out="scores")


def check_rounding(bench):
    """Logits that have lost their digits are said, of networks, too"""
    net = Network(bench)
    for shift, warned in ((0, False), (1e12, True)):
        theta = np.random.default_rng(1).standard_normal(29) * 0.3
        theta[-3:] += shift
        done = net.program.run(*net.of("loss", "--params", net.files.save("net", theta)), "--out", net.files.path("loss.npy"),
                               "--device", net.program.device)
        said = "logits are sums of terms of up to 1e+12" in done.stderr
        net.program.expect(done.returncode == 0 and said == warned, f"biases moved by {shift}", f"{done.returncode}: {done.stderr}")


def check_interrupt(bench):
    """SIGINT while the explicit Hessian is assembled: the end within seconds, nothing written"""
    program, files = bench.program, bench.files
    rng = np.random.default_rng(2)
    n = 20000  # of the paper's network: some minutes of assembly
    x, y = files.save("large", rng.integers(0, 256, (n, 28, 28), np.uint8)), files.save("labels", np.arange(n) % 10)
    given = ["--model", "convnet", "--l2", 0.001, "--x", x, "--y", y, "--params", files.save("paper", rng.standard_normal(2616) * 0.1)]
    vectors = files.save("v", rng.standard_normal((1, 2616)))
    for verb, more in (("solve", ["--vectors", vectors, "--solver", "direct", "--damping", 1]),
                       ("spectrum", ["--method", "explicit"])):
        command = [program.path, *map(str, [verb, *given, *more, "--progress", "--out", files.path(verb), "--device", program.device])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
            said = b""
            while b"explicit Hessian" not in said and (part := process.stderr.read1()):
                said += part
            time.sleep(2)
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
            said += process.communicate()[1]
            took = time.monotonic() - sent
        program.expect(process.returncode == 130 and b"nothing was written" in said, verb, f"exit code {process.returncode}: {said!r}")
        program.expect(took < 5, verb, f"ended {took:.1f} s after SIGINT")
        program.expect(not os.path.exists(files.path(verb)), verb, "something was written")


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        for check in (check_divergence, check_settings, check_moments, check_warnings, check_damaged, check_rounding, check_interrupt):
            check(Bench(program, Files(os.path.join(folder, check.__name__))))
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
