#!/usr/bin/env python3
"""Runs the figure scripts on made-up results: same bytes twice, no dates, one clear line for bad input.

Usage: figures_test.py FOLDER_OF_SCRIPTS
"""

import json
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(sys.argv.pop()).resolve() if len(sys.argv) > 1 else None
HEADER = "rank,train_index,label,test_index,predicted,actual,gradient_norm,iterations\n"


def write_results(folder, points=40):
    made_up = random.Random(1)
    for name in ("loo.csv", "loo_random.csv"):
        rows = []
        for rank in range(points):
            x = made_up.gauss(0, 1e-4)
            rows.append(f"{rank},{rank},{rank % 10},8,{x!r},{1.001 * x!r},5e-11,3\n")
        (folder / name).write_text(HEADER + "".join(rows))
    summary = {"n_train": 55000, "n_params": 7840, "test_index": 8, "n_removed": points, "pearson": 0.99999,
               "slope": 1.001, "max_gradient_norm": 5e-11, "solver": "direct",
               "random": {"n_test": 1, "n_removed": points, "pearson_min": 0.9999, "slope_pooled": 1.001,
                          "slope_min": 0.99, "slope_max": 1.01, "slope_pooled_interval": [1.0, 1.002]}}
    (folder / "summary.json").write_text(json.dumps(summary))


def draw(folder, out, *more):
    return subprocess.run([sys.executable, SCRIPTS / "figure2_linear.py", "--loo", folder / "loo.csv", "--summary",
                           folder / "summary.json", "--out", folder / out, *more], capture_output=True, text=True)


class Figure2Linear(unittest.TestCase):
    def setUp(self):
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)
        write_results(self.folder)

    def test_same_input_gives_same_bytes(self):
        for out in ("a", "b"):
            done = draw(self.folder, out, "--random", self.folder / "loo_random.csv")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        for kind in ("png", "svg"):
            first = (self.folder / f"a/figure2_linear.{kind}").read_bytes()
            self.assertEqual(first, (self.folder / f"b/figure2_linear.{kind}").read_bytes())
            self.assertNotIn(b"dc:date", first)
            self.assertNotIn(b"tIME", first)

    def test_works_without_random_points(self):
        for more in ((), ("--random", self.folder / "not_there.csv")):
            self.assertEqual(draw(self.folder, "c", *more).returncode, 0)

    def test_bad_input_is_one_line(self):
        (self.folder / "loo.csv").write_text(HEADER + "0,0,0,8,nan,1,1,1\n")
        done = draw(self.folder, "d")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("loo.csv", done.stderr)
        self.assertFalse((self.folder / "d").exists())


CONVNET_HEADER = ("rank,train_index,label,test_index,predicted,actual,proximal,proximal_gradient_norm,"
                  "predicted_gauss_newton,pbrf,pbrf_gradient_norm\n")


