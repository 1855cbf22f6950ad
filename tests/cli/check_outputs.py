#!/usr/bin/python3
"""What runs leave behind: inputs untouched, results of one run together or not at all, no folders made for nothing; and
the wording of refusals that the option parser would otherwise make by itself.

    check_outputs.py --clout build/bin/clout [--device cpu]

Exit status: 0 all as it should be, 1 something else.
"""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np

from bad_inputs import Bench
from program import Files, Program, fit, scratch


def contents(folder):
    found = {}
    for where, folders, names in os.walk(folder):
        found.update({os.path.join(where, name): None for name in folders})
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                found[os.path.join(where, name)] = hashlib.sha256(file.read()).hexdigest()
    return found


def refused_unchanged(bench, name, arguments, *parts, out, **options):
    """Exit code 2, one line, and every file below the test's folder as it was"""
    before = contents(bench.files.folder)
    bench.fails(name, 2, arguments, *parts, out=out, **options)
    bench.program.expect(contents(bench.files.folder) == before, name, "files have changed")


def check_inputs_stay(bench):
    files = bench.files
    os.symlink(files.path("x.npy"), files.path("link.npy"))
    os.link(files.path("y.npy"), files.path("hard.npy"))
    loss = lambda name, out, option: refused_unchanged(
        bench, name, ["loss", *files.options()], f"is also {option}; expected another", out=files.path(out))
    loss("--out is --x", "x.npy", "--x")
    loss("--out is --x, spelled differently", "out/../x.npy", "--x")
    loss("--out is a link to --x", "link.npy", "--x")
    loss("--out is --x, the link", "x.npy", "--x")
    loss("--out is a hard link to --y", "hard.npy", "--y")
    refused_unchanged(bench, "--out's report is --vectors", ["solve", *files.options(vectors=shutil.copy(
        files.path("vectors.npy"), files.path("s.npy.report.json")))], out=files.path("s.npy"))
    fit(bench.program, files)
    shutil.copy(files.path("params.npy"), files.path("fit/params.npy"))
    fitted = files.options(params=files.path("fit/params.npy"))
    refused_unchanged(bench, "--params in train's --out", ["train", *fitted], "is also --params", out=files.path("fit"))
    done = bench.program.run("influence", *fitted, *files.tests(), "--out", files.path("fit"), "--device",
                             bench.program.device)
    bench.program.expect(done.returncode == 0, "one folder for two verbs", done.stderr)


