#!/usr/bin/env python3
"""Draws Figure 2 (linear): predicted against actual change of the test loss, from the files of `clout reproduce`."""

from predicted_actual import (above, at_most, below, draw, draw_panel, linear_axes, logarithmic_axes, note, pearson_of,
                              plt, read_pairs, slope_of)


def influential_panel(axes, x, y, summary):
    lines = [f"Pearson {below(summary.get('pearson', pearson_of(x, y)), 6)}",
             f"slope {summary.get('slope', slope_of(x, y)):.4f}",
             f"n = {len(x):,}"]
    title = f"The {len(x):,} most influential training points,\ntest image {summary.get('test_index', '?')}"
    draw_panel(axes, x, y, title, lines, linear_axes, {"s": 11, "alpha": 0.55})


def random_panel(axes, x, y, random):
    lines = [f"Pearson {below(random.get('pearson_pooled', pearson_of(x, y)), 6)}", f"slope {random.get('slope_pooled', slope_of(x, y)):.4f}"]
    if "slope_pooled_interval" in random:
        lines.append("95 % [{:.4f}, {:.4f}]".format(*random["slope_pooled_interval"]))
    lines.append(f"n = {len(x):,}")
    counts = random.get("n_removed"), random.get("n_test")
    title = (f"{counts[0]:,} random training points,\n{counts[1]:,} random test images" if all(counts)
             else "Random training points,\nrandom test images")
    # As pixels: tens of thousands of vector circles would make the SVG slow to open.
    draw_panel(axes, x, y, title, lines, logarithmic_axes, {"s": 6, "alpha": 0.2, "rasterized": True})
    if all(key in random for key in ("pearson_min", "slope_min", "slope_max")):
        alone = ["each test image alone:", rf"Pearson $\geq$ {below(random['pearson_min'], 6)}",
                 f"slope {below(random['slope_min'], 3)} to {above(random['slope_max'], 3)}"]
        note(axes, (0.965, 0.13), alone, va="bottom", ha="right")


def footer(summary):
    lines = []
    if "n_train" in summary and "n_params" in summary:
        lines.append(f"multinomial logistic regression on MNIST: {summary['n_train']:,} training images, "
                     f"{summary['n_params']:,} parameters")
    certified = []
    if "solver" in summary:
        certified.append(f"solver: {summary['solver']}")
    if "max_gradient_norm" in summary:
        certified.append(rf"every retrained model: gradient norm $\leq {at_most(summary['max_gradient_norm'])}$")
    if certified:
        lines.append("; ".join(certified))
    return "\n".join(lines)


def panels(summary, loo, random):
    figure, axes = plt.subplots(1, 2 if random else 1, figsize=(8.4 if random else 4.4, 4.9), squeeze=False)
    influential_panel(axes[0, 0], *read_pairs(loo), summary)
    if random:
        random_panel(axes[0, 1], *read_pairs(random), summary.get("random", {}))
    figure.text(0.5, 0.012, footer(summary), ha="center", va="bottom", fontsize=7, color="#666666",
                linespacing=1.4)
    figure.tight_layout(rect=(0, 0.07, 1, 1), w_pad=2.5)
    return figure


if __name__ == "__main__":
    draw("figure2_linear", __doc__, panels)
