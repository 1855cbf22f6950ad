#!/usr/bin/python3
"""Runs `reproduce hospital`, against the same experiment in NumPy and against what data/hospital-readmission lists.

    check_hospital.py --clout build/bin/clout

The reference shares nothing with the program: the csv module, NumPy's own shuffle, Newton's method with the explicit
Hessian, eigenvectors in the place of a factor.
"""

import csv
import gzip
import json
import os
import sys

import numpy as np
from program import Program, scratch

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "hospital-readmission")
NUMBERS = ("time_in_hospital num_lab_procedures num_procedures num_medications number_outpatient number_emergency "
           "number_inpatient number_diagnoses").split()
L2, TEST = 1e-4, 1742
# The converged column of data/hospital-readmission/README.md.
CONVERGED = {13685: (-0.119208, -0.124916), 9366: (-0.117568, -0.123341), 11116: (-0.079231, -0.084184),
             19590: (0.097564, 0.111353)}
NEXT = {5825: -0.003225, 13027: -0.002738, 1912: -0.002133, 11641: 0.001564, 14549: 0.001540, 19107: 0.001488}


def read_table():
    with gzip.open(os.path.join(DATA, "diabetic_data.csv.gz"), "rt", encoding="ascii") as file:
        rows = list(csv.reader(file))
    return rows[0], list(zip(*rows[1:]))


def design(names, columns):
    """feature names, x [n][d], labels"""
    features, blocks = list(NUMBERS), [np.array(columns[names.index(name)], dtype=float)[:, None] for name in NUMBERS]
    drugs = names[names.index("metformin"):names.index("metformin-pioglitazone") + 1]
    for name in ["gender", "race", "age", "discharge_disposition_id", "max_glu_serum", "A1Cresult", *drugs, "change",
                 "diabetesMed"]:
        column = np.array(columns[names.index(name)])
        categories = sorted(set(column), key=int if name == "discharge_disposition_id" else str)
        for category in categories[1:] if len(categories) == 2 else categories:
            features.append(f"{name}_{category}")
            blocks.append((column == category).astype(float)[:, None])
    return features, np.hstack(blocks), (np.array(columns[names.index("readmitted")]) == "<30").astype(float)


def split(labels):
    random = np.random.RandomState(2)
    halves = [np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)]
    for half in halves:
        random.shuffle(half)
    train, test = (np.concatenate(parts) for parts in zip(*((half[:10000], half[10000:]) for half in halves)))
    random.shuffle(train)
    random.shuffle(test)
    return train, test


def sigmoid(z):
    return 0.5 * (1 + np.tanh(z / 2))


def hessian(x, w, weights):
    p = sigmoid(x @ w)
    return (x.T * (weights * p * (1 - p))) @ x / weights.sum() + L2 * np.eye(x.shape[1])


def fit(x, y, w, weights=None):
    """Newton's method to a gradient norm of 1e-13, or as far as rounding lets it."""
    weights = np.ones(len(x)) if weights is None else weights
    best, best_norm = w, np.inf
    for _ in range(60):
        gradient = x.T @ (weights * (sigmoid(x @ w) - y)) / weights.sum() + L2 * w
        norm = np.linalg.norm(gradient)
        if norm < best_norm:
            best, best_norm = w, norm
        if norm <= 1e-13:
            break
        w = w - np.linalg.solve(hessian(x, w, weights), gradient)
    return best


def loss(x, y, w):
    z = x @ w
    return np.logaddexp(0, np.where(y == 1, -z, z))


def close(program, name, got, expected, tolerance):
    program.expect(abs(got - expected) <= tolerance, name, f"{got}; expected {expected} within {tolerance}")


def check_fit(program, name, facts, x, y, tx, ty, w):
    # A gradient norm of 1e-12 leaves 1e-8 in w, with inputs of norm 150 about 2e-6 in an output at most, and far less in a mean.
    close(program, name, facts["train_loss"], loss(x, y, w).mean(), 1e-9)
    close(program, name, facts["test_loss"], loss(tx, ty, w).mean(), 1e-7)
    close(program, name, facts["train_objective"], loss(x, y, w).mean() + L2 / 2 * w @ w, 1e-12)
    close(program, name, facts["norm"], np.linalg.norm(w), 1e-7)
    program.expect(facts["train_accuracy"] == np.mean((x @ w > 0) == y) or
                   abs(facts["train_accuracy"] - np.mean((x @ w > 0) == y)) < 1e-10, name, "train accuracy")
    program.expect(abs(facts["test_accuracy"] - np.mean((tx @ w > 0) == ty)) < 1e-10, name, "test accuracy")


