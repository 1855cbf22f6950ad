#!/usr/bin/python3
"""The report of `reproduce all` in a real browser: no error, every picture there, readable at 1280 and at 400 pixels,
in light and in dark.

    check_report_page.py [--pictures FOLDER]

Skipped (exit code 77) where no Chromium is found; scripts/setup installs it.
"""

import argparse
import os
import sys

from browser import Browser, find_browser
from program import Program, scratch
from report_cases import RESULTS, make_odd_results, write_report

WIDTHS, SCHEMES = (1280, 400), ("light", "dark")
SMALLEST_FONT = 12  # pixels
LEAST_CONTRAST = 4.5  # WCAG 2, level AA

# What is wrong with the page: each list is empty where nothing is.
FINDINGS = """
(() => {
  const channels = color => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [[r, .2126], [g, .7152], [b, .0722]].map(([c, w]) => {
    c /= 255;
    return w * (c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
  }).reduce((a, b) => a + b);
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const c = channels(getComputedStyle(at).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  for (const each of document.querySelectorAll("details")) each.open = true;
  const holds_text = e => [...e.childNodes].some(c => c.nodeType === Node.TEXT_NODE && c.textContent.trim() !== "");
  const images = [...document.images], texts = [...document.body.querySelectorAll("*")].filter(holds_text);
  return {
    images: images.length, texts: texts.length,
    broken: images.filter(
        i => !i.complete || i.naturalWidth === 0 || i.getBoundingClientRect().width < 100).map(i => i.alt),
    wide: document.scrollingElement.scrollWidth > window.innerWidth ? [document.scrollingElement.scrollWidth] : [],
    cut: [...document.querySelectorAll("main > *, section > *")].filter(
        e => e.getBoundingClientRect().right > window.innerWidth + .5).map(e => e.tagName),
    small: texts.filter(e => parseFloat(getComputedStyle(e).fontSize) < %d).map(e => e.textContent.slice(0, 40)),
    faint: texts.filter(e => {
      const [a, b] = [luminance(channels(getComputedStyle(e).color)), luminance(ground(e))].sort((x, y) => y - x);
      return (a + .05) / (b + .05) < %g;
    }).map(e => e.textContent.slice(0, 40)),
    dark: luminance(ground(document.body)) < .2,
  };
})()
""" % (SMALLEST_FONT, LEAST_CONTRAST)


def check_page(program, browser, name, path, images, pictures):
    for width in WIDTHS:
        for scheme in SCHEMES:
            where = f"{name}, {width} pixels, {scheme}"
            browser.open(path, width, scheme=scheme)
            found = browser.value(FINDINGS)
            program.expect(found["images"] == images and found["texts"] > 50, where,
                           f"{found['images']} pictures; expected {images}")
            for what in ("broken", "wide", "cut", "small", "faint"):
                program.expect(not found[what], f"{where}: {what}", str(found[what][:5]))
            program.expect(found["dark"] == (scheme == "dark"), where, "the colours are the other scheme's")
            program.expect(not browser.faults(), where, str(browser.faults()[:3]))
            asked = [url for url in browser.requests() if not url.startswith("data:")]
            program.expect(asked == ["file://" + os.path.abspath(path)], where, f"asks for {asked}")
            if pictures:
                browser.picture(os.path.join(pictures, f"{name}-{width}-{scheme}.png"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", help="a folder for pictures of the pages")
    options = parser.parse_args()
    browser = find_browser()
    if browser is None:
        print("skipped: no chromium was found; scripts/setup installs it")
        return 77
    program = Program(None, None)
    with scratch() as folder:
        odd = os.path.join(folder, "odd")
        make_odd_results(odd)
        with Browser(browser, os.path.join(folder, "profile")) as tab:
            for name, results, images in (("results", RESULTS, 9), ("odd", odd, 1)):
                path = os.path.join(folder, name + ".html")
                done = write_report(results, path)
                if program.expect(done.returncode == 0, name, done.stderr):
                    check_page(program, tab, name, path, images, options.pictures)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
