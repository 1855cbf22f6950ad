#!/usr/bin/env python3
"""Draws Figure 5: test images whose predictions flip when training images are changed by less than a level of their
8-bit pixels, from the files of `clout reproduce figure5`."""

import json
import os

from figure_style import BLUE, GREEN, GREY, VERMILION, np, plt, read_rows, run

COLOURS = (BLUE, GREEN)  # of the boxes
LEVEL = 1 / 255


def of_network(summary):
    """Attacks on the network's features, by box, the published one first."""
    mine = [each for each in summary["attacks"] if each["model"] == "network"]
    return {box: [each for each in mine if each["box"] == box] for box in sorted({each["box"] for each in mine})}


def published():
    """Shares in percent by the kind of attack, of 591 test images and with Inception's features, as the report has them."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "published.json"), encoding="utf-8") as file:
        rows = json.load(file)["experiments"]["figure5"]["rows"]
    return {row["measured"][1]["attack"]: 100 * float(row["published"]) for row in rows
            if row["published"] and row["measured"][0] == "attacks"}


def shares(axes, summary):
    by_box = of_network(summary)
    for k, (box, mine) in enumerate(by_box.items()):
        values = [100 * each["share_flipped_anew"] for each in mine]
        places = np.arange(len(mine)) + (k - (len(by_box) - 1) / 2) * 0.4
        axes.bar(places, values, color=COLOURS[k], width=0.38, label=f"here, within {box:.2g} levels")
        for x, value in zip(places, values):
            axes.text(x, value + 1.5, f"{value:.3g}", ha="center", va="bottom", fontsize=7, color=COLOURS[k])
    values = published()
    known = [x for x, each in enumerate(mine) if each["attack"] in values]
    axes.plot(known, [values[mine[x]["attack"]] for x in known], "D", color=VERMILION, markersize=5,
              markeredgecolor="white", markeredgewidth=0.6, label="published: 268,203 inputs, within 0.5")
    axes.set_xticks(range(len(mine)), [each["attack"] for each in mine])
    axes.set(ylim=(0, 135), yticks=range(0, 101, 20))
    axes.set_xlabel("training images changed")
    axes.set_ylabel(f"of {mine[0]['test_images']} test images, flipped (%)")
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")


def first_steps(axes, rows):
    for k, box in enumerate(sorted({float(row["box"]) for row in rows})):
        mine = [row for row in rows if row["model"] == "network" and row["attack"] == "1st" and float(row["box"]) == box]
        axes.scatter([float(row["predicted_first"]) for row in mine], [float(row["actual_first"]) for row in mine], s=7,
                     alpha=0.6, color=COLOURS[k], linewidths=0, label=f"step of {0.04 * box:.2g} levels", rasterized=True)
    axes.set(xscale="log", yscale="log")
    ends = axes.get_xlim()
    axes.plot(ends, ends, color=GREY, linewidth=0.7, zorder=0)
    axes.set(xlim=ends, ylim=ends)
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")
    axes.set_xlabel("first step's change of the test loss, predicted")
    axes.set_ylabel("measured")


def group(axes, rows, groups):
    for k, facts in enumerate(groups):
        mine = [row for row in rows if float(row["box"]) == facts["box"]]
        steps, losses = [0], [facts["mean_loss_before"]]
        steps += [int(row["step"]) for row in mine]
        losses += [float(row["mean_loss"]) for row in mine]
        axes.plot(steps, losses, color=COLOURS[k], label=f"within {facts['box']:.2g} levels: {facts['flipped_anew']:.0f} flipped")
    axes.set(xlim=(0, steps[-1]))
    axes.set_xlabel("steps, one training image")
    axes.set_ylabel(f"mean loss of {groups[0]['test_images']} test images")
    axes.legend(frameon=False, fontsize=7.5, loc="center right")


def picture(axes, image, title):
    axes.imshow(np.moveaxis(np.clip(image, 0, 1), 0, 2), interpolation="nearest")
    axes.set_title(title, fontsize=7.5, pad=3)
    axes.set(xticks=[], yticks=[])


def panels(summary, arguments):
    rows = read_rows(arguments.points, ("model", "attack", "box", "predicted_first", "actual_first"))
    images = np.load(arguments.images)
    if images.shape != (len(summary["shown"]), 3, 3, 32, 32):
        raise ValueError(f"{arguments.images}: shape {images.shape}; expected ({len(summary['shown'])}, 3, 3, 32, 32)")
    figure = plt.figure(figsize=(11.4, 6.6))
    top = figure.add_gridspec(1, 3, left=0.07, right=0.985, top=0.96, bottom=0.46, wspace=0.3)
    axes = [figure.add_subplot(top[0, column]) for column in range(3)]
    shares(axes[0], summary)
    group(axes[1], read_rows(arguments.group, ("box", "step", "mean_loss")), summary["groups"])
    first_steps(axes[2], rows)
    for each in axes:
        for side in ("top", "right"):
            each.spines[side].set_visible(False)
    bottom = figure.add_gridspec(1, 4 * max(len(images), 1), left=0.02, right=0.98, top=0.3, bottom=0.1, wspace=0.1)
    for k, (facts, (test, before, after)) in enumerate(zip(summary["shown"], images)):
        difference = 0.5 + (after - before) / (2 * facts["box"] * LEVEL)
        titles = (f"test {facts['test_index']}: a {facts['test_class']}\n{facts['probability_before']:.2f} → "
                  f"{facts['probability_after']:.2f}",
                  f"train {facts['train_index']}:\na {facts['train_class']}", f"after\n{facts['steps']} steps",
                  f"difference,\n{0.5 / facts['box'] / LEVEL:.0f} times")
        for column, (image, title) in enumerate(zip((test, before, after, difference), titles)):
            picture(figure.add_subplot(bottom[0, 4 * k + column]), image, title)
    figure.text(0.5, 0.012, f"CIFAR-10 dogs and ships: {summary['n_train']:,} training images; changes in levels of 8 bits, "
                rf"at most {summary['most_steps']} steps; $\lambda$ = {summary['l2']:g}; features: {summary['features']}; "
                "flips are those of models trained anew" + (" (quick run)" if summary["quick"] else ""),
                ha="center", va="bottom", fontsize=7, color=GREY)
    return figure


def options(parser):
    parser.add_argument("--points", required=True, help="figure5.csv: every attack")
    parser.add_argument("--group", required=True, help="group.csv: every step of one image against many")
    parser.add_argument("--images", required=True, help="images.npy: [shown][test, before, after]")


if __name__ == "__main__":
    run("figure5", __doc__, options, panels)
