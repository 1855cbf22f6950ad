#!/usr/bin/env python3
"""Draws Figure 6: what checking training labels repairs, by influence, by loss and at random, from the files of `clout
reproduce figure6`. Left, test accuracy; right, the share of flipped labels that are fixed; a row for each level."""

from figure_style import BLUE, GREEN, GREY, TEXT, VERMILION, at_most, plt, read_rows, run

METHODS = (("influence", "influence", BLUE, "o"), ("loss", "training loss", VERMILION, "s"), ("random", "random", GREEN, "^"))
COLUMNS = ("level", "checked_fraction", "method", "fixed_fraction", "fixed_error", "accuracy", "accuracy_error")


def curves(axes, rows, value, error, published=None):
    for method, label, colour, marker in METHODS:
        mine = [row for row in rows if row["method"] == method]
        x, y, bars = ([float(row[name]) for row in mine] for name in ("checked_fraction", value, error))
        axes.errorbar(x, y, yerr=bars, color=colour, marker=marker, markersize=4, linewidth=1.2, capsize=2, label=label)
        if published and method in published:
            axes.plot(x, published[method]["fixed"], color=colour, marker=marker, markersize=5, linestyle="none",
                      markerfacecolor="none", markeredgewidth=0.8, zorder=1)
    axes.set_xlabel("fraction of training labels checked")
    axes.set_xlim(0, 0.32)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def level_row(left, right, rows, level, summary):
    published = level.get("published")
    curves(left, rows, "accuracy", "accuracy_error")
    for value, style, label in ((summary["clean_accuracy"], "--", "clean labels"),
                                (level["flipped_accuracy"], ":", "flipped labels")):
        left.axhline(value, color=GREY, linestyle=style, linewidth=1, label=label, zorder=0)
    left.set_ylabel("test accuracy")
    curves(right, rows, "fixed_fraction", "fixed_error", published)
    if published:
        right.plot([], [], color=GREY, marker="o", markersize=5, linestyle="none", markerfacecolor="none", label="published")
    right.set_ylabel("fraction of flipped labels fixed")
    right.set_ylim(0, 1)
    flipped = f"{100 * level['flipped_fraction']:.0f} % of the labels flipped ({level['flipped_labels']:,})"
    left.set_title(flipped, fontsize=9.5, pad=7)
    right.set_title(flipped, fontsize=9.5, pad=7)


def footer(summary):
    first = (f"spam filter on Enron1: logistic regression, {summary['n_train']:,} training messages, "
             f"{summary['n_params']:,} words, {summary['n_test']:,} test messages")
    second = (f"means over {summary['repeats']} repeats, bars: standard error; "
              rf"every fit: gradient norm $\leq {at_most(summary['max_gradient_norm'])}$")
    return f"{first}\n{second}" + ("\n--quick: fewer repeats than the figure" if summary["quick"] else "")


def panels(summary, arguments):
    points, levels = read_rows(arguments.points, COLUMNS), summary["levels"]
    height = 3.3 * len(levels) + 0.9
    figure, axes = plt.subplots(len(levels), 2, figsize=(8.4, height), squeeze=False)
    for row, level in enumerate(levels):
        number = str(round(20 * level["flipped_fraction"]))
        level_row(*axes[row], [point for point in points if point["level"] == number], level, summary)
    named = {}
    for each in axes.flat:
        for handle, name in zip(*each.get_legend_handles_labels()):
            named.setdefault(name, handle)
    figure.legend(named.values(), named.keys(), loc="lower center", bbox_to_anchor=(0.5, 0.52 / height), ncol=len(named),
                  frameon=False, fontsize=8, columnspacing=1.4)
    figure.text(0.5, 0.07 / height, footer(summary), ha="center", va="bottom", fontsize=7, color=TEXT, linespacing=1.4)
    figure.tight_layout(rect=(0, 0.85 / height, 1, 1), w_pad=2.5, h_pad=2)
    return figure


if __name__ == "__main__":
    run("figure6", __doc__, lambda parser: parser.add_argument("--points", required=True, help="figure6.csv"), panels)
