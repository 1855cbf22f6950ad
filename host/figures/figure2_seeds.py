#!/usr/bin/env python3
"""Prints Figure 2 (right) of several training seeds side by side, as a Markdown table.

    figure2_seeds.py FOLDER [FOLDER ...]

FOLDER holds summary.json and loo.csv of `clout reproduce figure2 --panel convnet`. Adam's agreement is over as many of the most
influential points as every folder has."""

import argparse
import json
import os
import sys

from predicted_actual import below, pearson_of, read_pairs, slope_of


def agreement(pearson, second):
    return f"{below(pearson, 4)}; {second}"


def column(summary, pairs, adam):
    hessian, score, random = summary["hessian"], summary["checkpoint"], summary["random"]
    x, y = (values[:adam] for values in pairs)
    cells = {
        "training loss, gradient norm": f"{summary['train_loss']:.4f}, {score['gradient_norm']:.4f}",
        "test accuracy": f"{100 * summary['test_accuracy']:.2f} %",
        "eigenvalues: smallest, negative": f"{hessian['smallest']:.5f}, {hessian['negative']}",
        "damping": f"{summary['damping']:.4g}",
        f"Adam, {adam} most influential: Pearson; slope": agreement(pearson_of(x, y), f"{slope_of(x, y):.3f}"),
    }
    for name, title in (("proximal", "Q"), ("pbrf", "PBRF")):
        influential, over = summary[name], random[name]
        cells[f"{title}, {summary['n_removed']} most influential: Pearson; slope"] = agreement(
            influential["pearson"], f"{influential['slope']:.3f}")
        cells[f"{title}, {over['n_removed']} random images, {over['n_test']} tests: Pearson; median relative error"] = (
            agreement(over["pearson_pooled"], f"{100 * over['median_relative_error']:.2f} %"))
    cells["largest gradient norm of Q and PBRF"] = f"{summary['max_gradient_norm']:.1e}"
    cells["largest relative residual"] = f"{summary['max_relative_residual']:.1e}"
    return cells


def read(folder):
    """summary.json, and what Adam changed beside what was predicted."""
    try:
        with open(os.path.join(folder, "summary.json"), encoding="utf-8") as file:
            summary = json.load(file)
        pairs = read_pairs(os.path.join(folder, "loo.csv"), partial=True)
        column(summary, pairs, len(pairs[0]))
        return summary, pairs
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{folder}: {what}; expected summary.json and loo.csv of reproduce figure2 --panel convnet") from error


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    folders = parser.parse_args().folders
    try:
        results = [read(folder) for folder in folders]
        adam = min(len(pairs[0]) for _, pairs in results)
        columns = [column(summary, pairs, adam) for summary, pairs in results]
        sizes = [(summary["retraining_steps"], list(cells)) for (summary, _), cells in zip(results, columns)]
        if any(size != sizes[0] for size in sizes):
            raise ValueError(f"{', '.join(folders)}: other points, test images or steps in one than in another; expected "
                             "results of the same size")
    except ValueError as error:
        print(f"figure2_seeds: {error}", file=sys.stderr)
        return 2
    print("| | " + " | ".join(f"seed {summary['checkpoint']['seed']}" for summary, _ in results) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(cells[name] for cells in columns) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
