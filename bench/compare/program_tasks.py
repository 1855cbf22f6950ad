"""The program's whole tasks as commands: what is run, and where its result is found."""

import json
import pathlib
import shutil

import numpy as np

REMOVED_TEST = 8  # the test image whose loss `retrain` follows


def commands(folder, work_folder):
    """A function of (work, k) that gives {variant: (arguments, collect)}; collect(out) writes the result to `out` as raw
    float64 unless that is "-", and gives the seconds that the program counts itself, or None. It clears the results away.
    """
    folder, results = pathlib.Path(folder), pathlib.Path(work_folder) / "program"
    model = ["--model", "logistic", "--classes", "10", "--l2", "0.01", "--x", f"{folder}/x.npy", "--y", f"{folder}/y.npy"]
    at_minimum = [*model, "--params", f"{folder}/minimum.npy"]

    def tests(k):
        return ["--test-x", f"{folder}/test-x.npy", "--test-y", f"{folder}/test-y.npy", "--test-index",
                *map(str, range(k))]

    def collected(array, facts, key="seconds"):
        def collect(out):
            if out != "-":
                array().astype(np.float64).tofile(out)
            inside = json.loads((results / facts).read_text()).get(key) if facts else None
            shutil.rmtree(results)
            return inside
        return collect

    def numbers(name):
        return lambda: np.load(results / name)

    def gradient_norms():
        table = np.genfromtxt(results / "loo.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
        return np.atleast_1d(table["gradient_norm"])

    def in_single(arguments, collect):
        return [*arguments, "--precision", "single"], collect

    def solve(tolerance, k):
        base = ["solve", *at_minimum, "--vectors", f"{folder}/tests-{k}.npy", "--tolerance", tolerance, "--out",
                f"{results}/s.npy"]
        collect = collected(numbers("s.npy"), "s.npy.report.json")
        found = {"--solver auto": ([*base, "--solver", "auto"], collect)}
        for solver in {1: ("cg",), 32: ("cg", "block-cg")}.get(k, ()):  # of a thousand, one factor is far less
            found[f"--solver {solver} --precision single"] = in_single([*base, "--solver", solver], collect)
        return found

    def of(work, k):
        results.mkdir(parents=True, exist_ok=True)  # not every verb makes the folder of a file
        if work.startswith("solve-"):
            return solve(work.removeprefix("solve-"), k)
        if work.startswith("scores-"):
            tolerance = work.split("-", 1)[1]
            base = ["influence", *at_minimum, *tests(k), "--tolerance", tolerance, "--out", f"{results}"]
            collect = collected(numbers("scores.npy"), None)
            return {"--solver auto": ([*base, "--solver", "auto"], collect),
                    "--solver cg --precision single": in_single([*base, "--solver", "cg"], collect)}
        if work == "self-influence":
            return {"--solver auto": (["influence", *at_minimum, "--self", "--solver", "auto", "--out", f"{results}"],
                                      collected(numbers("self_influence.npy"), None))}
        if work == "train":
            return {"": (["train", *model, "--tolerance", "1e-8", "--out", f"{results}"],
                         collected(numbers("params.npy"), "train.json"))}
        if work == "leave-one-out":
            base = ["retrain", *at_minimum, *tests(REMOVED_TEST + 1)[:4], "--test-index", str(REMOVED_TEST), "--indices",
                    f"{folder}/removed.npy", "--out", f"{results}"]
            return {"--precision single": in_single(base, collected(gradient_norms, None))}
        raise ValueError(f"{work}: expected a task of the work list")

    return of
