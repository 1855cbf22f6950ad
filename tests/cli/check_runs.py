#!/usr/bin/python3
"""Runs as a whole: the same bits again, killed and resumed, interrupted, --json, --help.

    check_runs.py --clout build/bin/clout [--device cpu]

Exit status: 0 all as it should be, 1 something else.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np

from program import ENVIRONMENT, Files, Program, fit, parse_json, scratch

VERBS = "info loss gradient hvp tangent perturb solve train influence retrain reproduce count-words".split()


def results(path):
    """name -> hash of every .npy and .csv below `path` (or of the file itself)"""
    files = [path] if os.path.isfile(path) else [
        os.path.join(where, name) for where, _, names in os.walk(path) for name in names]
    digest = lambda name: hashlib.sha256(open(name, "rb").read()).hexdigest()
    return {os.path.relpath(name, path): digest(name) for name in sorted(files) if name.endswith((".npy", ".csv"))}


def jobs(files):
    """name, arguments, output, whether LAPACK's factorisation is in it (its bits depend on the number of threads)"""
    vectors = {"vectors": files.path("vectors.npy")}
    yield "loss", ["loss", *files.options()], "a.npy", False
    yield "loss, weighted, single", ["loss", *files.options(weights=files.path("weights.npy")), "--precision",
                                     "single"], "a.npy", False
    yield "gradient", ["gradient", *files.options()], "a.npy", False
    yield "gradient, per example", ["gradient", *files.options(), "--per-example"], "a.npy", False
    yield "hvp", ["hvp", *files.options(**vectors)], "a.npy", False
    yield "hvp, single", ["hvp", *files.options(**vectors), "--precision", "single"], "a.npy", False
    yield "tangent", ["tangent", *files.options(**vectors)], "a.npy", False
    yield "perturb", ["perturb", *files.options(**vectors)], "a.npy", False
    yield "solve, cg", ["solve", *files.options(**vectors), "--damping", 0.01], "a.npy", False
    yield "solve, cg, single", ["solve", *files.options(**vectors), "--damping", 0.01, "--precision", "single"], \
        "a.npy", False
    yield "solve, direct", ["solve", *files.options(**vectors), "--damping", 0.01, "--solver", "direct"], "a.npy", True
    yield "train", ["train", *files.options(fitted=False)], "fit", False
    yield "train, single", ["train", *files.options(fitted=False), "--precision", "single", "--tolerance", 1e-8], \
        "fit", False
    yield "influence", ["influence", *files.options(), *files.tests()], "scores", False
    yield "influence --self", ["influence", *files.options(), "--self"], "scores", False
    yield "retrain", ["retrain", *files.options(), *files.tests(), "--indices", files.path("indices.npy")], "loo", True
    yield "retrain, single", ["retrain", *files.options(), *files.tests(), "--indices", files.path("indices.npy"),
                              "--precision", "single"], "loo", True


def check_determinism(program, folder):
    files = Files(os.path.join(folder, "same"), n=700, d=23, classes=5, bias=True)
    fit(program, files)
    for name, arguments, out, factorises in jobs(files):
        found = []
        for run, threads in enumerate((1, 1, 2)):
            path = files.path(f"{run}-{out}")
            done = program.run(*arguments, "--device", program.device, "--out", path, threads=threads)
            if not program.expect(done.returncode == 0, name, f"exit code {done.returncode}: {done.stderr.strip()}"):
                break
            found.append(results(path))
            program.expect(found[-1], name, "no results")
            if os.path.isdir(path):
                subprocess.run(["rm", "-r", path], check=True)
        if len(found) == 3:
            program.expect(found[0] == found[1], name, "the same command twice: other bytes")
            program.expect(factorises or found[0] == found[2], name, "--threads 1 and --threads 2: other bytes")


def check_json(program, folder):
    """One object on standard output, and nothing else anywhere"""
    files = Files(os.path.join(folder, "json"))
    fit(program, files)
    for name, arguments, out, _ in [("info", ["info"], None, False), *jobs(files)]:
        target = ["--out", files.path("j-" + "".join(c for c in name if c.isalnum()) + "-" + out)] if out else []
        device = ["--device", program.device] if out else []
        done = program.run(*arguments, *target, *device, "--json")
        program.expect(done.returncode == 0, f"{name} --json", done.stderr.strip())
        program.expect(isinstance(parse_json(done.stdout), dict), f"{name} --json", f"wrote {done.stdout[:200]!r}")
        numbers = "NaN" not in done.stdout and "Infinity" not in done.stdout
        program.expect(numbers, f"{name} --json", "NaN or Infinity, which JSON has not")
        program.expect(done.stderr == "", f"{name} --json", f"said {done.stderr[:200]!r}")
        if out:
            quiet = program.run(*arguments, *target, *device, "--quiet")
            program.expect((quiet.stdout, quiet.stderr) == ("", ""), f"{name} --quiet",
                           f"said {quiet.stdout[:100]!r} {quiet.stderr[:100]!r}")


