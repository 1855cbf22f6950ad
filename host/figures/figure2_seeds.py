#!/usr/bin/env python3
"""Prints Figure 2 (right) of several training seeds side by side, as a Markdown table.

    figure2_seeds.py FOLDER [FOLDER ...]

FOLDER holds summary.json and loo.csv of `clout reproduce figure2 --panel convnet`. Adam's agreement is over as many of the most
influential points as every folder has."""

import argparse
import json
import os
import sys

from predicted_actual import pearson_of, read_pairs, slope_of


def both(x, y):
    return f"{pearson_of(x, y):.4f}; {slope_of(x, y):.3f}"


def column(summary, pairs, adam):
    hessian, score, random = summary["hessian"], summary["checkpoint"], summary["random"]
    cells = {
        "training loss, gradient norm": f"{summary['train_loss']:.4f}, {score['gradient_norm']:.4f}",
        "test accuracy": f"{100 * summary['test_accuracy']:.2f} %",
        "eigenvalues: smallest, negative": f"{hessian['smallest']:.5f}, {hessian['negative']}",
        "damping": f"{summary['damping']:.4g}",
        f"Adam, {adam} most influential: Pearson; slope": both(*(values[:adam] for values in pairs)),
    }
    for name, title in (("proximal", "Q"), ("pbrf", "PBRF")):
        agreement, over = summary[name], random[name]
        cells[f"{title}, {summary['n_removed']} most influential: Pearson; slope"] = (
            f"{agreement['pearson']:.4f}; {agreement['slope']:.3f}")
        cells[f"{title}, {over['n_removed']} random images, {over['n_test']} tests: Pearson; median relative error"] = (
            f"{over['pearson_pooled']:.4f}; {100 * over['median_relative_error']:.2f} %")
    cells["largest gradient norm of Q and PBRF"] = f"{summary['max_gradient_norm']:.1e}"
    cells["largest relative residual"] = f"{summary['max_relative_residual']:.1e}"
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    folders = parser.parse_args().folders
    try:
        summaries, pairs = [], []
        for folder in folders:
            with open(os.path.join(folder, "summary.json"), encoding="utf-8") as file:
                summaries.append(json.load(file))
            pairs.append(read_pairs(os.path.join(folder, "loo.csv"), partial=True))
        adam = min(len(x) for x, _ in pairs)
        columns = [column(summary, xy, adam) for summary, xy in zip(summaries, pairs)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"figure2_seeds: {error}; expected summary.json and loo.csv of reproduce figure2 --panel convnet", file=sys.stderr)
        return 2
    print("| | " + " | ".join(f"seed {summary['checkpoint']['seed']}" for summary in summaries) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(cells.get(name, "") for cells in columns) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
