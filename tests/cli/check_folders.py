#!/usr/bin/python3
"""What a run finds in its --out and leaves there: results of one run of a verb alone, finished work, what killed runs left,
links to nothing.

    check_folders.py --clout build/bin/clout [--device cpu]

Exit status: 0 all as it should be, 1 something else.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np

from bad_inputs import Bench
from program import Files, Program, fit, parse_json, scratch

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts")
NET = '{"input":[1,6,5],"layers":[{"conv":{"out":2,"kernel":3}},{"mean_pool":{}},{"linear":{"out":3}}]}'


class Folder:
    """One --out, and the runs into it."""

    def __init__(self, program, files, name):
        self.program, self.files, self.path = program, files, files.path(name)

    def run(self, name, *arguments):
        done = self.program.run(*arguments, "--out", self.path, "--device", self.program.device)
        self.program.expect(done.returncode == 0, name, f"exit code {done.returncode}: {done.stderr}")
        return done

    def holds(self, name, *expected):
        found = sorted(os.listdir(self.path))
        self.program.expect(found == sorted(expected), name, f"the folder holds {found}")

    def results(self):
        """As the manifest names them"""
        with open(os.path.join(self.path, "manifest.json"), encoding="utf-8") as file:
            return json.load(file).get("results", [])


def check_one_run(bench):
    """An earlier run of the same verb leaves nothing beside the results of this one"""
    program, files = bench.program, bench.files
    fit(program, files)
    folder = Folder(program, files, "scores")
    influence = ["influence", *files.options()]
    always = ["manifest.json", "report.json"]
    groups = bench.raw("groups.json", b"[[0, 3], [2]]")
    for name, more, array, top in (
            ("pairs", files.tests(), "scores.npy", ["top.csv"]), ("sets", [*files.tests(), "--groups", groups], "group_scores.npy", ["top.csv"]),
            ("labels", [*files.tests(), "--flips"], "relabel_scores.npy", ["top.csv"]), ("self", ["--self"], "self_influence.npy", []),
            ("sets to second order", [*files.tests(), "--groups", groups, "--second-order"], "group_scores.npy", ["top.csv"]),
            ("pairs again", files.tests(), "scores.npy", ["top.csv"])):
        folder.run(name, *influence, *more)
        folder.holds(name, array, *top, *always)
        program.expect(sorted(folder.results()) == sorted([array, *top, "report.json"]), name,
                       f"manifest.json names {folder.results()}")
    folder = Folder(program, files, "own")
    os.makedirs(os.path.join(folder.path, "group_scores.npy"))
    open(os.path.join(folder.path, "mine.npy"), "w").close()
    folder.run("beside a user's own", *influence, *files.tests())
    folder.holds("a user's own stays", "scores.npy", "top.csv", "group_scores.npy", "mine.npy", *always)
    for verb, more, named in (("influence", ["--self"], ["scores.npy", "top.csv"]), ("retrain", [*files.tests(), "--all"], ["actual.npy", "predicted.npy"])):
        folder = Folder(program, files, "own-" + verb)
        os.makedirs(folder.path)
        for name in named:  # as results are, but no manifest says that they are some
            bench.raw(os.path.join("own-" + verb, name), b"mine")
        folder.run(f"{verb} beside a user's own", verb, *files.options(), *more)
        for name in named:
            with open(os.path.join(folder.path, name), "rb") as file:
                program.expect(file.read() == b"mine", f"{verb} beside a user's own", f"{name} is another")
    for text in (b"", b"[", b"null", b'{"results": 3}', b'{"results": [3, "../mine.npy", "mine.npy"]}'):
        bench.raw(os.path.join("own", "manifest.json"), text)
        folder = Folder(program, files, "own")
        folder.run(f"beside the manifest {text}", *influence, "--self")
        program.expect(os.path.exists(os.path.join(folder.path, "mine.npy")), f"beside the manifest {text}", "mine.npy is gone")
    report = bench.raw("g.npy.report.json", b"mine")
    program.run("gradient", *files.options(), "--out", files.path("g.npy"), "--device", program.device)
    program.expect(os.path.exists(report), "gradient beside a user's own report", "it is gone")
    # Unfinished work of another run is not this one's.
    folder = Folder(program, files, "unfinished")
    folder.run("a plain run", *influence, *files.tests())
    for name in ("influence.journal", ".scores.npy.part"):
        bench.raw(os.path.join("unfinished", name), b"half")
    for more in (["--self"], [*files.tests(), "--groups", groups, "--second-order"]):
        done = program.run(*influence, *more, "--out", folder.path, "--device", program.device)
        program.expect(done.returncode == 2 and "journal" in done.stderr, f"unfinished work, {more[0]}", done.stderr)
    # Another verb's results stay.
    fitted = Folder(program, files, "fit2")
    fitted.run("train", "train", *files.options(fitted=False))
    fitted.run("influence", *influence, *files.tests())
    fitted.holds("two verbs", "params.npy", "train.json", "scores.npy", "top.csv", *always)
    # A report belongs to its file.
    solved = files.path("s.npy")
    for verb, more, there in (("solve", ["--vectors", files.path("vectors.npy")], True), ("loss", [], False)):
        done = program.run(verb, *files.options(), *more, "--out", solved, "--device", program.device)
        program.expect(done.returncode == 0, verb, done.stderr)
        program.expect(os.path.exists(solved + ".report.json") == there, verb, "a report of another run")


def check_networks(bench):
    """train of a logistic model after that of a network: no moments of another fit"""
    program, files = bench.program, bench.files
    folder = Folder(program, files, "fit3")
    images = files.save("images", np.zeros((24, 1, 6, 5)))
    spec = bench.raw("net.json", NET.encode())
    folder.run("network", "train", "--model", "convnet", "--spec", spec, "--x", images, "--y", files.path("y.npy"), "--batch", 5,
               "--steps", 5)
    folder.holds("network", "params.npy", "moments.npy", "train.json", "train.journal", "manifest.json")
    folder.run("logistic", "train", *files.options(fitted=False))
    folder.holds("logistic", "params.npy", "train.json", "train.journal", "manifest.json")


def check_specs(bench):
    """A network's description is an input: another one is another request, and the manifest has it"""
    program, files = bench.program, bench.files
    images = files.save("images", np.random.default_rng(0).standard_normal((24, 1, 6, 5)))
    specs = [bench.raw(name, text.encode()) for name, text in (("one.json", NET), ("two.json", NET.replace('"kernel":3', '"kernel":3,"stride":2')))]
    folder = Folder(program, files, "specs")
    network = lambda spec: ["--model", "convnet", "--spec", spec, "--x", images, "--y", files.path("y.npy")]
    training = ["--batch", 5, "--steps", 5]
    folder.run("train", "train", *network(specs[0]), *training)
    with open(os.path.join(folder.path, "manifest.json"), encoding="utf-8") as file:
        program.expect(any(entry["path"] == specs[0] for entry in json.load(file)["inputs"]), "train", "the manifest has no spec")
    done = program.run("train", *network(specs[1]), *training, "--steps", 10, "--resume", "--out", folder.path, "--device", program.device)
    program.expect(done.returncode == 2, "train --resume by another spec", f"exit code {done.returncode}")
    again = ["retrain", *network(specs[0]), "--params", os.path.join(folder.path, "params.npy"), "--test-index", 0, "--indices",
             files.path("indices.npy"), "--steps", 3, "--damping", 1]
    retrained = Folder(program, files, "specs-retrained")
    retrained.run("retrain", *again)
    for what, other in (("spec", specs[1]), ("damping", 5)):
        changed = [other if part in (specs[0], 1) and part == (specs[0] if what == "spec" else 1) else part for part in again]
        done = retrained.run(f"retrain --resume, another {what}", *changed, "--resume", "--json")
        program.expect("already_finished" not in done.stdout, f"retrain --resume, another {what}", done.stdout)
    # Without a train.json beside it any rate may be asked for.
    alone = [shutil.copy(part, files.path("alone.npy")) if part == os.path.join(folder.path, "params.npy") else part for part in again]
    done = program.run(*alone, "--batch", 5, "--learning-rate", 1e6, "--out", files.path("specs-diverged"), "--device", program.device)
    program.expect(done.returncode == 3 and "retrain: diverged" in done.stderr and "--learning-rate" in done.stderr, "retrain that runs away", done.stderr)
    program.expect(not os.path.exists(files.path("specs-diverged/loo.csv")), "retrain that runs away", "results were written")


