#!/usr/bin/python3
"""The report of `reproduce all` as a file: all that it shows stands in it, nothing comes from outside, every published
number and its measured one are those of the results; failed, quick, missing and hostile results are told plainly.

    check_report.py

The reading shares nothing with the writing: html.parser, and paths into summary.json of its own.
"""

import base64
import csv
import json
import os
import re
import sys
import xml.etree.ElementTree as xml
from decimal import Decimal
from html.parser import HTMLParser

from program import Program, scratch
from report_cases import FIGURES, HOSTILE, RESULTS, make_odd_results, write_report

LARGEST = 10_000_000  # bytes
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Its elements with their attributes, and text, rows of cells, and states by section."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.section, self.text, self.rows, self.unbalanced = [], [], "", {}, {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes, self.section))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.section = attributes["id"]
        elif tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        elif tag in ("th", "td"):
            self.rows[self.section][-1].append("")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)
        if tag == "section":
            self.section = ""

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + data
        if "td" in self.open or "th" in self.open:
            self.rows[self.section][-1][-1] += data.replace("\xa0", " ").replace("\u2212", "-")

    def of(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]


def is_picture(uri):
    found = re.fullmatch(r"data:(image/png|image/svg\+xml);base64,([A-Za-z0-9+/=]+)", uri)
    if not found:
        return False
    try:
        data = base64.b64decode(found[2], validate=True)
    except ValueError:
        return False
    if found[1] == "image/png":
        return data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND" and int.from_bytes(data[16:20], "big") > 300
    try:
        return xml.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
    except xml.ParseError:
        return False


def check_form(program, name, text, pictures):
    """What holds of every report, whatever is in it."""
    page = Page(text)
    program.expect(len(text) < LARGEST and text.startswith("<!doctype html>") and not page.unbalanced
                   and not page.open, name,
                   f"{len(text)} characters, left open {page.open}, closed elsewhere {page.unbalanced}")
    program.expect(page.of("html") == [{"lang": "en"}]
                   and len(page.of("title")) == len(page.of("h1")) == len(page.of("main")) == 1,
                   name, "lang, title, h1 or main is not there once")
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    program.expect(levels[0] == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:])), name, f"headings {levels}")
    loading = {"script", "iframe", "object", "embed", "video", "audio", "source", "base", "form"}
    program.expect(not loading & {tag for tag, _, _ in page.elements}, name,
                   "an element that could load or run something")
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    program.expect(len(ids) == len(set(ids)), name, "an id that stands twice")
    for tag, attributes, _ in page.elements:
        for key, value in attributes.items():
            program.expect(not key.startswith("on") and key not in ("srcset", "style", "background"), name,
                           f"{tag} {key}")
            if key in ("src", "href"):
                inside = value.startswith("data:") or (value.startswith("#") and value[1:] in ids)
                program.expect(inside, name, f"{tag} {key} {value[:60]}")
    style = text[text.index("<style>"):text.index("</style>")]
    program.expect("url(" not in style and "@import" not in style, name, "the style loads something")
    images = page.of("img")
    program.expect(len(images) == pictures, name, f"{len(images)} pictures; expected {pictures}")
    for image in images:
        program.expect(is_picture(image["src"]) and len(image["alt"]) > 20, name,
                       f"a picture, {image['src'][:40]}, alt {image.get('alt')}")
    return page


def in_results(name):
    with open(os.path.join(RESULTS, name, "summary.json"), encoding="utf-8") as file:
        return json.load(file)


def pairs_in_results():
    """(experiment, published, measured) as the program itself has written them."""
    for each in in_results("figure3")["temperatures"]:
        yield "figure3", each["published_pearson"], each["pearson"]
    level = in_results("figure6")["levels"][0]
    for method in ("influence", "loss", "random"):
        for published, measured in zip(level["published"][method]["fixed"], level[method]["fixed"]):
            yield "figure6", published, measured
    for method in ("influence", "loss"):
        yield "figure6", level["published"][method]["accuracy_at_0.30"], level[method]["accuracy"][5]
    yield "figure6", level["published"]["flipped_accuracy"], level["flipped_accuracy"]
    yield "figure6", level["published"]["clean_accuracy"], in_results("figure6")["clean_accuracy"]
    hospital = in_results("hospital")
    for part in ("original", "modified", "prediction"):
        for key, published in hospital["published"][part].items():
            yield "hospital", published, hospital[part][key]
    for published in hospital["published"]["indicator"].values():
        yield "hospital", published, hospital["indicator"]["rank"]
    for published in hospital["published"]["children"]:
        measured = next(each for each in hospital["children"] if each["position"] == published["position"])
        yield "hospital", published["loss_change_if_removed"], measured["loss_change_if_removed"]
    with open(os.path.join(RESULTS, "hospital", "largest.csv"), encoding="ascii") as file:
        largest = {int(row["position"]): float(row["loss_change_if_removed"]) for row in csv.DictReader(file)}
    for published in hospital["published"]["next"]:
        yield "hospital", published["loss_change_if_removed"], largest[published["position"]]


