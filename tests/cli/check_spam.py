#!/usr/bin/python3
"""Runs `count-words` and `reproduce figure6` on a made-up corpus, against the same experiment in NumPy.

    check_spam.py --clout build/bin/clout

The reference shares nothing with the program: words by regular expressions, NumPy's own shuffle, Newton's method with the
explicit Hessian, self-influence by its inverse.
"""

import csv
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
from program import ENVIRONMENT, Program, scratch

L2, LEVELS, COUNTS, REPEATS = 1e-4, 6, 6, 3
METHODS = ("influence", "loss", "random")
STOP = "the and of to you is not".split()  # some of the program's 127


def write_corpus(path, messages=260, seed=1):
    """Random messages of few words, with all that the format escapes, and what is no word."""
    rng = np.random.default_rng(seed)
    words = [first + second for first in ("ka", "ro", "mi", "tel", "sun", "bra") for second in ("da", "pi", "lon", "x", "rest", "gu", "ve", "os")]
    odd = ["The", "and", "a", "x9y", "Not", "\\", "\tKada", "RODA", "na\xefve", "mi\0da", "\xc9t\xe9", "rare"]
    with gzip.open(path, "wb") as file:
        for label in (0, 1):
            chances = rng.dirichlet(np.full(len(words), 0.5)) * 0.5 + 0.5 / len(words)
            for number in range(messages // 2):
                some = rng.choice(words, size=rng.integers(3, 25), p=chances)
                text = "Subject: " + " ".join([*some, *rng.choice(odd, size=3)]) + "\r\n"
                raw = text.encode("latin-1")
                for byte, escape in ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"), (b"\t", b"\\t"), (b"\0", b"\\0")):
                    raw = raw.replace(byte, escape)
                file.write(b"%d\t%04d.%s.txt\t%s\n" % (label, number, b"spam" if label else b"ham", raw))


def read_corpus(path):
    """labels, words of each message, in the experiment's order"""
    meanings = {b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0"}
    with gzip.open(path) as file:
        rows = [line.rstrip(b"\n").split(b"\t") for line in file]
    rows = sorted((row for row in rows if row[0] == b"1"), key=lambda row: row[1]) + \
        sorted((row for row in rows if row[0] == b"0"), key=lambda row: row[1])
    order = np.arange(len(rows))
    np.random.RandomState(0).shuffle(order)
    labels, words = [], []
    for at in order:
        label, _, raw = rows[at]
        text = re.sub(rb"\\(.)", lambda found: meanings[found.group(1)], raw, flags=re.DOTALL).decode("latin-1").lower()
        labels.append(int(label))
        words.append([word for word in re.findall("[a-z]{2,}", text) if word not in STOP])
    return np.array(labels), words


def count(words, training):
    """vocabulary, counts [n][d]"""
    frequency = {}
    for message in words[:training]:
        for word in set(message):
            frequency[word] = frequency.get(word, 0) + 1
    vocabulary = sorted(word for word, documents in frequency.items() if documents >= 5)
    return vocabulary, np.array([[message.count(word) for word in vocabulary] for message in words], dtype=np.float64)


def sigmoid(z):
    return 0.5 * (1 + np.tanh(z / 2))


class Filter:
    def __init__(self, x):
        self.x, self.n = x, len(x)

    def value(self, w, y):
        z = self.x @ w
        return np.mean(np.logaddexp(0, np.where(y == 1, -z, z))) + L2 / 2 * (w @ w)

    def gradient(self, w, y):
        return self.x.T @ (sigmoid(self.x @ w) - y) / self.n + L2 * w

    def hessian(self, w):
        p = sigmoid(self.x @ w)
        return (self.x.T * (p * (1 - p))) @ self.x / self.n + L2 * np.eye(self.x.shape[1])

    def fit(self, y, w):
        """Newton's method with halving, to a gradient norm of 1e-12"""
        for _ in range(200):
            g = self.gradient(w, y)
            if np.linalg.norm(g) <= 1e-12:
                return w
            step = np.linalg.solve(self.hessian(w), g)
            length = 1.0
            while self.value(w - length * step, y) > self.value(w, y) + 1e-14 and length > 1e-6:
                length /= 2
            w = w - length * step
        raise RuntimeError("the reference did not converge")

    def self_influence(self, w, y):
        slopes = sigmoid(self.x @ w) - y
        return slopes**2 * np.einsum("ij,ij->i", self.x @ np.linalg.inv(self.hessian(w)), self.x)


def experiment(x, y, tx, ty):
    """(level, repeat, method, checked) -> (fixed, accuracy, flipped accuracy); objective and accuracy of the clean fit"""
    spam = Filter(x)
    n, step = len(x), len(x) // 20
    accuracy = lambda w: float(np.mean((tx @ w > 0) == (ty == 1)))
    clean = spam.fit(y, np.zeros(x.shape[1]))
    found = {}
    for level in range(1, LEVELS + 1):
        for repeat in range(REPEATS):
            seed = 120 * (level - 1) + 2 * repeat
            flipped = y.copy()
            at = np.random.RandomState(seed).choice(n, size=level * step, replace=False)
            flipped[at] = 1 - flipped[at]
            start = spam.fit(flipped, clean)
            losses = np.logaddexp(0, np.where(flipped == 1, -1, 1) * (x @ start))
            orders = (np.argsort(-spam.self_influence(start, flipped), kind="stable"), np.argsort(-losses, kind="stable"),
                      np.random.RandomState(seed + 1).choice(n, size=COUNTS * step, replace=False))
            for method, order in zip(METHODS, orders):
                w = start
                for counts in range(1, COUNTS + 1):
                    labels = flipped.copy()
                    labels[order[:counts * step]] = y[order[:counts * step]]
                    w = spam.fit(labels, w)
                    fixed = int(np.isin(at, order[:counts * step]).sum())
                    found[level, repeat, method, counts * step] = fixed, accuracy(w), accuracy(start)
    return found, spam.value(clean, y), accuracy(clean)


def read_counts(folder, columns):
    rows = []
    with gzip.open(os.path.join(folder, "counts.svm.gz"), "rt") as file:
        for line in file:
            label, *entries = line.split()
            row = np.zeros(columns + 1)
            row[0] = int(label)
            for entry in entries:
                column, value = entry.split(":")
                row[int(column)] = int(value)
            rows.append(row)
    return np.array(rows)


def check_counts(program, folder, labels, vocabulary, counts):
    with open(os.path.join(folder, "vocabulary.txt"), encoding="ascii") as file:
        program.expect(file.read().split() == vocabulary, "vocabulary", "is another than the reference's")
    found = read_counts(folder, len(vocabulary))
    program.expect(found.shape == (len(labels), len(vocabulary) + 1) and np.array_equal(found[:, 0], labels), "labels",
                   "are others than the reference's, or in another order")
    program.expect(np.array_equal(found[:, 1:], counts), "counts", "are others than the reference's")


def check_tables(program, name, folder, found, levels):
    with open(os.path.join(folder, "repeats.csv"), encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    program.expect(len(rows) == len(levels) * REPEATS * len(METHODS) * COUNTS, name, f"{len(rows)} rows")
    for row in rows:
        key = int(row["level"]), int(row["repeat"]), row["method"], int(row["checked"])
        values = int(row["fixed"]), float(row["accuracy"]), float(row["flipped_accuracy"])
        program.expect(values == found[key], f"{name}, {key}", f"{values}; expected {found[key]}")
        program.expect(float(row["gradient_norm"]) <= 1e-10, f"{name}, {key}", f"gradient norm {row['gradient_norm']}")
    with open(os.path.join(folder, "figure6.csv"), encoding="ascii") as file:
        points = list(csv.DictReader(file))
    program.expect(len(points) == len(levels) * len(METHODS) * COUNTS, name, f"{len(points)} points")
    for point in points:
        level, checked = int(point["level"]), int(point["checked"])
        repeats = np.array([found[level, repeat, point["method"], checked] for repeat in range(REPEATS)], dtype=np.float64)
        repeats[:, 0] /= int(point["flipped"])
        for column, mean, error in ((0, "fixed_fraction", "fixed_error"), (1, "accuracy", "accuracy_error")):
            expected = np.mean(repeats[:, column]), np.std(repeats[:, column]) / np.sqrt(REPEATS)
            got = float(point[mean]), float(point[error])
            program.expect(np.allclose(got, expected, rtol=1e-12, atol=1e-15), f"{name}, {level} {checked} {mean}",
                           f"{got}; expected {expected}")


def check_resumed(program, figure, path):
    """Interrupted when the journal has a block, then gone on with: the same table to the byte."""
    for attempt in range(5):
        out = path(f"resumed{attempt}")
        job = subprocess.Popen([program.path, *map(str, figure), "--levels", "all", "--out", out], env=ENVIRONMENT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        journal = os.path.join(out, "checks.journal")
        while job.poll() is None and not (os.path.exists(journal) and os.path.getsize(journal) > 3000):
            time.sleep(0.002)
        job.send_signal(signal.SIGINT)
        _, message = job.communicate()
        if job.returncode == 0:
            continue  # it was faster
        program.expect(job.returncode == 130 and "--resume goes on" in message, "interrupted", f"{job.returncode}: {message}")
        done = program.run(*figure, "--levels", "all", "--out", out)
        program.expect(done.returncode == 2 and done.stderr.count("\n") == 1, "without --resume", done.stderr)
        done = program.run(*figure, "--levels", "all", "--out", out, "--resume")
        program.expect(done.returncode == 0, "resumed", done.stderr)
        same = open(os.path.join(out, "repeats.csv"), "rb").read() == open(path("all/repeats.csv"), "rb").read()
        program.expect(same and not os.path.exists(journal), "resumed", "another table, or a journal is left")
        return
    program.expect(False, "resumed", "no run could be interrupted")


def check_hard_counts(program, path):
    """Classes that can be separated, by many words in every message: fits that saturate, and whose gradient norm falls in short
    steps only, so that most are trained alone. Random checks depend on nothing but the fits."""
    rng = np.random.default_rng(5)
    n, d = 375, 200
    x = rng.poisson(1, (n, d)).astype(float)
    y = ((x - x.mean(0)) @ rng.standard_normal(d) > 0).astype(int)
    os.makedirs(path("hard"))
    with gzip.open(path("hard/counts.svm.gz"), "wt") as file:
        for label, row in zip(y, x):
            file.write(f"{label} " + " ".join(f"{j + 1}:{row[j]:.0f}" for j in np.flatnonzero(row)) + "\n")
    with open(path("hard/vocabulary.txt"), "w", encoding="ascii") as file:
        file.write("\n".join(sorted(chr(97 + j // 26) + chr(97 + j % 26) for j in range(d))) + "\n")
    training = int(0.8 * n)
    spam, step = Filter(x[:training]), training // 20
    for precision in ("single", "double"):
        out = path(f"hard_{precision}")
        done = program.run("reproduce", "figure6", "--quick", "--data", path("hard"), "--device", program.device,
                           "--precision", precision, "--out", out)
        if not program.expect(done.returncode == 0, f"hard counts, {precision}", done.stderr):
            continue
        with open(os.path.join(out, "repeats.csv"), encoding="ascii") as file:
            rows = list(csv.DictReader(file))
        worst = max(float(row["gradient_norm"]) for row in rows)
        program.expect(worst <= 1e-10, f"hard counts, {precision}", f"gradient norm {worst}")
        for row in rows:
            level, repeat, checked = int(row["level"]), int(row["repeat"]), int(row["checked"])
            if row["method"] != "random" or repeat != 0 or checked not in (step, COUNTS * step):
                continue
            seed = 120 * (level - 1) + 2 * repeat
            labels = y[:training].copy()
            at = np.random.RandomState(seed).choice(training, size=level * step, replace=False)
            labels[at] = 1 - labels[at]
            order = np.random.RandomState(seed + 1).choice(training, size=COUNTS * step, replace=False)[:checked]
            labels[order] = y[order]
            w = spam.fit(labels, np.zeros(d))
            accuracy = float(np.mean((x[training:] @ w > 0) == (y[training:] == 1)))
            program.expect(float(row["accuracy"]) == accuracy, f"hard counts, {precision}, level {level}, {checked} checked",
                           f"accuracy {row['accuracy']}; expected {accuracy}")


def check_refusals(program, figure, path):
    with open(path("bad.tsv"), "w", encoding="ascii") as file:
        file.write("0\ta.txt\tfine\n1\tb.txt\tnot \\q fine\n")
    os.makedirs(path("few"))
    for name, arguments, expected in (
            ("an escape", ["count-words", "--mails", path("bad.tsv"), "--out", path("x")], "line 2"),
            ("no mails", ["count-words", "--mails", path("none.tsv"), "--out", path("x")], "no such file"),
            ("no data", ["reproduce", "figure6", "--data", path("few"), "--out", path("x")], "counts.svm.gz"),
            ("--panel", [*figure, "--panel", "linear", "--out", path("x")], "--panel: is of figure2"),
            ("--levels", ["reproduce", "figure2", "--panel", "linear", "--levels", "all", "--out", path("x")],
             "--levels: is of figure6")):
        done = program.run(*arguments)
        program.expect(done.returncode == 2 and done.stderr.count("\n") == 1 and expected in done.stderr, name,
                       f"{done.returncode}: {done.stderr}")
    for name, line in (("columns out of order", "1 3:1 2:1"), ("a column beyond the vocabulary", "1 9999:1"),
                       ("no number", "1 2:x"), ("a third label", "2 1:1")):
        with gzip.open(path("few/counts.svm.gz"), "wt") as file:
            file.write("0 1:1\n" + line + "\n")
        with open(path("few/vocabulary.txt"), "w", encoding="ascii") as file:
            file.write("ab\nbc\ncd\n")
        done = program.run("reproduce", "figure6", "--data", path("few"), "--out", path("x"))
        program.expect(done.returncode == 2 and done.stderr.count("\n") == 1 and "counts.svm.gz" in done.stderr, name,
                       f"{done.returncode}: {done.stderr}")


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        path = lambda name: os.path.join(folder, name)
        os.makedirs(path("mails"))
        write_corpus(path("mails/enron1.tsv.gz"))
        labels, words = read_corpus(path("mails/enron1.tsv.gz"))
        training = int(0.8 * len(labels))
        vocabulary, counts = count(words, training)
        done = program.run("count-words", "--mails", path("mails/enron1.tsv.gz"), "--out", path("counts"))
        if not program.expect(done.returncode == 0, "count-words", done.stderr):
            return program.summary()
        check_counts(program, path("counts"), labels, vocabulary, counts)

        found, objective, accuracy = experiment(counts[:training], labels[:training], counts[training:], labels[training:])
        figure = ["reproduce", "figure6", "--quick", "--data", path("counts"), "--device", program.device]
        for name, arguments, levels in (("all", [*figure, "--levels", "all"], range(1, 7)), ("published", figure, [2]),
                                        ("double", [*figure, "--precision", "double"], [2])):
            done = program.run(*arguments, "--out", path(name), "--json")
            if not program.expect(done.returncode == 0, name, done.stderr):
                return program.summary()
            summary = json.loads(done.stdout)
            check_tables(program, name, path(name), found, levels)
            program.expect(abs(summary["objective"] - objective) <= 1e-13, name,
                           f"objective {summary['objective']}; expected {objective}")
            program.expect(summary["clean_accuracy"] == accuracy, name, f"accuracy {summary['clean_accuracy']}")
            certificate = summary["self_influence"]
            program.expect(certificate["max_relative_residual"] <= 1e-10 and certificate["max_relative_difference"] <= 1e-7,
                           name, f"{certificate}")
        done = program.run(*figure[:3], "--data", path("mails"), "--out", path("from_mails"))
        same = [open(path(f"{name}/repeats.csv"), "rb").read() for name in ("published", "from_mails")]
        program.expect(done.returncode == 0 and same[0] == same[1], "from mails", done.stderr or "another table")
        check_hard_counts(program, path)
        check_resumed(program, figure, path)
        check_refusals(program, figure, path)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
