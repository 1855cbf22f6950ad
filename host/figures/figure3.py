#!/usr/bin/env python3
"""Draws Figure 3: smooth hinge losses, their influence beside exact retraining of the hinge itself, and how well they agree
at every temperature, from the files of `clout reproduce figure3`."""

from figure_style import BLUE, GREEN, GREY, TEXT, VERMILION, at_most, np, plt, read_rows, run
from predicted_actual import power_of_ten, power_unit

COLUMNS = (("hinge", "predicted_hinge", "t = 0: hinge", TEXT), ("smooth_0.001", "predicted_0.001", "t = 0.001", BLUE),
           ("smooth_0.1", "predicted_0.1", "t = 0.1", VERMILION))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


def bare(axes):
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def shapes(axes, rows):
    for (name, _, label, colour), style, width in zip(COLUMNS, ("-", "--", "-"), (2.6, 1.3, 1.3)):
        axes.plot(column(rows, "margin"), column(rows, name), style, color=colour, linewidth=width, label=label,
                  alpha=0.35 if name == "hinge" else 1)
    axes.set_xlabel("margin  y w·x")
    axes.set_ylabel("loss")
    axes.set_title("smooth hinge losses", fontsize=9.5, pad=7)
    axes.legend(frameon=False, fontsize=8)
    bare(axes)


def scatter(axes, rows, name, title, facts, colour):
    x, y = column(rows, name), column(rows, "actual")
    # At t = 0 predictions are ten times what happens: each axis has its own scale.
    for values, limit, axis, label in ((x, axes.set_xlim, axes.xaxis, "predicted change of test loss"),
                                       (y, axes.set_ylim, axes.yaxis, "actual change after retraining")):
        margin, exponent = 0.08 * (values.max() - values.min() or 1.0), power_of_ten(values)
        limit(values.min() - margin, values.max() + margin)
        axis.set_major_formatter(lambda value, _, scale=10.0**exponent: f"{value / scale:g}".replace("-", "\N{MINUS SIGN}"))
        axis.set_label_text(label + power_unit(exponent))
    ends = np.array([min(x.min(), y.min()), max(x.max(), y.max())])
    axes.plot(ends, ends, color=GREY, linewidth=0.9, zorder=1, label="predicted = actual", scalex=False, scaley=False)
    axes.scatter(x, y, s=12, alpha=0.6, color=colour, linewidths=0, zorder=2)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_title(f"{title}\nR = {facts['pearson']:.3f} (published {facts['published_pearson']:.3f})", fontsize=9.5, pad=7)
    bare(axes)


def curve(axes, rows, summary):
    axes.plot(column(rows, "temperature"), column(rows, "pearson"), color=GREEN, linewidth=1.3, marker="o", markersize=2.5)
    for facts, (_, _, _, colour) in zip(summary["temperatures"], COLUMNS):
        if facts["temperature"] > 0:
            axes.plot([facts["temperature"]], [facts["published_pearson"]], marker="D", markersize=5, linestyle="none",
                      markerfacecolor="none", color=colour)
        else:
            axes.axhline(facts["pearson"], color=colour, linewidth=0.9, linestyle=":", label="t = 0")  # the hinge itself
    axes.plot([], [], marker="D", markersize=5, linestyle="none", markerfacecolor="none", color=GREY, label="published")
    axes.set_xscale("log")
    axes.set_xlabel("temperature t")
    axes.set_ylabel("R")
    axes.set_title("agreement at every temperature", fontsize=9.5, pad=7)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.02, 0.1))
    bare(axes)


def panels(summary, arguments):
    points = read_rows(arguments.points, ("actual", *(name for _, name, _, _ in COLUMNS)))
    figure, axes = plt.subplots(1, 5, figsize=(16, 3.9))
    shapes(axes[0], read_rows(arguments.losses, ("margin", *(name for name, _, _, _ in COLUMNS))))
    for each, (_, name, title, colour), facts in zip(axes[1:4], COLUMNS, summary["temperatures"]):
        scatter(each, points, name, title, facts, colour)
    curve(axes[4], read_rows(arguments.curve, ("temperature", "pearson")), summary)
    footer = (f"linear support vector machine, MNIST 1 against 7: {summary['n_train']:,} training images, "
              rf"$\lambda$ = {summary['l2']:g}; the {summary['n_removed']} points with the largest influence at t = 0 on test "
              rf"image {summary['test_index']}; every fit: duality gap $\leq {at_most(summary['max_duality_gap'])}$")
    if summary["quick"]:
        footer += "; --quick: fewer points and temperatures than the figure"
    figure.text(0.5, 0.012, footer, ha="center", va="bottom", fontsize=7, color=GREY)
    figure.tight_layout(rect=(0, 0.05, 1, 1), w_pad=1.2)
    return figure


def options(parser):
    parser.add_argument("--points", required=True, help="figure3.csv: predicted and actual changes")
    parser.add_argument("--curve", required=True, help="curve.csv: correlations by temperature")
    parser.add_argument("--losses", required=True, help="losses.csv: the losses themselves")


if __name__ == "__main__":
    run("figure3", __doc__, options, panels)