def check_finished(bench):
    """--resume of what is finished says so, and leaves it; of anything else it runs"""
    program, files = bench.program, bench.files
    fit(program, files)
    groups = bench.raw("sets.json", b"[[0, 3], [2]]")
    influence = ["influence", *files.options(), *files.tests()]
    retrain = ["retrain", *files.options(), *files.tests(), "--indices", files.path("indices.npy")]
    for name, arguments, other, file in (("influence", influence, ["--top", 3], "scores.npy"),
                                         ("influence, sets", [*influence, "--groups", groups, "--second-order"],
                                          ["--damping", 0.1], "group_scores.npy"),
                                         ("retrain", retrain, ["--tolerance", 1e-9], "loo.csv")):
        folder = Folder(program, files, name.replace(", ", "-"))
        table = os.path.join(folder.path, file)
        folder.run(name, *arguments)
        before = os.stat(table)
        done = folder.run(name + " --resume", *arguments, "--resume", "--json")
        facts = parse_json(done.stdout) or {}
        program.expect(facts.get("already_finished") is True and done.stderr == "", name, f"said {done.stdout!r} {done.stderr!r}")
        program.expect(os.stat(table).st_mtime_ns == before.st_mtime_ns, name, f"{file} was written again")
        for what, more in (("another request", other), ("--allow-uncertified", ["--allow-uncertified"])):
            done = folder.run(f"{name} --resume, {what}", *arguments, *more, "--resume", "--json")
            program.expect("already_finished" not in done.stdout, f"{name} --resume, {what}", done.stdout)
        folder.run(name, *arguments)
        os.remove(table)
        folder.run(f"{name} --resume, a file is gone", *arguments, "--resume")
        program.expect(os.path.exists(table), f"{name} --resume, a file is gone", f"no {file}")
        files.save("ty", np.roll(np.load(files.path("ty.npy")), 1))
        done = folder.run(f"{name} --resume, other tests", *arguments, "--resume", "--json")
        program.expect("already_finished" not in done.stdout, f"{name} --resume, other tests", done.stdout)