def check_together(bench):
    """A run whose last file cannot be written changes none"""
    files, program = Files(bench.files.path("again")), bench.program
    run = lambda verb, *more: [verb, *files.options(fitted=verb != "train"), *more]
    cases = {"train": ("fit", run("train")), "influence": ("scores", run("influence", *files.tests()))}
    fit(program, files)
    done = program.run(*cases["influence"][1], "--out", files.path("scores"), "--device", program.device)
    program.expect(done.returncode == 0, "influence", done.stderr)
    changed = files.save("y", np.roll(np.load(files.path("y.npy")), 1))  # other results, were they written
    program.expect(os.path.exists(changed), "labels", "not written")
    limited = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400)), "restore_signals": False}
    for verb, (out, arguments) in cases.items():
        warned = verb == "influence"
        refused_unchanged(bench, f"{verb}: files are limited", arguments, out=files.path(out), warned=warned, **limited)
        refused_unchanged(bench, f"{verb}: files are limited, nothing there", arguments, out=files.path("new"),
                          warned=warned, **limited)
        manifest = os.path.join(files.path(out), "manifest.json")
        os.remove(manifest)
        os.mkdir(manifest)
        refused_unchanged(bench, f"{verb}: manifest.json is a folder", arguments, "manifest.json", out=files.path(out),
                          warned=warned)
    loss = ["loss", *files.options()]
    refused_unchanged(bench, "no name for the manifest", loss, "too long", out=files.path("a" * 250))
    refused_unchanged(bench, "a name too long", loss, "too long", out=files.path("a" * 300))
    for deep in ("a" * 300, "b/c/" + "a" * 300):
        refused_unchanged(bench, "a folder's name too long", cases["train"][1], "too long", out=files.path(deep))
    refused_unchanged(bench, "parents of a folder", [*run("train"), "--weights", files.path("none.npy")], "none.npy",
                      out=files.path("b/c/d"))
    for arguments in (["info", "--json"], [*loss, "--json", "--out", files.path("l.npy")], ["--help"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([program.path, *map(str, arguments)], stdout=full, stderr=subprocess.PIPE, text=True)
        program.expect(done.returncode == 2 and "standard output" in done.stderr and done.stderr.count("\n") == 1,
                       f"{arguments[0]} > /dev/full", f"{done.returncode}: {done.stderr}")


def check_numbers(bench):
    files = bench.files
    train = ["train", *files.options(fitted=False)]
    influence = ["influence", *files.options(), *files.tests()]
    large = "99999999999999999999"
    for arguments, option, value, expected in (
            (train, "--steps", large, "1 to 9223372036854775807"), (train, "--steps", "1e3", "at least 1"),
            (train, "--seed", "-1", "0 to 18446744073709551615"),
            (train, "--seed", "18446744073709551616", "0 to 18446744073709551615"),
            (train, "--drops", "-3", "at least 0"), (train, "--threads", "-1", "0 to"),
            (train, "--batch", "0", "at least 1"), (influence, "--top", "0", "at least 1"),
            (influence, "--max-iterations", "0", "1 to 10000000")):
        bench.fails(f"{option} {value}", 2, [*arguments, f"{option}={value}"], option, value,
                    "expected an integer, " + expected)


def check_wording(bench):
    files, raw = bench.files, bench.raw
    usage = lambda name, arguments, *parts, out="result.npy": bench.fails(name, 2, arguments, *parts, out=out)
    done = bench.program.run("trian")
    said = done.stderr.startswith("clout: trian: no such verb; expected one of") and "train" in done.stderr
    bench.program.expect(done.returncode == 2 and said, "unknown verb", done.stderr)
    for option in ("x", "weights"):
        usage(f"empty --{option}", ["loss", *files.options(**{option: ""})], f"--{option}")
    flags = files.save("bool", np.ones((24, 3), bool))
    usage("true and false as x", ["loss", *files.options(x=flags)], "astype(np.float64)")
    self = ["influence", *files.options(), "--self"]
    for more in (files.tests(), ["--test-index", 1], ["--top", 3]):
        usage(f"--self {more[0]}", [*self, *more], "--self", "excludes", out="scores")
    loss = ["loss", *files.options()]
    for more, parts in ((["--model", "forest"], ["--model: forest; expected one of logistic, margin, convnet"]),
                        (["--precision", "half"], ["--precision: half; expected one of double, single"]),
                        (["--frobnicate"], ["--frobnicate: not known here"]), (["extra"], ["extra: not known here"]),
                        (["--l2", 1], ["--l2: is given twice; expected one value"]),
                        (["--quiet=foo"], ["--quiet: is given a value; expected none"])):
        usage(f"loss {more[0]}", [*loss, *more], *parts)
    done = bench.program.run(*loss, "--out")
    bench.program.expect(done.returncode == 2 and "--out: has no value; expected one" in done.stderr, "no value", done.stderr)
    retrain = ["retrain", *files.options(), *files.tests(), "--groups"]
    for name, text, part in (("cut", "[[1, 2", "ends too early"), ("object", '{"a": [1]}', "no list"),
                             ("damaged", "[[1],\n [2,, 3]]", "line 2, character 5"), ("flat", "[1, 2]", "no list")):
        groups = raw("groups.json", text.encode())
        usage(f"groups, {name}", [*retrain, groups], "groups.json", part, "expected", out="loo")


def check_networks(bench):
    files, raw = bench.files, bench.raw
    usage = lambda name, arguments, *parts, out: bench.fails(name, 2, arguments, *parts, out=out)
    images = files.save("images", np.zeros((24, 6, 5)))
    net = lambda verb, *more: [verb, "--model", "convnet", "--x", images, "--y", files.path("y.npy"), *more]
    usage("a folder as --spec", net("train", "--spec", files.folder), files.folder, "is a directory", out="fit")
    damaged = raw("bad.json", b'{"input":\n [1,6,}')
    usage("a damaged --spec", net("train", "--spec", damaged), "bad.json", "line 2, character 7", out="fit")
    layers = '{"input":[1,6,5],"layers":[{"conv":{"out":2,"kernel":3}},{"mean_pool":{}},{"linear":{"out":3}}]}'
    spec = ["--spec", raw("net.json", layers.encode())]
    usage("batch", net("train", *spec), "--batch 500: expected 1 to 24, the number of examples", out="fit")
    params = ["--params", files.save("net-params", np.zeros(29))]
    params += ["--test-index", 0, "--indices", files.path("indices.npy")]
    usage("batch, retrain", net("retrain", *spec, *params), "--batch 500: expected 1 to 24", out="loo")
    usage("--start-step alone", net("retrain", *spec, *params, "--start-step", 5), "--moments", out="loo")
    usage("--moments alone", net("retrain", *spec, *params, "--moments", params[1]), "--start-step", out="loo")
    trained = files.path("trained")
    train = [*net("train", *spec), "--batch", 5, "--checkpoint-every", 5, "--steps"]
    run = lambda *arguments: bench.program.run(*arguments, "--out", trained, "--device", bench.program.device)
    done = run(*train, 10)
    bench.program.expect(done.returncode == 0, "train convnet", done.stderr)
    usage("a finished run", [*train, 10], "holds a finished run of 10 steps", "--resume", out=trained)
    other = files.save("other", np.ones((24, 6, 5)))
    resumed = [*train, 12, "--resume"]
    elsewhere = [os.path.join(files.folder, ".", "images.npy") if part == images else part for part in resumed]
    changed = [other if part == images else part for part in resumed]
    usage("resumed with another x", changed, "other.npy", "images.npy", "other contents", out=trained)
    done = run(*elsewhere)
    bench.program.expect(done.returncode == 0, "resumed with another spelling of x", done.stderr)
    files.save("images", np.ones((24, 6, 5)))
    usage("resumed with a changed x", resumed, "images.npy", "other contents than then", out=trained)


def check_refusals(bench):
    """Parameters that no number can be made of, before anything is begun; a singular Hessian, with a damping that helps"""
    files = Files(bench.files.path("large-theta"))
    for size in (1e200, 1e300):
        params = files.save("p", np.load(files.path("params.npy")) * size)
        for verb, more in (("influence", files.tests()), ("influence", ["--self"]),
                           ("retrain", [*files.tests(), "--indices", files.path("indices.npy")])):
            bench.fails(f"{verb} {more[0]}, parameters of {size:g}", 3, [verb, *files.options(params=params), *more], "p.npy",
                        "gradient norm", "too large", out="results", warned=True)
    flat = Files(bench.files.path("flat"), l2=0)
    for precision in ("double", "single"):
        bench.fails(f"singular, {precision}", 3, ["solve", *flat.options(vectors=flat.path("vectors.npy")), "--precision",
                    precision], "singular to rounding", "--damping, to ", "condition number of 1e6")


def check_warnings(bench):
    files, program = Files(bench.files.path("warned")), bench.program
    influence = lambda *more: program.run("influence", *files.options(), *more, "--json", "--out", files.path("scores"),
                                          "--device", program.device)
    for more in (files.tests(), ["--self"]):
        done = influence(*more)
        program.expect(done.returncode == 0 and "is not that of a minimum" in done.stderr, "no minimum", done.stderr)
        program.expect(json.loads(done.stdout).get("gradient_norm", 0) > 1e-6, "no minimum", "no gradient_norm")
    fit(program, files)
    done = influence(*files.tests())
    program.expect(done.stderr == "" and json.loads(done.stdout)["gradient_norm"] <= 1e-10, "a minimum", done.stderr)


def check_interrupts(bench):
    """What nobody can go on with is not said to be kept"""
    files = Files(bench.files.path("large"), n=4000, d=300, classes=10)
    command = [bench.program.path, *map(str, ["influence", *files.options(), "--self", "--solver", "cg", "--tolerance",
               "1e-13", "--out", files.path("self"), "--device", bench.program.device])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    honest = "nothing was written" in said and "kept" not in said
    bench.program.expect(process.returncode == 130 and honest, "interrupted", f"exit code {process.returncode}: {said}")
    bench.program.expect(not os.path.exists(files.path("self")), "interrupted", "the folder stays")


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        bench = Bench(program, Files(folder))
        for check in (check_inputs_stay, check_together, check_numbers, check_wording, check_networks, check_refusals, check_warnings,
                      check_interrupts):
            check(bench)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
