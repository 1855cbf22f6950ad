#!/usr/bin/env python3
"""scripts/bench without any peer: statistics, which way a ratio goes, how losses, wrong results and missing peers are shown,
who is chosen, what a check refuses. Usage: compare_test.py ROOT
"""

import argparse
import contextlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
sys.path[:0] = [str(ROOT / "bench/compare"), str(ROOT / "bench/peers")]

import checks
import machine
import peer_environment
import problem
import scaling
import session
import table
import timing
import work_list
from contest import Contest, Contestant
from sides import Failed, Served

CEILINGS = {"multiply_add": {clock: {"single": 80.0, "double": 40.0} for clock in ("wall", "cpu")},
            "gemm": {"wall": {"single": 70.0, "double": 35.0}}, "read_bandwidth": 13.0}


def side(name, seconds, **more):
    return {"name": name, "version": "1", "variant": "a way", "check": {"figure": 1e-9}, "share": 1.0, "note": "", "trials": [],
            "wall_summary": timing.summary(seconds), "cpu_summary": timing.summary([2 * s for s in seconds]), **more}


def row(ours, peers, flops=0):
    return {"title": "work", "precision": "single", "flops": flops, "ours": ours, "peers": peers}


class Timing(unittest.TestCase):
    def test_quantiles_are_numpys(self):
        values = [5.0, 1.0, 4.0, 2.5]
        for share in (0, 0.25, 0.5, 0.6, 1):
            self.assertAlmostEqual(timing.quantile(values, share), np.quantile(values, share), places=14)

    def test_summary(self):
        found = timing.summary([4.0, 1.0, 2.0, 3.0, 100.0])
        self.assertEqual((found["median"], found["lower_quartile"], found["upper_quartile"], found["least"], found["count"]),
                         (3.0, 2.0, 4.0, 1.0, 5))
        self.assertRaises(ValueError, timing.summary, [])

    def test_samples_are_scaled_up(self):
        self.assertEqual(timing.scaled([1.0, 2.0], 0.25), [4.0, 8.0])
        for share in (0, -1, 1.5):
            self.assertRaises(ValueError, timing.scaled, [1.0], share)

    def test_ratio_is_peer_over_clout(self):
        self.assertEqual(timing.ratio(timing.summary([6.0, 5.0, 7.0]), timing.summary([1.0, 2.0, 3.0])), 3.0)


