"""Reports for the tests: of the results that come with the program, and of made-up ones with all that can go wrong."""

import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RESULTS = os.path.join(ROOT, "docs", "results")
FIGURES = os.path.join(ROOT, "host", "figures")
HOSTILE = "<script>fetch('http://localhost/')</script> & \"quoted\" " + "long" * 60


def write_report(results, out):
    return subprocess.run([sys.executable, os.path.join(FIGURES, "report.py"), "--results", results, "--out", out],
                          capture_output=True, text=True, timeout=120)


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def make_odd_results(folder):
    """One experiment failed, one not run, one unfinished, one quick, one done in part, one that nobody knows, and hostile
    texts."""
    states = [("figure1", "failed"), ("figure2_linear", "not run"), ("figure3", "finished"), ("figure6", "not run"),
              ("figure4", "failed"), ("unheard_of", "finished"), ("figure2_convnet", "finished")]
    write_json(os.path.join(folder, "experiments.json"),
               {"experiments": [{"name": name, "state": state,
                                 **({"exit_code": 3, "reason": HOSTILE} if state == "failed" else {})}
                                for name, state in states]})
    for name in ("figure1", "figure2_linear", "figure3"):  # the first two are an earlier run's
        shutil.copytree(os.path.join(RESULTS, name), os.path.join(folder, name))
    shutil.copy(os.path.join(RESULTS, "figure3.png"), os.path.join(folder, "figure3"))
    summary = os.path.join(folder, "figure3", "summary.json")
    with open(summary, encoding="utf-8") as file:
        facts = json.load(file)
    facts["temperatures"][1]["pearson"] = 0.99999
    write_json(summary, {**facts, "quick": True})
    with open(os.path.join(RESULTS, "figure2_convnet", "summary.json"), encoding="utf-8") as file:
        write_json(os.path.join(folder, "figure2_convnet", "summary.json"), {**json.load(file), "n_adam": 10})
    os.makedirs(os.path.join(folder, "figure6"))
    open(os.path.join(folder, "figure6", "checks.journal"), "wb").close()
    write_json(os.path.join(folder, "unheard_of", "summary.json"),
               {"device": HOSTILE, "precision": "double", "seconds": {HOSTILE: 7200.0}, "max_gradient_norm": 1e-11,
                HOSTILE: {"duality_gap": 0.0}})
    write_json(os.path.join(folder, "unheard_of", "manifest.json"), {"command_line": [HOSTILE], "cpu": HOSTILE})
