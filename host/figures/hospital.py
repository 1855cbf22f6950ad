#!/usr/bin/env python3
"""Draws section 5.3: the training patients with the largest influence on one test patient, from the files of `clout
reproduce hospital`."""

from figure_style import BLUE, GREY, TEXT, VERMILION, at_most, matplotlib, plt, read_rows, run

COLUMNS = ("direction", "position", "readmitted", "child", "loss_change_if_removed")


def label(row):
    return f"{int(row['position']):,}" + ("" if row["readmitted"] == "0" else "\u2009*")


def draw(axes, rows):
    values = [float(row["loss_change_if_removed"]) for row in rows]
    colours = [VERMILION if row["child"] == "1" else BLUE for row in rows]
    axes.bar(range(len(rows)), values, color=colours, width=0.75)
    axes.axhline(0, color=GREY, linewidth=0.7)
    axes.set_xticks(range(len(rows)), [label(row) for row in rows], rotation=90, fontsize=7)
    axes.set_xlabel("position in the training set (* readmitted within 30 days)")
    axes.set_ylabel("predicted change of the test loss\nwhen the patient is removed")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def footer(summary):
    return (f"logistic regression, {summary['n_train']:,} training patients, {summary['n_params']:,} features; test patient "
            f"{summary['prediction']['test_index']:,}\n"
            rf"every fit: gradient norm $\leq {at_most(summary['max_gradient_norm'])}$; "
            rf"solve: relative residual $\leq {at_most(summary['max_relative_residual'])}$")


def panels(summary, arguments):
    rows = read_rows(arguments.largest, COLUMNS)
    harmful = [row for row in rows if row["direction"] == "harmful"]
    helpful = [row for row in rows if row["direction"] == "helpful"]
    figure, axes = plt.subplots(figsize=(8.4, 4.4))
    draw(axes, harmful + helpful[::-1])
    axes.set_title("The ten most harmful and the ten most helpful training patients", fontsize=9.5, pad=7)
    patches = [matplotlib.patches.Patch(color=colour, label=text)
               for colour, text in ((VERMILION, "child (younger than 10)"), (BLUE, "other patient"))]
    axes.legend(handles=patches, loc="lower right", frameon=False, fontsize=8.5)
    figure.text(0.5, 0.015, footer(summary), ha="center", va="bottom", fontsize=7, color=TEXT, linespacing=1.4)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    return figure


if __name__ == "__main__":
    run("hospital", __doc__, lambda parser: parser.add_argument("--largest", required=True, help="largest.csv"), panels)