class Figure2Convnet(unittest.TestCase):
    def setUp(self):
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)
        made_up = random.Random(2)
        for name in ("loo.csv", "loo_random.csv"):
            rows = []
            for rank in range(30):
                x = made_up.gauss(0, 1e-4)
                rows.append(f"{rank},{rank},{rank % 10},6558,{x!r},{1.2 * x!r},{1.01 * x!r},5e-11,{x!r},{x!r},5e-11\n")
            (self.folder / name).write_text(CONVNET_HEADER + "".join(rows))
        agreement = {"pearson": 0.9, "slope": 1.2}
        over = {"n_test": 2, "n_removed": 15, "pearson_pooled": 0.9, "slope_pooled": 1.2}
        summary = {"n_train": 5500, "n_params": 2616, "test_index": 6558, "noise_floor": 1e-5, "published_pearson": 0.875,
                   "hessian": {"smallest": -0.003, "negative": 12}, "damping": 0.01, "retraining_steps": 300, "quick": True,
                   "checkpoint": {"steps": 500, "seed": 0}, "proximal": agreement,
                   "random": {"adam": over, "proximal": over}, **agreement}
        (self.folder / "summary.json").write_text(json.dumps(summary))

    def draw(self, out):
        return subprocess.run([sys.executable, SCRIPTS / "figure2_convnet.py", "--loo", self.folder / "loo.csv", "--random",
                               self.folder / "loo_random.csv", "--summary", self.folder / "summary.json", "--out",
                               self.folder / out], capture_output=True, text=True)

    def test_same_input_gives_same_bytes(self):
        for out in ("a", "b"):
            done = self.draw(out)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        for kind in ("png", "svg"):
            first = (self.folder / f"a/figure2_convnet.{kind}").read_bytes()
            self.assertEqual(first, (self.folder / f"b/figure2_convnet.{kind}").read_bytes())

    def leave_out_adam_beyond(self, rows):
        """As with --adam-points."""
        for name, first in (("loo.csv", rows), ("loo_random.csv", 0)):
            lines = (self.folder / name).read_text().splitlines(keepends=True)
            for at in range(1 + first, len(lines)):
                cells = lines[at].split(",")
                lines[at] = ",".join(cells[:5] + [""] + cells[6:])
            (self.folder / name).write_text("".join(lines))
        summary = json.loads((self.folder / "summary.json").read_text())
        del summary["random"]["adam"]
        summary.update({"n_removed": 30, "n_adam": rows})
        (self.folder / "summary.json").write_text(json.dumps(summary))

    def test_draws_models_that_adam_did_not_train(self):
        self.leave_out_adam_beyond(7)
        done = self.draw("e")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        text = (self.folder / "e/figure2_convnet.svg").read_text()
        self.assertIn("The 7 most influential", text)
        self.assertNotIn("published", text)
        self.assertIn("The 30 most influential", text)
        self.assertEqual(text.count("15 random training points"), 1)

    def seeds(self, *folders):
        return subprocess.run([sys.executable, SCRIPTS / "figure2_seeds.py", *folders], capture_output=True, text=True)

    def test_seeds_side_by_side(self):
        summary = json.loads((self.folder / "summary.json").read_text())
        over = {**summary["random"]["proximal"], "median_relative_error": 0.25}
        summary.update({"train_loss": 0.1, "test_accuracy": 0.9, "max_gradient_norm": 1e-11, "max_relative_residual": 1e-13,
                        "pbrf": summary["proximal"], "random": {"adam": over, "proximal": over, "pbrf": over}, "n_removed": 30})
        summary["checkpoint"]["gradient_norm"] = 0.5
        (self.folder / "summary.json").write_text(json.dumps(summary))
        whole = self.folder / "whole"
        whole.mkdir()
        for name in ("summary.json", "loo.csv"):
            (whole / name).write_text((self.folder / name).read_text())
        lines = (whole / "loo.csv").read_text().splitlines(keepends=True)
        for at in range(8, len(lines)):  # beyond the seven that both have
            cells = lines[at].split(",")
            lines[at] = ",".join(cells[:5] + ["-1"] + cells[6:])
        (whole / "loo.csv").write_text("".join(lines))
        self.leave_out_adam_beyond(7)
        other = json.loads((self.folder / "summary.json").read_text())
        other["checkpoint"]["seed"] = 1
        other["random"]["proximal"] = {**over, "pearson_pooled": 0.99999}
        (self.folder / "summary.json").write_text(json.dumps(other))
        done = self.seeds(whole, self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("| | seed 0 | seed 1 |", done.stdout)
        self.assertIn("| Adam, 7 most influential: Pearson; slope | 1.0000; 1.200 | 1.0000; 1.200 |", done.stdout)
        self.assertIn("| Q, 15 random images, 2 tests: Pearson; median relative error | 0.9000; 25.00 % | 0.9999; 25.00 % |",
                      done.stdout)
        other["retraining_steps"] = 7
        (self.folder / "summary.json").write_text(json.dumps(other))
        done = self.seeds(whole, self.folder)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1))
        self.assertIn("the same size", done.stderr)

    def test_seeds_of_a_folder_without_results_is_one_line(self):
        done = self.seeds(self.folder / "nowhere")
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1))
        self.assertIn("nowhere: ", done.stderr)
        self.assertIn("summary.json", done.stderr)

    def test_bad_input_is_one_line(self):
        (self.folder / "loo.csv").write_text(HEADER + "0,0,0,8,1,1,1,1\n1,1,0,8,2,3,1,1\n2,2,0,8,3,2,1,1\n")
        done = self.draw("d")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("predicted and proximal", done.stderr)
        self.assertFalse((self.folder / "d").exists())
        (self.folder / "loo.csv").write_text(CONVNET_HEADER + "0,0,0,8,1,1,1,1,1,1,1\n1,1,0,8,2\n")
        done = self.draw("d")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1))
        self.assertIn("11 cells", done.stderr)
        (self.folder / "loo.csv").write_text(CONVNET_HEADER + "0,0,0,8,1,,1,1,1,1,1\n1,1,0,8,2,3,1,1,1,1,1\n")
        done = self.draw("d")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1))
        self.assertIn("expected numbers", done.stderr)
        self.assertFalse((self.folder / "d").exists())