def check_left_over(bench):
    """Temporary files of processes that are gone, and only those"""
    program, files = bench.program, bench.files
    fit(program, files)
    gone = subprocess.Popen(["true"])
    gone.wait()
    folder = Folder(program, files, "left")
    os.makedirs(folder.path)
    temporary = lambda name, process: f".{name}.{process}-0-0123abcd.tmp"
    for name in ("top.csv", "manifest.json", "probe"):
        open(os.path.join(folder.path, temporary(name, gone.pid)), "w").close()
    # Of a live run, of files that this run does not write, of no run.
    stay = [temporary("top.csv", os.getpid()), temporary("group_scores.npy", gone.pid), ".relabel_scores.npy.part", temporary("mine.csv", gone.pid), ".top.csv.old.tmp"]
    for name in stay:
        open(os.path.join(folder.path, name), "w").close()
    folder.run("influence", "influence", *files.options(), *files.tests())
    folder.holds("left over", "scores.npy", "top.csv", "report.json", "manifest.json", *stay)
    shutil.rmtree(folder.path)


def check_links(bench):
    """A link to nothing is no place for results"""
    files = bench.files
    os.symlink("nowhere", files.path("dangling"))
    words = ["dangling", "is a link to nowhere, which is not there"]
    bench.fails("--out of a file is a link to nothing", 2, ["loss", *files.options()], *words, out=files.path("dangling"))
    bench.fails("--out of a folder is a link to nothing", 2, ["train", *files.options(fitted=False)], *words,
                out=files.path("dangling"))


def check_mnist_arrays(bench):
    script = os.path.join(SCRIPTS, "mnist-arrays")
    for place in (bench.files.path("x.npy"), "/proc/a"):
        done = subprocess.run([sys.executable, script, place], capture_output=True, text=True)
        lines = done.stderr.splitlines()
        bench.program.expect(done.returncode == 2 and len(lines) == 1 and place in lines[0] and "expected" in lines[0],
                             f"mnist-arrays {place}", f"exit code {done.returncode}: {done.stderr}")


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        for check in (check_one_run, check_networks, check_specs, check_finished, check_left_over, check_links, check_mnist_arrays):
            check(Bench(program, Files(os.path.join(folder, check.__name__))))
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
