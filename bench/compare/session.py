"""A whole run: sides are started as rows need them, rows are run one after the other, results are written."""

import datetime
import json
import subprocess
import tempfile

import numpy as np

import checks
import machine
import peer_environment
import problem_folders
import program_tasks
import table
import work_list
from contest import Contest, Contestant
from sides import Failed, Program, Served, environment

STORAGES = {"clout": "auto", "clout, dense": "dense"}
TRIED_SMALL = ("gradient", "hvp", "tangents", "hessian")  # passes whose variants are chosen on the small network


class Session:
    def __init__(self, root, build, options):
        self.root, self.build, self.options = root, build, options
        self.out = build / "bench"
        self.out.mkdir(parents=True, exist_ok=True)
        self.log = open(self.out / "log.txt", "w")  # what the sides print besides answers
        self.peers = peer_environment.make("/usr/bin/python3", self.out)
        part = work_list.QUICK if options.quick else 1
        self.folders = problem_folders.make(root, build / "bin/clout", self.out / ("tenth" if options.quick else "whole"), part)
        self.started, self.softmax = {}, None

    def served(self, *command, has_variants):
        """Kept between rows of the same model and precision."""
        key = tuple(map(str, command))
        if key not in self.started or not self.started[key].is_alive:
            self.started[key] = Served(key, self.log, self.options.threads, self.options.shared, has_variants)
        return self.started[key]

    def passes(self, row, storage, precision):
        return self.served(self.build / "bin/clout_passes", row.model, precision, storage, self.options.threads,
                           self.folders[row.model], has_variants=False)

    def peer(self, name, row, folder):
        found = self.peers.get(name, {"failure": "not installed"})
        if "failure" in found:
            raise Failed(found["failure"])
        return self.served(found["python"], self.root / "bench/peers/worker.py", name, row.model, row.precision,
                           self.options.threads, folder, has_variants=True)

    def program(self):
        commands = program_tasks.commands(self.folders["logistic"], self.out)
        return Program(self.build / "bin/clout", self.log, self.options.threads, self.options.shared, commands)

    def contestants(self, row):
        for name in row.ours:
            side = self.program() if name == "program" else self.passes(row, STORAGES[name], row.precision)
            yield Contestant(name, side, side)
        for name in row.peers:
            try:
                folder = self.folders[row.model]
                side = self.peer(name, row, folder)
                is_task = row.ours == ("program",)
                small = is_task or row.model == "convnet" and row.work in TRIED_SMALL
                yield Contestant(name, side, self.peer(name, row, self.folders[f"{row.model}-small"]) if small else side)
            except Failed as failed:
                yield Contestant(name, None, None, failure=str(failed))

    def reference(self, row):
        """Numbers to compare with, clout's in double; None where a check has an oracle of its own."""
        path = self.out / "reference.float64"
        if row.check == "same_numbers" and row.work != "self-influence":
            self.passes(row, "auto", "double").run(row.work, row.k, 1, path, "")
        elif row.check in ("same_numbers", "same_up_to_means"):
            work = row.work if row.work == "self-influence" else "scores-1e-10"
            self.program().run(work, row.k, 1, path, "--solver auto")
        else:
            return None
        result = np.fromfile(path)
        path.unlink()
        return result

    def oracle(self, row):
        if self.softmax is None and row.model == "logistic":
            self.softmax = checks.Softmax(self.folders["logistic"])
        return self.softmax

    def close_others(self, row):
        """Processes of another model or precision would only hold memory; and what a whole task has taken stays with its
        process, gigabytes of it."""
        is_task = row.ours == ("program",)
        for key, side in list(self.started.items()):
            if is_task or not (row.model in key and row.precision in key):
                if side.is_alive:
                    side.close()
                del self.started[key]

    def run(self, row):
        self.close_others(row)
        clock = "cpu" if self.options.shared else "wall"
        contest = Contest(row, self.folders[row.model], self.oracle(row), clock, self.options.quick)
        return contest.run(list(self.contestants(row)), self.reference(row))

    def close(self):
        for side in self.started.values():
            side.close()
        self.log.close()


def commit(root):
    done = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def failed_row(row, failure):
    """Where there is nothing to compare with, all of the row is lost, and no more than the row."""
    return {"key": row.key, "title": row.title, "rounds": 0, "flops": row.flops, "precision": row.precision,
            "ours": [{"name": name, "failure": str(failure), "trials": []} for name in row.ours], "peers": []}


def facts_of_run(root, build, command, variables):
    return {"command": command, "commit": commit(root), "load_before": machine.load(), "load_after": machine.load(),
            "ceilings": machine.ceilings(build / "bin/clout_bench", variables)}


def facts_of_session(options):
    """What rows must have in common to stand in one table."""
    return {"date": str(datetime.date.today()), "machine": machine.processor(), "threads": options.threads,
            "is_quick": options.quick, "clock": "cpu" if options.shared else "wall"}


def to_go_on_from(path, options):
    """The facts of earlier runs in the file; None where there is none. ValueError where they are of another kind."""
    if not path.exists():
        return None
    facts = json.loads(path.read_text())
    for name, value in facts_of_session(options).items():
        if facts.get(name) != value:
            raise ValueError(f"{path}: {name} is {facts.get(name)}; expected {value}, as of this run")
    return facts


def run(root, build, rows, options, command, variables, before, save):
    """`save(facts)` is called after every row: a run that is killed leaves what it has. Rows that `before` has are kept."""
    session = Session(root, build, options)
    facts = before or {**facts_of_session(options), "runs": [], "rows": []}
    facts["peers"] = session.peers
    facts["runs"].append(facts_of_run(root, build, command, variables))
    done = {row["key"] for row in facts["rows"]}
    places = {row.key: place for place, row in enumerate(work_list.rows(options.quick))}
    rows = [row for row in rows if row.key not in done]
    try:
        for number, row in enumerate(rows):
            print(f"[{number + 1}/{len(rows)}] {row.key}", flush=True)
            try:
                found = session.run(row)
            except Failed as failed:
                found = failed_row(row, failed)
            found["run"] = len(facts["runs"]) - 1
            facts["rows"] = sorted([*facts["rows"], found], key=lambda row: places[row["key"]])
            for cells in table.row_lines(found, facts["runs"][-1]["ceilings"], facts["clock"]):
                print("    " + " | ".join(cell for cell in cells[1:] if cell), flush=True)
            facts["runs"][-1]["load_after"] = machine.load()
            save(facts)
    finally:
        session.close()


def without_paths(facts, root):
    """Where the repository, the peers and temporary files lie on this machine is nobody's business."""
    peers = {name: {"failure": found["failure"]} if "failure" in found else {"installed": True}
             for name, found in facts["peers"].items()}
    text = json.dumps({**facts, "peers": peers})
    for place in (root, tempfile.gettempdir()):
        text = text.replace(f"{place}/", "")
    return json.loads(text)


def write(facts, stem, root):
    facts = without_paths(facts, root)
    return write_pair(stem, facts, table.markdown(facts))


def write_pair(stem, facts, page):
    """The facts, and the page that people read."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = stem.with_name(stem.name + ".json"), stem.with_name(stem.name + ".md")
    paths[0].write_text(json.dumps(facts, indent=1) + "\n")
    paths[1].write_text(page)
    return paths
