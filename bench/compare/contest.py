"""One row: which variant of each side is the best and right, then both sides in turn."""

import dataclasses
import pathlib
import tempfile

import numpy as np

import checks
import timing
from sides import Failed
from work_list import Row

SHORTEST = 0.2  # seconds: shorter work is run several times a turn, and the turn's time is their median
LONG_VARIANT = 4  # a variant that takes so many times the best one's time on trial is out


@dataclasses.dataclass
class Contestant:
    """One side in one row."""
    name: str
    side: object          # where it runs
    trial_side: object    # where variants are tried: the same, or the same peer on a smaller problem
    variant: str = ""
    answer: dict = dataclasses.field(default_factory=dict)
    trials: list = dataclasses.field(default_factory=list)
    check: dict = dataclasses.field(default_factory=dict)
    wall: list = dataclasses.field(default_factory=list)
    cpu: list = dataclasses.field(default_factory=list)
    inside: list = dataclasses.field(default_factory=list)
    failure: str = ""

    def facts(self):
        if self.failure:
            return {"name": self.name, "failure": self.failure, "trials": self.trials, "check": self.check}
        facts = {"name": self.name, "version": self.side.version, "variant": self.variant, "check": self.check, "wall": self.wall,
                 "cpu": self.cpu, "wall_summary": timing.summary(self.wall), "cpu_summary": timing.summary(self.cpu),
                 "share": self.answer["share"], "note": self.answer["note"], "trials": self.trials}
        if self.inside and self.inside[0] is not None:
            facts["inside_summary"] = timing.summary(self.inside)
        if "command" in self.answer:
            facts["command"] = self.answer["command"]
        return facts


class Contest:
    """Runs a row. `oracle` is checks.Softmax or None; `clock` is "wall" or "cpu": which one chooses variants."""

    def __init__(self, row: Row, folder: pathlib.Path, oracle, clock, is_quick):
        self.row, self.folder, self.oracle, self.clock, self.is_quick = row, folder, oracle, clock, is_quick
        self.out = pathlib.Path(tempfile.mkdtemp(prefix="bench-")) / "result.float64"

    def run_side(self, side, variant, repeats, with_result):
        answer = side.run(self.row.work, self.row.k, repeats, self.out if with_result else "-", variant)
        answer.setdefault("share", 1.0)
        answer.setdefault("note", "")
        return answer

    def time_of(self, answer):
        return min(answer["cpu_seconds" if self.clock == "cpu" else "seconds"]) / answer["share"]

    def judge(self, name, share, reference):
        result = np.fromfile(self.out)
        self.out.unlink()
        finding = checks.Finding(self.row, name, share, result, reference, self.oracle, self.folder)
        return getattr(checks, self.row.check)(finding)

    def choose(self, contestant, reference):
        """Tries every variant; the fastest that is right stays, with its answer."""
        best = None
        is_whole = contestant.trial_side is contestant.side
        try:
            names = contestant.trial_side.variants(self.row.work, self.row.k)
        except Failed as failed:
            contestant.failure = str(failed)
            return
        for name in names:
            trial = {"variant": name}
            contestant.trials.append(trial)
            try:
                answer = self.run_side(contestant.trial_side, name, 1, is_whole)
                trial["seconds"] = self.time_of(answer)
                if is_whole:
                    trial["check"] = self.judge(contestant.name, answer["share"], reference)
            except Failed as failed:
                trial["failure"] = str(failed)
                if not contestant.trial_side.is_alive:
                    break  # the rest is not tried: what killed it took the time
                continue
            is_right = not is_whole or trial["check"]["is_right"]
            if is_right and (best is None or trial["seconds"] < best["seconds"]):
                best, contestant.variant, contestant.answer = trial, name, answer
                contestant.check = trial.get("check", {})
        if best is None:
            failures = [t.get("failure") or f"{t['check']['what']}: {t['check']['figure']:.1e}" for t in contestant.trials]
            contestant.failure = failures[0] if failures else "cannot do this"
        elif not is_whole:
            self.settle(contestant, reference)

    def settle(self, contestant, reference):
        """The variant that was the best on the trial problem, on the whole one."""
        try:
            contestant.answer = self.run_side(contestant.side, contestant.variant, 1, True)
            contestant.check = self.judge(contestant.name, contestant.answer["share"], reference)
            if not contestant.check["is_right"]:
                contestant.failure = f"{contestant.check['what']}: {contestant.check['figure']:.1e}"
        except Failed as failed:
            contestant.failure = str(failed)

    def turn(self, contestant):
        answer = contestant.answer
        repeats = max(1, round(SHORTEST / min(answer["seconds"])))
        answer = self.run_side(contestant.side, contestant.variant, repeats, False)
        self.record(contestant, answer)

    @staticmethod
    def record(contestant, answer):
        for times, key in ((contestant.wall, "seconds"), (contestant.cpu, "cpu_seconds")):
            times.append(timing.quantile(timing.scaled(answer[key], answer["share"]), 0.5))
        contestant.inside += answer.get("inside_seconds", [])

    def run(self, contestants, reference):
        """`reference`: the numbers that results are compared with, or None where the check needs none."""
        for contestant in contestants:
            self.choose(contestant, reference)
        running = [c for c in contestants if not c.failure]
        seconds = sum(min(c.answer["seconds"]) for c in running)
        rounds = timing.rounds_for(seconds, self.is_quick)
        for number in range(rounds):
            for contestant in running:
                if rounds == 1:
                    self.record(contestant, contestant.answer)  # so long that the trial is the measurement
                    continue
                try:
                    self.turn(contestant)
                except Failed as failed:
                    contestant.failure = str(failed)
            running = [c for c in running if not c.failure]
        return {"key": self.row.key, "title": self.row.title, "rounds": rounds, "flops": self.row.flops, "precision": self.row.precision,
                "ours": [c.facts() for c in contestants if c.name in self.row.ours],
                "peers": [c.facts() for c in contestants if c.name in self.row.peers]}
