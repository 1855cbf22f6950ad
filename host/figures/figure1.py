#!/usr/bin/env python3
"""Draws Figure 1: every training image's influence on one test image beside what is left of it without the training loss,
without the Hessian and without both, from the files of `clout reproduce figure1`."""

from figure_style import BLUE, GREY, TEXT, VERMILION, at_most, np, plt, read_rows, run

VARIANTS = (("without_training_loss", "without the training loss"), ("without_hessian", r"without $H^{-1}$"),
            ("neither", "without both: inner product"))
DIGITS = (("7", BLUE, "o"), ("1", VERMILION, "^"))


def scatter(axes, rows, name, title, correlation, harmful, same_label):
    for digit, colour, marker in DIGITS:
        mine = [row for row in rows if row["digit"] == digit]
        label = f"training images of {digit}" + (" (the test image's label)" if digit == same_label else "")
        axes.scatter([float(row["influence"]) for row in mine], [float(row[name]) for row in mine], s=5, alpha=0.5,
                     color=colour, marker=marker, linewidths=0, label=label, rasterized=True)
    point = rows[harmful]
    axes.scatter([float(point["influence"])], [float(point[name])], s=46, facecolors="none", edgecolors=TEXT, linewidths=1,
                 label="the harmful image shown", zorder=3)
    axes.axhline(0, color="#DDDDDD", linewidth=0.6, zorder=0)
    axes.axvline(0, color="#DDDDDD", linewidth=0.6, zorder=0)
    axes.set_title(f"{title}\nPearson {correlation:.4f}", fontsize=9.5, pad=7)
    axes.set_xlabel("influence (n times the predicted\nchange of test loss on removal)")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def picture(axes, image, title):
    axes.imshow(255 - image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize=9, pad=5)
    axes.set(xticks=[], yticks=[])


def panels(summary, arguments):
    rows = read_rows(arguments.points, ("train_index", "digit", "influence", *(name for name, _ in VARIANTS)))
    images = np.load(arguments.images)
    if images.shape != (2, 28, 28):
        raise ValueError(f"{arguments.images}: shape {images.shape}; expected (2, 28, 28)")
    figure = plt.figure(figsize=(11.4, 4.9))
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 0.5))
    harmful = summary["harmful"]
    for column, (name, title) in enumerate(VARIANTS):
        axes = figure.add_subplot(grid[:, column])
        scatter(axes, rows, name, title, summary["pearson"][name], harmful["train_index"], str(summary["test_digit"]))
        if column == 0:
            axes.set_ylabel("the same with a part left out")
            handles = axes.get_legend_handles_labels()
    picture(figure.add_subplot(grid[0, 3]), images[0], f"test image {summary['test_index']}: a {summary['test_digit']}")
    picture(figure.add_subplot(grid[1, 3]), images[1],
            f"training image {harmful['train_index']}:\na {harmful['digit']}, {harmful['rank']}th most harmful")
    footer = (f"logistic regression, MNIST 1 against 7: {summary['n_train']:,} training images, {summary['n_params']} parameters, "
              rf"$\lambda$ = {summary['l2']:g}; test accuracy {summary['test_accuracy']:.4f}; "
              rf"solves by Cholesky and by conjugate gradients agree to ${at_most(summary['largest_difference_between_solvers'])}$")
    figure.legend(*handles, loc="lower center", bbox_to_anchor=(0.42, 0.035), ncol=3, frameon=False, fontsize=8.5,
                  handletextpad=0.2, markerscale=2)
    figure.text(0.5, 0.012, footer, ha="center", va="bottom", fontsize=7, color=GREY)
    figure.tight_layout(rect=(0, 0.09, 1, 1), w_pad=1.5)
    return figure


def options(parser):
    parser.add_argument("--points", required=True, help="figure1.csv: every training image")
    parser.add_argument("--images", required=True, help="images.npy: the test image and the harmful one")


if __name__ == "__main__":
    run("figure1", __doc__, options, panels)