class Table(unittest.TestCase):
    def lines(self, found, clock="wall"):
        return list(table.row_lines(found, CEILINGS, clock))

    def test_winning_and_losing(self):
        lines = self.lines(row([side("clout", [1.0])], [side("torch_peer", [3.0]), side("jax_peer", [0.5])]))
        self.assertEqual(lines[1][4], "3×")
        self.assertEqual(lines[2][4], "**0.5×, slower**")
        self.assertTrue(lines[2][1].startswith("best: JAX"))
        self.assertFalse(lines[1][1].startswith("best"))

    def test_the_clock_decides_who_is_best(self):
        slow_by_wall = side("torch_peer", [3.0])
        slow_by_wall["cpu_summary"] = timing.summary([1.0])
        found = row([side("clout", [1.0])], [slow_by_wall, side("jax_peer", [2.0])])
        self.assertTrue(self.lines(found, "wall")[2][1].startswith("best: JAX"))
        self.assertTrue(self.lines(found, "cpu")[1][1].startswith("best: PyTorch"))

    def test_ratio_is_to_our_best_side(self):
        lines = self.lines(row([side("clout, dense", [2.0]), side("clout", [1.0])], [side("jax_peer", [4.0])]))
        self.assertEqual(lines[2][4], "4×")

    def test_missing_and_wrong_peers_say_why(self):
        lines = self.lines(row([side("clout", [1.0])], [
            {"name": "torch_influence_peer", "failure": "not installed: no such package", "trials": [], "check": {}},
            {"name": "captum_peer", "failure": "difference from clout in double: 3.0e-01", "trials": [], "check": {"figure": 0.3}}]))
        self.assertEqual(lines[1][1:5], ("torch-influence", "— (not installed: no such package)", "", ""))
        self.assertIn("3.0e-01", lines[2][2])
        self.assertFalse(any(line[4] for line in lines))

    def test_our_own_failure_is_shown(self):
        lines = self.lines(row([{"name": "program", "failure": "not certified", "trials": []}], [side("jax_peer", [1.0])]))
        self.assertIn("not certified", lines[0][2])
        self.assertEqual(lines[1][4], "")

    def test_a_row_without_a_reference(self):
        two = next(row for row in work_list.rows() if len(row.ours) == 2)
        lines = self.lines(session.failed_row(two, Failed("no memory")))
        self.assertEqual([line[2] for line in lines], ["— (no memory)"] * 2)

    def test_share_of_the_ceiling(self):
        self.assertEqual(self.lines(row([side("clout", [0.5])], [], flops=20e9))[0][6], "50 %")

    def test_units(self):
        self.assertEqual([table.time_text(s) for s in (1234.5, 12.345, 0.0123, 4e-6)], ["1,234 s", "12.3 s", "12.3 ms", "4.00 µs"])

    def test_page(self):
        faster = {**CEILINGS, "multiply_add": {clock: {"single": 160.0, "double": 80.0} for clock in ("wall", "cpu")}}
        runs = [{"command": f"scripts/bench{more}", "commit": "abc", "load_before": 0.1, "load_after": 0.2, "ceilings": ceilings}
                for more, ceilings in (("", CEILINGS), (" --resume", faster))]
        rows = [row([side("clout", [1.0])], [side("jax_peer", [2.0], note="a | sample")], flops=16e9) for _ in range(3)]
        facts = {"machine": {"name": "A Processor", "family": "1", "model": "2"}, "clock": "wall", "date": "2026-01-02", "threads": 2,
                 "is_quick": False, "runs": runs,
                 "peers": {"jax_peer": {"installed": True}, "torch_influence_peer": {"failure": "not installed: none"}},
                 "rows": [{**found, "run": run} for found, run in zip(rows, (0, 1, 0))]}
        page = table.markdown(facts)
        self.assertIn("`scripts/bench` (abc): 2 rows;", page)
        self.assertIn("`scripts/bench --resume` (abc): 1 row;", page)
        self.assertEqual([line.split(" | ")[-1] for line in page.splitlines() if "| clout a way |" in line], ["20 % |", "10 % |", "20 % |"])
        self.assertIn("Not there: torch-influence (not installed: none).", page)
        widths = {line.count("|") for line in page.splitlines() if line.startswith("|")}
        self.assertEqual(widths, {len(table.HEADINGS) + 1})


OPTIONS = argparse.Namespace(threads=1, quick=False, shared=False)


class FakeSession:
    """Says which rows were run."""

    def __init__(self, *_):
        self.peers = {}

    def run(self, wanted):
        if wanted.key == "scores-1":
            raise Failed("no memory")
        return {**row([side("clout", [1.0])], []), "key": wanted.key}

    def close(self):
        pass


