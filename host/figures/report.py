#!/usr/bin/env python3
"""Writes report.html, one file that needs no other: every experiment's picture, its numbers beside the published ones,
times, certificates and manifest, from the folders that `clout reproduce` wrote.

    report.py --results docs/results --out report.html

Published numbers stand in published.json. The same input gives the same bytes: no date but those of the manifests.
"""

import argparse
import base64
import csv
import json
import os
import sys

from report_page import page, section, summary_table

HERE = os.path.dirname(os.path.abspath(__file__))
LARGEST_SVG = 400_000  # bytes; beyond that a picture of points is smaller, and sooner drawn, as PNG
CERTIFICATES = ("training_gradient_norm", "max_gradient_norm", "gradient_norm", "relative_residual",
                "max_relative_residual", "max_relative_difference", "duality_gap", "max_duality_gap")


def read_json(path):
    """The object in a file, or None where there is no such file."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        try:
            value = json.load(file)
        except ValueError as error:
            raise ValueError(f"{path}: {error}; expected a JSON object") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return value


def read_table(path):
    """The rows of a CSV file, numbers as numbers."""

    def value(text):
        try:
            return json.loads(text)
        except ValueError:
            return text

    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def at(value, path):
    """What stands at `path`: keys, positions, and objects that pick the first entry of a list which has their values;
    None where nothing does."""
    for step in path:
        if isinstance(step, dict) and isinstance(value, list):
            value = next((each for each in value if all(each.get(key) == step[key] for key in step)), None)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        elif isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


def certificates(facts, names=()):
    """(what, value) of every certificate in a summary."""
    found = []
    for key, value in facts.items():
        if isinstance(value, dict):
            found += certificates(value, (*names, key))
        elif key in CERTIFICATES and isinstance(value, (int, float)):
            found.append((": ".join((*names, key)).replace("_", " "), value))
    return found


def picture(results, name):
    """The figure's file as (media type, bytes), from its folder or beside it; None where there is none."""
    places = [os.path.join(results, name, name), os.path.join(results, name)]
    files = [(kind, place + suffix) for suffix, kind in ((".svg", "image/svg+xml"), (".png", "image/png"))
             for place in places]
    there = [(kind, path) for kind, path in files if os.path.isfile(path)]
    small = [(kind, path) for kind, path in there if kind == "image/png" or os.path.getsize(path) <= LARGEST_SVG]
    for kind, path in small or there:
        with open(path, "rb") as file:
            return kind, file.read()
    return None


def data_uri(picture):
    return f"data:{picture[0]};base64,{base64.b64encode(picture[1]).decode('ascii')}" if picture else None


def state_of(folder, summary, told):
    """(state, sentence): what `all` tells of it counts, else what lies in its folder."""
    if told and told.get("state") == "failed":
        return "failed", f"Failed with exit code {told.get('exit_code')}: {told.get('reason')}"
    if summary is not None and (told is None or told.get("state") == "finished"):
        if summary.get("quick") is True:
            return "finished, quick", ("A quick run: less of everything than published, so its numbers are not those of a "
                                       "whole run.")
        some = summary.get("n_adam")
        if some is not None and some < summary.get("n_removed", 0):
            return "finished, in part", (f"Adam trained anew without the {some} most influential points only, so its "
                                         "Pearson R is not that of a whole run.")
        return "finished", None
    if os.path.isdir(folder) and any(name.endswith(".journal") for name in os.listdir(folder)):
        return "unfinished", "Begun and not finished: --resume goes on with it."
    return "not run yet", "Not run yet."


def experiment(results, name, published, sources, told):
    """All that the page says of one experiment."""
    folder = os.path.join(results, name)
    summary = read_json(os.path.join(folder, "summary.json"))
    state, sentence = state_of(folder, summary, told)
    if not state.startswith("finished"):
        summary = None

    def measured(path):
        if summary is None:
            return None
        if path[0].endswith(".csv"):
            return at(read_table(os.path.join(folder, path[0])), path[1:])
        return at(summary, path)

    rows = [{"quantity": row["quantity"], "published": row["published"], "source": sources.get(row.get("source")),
             "measured": measured(row["measured"]), "headline": row.get("headline", False)}
            for row in published.get("rows", [])]
    return {"name": name, "title": published.get("title", name), "shows": published.get("shows"),
            "alt": published.get("alt", f"The picture of {name}."), "differs": published.get("differs"),
            "state": state, "sentence": sentence, "rows": rows, "summary": summary,
            "seconds": summary.get("seconds", {}) if summary else {},
            "certificates": certificates(summary) if summary else [],
            "picture": data_uri(picture(results, name)) if summary else None,
            "manifest": read_json(os.path.join(folder, "manifest.json")) if summary else None}


def experiments(results):
    """Those that have published numbers, in their order, then whatever else was run."""
    table = read_json(os.path.join(HERE, "published.json"))
    told = read_json(os.path.join(results, "experiments.json"))
    states = {each["name"]: each for each in told["experiments"]} if told else {}
    names = [name for name in table["experiments"] if told is None or name in states]
    others = [name for name in sorted(os.listdir(results))
              if os.path.exists(os.path.join(results, name, "summary.json"))]
    names += [name for name in [*states, *(others if told is None else [])] if name not in names]
    return [experiment(results, name, table["experiments"].get(name, {}), table["sources"], states.get(name))
            for name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", required=True, help="the folder with a folder for each experiment")
    parser.add_argument("--out", required=True, help="the file to write")
    arguments = parser.parse_args()
    if not arguments.out.endswith(".html"):
        parser.error(f"--out {arguments.out}: expected a file that ends with .html")
    unfinished = arguments.out + ".unfinished"
    try:
        found = experiments(arguments.results)
        text = page(summary_table(found), [section(each) for each in found])
        with open(unfinished, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(unfinished, arguments.out)  # there whole or not at all
    except OSError as error:
        print(f"report: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"report: {arguments.results}: {error}; expected files as clout reproduce writes them", file=sys.stderr)
        sys.exit(2)
    finally:
        if os.path.exists(unfinished):
            os.remove(unfinished)


if __name__ == "__main__":
    main()