def check_children(program, summary, x, y, w, scores, modes, tx, ty):
    program.expect([child["position"] for child in summary["children"]] == sorted(CONVERGED), "children",
                   f"{[child['position'] for child in summary['children']]}")
    test_loss = lambda v: loss(tx[TEST:TEST + 1], ty[TEST:TEST + 1], v)[0]
    s = modes(tx[TEST] * (sigmoid(tx[TEST] @ w) - ty[TEST]))
    for child in summary["children"]:
        at = child["position"]
        predicted, actual = CONVERGED[at]
        name = f"child {at}"
        close(program, name, child["loss_change_if_removed"], scores[at], 1e-6 * abs(scores[at]))
        close(program, name, child["loss_change_if_removed"], predicted, 6e-7)
        weights = np.ones(len(x))
        weights[at] = 0
        close(program, name, child["actual_loss_change"], test_loss(fit(x, y, w, weights)) - test_loss(w), 1e-7)
        close(program, name, child["actual_loss_change"], actual, 6e-7)
        p = sigmoid(x[at] @ w)
        gradient = -(s * (p - y[at]) + p * (1 - p) * (x[at] @ s) * w)
        close(program, name, child["indicator_perturbation"], gradient[17], 1e-6 * np.abs(gradient).max())
        larger = np.abs(gradient) > abs(gradient[17])
        ranks = child["indicator_perturbation_rank"], child["indicator_perturbation_rank_of_the_patients_own"]
        program.expect(ranks == (1 + larger.sum(), 1 + larger[x[at] != 0].sum()), name, f"ranks {ranks}")


def main():
    program = Program.of(__doc__)
    names, columns = read_table()
    features, everything, labels = design(names, columns)
    train, test = split(labels)
    with open(os.path.join(DATA, "feature_names.txt"), encoding="ascii") as file:
        program.expect(features == file.read().split("\n")[:-1], "the reference's features", "are not feature_names.txt")
    for part, rows in (("train", train), ("test", test)):
        with gzip.open(os.path.join(DATA, f"{part}_idx_seed2.txt.gz"), "rt") as file:
            program.expect(np.array_equal(rows, np.loadtxt(file, dtype=int)), f"the reference's {part} rows",
                           "are not the listed ones")
    tx, ty = everything[test], labels[test]
    with scratch() as folder:
        out = os.path.join(folder, "out")
        done = program.run("reproduce", "hospital", "--out", out, "--json", "--device", program.device, seconds=900)
        if not program.expect(done.returncode == 0, "reproduce", done.stderr):
            return program.summary()
        summary = json.loads(done.stdout)
        original = fit(everything[train], labels[train], np.zeros(len(features)))
        check_fit(program, "original", summary["original"], everything[train], labels[train], tx, ty, original)
        children = np.flatnonzero((everything[train, 17] == 1) & (labels[train] == 0))
        program.expect(summary["left_out"] == children[:-1].tolist(), "left out", f"{summary['left_out']}")
        rows = np.delete(train, children[:-1])
        x, y = everything[rows], labels[rows]
        w = fit(x, y, original)
        check_fit(program, "modified", summary["modified"], x, y, tx, ty, w)

        eigenvalues, vectors = np.linalg.eigh(hessian(x, w, np.ones(len(x))))
        modes = lambda v: vectors @ ((vectors.T @ v) / eigenvalues)
        s = modes(tx[TEST] * (sigmoid(tx[TEST] @ w) - ty[TEST]))
        scores = (x * (sigmoid(x @ w) - y)[:, None] + L2 * w) @ s / len(x)
        written = np.load(os.path.join(out, "scores.npy"))
        program.expect(np.abs(written - scores).max() <= 1e-6 * np.abs(scores).max(), "scores",
                       f"differ by {np.abs(written - scores).max()}")
        check_children(program, summary, x, y, w, scores, modes, tx, ty)
        for position, expected in NEXT.items():
            close(program, f"patient {position}", written[position], expected, 6e-7)
        with open(os.path.join(out, "largest.csv"), encoding="ascii") as file:
            largest = list(csv.DictReader(file))
        order = np.argsort(scores, kind="stable")
        program.expect([int(row["position"]) for row in largest] == [*order[:10], *order[::-1][:10]], "largest.csv",
                       "other patients than the reference's")
        prediction = summary["prediction"]
        close(program, "prediction", prediction["not_readmitted_original"], sigmoid(-tx[TEST] @ original), 1e-7)
        close(program, "prediction", prediction["not_readmitted_modified"], sigmoid(-tx[TEST] @ w), 1e-7)
        young = tx[:, 17] == 1
        flips = int(np.sum((tx[young] @ original > 0) != (tx[young] @ w > 0)))
        program.expect((prediction["test_children"], prediction["test_children_flipped"]) == (young.sum(), flips), "flips",
                       f"{prediction}; expected {flips} of {young.sum()}")
        program.expect(summary["indicator"]["rank"] == 1 + np.sum(np.abs(w) > abs(w[17])), "indicator", f"{summary['indicator']}")
        program.expect(summary["max_gradient_norm"] <= 1e-10 and summary["max_relative_residual"] <= 1e-10, "certificates",
                       f"{summary['max_gradient_norm']}, {summary['max_relative_residual']}")

        bad = os.path.join(folder, "diabetic_data.csv")
        for name, text, expected in (("no such column", "a,b\n1,2\n", "no column time_in_hospital"),
                                     ("a short line", "a,b\n1\n", "line 2"), ("no data", None, "diabetic_data.csv.gz not found")):
            if text:
                with open(bad, "w", encoding="ascii") as file:
                    file.write(text)
            elif os.path.exists(bad):
                os.remove(bad)
            done = program.run("reproduce", "hospital", "--data", folder, "--out", os.path.join(folder, "no"))
            program.expect(done.returncode == 2 and done.stderr.count("\n") == 1 and expected in done.stderr, name, done.stderr)
        for option in ("--quick", "--resume"):
            done = program.run("reproduce", "hospital", option, "--out", os.path.join(folder, "no"))
            program.expect(done.returncode == 2 and "not of hospital" in done.stderr, option, done.stderr)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