class Resuming(unittest.TestCase):
    def run_rows(self, keys, before):
        saved, originals = [], (session.facts_of_run, session.Session)
        session.facts_of_run = lambda root, build, command, _: {"command": command, "ceilings": CEILINGS}
        session.Session = FakeSession
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                session.run(ROOT, ROOT, [r for r in work_list.rows() if r.key in keys], OPTIONS, " ".join(keys), None, before, saved.append)
        finally:
            session.facts_of_run, session.Session = originals
        return saved

    def test_rows_that_are_there_are_kept_and_the_order_is_the_lists(self):
        first = self.run_rows(["train", "scores-1"], None)[-1]
        self.assertEqual([r["key"] for r in first["rows"]], ["scores-1", "train"])
        saved = self.run_rows(["scores-1", "solve-1e-06-1", "train", "leave-one-out"], first)
        self.assertEqual(len(saved), 2)
        self.assertEqual([(r["key"], r["run"]) for r in saved[-1]["rows"]],
                         [("solve-1e-06-1", 1), ("scores-1", 0), ("train", 0), ("leave-one-out", 1)])
        self.assertEqual([run["command"] for run in saved[-1]["runs"]],
                         ["train scores-1", "scores-1 solve-1e-06-1 train leave-one-out"])

    def test_rows_of_another_kind_are_refused(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / "bench.json"
            self.assertIsNone(session.to_go_on_from(path, OPTIONS))
            path.write_text(json.dumps(self.run_rows(["train"], None)[-1]))
            self.assertEqual(len(session.to_go_on_from(path, OPTIONS)["rows"]), 1)
            for other in ({"threads": 2}, {"quick": True}, {"shared": True}):
                with self.assertRaisesRegex(ValueError, "expected .*, as of this run"):
                    session.to_go_on_from(path, argparse.Namespace(**{**vars(OPTIONS), **other}))

    def test_tasks_begin_with_all_memory(self):
        def closed_for(key):
            sides = {("worker", "logistic", "double"): FakeSide({}), ("worker", "logistic", "single"): FakeSide({})}
            for one in sides.values():
                one.close = lambda: None
            held = argparse.Namespace(started=dict(sides))
            session.Session.close_others(held, next(r for r in work_list.rows() if r.key == key))
            return len(sides) - len(held.started)
        self.assertEqual([closed_for(key) for key in ("solve-1e-06-1", "logistic-gradient-1-double")], [2, 1])


class FakeSide:
    """Variants with given times and results."""
    version, is_alive = "1", True

    def __init__(self, ways):
        self.ways = ways

    def variants(self, work, k):
        return list(self.ways)

    def run(self, work, k, repeats, out, variant):
        seconds, result = self.ways[variant]
        if isinstance(result, str):
            raise Failed(result)
        if out != "-":
            np.asarray(result, float).tofile(out)
        return {"seconds": [seconds] * repeats, "cpu_seconds": [seconds] * repeats}


class Choice(unittest.TestCase):
    reference = np.array([1.0, 2.0, 3.0])

    def run_contest(self, *sides):
        found = work_list.Row("key", "title", "logistic", "double", "hvp", 1, ("clout",), ("jax_peer",), "same_numbers")
        contest = Contest(found, pathlib.Path("."), None, "wall", True)
        return contest.run([Contestant(name, s, s) for name, s in zip(("clout", "jax_peer"), sides)], self.reference)

    def test_fastest_that_is_right(self):
        facts = self.run_contest(FakeSide({"": (1.0, self.reference)}),
                                 FakeSide({"slow": (3.0, self.reference), "wrong": (0.1, 1.01 * self.reference),
                                           "right": (2.0, self.reference), "broken": (0, "no such thing")}))
        peer = facts["peers"][0]
        self.assertEqual(peer["variant"], "right")
        self.assertEqual(peer["wall_summary"]["median"], 2.0)
        self.assertEqual([bool(t.get("failure")) for t in peer["trials"]], [False, False, False, True])

    def test_nothing_right_is_no_time(self):
        facts = self.run_contest(FakeSide({"": (1.0, self.reference)}), FakeSide({"wrong": (0.1, 2 * self.reference)}))
        self.assertNotIn("wall_summary", facts["peers"][0])
        self.assertIn("difference from clout", facts["peers"][0]["failure"])

    def test_both_take_turns(self):
        order = []

        class Noted(FakeSide):
            def run(self, work, k, repeats, out, variant):
                if out == "-":
                    order.append(next(iter(self.ways)))
                return super().run(work, k, repeats, out, variant)

        self.run_contest(Noted({"a": (1.0, self.reference)}), Noted({"b": (1.0, self.reference)}))
        self.assertEqual(order, ["a", "b"] * 3)


class Check(unittest.TestCase):
    def test_difference(self):
        b = np.array([3.0, 4.0])
        self.assertAlmostEqual(checks.difference(np.array([3.0, 4.5]), b), 0.1)
        self.assertEqual(checks.difference(np.array([3.0]), b, 0.5), 0)
        for wrong in ([3.0], [3.0, np.nan], [3.0, 4.0, 5.0]):
            self.assertEqual(checks.difference(np.array(wrong), b), float("inf"), wrong)

    def test_softmax_by_differences(self):
        """Gradient against losses, product against gradients, by central differences: errors of order h² with h = 1e-5."""
        with tempfile.TemporaryDirectory() as name:
            folder, random = pathlib.Path(name), np.random.default_rng(0)
            random.integers(0, 256, (6, 784), np.uint8).tofile(folder / "x.uint8")
            random.integers(0, 10, 6, np.int32).tofile(folder / "y.int32")
            theta = random.normal(0, 0.01, 7840)
            theta.tofile(folder / "minimum.float64")
            softmax = checks.Softmax(folder)

        def risk(t, left):
            p = softmax.probabilities(t)[np.arange(6), softmax.y]
            return -np.log(p[left]).mean() + checks.L2 / 2 * t @ t

        v, h = random.normal(size=7840), 1e-5
        for without, left in ((None, slice(None)), (2, [0, 1, 3, 4, 5])):
            slope = (risk(theta + h * v, left) - risk(theta - h * v, left)) / (2 * h)
            self.assertAlmostEqual(softmax.gradient(theta, without) @ v / slope, 1, delta=1e-6)
        curved = (softmax.gradient(theta + h * v) - softmax.gradient(theta - h * v)) / (2 * h)
        product = softmax.product(v[None])[0]
        self.assertLess(np.linalg.norm(product - curved) / np.linalg.norm(product), 1e-5)


class Scaling(unittest.TestCase):
    @staticmethod
    def found():
        """Times as n^1, d^2, K^0 and k^0.5, memory as twice the size."""
        powers = {"n": 1, "d": 2, "K": 0, "k": 0.5}
        for axis, storage, sizes in scaling.points():
            seconds = 1e-3 * sizes[axis] ** powers[axis]
            run = {"seconds": [seconds] * 3, "flops": 1e6, "scratch_bytes": 3, "resident_bytes": 2 * sizes[axis]}
            yield scaling.fact(axis, storage, sizes, [run, run])

    def test_slopes_are_those_of_the_logarithms(self):
        for power, axis in ((1, "n"), (2, "d"), (0, "K"), (0.5, "k")):
            facts = [fact for fact in self.found() if fact["axis"] == axis]
            self.assertAlmostEqual(scaling.slope(facts[0], facts[1], axis, lambda f: f["summary"]["median"]), power)

    def test_every_axis_is_walked_and_nothing_else_moves(self):
        for axis, values in scaling.AXES.items():
            for storage in scaling.STORAGES:
                walked = [sizes for name, kind, sizes in scaling.points() if (name, kind) == (axis, storage)]
                self.assertEqual([sizes[axis] for sizes in walked], list(values))
                self.assertTrue(all({**sizes, axis: 0} == {**scaling.BASE, axis: 0} for sizes in walked))

    def test_program_is_asked_for_what_is_meant_and_failures_are_rows(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "bin").mkdir()
            program = folder / "bin/clout_scaling"
            program.write_text("""#!/bin/sh
[ "$3" = 1000000 ] && { echo "clout_scaling: no memory" >&2; exit 4; }
[ "$5" = 100 ] && kill -9 $$
echo "$@" >> "$(dirname "$0")/asked"
echo '{"seconds": [1.0], "flops": 8e9, "scratch_bytes": 1, "resident_bytes": 0}'
""")
            program.chmod(0o755)
            saved, original = [], session.facts_of_run
            session.facts_of_run = lambda *_: {"load_before": 0.0, "ceilings": CEILINGS, "command": "y"}
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    scaling.run(ROOT, folder, OPTIONS, "y", None, saved.append)
            finally:
                session.facts_of_run = original
            asked = (folder / "bin/asked").read_text().splitlines()
        distinct = {(storage, *sizes.values()) for _, storage, sizes in scaling.points()}
        self.assertEqual(len(saved), 2 * len(distinct))
        self.assertEqual(len(asked), 2 * sum(n != 1_000_000 and classes != 100 for _, n, _, classes, _ in distinct))
        self.assertIn("dense single 50000 784 10 64 1", asked)
        page = scaling.markdown(saved[-1])
        self.assertEqual(page.count("— (clout_scaling: no memory)"), 2)
        self.assertEqual(page.count("— (ended with exit status -9)"), 2)
        self.assertIn("| 64 | 1.00 s (1.00 s to 1.00 s) | 0.00 | 8.0 | 10 % | 0.0 MB | 0.0 MB |  |", page)

    def test_page_shows_every_size(self):
        text = "\n".join(scaling.lines(list(self.found()), 80.0))
        rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(tuple(f"| {a} " for a in scaling.AXES))]
        self.assertEqual(len(rows), len(list(scaling.points())))
        self.assertIn("| 20,000 | 20.0 s (20.0 s to 20.0 s) | 1.00 | 0.0 | 0 % | 0.0 MB | 0.0 MB | 1.00 |", text)


