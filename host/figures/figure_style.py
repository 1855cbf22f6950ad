"""What all figures share: colours, numbers as text, the command line, saving.

Identical input gives identical bytes: no date, no version, no random identifier goes into the files.
"""

import argparse
import csv
import json
import logging
import os
import sys

# Before matplotlib is imported: a first run would announce its font cache on standard error.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

BLUE = "#0072B2"  # Okabe and Ito's: apart for every kind of colour vision
VERMILION = "#D55E00"
GREEN = "#009E73"
GREY = "#666666"
TEXT = "#333333"


def below(value, digits):
    """Rounded down: 0.99998 must not be shown as 1.0000."""
    scale = 10.0**digits
    return f"{np.floor(value * scale) / scale:.{digits}f}"


def above(value, digits):
    return below(-value, digits).removeprefix("-")


def at_most(value):
    """A positive number in two digits, rounded up: what follows a sign of "less or equal"."""
    if not value > 0:
        return "0"
    exponent = int(np.floor(np.log10(value)))
    mantissa = np.ceil(value / 10.0**exponent * 10) / 10
    if mantissa >= 10:
        mantissa, exponent = mantissa / 10, exponent + 1
    return rf"{mantissa:.1f} \times 10^{{{exponent}}}"


def read_rows(path, names):
    """The rows of a table as dictionaries; those `names` must be there."""
    with open(path, newline="") as file:
        table = csv.DictReader(file)
        if table.fieldnames is None or any(name not in table.fieldnames for name in names):
            raise ValueError(f"{path}: expected a header with the columns {', '.join(names)}")
        rows = list(table)
    if not rows:
        raise ValueError(f"{path}: expected at least one row")
    return rows


def save(figure, out, name):
    """Written beside, then renamed: a figure is there whole or not at all."""
    for kind, options in (("png", {"dpi": 200, "metadata": {"Software": None}}), ("svg", {"metadata": {"Date": None}})):
        path = os.path.join(out, f"{name}.{kind}")
        unfinished = f"{path}.unfinished"
        try:
            figure.savefig(unfinished, format=kind, **options)
            os.replace(unfinished, path)
        except BaseException:
            if os.path.exists(unfinished):
                os.remove(unfinished)
            raise


def run(name, description, add_options, figure_of):
    """The command line of a figure: `figure_of(summary, arguments)` returns it; `add_options(parser)` adds what it takes
    beside --summary and --out."""
    parser = argparse.ArgumentParser(description=description)
    add_options(parser)
    parser.add_argument("--summary", required=True, help="summary.json")
    parser.add_argument("--out", required=True, help=f"folder for {name}.png and {name}.svg")
    arguments = parser.parse_args()
    try:
        with open(arguments.summary) as file:
            summary = json.load(file)
        matplotlib.rcdefaults()  # a user's matplotlibrc must not change the figure
        matplotlib.use("Agg")
        plt.rcParams.update({"svg.hashsalt": "clout", "font.size": 9, "axes.labelsize": 9, "xtick.labelsize": 8,
                             "ytick.labelsize": 8, "axes.linewidth": 0.7, "axes.edgecolor": "#666666",
                             "xtick.color": TEXT, "ytick.color": TEXT, "axes.labelcolor": TEXT})
        figure = figure_of(summary, arguments)
        os.makedirs(arguments.out, exist_ok=True)
        save(figure, arguments.out, name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
