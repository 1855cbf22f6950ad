#!/usr/bin/env python3
"""Draws Figure 2 (right): predicted against actual change of the test loss for the convolutional network, from the files
of `clout reproduce`. Above, further steps of Adam, as the paper retrains; below, minima of the proximal objective, which
damped influence predicts."""

from predicted_actual import (below, draw, draw_panel, linear_axes, logarithmic_axes, np, pearson_of, plt, read_pairs,
                              slope_of)

BAND = "#009E73"


def numbers(x, y, facts, suffix=""):
    return [f"Pearson {below(facts.get('pearson' + suffix, pearson_of(x, y)), 4)}",
            f"slope {facts.get('slope' + suffix, slope_of(x, y)):.3f}", f"n = {len(x):,}"]


def influential_panel(axes, loo, column, facts, test, how, noise=None):
    x, y = read_pairs(loo, ("predicted", column), partial=column == "actual")
    lines = numbers(x, y, facts)
    # The published one is of all of them.
    if "published_pearson" in facts and facts.get("n_adam", np.inf) >= facts.get("n_removed", 0):
        lines.append(f"published: Pearson {facts['published_pearson']:.3f}")
    if noise:
        lines.append(f"noise of an order: $\\pm$ {noise:.1e}")
        axes.axhspan(-noise, noise, color=BAND, alpha=0.15, linewidth=0, zorder=0)
    draw_panel(axes, x, y, f"The {len(x):,} most influential training points,\ntest image {test}: {how}", lines,
               linear_axes, {"s": 11, "alpha": 0.55})


def random_panel(axes, random, column, facts, how):
    x, y = read_pairs(random, ("predicted", column))
    draw_panel(axes, x, y, f"{facts['n_removed']:,} random training points,\n{facts['n_test']:,} random test images: {how}",
               numbers(x, y, facts, "_pooled"), logarithmic_axes, {"s": 6, "alpha": 0.2, "rasterized": True})


def footer(summary):
    hessian, checkpoint = summary["hessian"], summary["checkpoint"]
    lines = [f"all-convolutional tanh network on MNIST: {summary['n_train']:,} training images, {summary['n_params']:,} "
             f"parameters, {checkpoint['steps']:,} steps of Adam (seed {checkpoint['seed']}), then "
             f"{summary['retraining_steps']:,} more without each point",
             f"smallest eigenvalue of the Hessian {hessian['smallest']:.4f}, {hessian['negative']:,} negative; "
             f"damping {summary['damping']:.4g}; proximal objective to a gradient norm of 1e-10"]
    if summary["quick"]:
        lines.append("--quick: fewer points, test images and steps than the figure")
    return "\n".join(lines)


def panels(summary, loo, random):
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 9.2))
    test, ways = summary["test_index"], summary["random"]
    adam, proximal = f"{summary['retraining_steps']:,} steps of Adam", "proximal objective"
    influential_panel(axes[0, 0], loo, "actual", summary, test, adam, summary["noise_floor"])
    influential_panel(axes[1, 0], loo, "proximal", summary["proximal"], test, proximal)
    if "adam" in ways:
        random_panel(axes[0, 1], random, "actual", ways["adam"], adam)
    else:
        axes[0, 1].axis("off")
    random_panel(axes[1, 1], random, "proximal", ways["proximal"], proximal)
    figure.text(0.5, 0.01, footer(summary), ha="center", va="bottom", fontsize=7, color="#666666", linespacing=1.4)
    figure.tight_layout(rect=(0, 0.05, 1, 1), w_pad=2.5, h_pad=2.5)
    return figure


if __name__ == "__main__":
    draw("figure2_convnet", __doc__, panels)