class Surroundings(unittest.TestCase):
    def test_ceilings(self):
        text = ("multiply-add:    80.2 float,   37.1 double GFLOP/s by the wall;   40.3,   19.2 per second of processor time\n"
                "OpenBLAS GEMM:   72.4 float,   35.3 double GFLOP/s by the wall;   36.4,   17.6 per second of processor time\n"
                "memory, read:  13.2 GB/s\n")
        found = machine.parse_ceilings(text)
        self.assertEqual(found["multiply_add"]["wall"], {"single": 80.2, "double": 37.1})
        self.assertEqual(found["gemm"]["cpu"], {"single": 36.4, "double": 17.6})
        self.assertEqual(found["read_bandwidth"], 13.2)
        self.assertRaises(ValueError, machine.parse_ceilings, text.replace("memory", "disk"))

    def test_pip_says_why(self):
        self.assertEqual(peer_environment.last_line("a\nERROR: No matching distribution found for x\nWARNING: y\n"),
                         "No matching distribution found for x")

    def test_no_python_no_peers(self):
        with tempfile.TemporaryDirectory() as name:
            found = peer_environment.make("/bin/false", pathlib.Path(name))
        self.assertEqual(set(found), set(peer_environment.PACKAGES))
        self.assertTrue(all("failure" in peer for peer in found.values()))

    def test_a_peer_that_is_not_there(self):
        with tempfile.TemporaryFile() as log:
            with self.assertRaisesRegex(Failed, "No module named 'no_such_peer'|FileNotFoundError"):
                Served([sys.executable, str(ROOT / "bench/peers/worker.py"), "no_such_peer", "logistic", "single", "1", "/nowhere"],
                       log, 1, True, True)

    def test_paths_stay_here(self):
        facts = session.without_paths({"peers": {"a": {"python": "/some/where"}, "b": {"failure": "why"}},
                                       "rows": [{"command": f"clout --x {ROOT}/build/x.npy", "failure": f"{tempfile.gettempdir()}/y: gone"}]}, ROOT)
        self.assertEqual(facts["peers"], {"a": {"installed": True}, "b": {"failure": "why"}})
        self.assertEqual(facts["rows"], [{"command": "clout --x build/x.npy", "failure": "y: gone"}])

    def test_every_row_has_what_it_names(self):
        rows = work_list.rows()
        self.assertEqual(len({r.key for r in rows}), len(rows))
        for found in rows:
            self.assertTrue(callable(getattr(checks, found.check)))
            self.assertLessEqual({*found.ours, *found.peers}, set(table.NAMES))
            self.assertLessEqual(set(found.peers), set(peer_environment.PACKAGES))

    def test_network_is_the_papers(self):
        self.assertEqual(problem.blocks("convnet")[-1][2], 2616)
        self.assertEqual(problem.blocks("logistic")[-1][2], 7840)

    def test_bad_rows_are_one_line(self):
        for arguments, words in ((["--rows", "nothing"], "no row has such a key"), (["--rows", "("], "regular expression"),
                                 (["--threads", "0"], "expected 1 to"), (["--scaling", "--quick"], "expected it without")):
            done = subprocess.run([sys.executable, ROOT / "scripts/bench", *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