def check_numbers(program, page):
    """Rows of quantity, published, here, difference, source."""
    rows = {name: [row for row in rows if len(row) == 5 and row[0] != "quantity"] for name, rows in page.rows.items()
            if name}
    left = {name: list(each) for name, each in rows.items()}
    for name, published, measured in pairs_in_results():
        place = 10.0 ** Decimal(str(published)).as_tuple().exponent  # of the published number's last digit
        held = next((row for row in left[name] if row[1] != "–" and float(row[1]) == published and row[2] != "–"
                     and abs(float(row[2]) - measured) <= 0.05001 * place), None)
        if program.expect(held is not None, f"{name}: {published}", f"does not stand beside {measured}"):
            left[name].remove(held)  # the same two may be published twice
            program.expect(abs(float(held[3]) - (measured - published)) <= 0.051 * place and len(held[4]) > 4,
                           f"{name}: {published}",
                           f"difference {held[3]}, source {held[4]}")
    for name in ("figure3", "figure6", "hospital"):
        program.expect(not [row for row in left[name] if row[1] != "–"], name, f"more published numbers: {left[name]}")
    for name, published in (("figure2_linear", ["0.9983", "0.9890"]), ("figure2_convnet", ["0.86", "0.875447"]),
                            ("figure1", []), ("figure2_lissa", []), ("figure4", [])):
        program.expect([row[1] for row in rows[name] if row[1] != "–"] == published, name, f"published: {rows[name]}")
    linear = {row[0]: row[2] for row in rows["figure2_linear"]}
    program.expect(linear["Pearson R, 500 most influential images"] == "0.99999", "below one", f"{linear}")
    program.expect(all(row[2] != "–" for name in rows for row in rows[name]), "measured", "one is missing")
    for name, facts in ((name, in_results(name)) for name in rows):
        minutes, seconds = divmod(int(sum(facts["seconds"].values())), 60)
        expected = f"{minutes} min {seconds} s" if 60 * minutes + seconds >= 100 else f"{60 * minutes + seconds}."
        for what in (expected, facts["device"], facts["precision"], '"sha256"'):
            program.expect(what in page.text[name], f"{name}: how it was run", f"{what} is not there")


def check_odd(program, page, text):
    expected = {"figure1": "Failed with exit code 3: ", "figure2_linear": "Not run yet.", "figure3": "A quick run",
                "figure4": "Failed", "figure2_convnet": "without the 10 most influential points only",
                "figure6": "Begun and not finished", "unheard_of": "No published numbers"}
    for name, words in expected.items():
        program.expect(words in page.text[name], name, page.text[name][:200])
    program.expect(set(page.text) - {""} == set(expected), "sections", f"{sorted(page.text)}")
    program.expect(HOSTILE in page.text["figure1"] and "0.36602" not in text and "<script" not in text, "figure1",
                   "an earlier run's numbers, or the reason is not as it was written")
    program.expect(page.text["unheard_of"].count(HOSTILE) >= 4 and "2.0 h" in page.text["unheard_of"], "unheard_of",
                   page.text["unheard_of"][:300])
    pearson = {row[0]: row[2] for row in page.rows["figure3"] if len(row) == 5}
    program.expect(pearson["Pearson R, t = 0.001"] == "0.9999", "0.99999 in four digits", f"{pearson}")
    states = [row[1] for row in page.rows[""][1:]]
    program.expect(states == ["failed", "not run yet", "finished, in part", "finished, quick", "failed", "unfinished", "finished"],
                   "states", f"{states}")


def main():
    program = Program(None, None)
    with scratch() as folder:
        path = lambda name: os.path.join(folder, name)
        texts = []
        for name in ("results.html", "again.html"):
            done = write_report(RESULTS, path(name))
            if not program.expect(done.returncode == 0 and not done.stderr, name, done.stderr):
                return program.summary()
            texts.append(open(path(name), encoding="utf-8").read())
        program.expect(texts[0] == texts[1], "again", "other bytes")
        page = check_form(program, "results", texts[0], 9)
        check_numbers(program, page)
        with open(os.path.join(FIGURES, "published.json"), encoding="utf-8") as file:
            names = list(json.load(file)["experiments"])
        program.expect([name for name in page.text if name] == names, "sections", f"{list(page.text)}")

        make_odd_results(path("odd"))
        done = write_report(path("odd"), path("odd.html"))
        if program.expect(done.returncode == 0, "odd", done.stderr):
            text = open(path("odd.html"), encoding="utf-8").read()
            check_odd(program, check_form(program, "odd", text, 1), text)

        open(path("odd/figure3/summary.json"), "w", encoding="utf-8").write("[1,")
        for results, out, expected in ((path("odd"), path("no.html"), "summary.json"),
                                       (path("nowhere"), path("no.html"), "nowhere"),
                                       (RESULTS, path("no/no.html"), "no.html")):
            done = write_report(results, out)
            program.expect(done.returncode == 2 and done.stderr.count("\n") == 1 and expected in done.stderr
                           and not os.path.exists(out),
                           f"refused: {expected}", f"{done.returncode}: {done.stderr}")
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
