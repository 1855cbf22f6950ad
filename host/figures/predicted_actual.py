"""What the figures of predicted against actual changes share: reading, axes, a panel, the command line."""

import csv
import os

from figure_style import BLUE as POINTS
from figure_style import TEXT, above, at_most, below, matplotlib, np, plt, run  # noqa: F401 (for the figures)
from figure_style import VERMILION as DIAGONAL


def read_pairs(path, names=("predicted", "actual"), partial=False):
    """The two columns, as float64. partial: without the last rows, where their second column is empty: models that were
    not trained."""
    with open(path, newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    header, rows = (rows[0], rows[1:]) if rows else ([], [])
    if any(name not in header for name in names):
        raise ValueError(f"{path}: expected a header with the columns {' and '.join(names)}")
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"{path}: expected {len(header)} cells in every row")
    at = [header.index(name) for name in names]
    while partial and rows and rows[-1][at[1]] == "":
        rows.pop()
    try:
        pairs = np.array([[float(row[place]) for place in at] for row in rows], dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected numbers") from error
    if len(pairs) < 2 or not np.all(np.isfinite(pairs)):
        raise ValueError(f"{path}: expected at least two rows of finite numbers")
    return pairs[:, 0], pairs[:, 1]


def pearson_of(x, y):
    return float(np.corrcoef(x, y)[0, 1])


def slope_of(x, y):
    """Least squares of actual on predicted, with intercept."""
    return float(np.polyfit(x, y, 1)[0])


def power_of_ten(values):
    """An exponent that leaves numbers of about 1 to 10 on the axis."""
    largest = float(np.max(np.abs(values)))
    return int(np.floor(np.log10(largest))) if largest > 0 else 0


def power_unit(exponent):
    return "" if exponent == 0 else rf"  ($\times 10^{{{exponent}}}$)"


def note(axes, position, lines, **alignment):
    """The points lie along the diagonal: the corners above and below it are free."""
    axes.text(*position, "\n".join(lines), transform=axes.transAxes, fontsize=8.5, linespacing=1.4, color=TEXT,
              **alignment)


def linear_axes(axes, x, y):
    """Scales both axes alike and says by what power of ten."""
    exponent = power_of_ten(np.concatenate([x, y]))
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    margin = 0.06 * (high - low or 1.0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(matplotlib.ticker.MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(lambda value, _: f"{value / 10.0**exponent:g}".replace("-", "\N{MINUS SIGN}"))
    return (low - margin, high + margin), power_unit(exponent)


def logarithmic_axes(axes, x, y):
    """Random points' influence spans many powers of ten: logarithmic on both sides of a small linear part around 0."""
    sizes = np.abs(x[x != 0])
    linear = 10.0 ** np.floor(np.log10(np.quantile(sizes, 0.25))) if len(sizes) else 1.0
    largest = 10.0 ** np.ceil(np.log10(max(np.max(np.abs(x)), np.max(np.abs(y)), linear)))
    for axis in ("x", "y"):
        getattr(axes, f"set_{axis}scale")("symlog", linthresh=linear, linscale=1.0)
    powers = range(round(np.log10(linear)), round(np.log10(largest)) + 1)
    ticks = [10.0**power for power in powers[:: 2 if len(powers) > 4 else 1]]
    ticks = [-tick for tick in reversed(ticks)] + [0.0] + ticks
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(matplotlib.ticker.FixedLocator(ticks))
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
    return (-largest, largest), "  (logarithmic)"


def draw_panel(axes, x, y, title, lines, scale, style):
    limits, unit = scale(axes, x, y)

    axes.axhline(0, color="#DDDDDD", linewidth=0.6, zorder=0)
    axes.axvline(0, color="#DDDDDD", linewidth=0.6, zorder=0)
    axes.plot(limits, limits, color=DIAGONAL, linewidth=1.1, zorder=1, label="predicted = actual")
    axes.scatter(x, y, color=POINTS, linewidths=0, zorder=2, **style)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel("predicted change of test loss\nwhen the point is removed" + unit)
    axes.set_ylabel("actual change after retraining" + unit)
    axes.set_title(title, fontsize=9.5, pad=7)
    note(axes, (0.045, 0.965), lines, va="top", ha="left")
    axes.legend(loc="lower right", frameon=False, fontsize=8.5, handlelength=1.6, borderaxespad=0.4)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw(name, description, panels_of):
    """The command line of a figure: `panels_of(summary, loo, random)` is called with the summary and the paths of both
    tables, and returns the figure."""

    def options(parser):
        parser.add_argument("--loo", required=True, help="loo.csv: the most influential points of one test image")
        parser.add_argument("--random", help="loo_random.csv: random points, many test images (left out where not there)")

    def figure(summary, arguments):
        has_random = bool(arguments.random) and os.path.exists(arguments.random)
        return panels_of(summary, arguments.loo, arguments.random if has_random else None)

    run(name, description, options, figure)