def check_help(program):
    for verb in [None, *VERBS]:
        done = program.run(*([verb] if verb else []), "--help")
        name = f"{verb or ''} --help"
        program.expect(done.returncode == 0, name, f"exit code {done.returncode}")
        program.expect(done.stderr == "", name, f"standard error {done.stderr[:100]!r}")
        program.expect(verb is None or f"clout {verb}" in done.stdout, name, "no example")
    everything = program.run("--help").stdout
    for verb in VERBS:
        program.expect(verb in everything, "--help", f"does not name {verb}")
    version = program.run("--version")
    program.expect(version.returncode == 0 and version.stdout.startswith("clout "), "--version", version.stdout)


class Retraining:
    """A job of many blocks, to be stopped in the middle."""

    def __init__(self, program, folder):
        self.program = program
        self.files = Files(os.path.join(folder, "medium"), n=1000, d=60, classes=10, l2=0.01)  # 16 blocks of 64 models
        fit(program, self.files)
        self.arguments = ["retrain", *self.files.options(), *self.files.tests(), "--all", "--storage", "sparse",
                          "--device", program.device, "--threads", "2"]
        self.whole = self.run("whole")

    def run(self, out, *more):
        done = self.program.run(*self.arguments, "--out", self.files.path(out), *more)
        self.program.expect(done.returncode == 0, f"retrain into {out}", done.stderr.strip())
        return results(self.files.path(out)).get("loo.csv")

    def stop(self, out, how):
        """Starts a run, sends it the signal `how` once a block or two stand in its journal; its exit code and words"""
        journal = os.path.join(self.files.path(out), "retrain.journal")
        run = subprocess.Popen([self.program.path, *map(str, self.arguments), "--out", self.files.path(out)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        while run.poll() is None and not (os.path.exists(journal) and os.path.getsize(journal) > 4000):
            time.sleep(0.002)
        run.send_signal(how)
        _, said = run.communicate(timeout=300)
        self.program.expect(os.path.exists(journal), out, f"no journal was kept (exit code {run.returncode})")
        self.program.expect(not os.path.exists(self.files.path(out + "/loo.csv")), out, "loo.csv is there already")
        return run.returncode, said


def check_kill_and_resume(program, folder):
    job = Retraining(program, folder)
    code, _ = job.stop("killed", signal.SIGKILL)
    program.expect(code == -signal.SIGKILL, "kill -9", f"exit code {code}: it was done before")
    without = program.run(*job.arguments, "--out", job.files.path("killed"))
    program.expect(without.returncode == 2 and "--resume" in without.stderr, "unfinished work without --resume",
                   f"exit code {without.returncode}: {without.stderr.strip()}")
    other = program.run(*job.arguments, "--tolerance", "1e-9", "--out", job.files.path("killed"), "--resume")
    program.expect(other.returncode == 2 and "tolerance" in other.stderr, "another request with --resume",
                   f"exit code {other.returncode}: {other.stderr.strip()}")
    dense = ["dense" if part == "sparse" else part for part in job.arguments]
    other = program.run(*dense, "--out", job.files.path("killed"), "--resume")
    program.expect(other.returncode == 2 and "sparse" in other.stderr, "another storage with --resume",
                   f"exit code {other.returncode}: {other.stderr.strip()}")
    program.expect(job.run("killed", "--resume") == job.whole, "killed and resumed", "loo.csv has other bytes")
    journal = job.files.path("killed/retrain.journal")
    program.expect(not os.path.exists(journal), "resumed", "the journal is still there")

    for how in (signal.SIGINT, signal.SIGTERM):
        name = how.name
        code, said = job.stop(name, how)
        program.expect(code == 130, name, f"exit code {code}, expected 130")
        lines = said.splitlines()
        program.expect(len(lines) == 1 and lines[0].startswith("clout: "), name, f"standard error is {said[:300]!r}")
        program.expect(job.run(name, "--resume") == job.whole, name + " and resumed", "loo.csv has other bytes")
    program.expect(job.run("nothing to resume", "--resume") == job.whole, "--resume of nothing", "other bytes")


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        check_help(program)
        check_json(program, folder)
        check_determinism(program, folder)
        check_kill_and_resume(program, folder)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
