#!/usr/bin/env python3
"""Draws Figure 2 (middle): predictions of LiSSA, as published and tuned by itself, against the same actual changes of the
test loss, from the files of `clout reproduce`."""

from predicted_actual import at_most, below, draw, draw_panel, linear_axes, np, pearson_of, plt, read_pairs, slope_of


def setting(facts):
    steps = f"{facts['depth']:,} steps, batches of {facts['batch_size']:,}, {facts['repeats']:,} repeats"
    return rf"$\sigma$ = {facts['scale']:.3g}, {steps}"


def residual(value):
    return rf"residual $\leq {at_most(value)}$" if value < 0.01 else f"residual {value:.2g}"


def panel(axes, pairs, everything, name, facts):
    x, y = pairs
    lines = [f"Pearson {below(facts.get('pearson', pearson_of(x, y)), 6)}",
             f"slope {facts.get('slope', slope_of(x, y)):.4f}",
             residual(facts["max_relative_residual"]),
             f"n = {len(x):,}"]
    draw_panel(axes, x, y, f"{name}\n{setting(facts)}", lines,
               lambda its, _, __: linear_axes(its, everything, everything), {"s": 11, "alpha": 0.55})


def footer(summary):
    first = (f"multinomial logistic regression on MNIST: {summary['n_train']:,} training images, {summary['n_params']:,} "
             f"parameters; the {summary['n_removed']:,} most influential on test image {summary['test_index']}")
    second = (rf"every retrained model: gradient norm $\leq {at_most(summary['max_gradient_norm'])}$; "
              rf"exact solve: Pearson {below(summary['exact']['pearson'], 6)}")
    return f"{first}\n{second}" + ("\n--quick: fewer removed points than the figure" if summary["quick"] else "")


def panels(summary, loo, _):
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 4.9))
    published, tuned = read_pairs(loo, ("predicted_published", "actual")), read_pairs(loo, ("predicted", "actual"))
    everything = np.concatenate([*published, *tuned])  # the same axes for both
    panel(axes[0], published, everything, "LiSSA as published", summary["published"])
    panel(axes[1], tuned, everything, "LiSSA tuned by itself, no number given", summary)
    figure.text(0.5, 0.012, footer(summary), ha="center", va="bottom", fontsize=7, color="#666666", linespacing=1.4)
    figure.tight_layout(rect=(0, 0.07, 1, 1), w_pad=2.5)
    return figure


if __name__ == "__main__":
    draw("figure2_lissa", __doc__, panels)
