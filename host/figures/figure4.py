#!/usr/bin/env python3
"""Draws Figure 4: influence on one photograph beside the distance in pixels, for a kernel machine and for a network's
features, with the most helpful training images of each, from the files of `clout reproduce figure4`."""

from figure_style import BLUE, GREY, VERMILION, np, plt, read_rows, run

MODELS = (("rbf", "influence_rbf", "RBF support vector machine"), ("network", "influence_network", "frozen network"))
CLASSES = (("dog", BLUE, "o"), ("ship", VERMILION, "^"))


def scatter(axes, rows, name, title, facts, own):
    for kind, colour, marker in CLASSES:
        mine = [row for row in rows if row["class"] == kind]
        label = f"training images: {kind}" + (" (the test image's class)" if kind == own else "")
        axes.scatter([float(row["distance"]) for row in mine], [float(row[name]) for row in mine], s=6, alpha=0.5,
                     color=colour, marker=marker, linewidths=0, label=label, rasterized=True)
    axes.axhline(0, color="#DDDDDD", linewidth=0.6, zorder=0)
    axes.set_title(f"{title}, test accuracy {facts['test_accuracy']:.3f}\nthe nearer half of the images has "
                   f"{100 * facts['share_of_nearer_half']:.0f} % of all |influence|", fontsize=9.5, pad=7)
    axes.set_xlabel("Euclidean distance in pixels")
    axes.set_ylabel("influence (n times the predicted\nchange of test loss on removal)")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def picture(axes, image, title):
    axes.imshow(np.moveaxis(image, 0, 2), interpolation="nearest")
    axes.set_title(title, fontsize=8, pad=3)
    axes.set(xticks=[], yticks=[])


def panels(summary, arguments):
    rows = read_rows(arguments.points, ("distance", "class", *(name for _, name, _ in MODELS)))
    images = np.load(arguments.images)
    shown = len(summary["rbf"]["most_helpful"])
    if images.shape != (1 + 2 * shown, 3, 32, 32):
        raise ValueError(f"{arguments.images}: shape {images.shape}; expected ({1 + 2 * shown}, 3, 32, 32)")
    figure = plt.figure(figsize=(11.4, 6.6))
    top = figure.add_gridspec(1, 2, left=0.075, right=0.985, top=0.91, bottom=0.46, wspace=0.22)
    for column, (key, name, title) in enumerate(MODELS):
        axes = figure.add_subplot(top[0, column])
        scatter(axes, rows, name, title, summary[key], summary["test_class"])
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="center", bbox_to_anchor=(0.5, 0.355), ncol=2, frameon=False, fontsize=8.5, markerscale=2)
    bottom = figure.add_gridspec(1, 2 * shown + 1, left=0.02, right=0.98, top=0.28, bottom=0.1, wspace=0.12)
    picture(figure.add_subplot(bottom[0, shown]), images[0], f"test image {summary['test_index']}:\na {summary['test_class']}")
    for start, first, (key, _, _) in ((0, 1, MODELS[0]), (shown + 1, 1 + shown, MODELS[1])):
        for k, helpful in enumerate(summary[key]["most_helpful"]):
            picture(figure.add_subplot(bottom[0, start + k]), images[first + k],
                    f"{helpful['class']} {helpful['train_index']}\n{helpful['influence']:.3g}")
    for x, (_, _, title) in zip((0.23, 0.77), MODELS):
        figure.text(x, 0.08, f"most helpful: {title}", ha="center", va="top", fontsize=9)
    figure.text(0.5, 0.012, f"CIFAR-10 dogs and ships: {summary['n_train']:,} training images, "
                rf"$\lambda$ = {summary['l2']:g}; features: {summary['features']}", ha="center", va="bottom", fontsize=7, color=GREY)
    return figure


def options(parser):
    parser.add_argument("--points", required=True, help="figure4.csv: every training image")
    parser.add_argument("--images", required=True, help="images.npy: the test image, then the most helpful of each model")


if __name__ == "__main__":
    run("figure4", __doc__, options, panels)
