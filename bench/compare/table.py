"""The Markdown that people read, from the facts in the JSON file."""

import timing

NAMES = {"clout": "clout", "clout, dense": "clout, dense", "program": "`clout`", "torch_peer": "PyTorch", "torch_by_hand": "PyTorch by hand", "jax_peer": "JAX",
         "scikit_peer": "scikit-learn", "captum_peer": "captum", "curvlinops_peer": "curvlinops", "dattri_peer": "dattri",
         "torch_influence_peer": "torch-influence", "pydvl_peer": "pyDVL"}


def time_text(seconds):
    """Three digits, in the unit that suits."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            value = seconds * factor
            return f"{value:,.{max(0, 3 - len(str(int(value))))}f} {unit}"


def spread_text(summary):
    text = time_text(summary["median"])
    if summary["count"] == 1:
        return f"{text} (once)"
    return f"{text} ({time_text(summary['lower_quartile'])} to {time_text(summary['upper_quartile'])})"


def ratio_text(peer, ours, clock):
    """How many times faster clout is; below 1 it is slower, and the table says so."""
    value = timing.ratio(peer[f"{clock}_summary"], ours[f"{clock}_summary"])
    text = f"{value:.3g}×" if value < 100 else f"{value:,.0f}×"
    return text if value >= 1 else f"**{text}, slower**"


def best(sides, clock):
    running = [side for side in sides if "failure" not in side]
    return min(running, key=lambda side: side[f"{clock}_summary"]["median"], default=None)


def share_text(row, ours, ceilings, clock):
    """Of the multiply-add ceiling; by counted flops, so that X without its zeros may be above."""
    if not row["flops"]:
        return ""
    rate = row["flops"] / ours[f"{clock}_summary"]["median"] / 1e9
    return f"{100 * rate / ceilings['multiply_add'][clock][row['precision']]:.0f} %"


def check_text(side):
    check = side.get("check") or {}
    return f"{check['figure']:.1e}" if check else ""


def row_lines(row, ceilings, clock):
    """A line for every side of ours and for every peer of a row."""
    champion = best(row["ours"], clock)
    for side in row["ours"]:
        if "failure" in side:
            yield (row["title"], NAMES[side["name"]], f"— ({side['failure']})", "", "", "", "")
            continue
        yield (row["title"], f"{NAMES[side['name']]} {side['variant']}".strip(), spread_text(side["wall_summary"]),
               time_text(side["cpu_summary"]["median"]), "", check_text(side), share_text(row, side, ceilings, clock))
    leader = best(row["peers"], clock)
    for side in row["peers"]:
        name = NAMES[side["name"]]
        if "failure" in side:
            yield ("", name, f"— ({side['failure']})", "", "", check_text(side), "")
            continue
        note = f"; {side['note']}" if side["note"] else ""
        ratio = ratio_text(side, champion, clock) if champion else ""
        yield ("", f"{'best: ' if side is leader else ''}{name} ({side['variant']}{note})", spread_text(side["wall_summary"]),
               time_text(side["cpu_summary"]["median"]), ratio, check_text(side), "")


HEADINGS = ("work", "who, and how", "time: median (quartiles)", "processor time", "clout is faster by", "accuracy", "of the ceiling")


def run_text(run, rows):
    """What ran, on which state, and what the machine could do meanwhile."""
    ceilings = run["ceilings"]
    return (f"`{run['command']}` ({run['commit']}): {rows} row{'' if rows == 1 else 's'}; load when it began "
            f"{run['load_before']:.1f}, when it ended {run['load_after']:.1f}. Ceilings: multiply-adds "
            "{single:.1f} GFLOP/s in single, {double:.1f} in double; ".format(**ceilings["multiply_add"]["wall"]) +
            "OpenBLAS' matrix product {single:.1f} and {double:.1f}; ".format(**ceilings["gemm"]["wall"]) +
            "multiply-adds a second of processor time {single:.1f} and {double:.1f} GFLOP; ".format(
                **ceilings["multiply_add"]["cpu"]) +
            f"memory read at {ceilings['read_bandwidth']:.1f} GB/s.")


def markdown(facts):
    """The whole page."""
    machine, clock = facts["machine"], facts["clock"]
    clock_name = {"wall": "the wall's clock", "cpu": "processor time"}[clock]
    lines = [f"# Side by side, {machine['name']}, {facts['date']}", "",
             f"{facts['threads']} threads each, {machine['name']} (family {machine['family']}, model {machine['model']}). "
             f"Variants are chosen, and ratios taken, by {clock_name}."
             + (" A tenth of the examples (`--quick`)." if facts["is_quick"] else ""), ""]
    for number, run in enumerate(facts["runs"]):
        count = sum(row["run"] == number for row in facts["rows"])
        lines += [run_text(run, count), ""]
    missing = [f"{NAMES[peer]} ({found['failure']})" for peer, found in facts["peers"].items() if "failure" in found]
    if missing:
        lines += ["Not there: " + "; ".join(missing) + ".", ""]
    lines += ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    for row in facts["rows"]:
        for cells in row_lines(row, facts["runs"][row["run"]]["ceilings"], clock):
            lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
