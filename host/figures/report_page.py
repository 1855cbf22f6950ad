"""How the report looks: numbers as text, and everything as HTML that asks for nothing from outside.

Whatever comes from a file goes through `escape`.
"""

import json
from decimal import ROUND_DOWN, Decimal
from html import escape

DASH = "–"

STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --soft: #565d66; --page: #ffffff; --box: #f4f5f7; --line: #d3d7dc;
  --link: #0a58a6; --good: #17693a; --bad: #a3261b; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8ea; --soft: #a7afb8; --page: #15181b; --box: #1f2327;
  --line: #3a4047; --link: #7db8f0; --good: #74cf98; --bad: #ff9a8f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1.25rem 4rem; color: var(--text); background: var(--page);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; line-height: 1.25; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
p { max-width: 46rem; margin: .5rem 0; overflow-wrap: anywhere; }
a { color: var(--link); }
section { margin-top: 2.5rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
figure { margin: 1rem 0; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.picture { background: #ffffff; padding: .5rem; }
.picture img { display: block; width: 100%; min-width: 44rem; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: .925rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .75rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
tbody tr:last-child > * { border-bottom: 0; }
thead th { background: var(--box); }
tbody th { font-weight: normal; min-width: 11rem; }
.number { text-align: right; white-space: nowrap; }
.source { color: var(--soft); white-space: nowrap; }
.state { white-space: nowrap; color: var(--soft); }
.finished { color: var(--good); }
.failed { color: var(--bad); }
.notice { background: var(--box); border-left: 4px solid var(--line); padding: .5rem .75rem; }
.notice.failed { border-color: var(--bad); }
dl { display: grid; grid-template-columns: fit-content(20rem) minmax(0, 1fr); gap: .2rem 1rem; margin: .5rem 0;
  font-size: .925rem; }
dt { color: var(--soft); }
dd { margin: 0; }
dt, dd, tbody th { overflow-wrap: anywhere; }
sup { font-size: .85em; line-height: 0; }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--link); }
pre { margin: .5rem 0 0; padding: .75rem; background: var(--box); font-size: .8125rem; line-height: 1.4; }
.soft { color: var(--soft); }
.first { display: block; color: var(--soft); font-size: .8125rem; }
@media (max-width: 40rem) { body { padding: 1rem .75rem 3rem; } h1 { font-size: 1.4rem; }
  th, td { padding: .35rem .5rem; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; } dd { margin-bottom: .4rem; } }
"""


def below_one(text, value):
    """0.999996 must not be shown as 1.0000."""
    if abs(value) < 1 and abs(Decimal(text)) == 1:
        places = max(-Decimal(text).as_tuple().exponent, 4)
        return str(Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_DOWN))
    return text


def minus(text):
    return text.replace("-", "\u2212")


def prose(text):
    """Text as HTML; a number and its % stay together."""
    return escape(text).replace(" %", "&nbsp;%")


def short(value, digits=5):
    """A number by itself, as HTML."""
    if value is None:
        return DASH
    if isinstance(value, int) or value == 0:
        return minus(f"{value:,}")
    if not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.1e}".split("e")
        return minus(f"{mantissa} × 10<sup>{int(exponent)}</sup>")
    return minus(below_one(f"{value:.{digits}g}", value))


def beside(published, value):
    """(published, measured, difference) as HTML: the measured one with a digit more than the published, a text."""
    if published is None or value is None:
        return DASH if published is None else minus(published), short(value), DASH
    places = -Decimal(published).as_tuple().exponent
    places += not isinstance(value, int) or places > 0  # counts and ranks are compared as they are
    measured, difference = below_one(f"{value:.{places}f}", value), Decimal(value) - Decimal(published)
    return minus(published), minus(measured), minus(f"{difference:+.{places}f}")


def duration(seconds):
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{seconds / 3600:.1f} h"


def scrolling(label, content, kind=""):
    """A box that scrolls sideways by itself, with the keyboard too."""
    return f'<div class="scroll {kind}" tabindex="0" role="region" aria-label="{escape(label)}">{content}</div>'


def state(each):
    return f'<span class="state {escape(each["state"].split(",")[0])}">{escape(each["state"])}</span>'


def summary_table(experiments):
    """The first thing to see: a line for each experiment with one of its numbers and its time."""
    lines = []
    for each in experiments:
        row = next((row for row in each["rows"] if row["headline"]), None)
        published, measured, _ = beside(row["published"], row["measured"]) if row else (DASH, DASH, DASH)
        time = duration(sum(each["seconds"].values())) if each["seconds"] else DASH
        first = f'<span class="first">{prose(row["quantity"])}</span>' if row else ""
        lines.append(f'<tr><th scope="row"><a href="#{escape(each["name"])}">{escape(each["title"])}</a>{first}</th>'
                     f'<td>{state(each)}</td><td class="number">{published}</td>'
                     f'<td class="number">{measured}</td><td class="number">{time}</td></tr>')
    return scrolling("All experiments", '<table><thead><tr><th scope="col">experiment, one of its numbers</th>'
                     '<th scope="col">state</th><th scope="col" class="number">published</th>'
                     '<th scope="col" class="number">here</th><th scope="col" class="number">time</th></tr></thead>'
                     f'<tbody>{"".join(lines)}</tbody></table>')


def numbers(each):
    if not each["rows"]:
        return '<p class="soft">No published numbers are recorded for it.</p>'
    lines = []
    for row in each["rows"]:
        published, measured, difference = beside(row["published"], row["measured"])
        lines.append(f'<tr><th scope="row">{prose(row["quantity"])}</th><td class="number">{published}</td>'
                     f'<td class="number">{measured}</td><td class="number">{difference}</td>'
                     f'<td class="source">{escape(row["source"] or "no number published")}</td></tr>')
    return scrolling(f"Numbers of {each['title']}", '<table><thead><tr><th scope="col">quantity</th>'
                     '<th scope="col" class="number">published</th><th scope="col" class="number">here</th>'
                     '<th scope="col" class="number">difference</th><th scope="col">published in</th></tr></thead>'
                     f'<tbody>{"".join(lines)}</tbody></table>')


def definitions(pairs):
    """A list of (what, HTML)."""
    return f'<dl>{"".join(f"<dt>{escape(what)}</dt><dd>{value}</dd>" for what, value in pairs)}</dl>'


def how(each):
    """Time, device, precision, certificates."""
    facts, seconds, manifest = each["summary"], each["seconds"], each["manifest"] or {}
    stages = ", ".join(f"{escape(stage.replace('_', ' '))} {duration(value)}" for stage, value in seconds.items())
    cpu = f" ({escape(str(manifest['cpu']))})" if "cpu" in manifest else ""
    threads = f", {escape(str(manifest['threads']))} threads" if "threads" in manifest else ""
    run = [("time", f"{duration(sum(seconds.values()))}: {stages}" if seconds else DASH),
           ("device", escape(str(facts.get("device", DASH))) + cpu + threads),
           ("precision", escape(str(facts.get("precision", DASH))))]
    certified = [(what, short(value, 2)) for what, value in each["certificates"]]
    return (f"<h3>How it was run</h3>{definitions(run)}"
            f"<h3>Certificates</h3>{definitions(certified) if certified else '<p>None is written.</p>'}")


def section(each):
    parts = [f'<section id="{escape(each["name"])}" aria-labelledby="{escape(each["name"])}-title">'
             f'<h2 id="{escape(each["name"])}-title">{escape(each["title"])}</h2>']
    if each["shows"]:
        parts.append(f'<p>{prose(each["shows"])}</p>')
    if each["sentence"]:
        failed = " failed" if each["state"] == "failed" else ""
        parts.append(f'<p class="notice{failed}">{escape(each["sentence"])}</p>')
    if each["picture"]:
        image = f'<img src="{each["picture"]}" alt="{escape(each["alt"])}">'
        parts.append(f'<figure>{scrolling("Picture of " + each["title"], image, "picture")}</figure>')
    elif each["summary"] is not None:
        parts.append('<p class="notice">Its picture is not there.</p>')
    parts.append(f"<h3>Published and measured</h3>{numbers(each)}")
    if each["differs"]:
        parts.append(f'<p>{prose(each["differs"])}</p>')
    if each["summary"] is not None:
        parts.append(how(each))
    if each["manifest"] is not None:
        text = escape(json.dumps(each["manifest"], indent=2, ensure_ascii=False))
        box = scrolling("Manifest of " + each["title"], f"<pre>{text}</pre>")
        parts.append(f"<details><summary>Manifest</summary>{box}</details>")
    return "\n".join(parts) + "\n</section>"


def page(overview, sections):
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>clout: the experiments of Koh &amp; Liang 2017</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>The experiments of Koh &amp; Liang 2017, published and measured</h1>
<p>Made by <code>clout reproduce</code>. “Understanding black-box predictions via influence functions”: every number
with its published counterpart where there is one, the difference being measured less published.</p>
{overview}
{chr(10).join(sections)}
</main>
</body>
</html>
"""