class Figure2Lissa(unittest.TestCase):
    def setUp(self):
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)
        made_up = random.Random(3)
        rows = []
        for rank in range(30):
            x = made_up.gauss(0, 1e-2)
            rows.append(f"{rank},{rank},{rank % 10},8,{x!r},{1.006 * x!r},5e-11,3,{1.04 * x!r},{x!r}\n")
        (self.folder / "loo.csv").write_text(HEADER.strip() + ",predicted_published,predicted_exact\n" + "".join(rows))
        setting = {"scale": 25.0, "depth": 5000, "batch_size": 1, "repeats": 10, "max_relative_residual": 1.08,
                   "pearson": 0.997, "slope": 1.04}
        summary = {**setting, "n_train": 55000, "n_params": 7840, "test_index": 8, "n_removed": 30, "quick": True,
                   "max_gradient_norm": 5e-11, "published": setting, "exact": {"pearson": 0.99999}}
        (self.folder / "summary.json").write_text(json.dumps(summary))

    def draw(self, out):
        return subprocess.run([sys.executable, SCRIPTS / "figure2_lissa.py", "--loo", self.folder / "loo.csv", "--summary",
                               self.folder / "summary.json", "--out", self.folder / out], capture_output=True, text=True)

    def test_same_input_gives_same_bytes(self):
        for out in ("a", "b"):
            done = self.draw(out)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        for kind in ("png", "svg"):
            first = (self.folder / f"a/figure2_lissa.{kind}").read_bytes()
            self.assertEqual(first, (self.folder / f"b/figure2_lissa.{kind}").read_bytes())

    def test_a_table_without_the_published_column_is_refused(self):
        (self.folder / "loo.csv").write_text(HEADER + "0,0,0,8,1,1,1,1\n1,1,0,8,2,3,1,1\n2,2,0,8,3,2,1,1\n")
        done = self.draw("d")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("predicted_published", done.stderr)
        self.assertFalse((self.folder / "d").exists())


class DrawnFromTables:
    """What the figures have in common that are drawn from one table and the summary."""

    def setUp(self):
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)
        self.write()

    def draw(self, out):
        return subprocess.run([sys.executable, SCRIPTS / f"{self.NAME}.py", self.OPTION, self.folder / self.TABLE, "--summary",
                               self.folder / "summary.json", "--out", self.folder / out], capture_output=True, text=True)

    def test_same_input_gives_same_bytes(self):
        for out in ("a", "b"):
            done = self.draw(out)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        for kind in ("png", "svg"):
            first = (self.folder / f"a/{self.NAME}.{kind}").read_bytes()
            self.assertEqual(first, (self.folder / f"b/{self.NAME}.{kind}").read_bytes())
            self.assertNotIn(b"dc:date", first)
            self.assertNotIn(b"tIME", first)

    def test_bad_input_is_one_line(self):
        (self.folder / self.TABLE).write_text("no,such,columns\n1,2,3\n")
        done = self.draw("d")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1))
        self.assertIn(self.TABLE, done.stderr)
        self.assertFalse((self.folder / "d").exists())


class Figure6(DrawnFromTables, unittest.TestCase):
    NAME, OPTION, TABLE = "figure6", "--points", "figure6.csv"

    def write(self):
        rows = ["level,flipped,checked,checked_fraction,method,fixed_fraction,fixed_error,accuracy,accuracy_error,repeats"]
        for level in (1, 2):
            for method in ("influence", "loss", "random"):
                rows += [f"{level},{206 * level},{206 * k},{0.05 * k},{method},{0.1 * k},0.01,{0.9 + 0.01 * k},0.002,40"
                         for k in range(1, 7)]
        (self.folder / self.TABLE).write_text("\n".join(rows) + "\n")
        levels = [{"flipped_fraction": level / 20, "flipped_labels": 206 * level, "flipped_accuracy": 0.89} for level in (1, 2)]
        levels[1]["published"] = {method: {"fixed": [0.1 * k for k in range(1, 7)]} for method in ("influence", "loss", "random")}
        (self.folder / "summary.json").write_text(json.dumps(
            {"n_train": 4137, "n_params": 6451, "n_test": 1035, "repeats": 40, "quick": False, "clean_accuracy": 0.974,
             "max_gradient_norm": 9e-11, "levels": levels}))


class Hospital(DrawnFromTables, unittest.TestCase):
    NAME, OPTION, TABLE = "hospital", "--largest", "largest.csv"

    def write(self):
        rows = ["direction,rank,position,row,readmitted,child,loss_change_if_removed"]
        rows += [f"{direction},{k},{100 * k},{k},{k % 2},{int(k < 3)},{sign * 0.1 / k}"
                 for direction, sign in (("harmful", -1), ("helpful", 1)) for k in range(1, 11)]
        (self.folder / self.TABLE).write_text("\n".join(rows) + "\n")
        (self.folder / "summary.json").write_text(json.dumps(
            {"n_train": 19980, "n_params": 127, "prediction": {"test_index": 1742}, "max_gradient_norm": 1e-14,
             "max_relative_residual": 2e-14}))


if __name__ == "__main__":
    unittest.main()
