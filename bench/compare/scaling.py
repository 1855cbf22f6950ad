"""Time and memory of a Hessian product against n, d, K and k, with what is counted, and slopes from size to size."""

import json
import math
import subprocess

import machine
import session
import table
import timing
from sides import affinity

BASE = {"n": 50_000, "d": 784, "K": 10, "k": 8}
AXES = {"n": (5_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000),
        "d": (50, 100, 200, 400, 784, 1_600, 3_200),
        "K": (2, 5, 10, 20, 50, 100),
        "k": (1, 2, 4, 8, 16, 32, 64)}
STORAGES = ("dense", "sparse")
ROUNDS = 2  # each size is measured so often, the rounds apart, so that a slow minute is not one size's


def points():
    """(axis, storage, sizes) of every measurement."""
    for axis, values in AXES.items():
        for storage in STORAGES:
            for value in values:
                yield axis, storage, {**BASE, axis: value}


def measure(program, storage, sizes, threads, environment):
    """What the program says of one size; a failure is an answer, too."""
    command = [program, storage, "single", *(str(sizes[name]) for name in "ndKk"), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, preexec_fn=affinity(threads))
    if done.returncode:
        return {"failure": done.stderr.strip() or f"ended with exit status {done.returncode}"}
    return json.loads(done.stdout)


def run(root, build, options, command, variables, save):
    """`save(facts)` is called after every size: a run that is killed leaves what it has."""
    common = {**session.facts_of_session(options), **session.facts_of_run(root, build, command, variables)}
    wanted, known = list(points()), {}
    for turn in range(ROUNDS):
        for _, storage, sizes in wanted:
            runs = known.setdefault((storage, *sizes.values()), [])
            if len(runs) > turn:
                continue  # the axes meet in one size
            print(f"[{turn + 1}/{ROUNDS}] {storage} " + " ".join(f"{name}={value}" for name, value in sizes.items()), flush=True)
            runs.append(measure(build / "bin/clout_scaling", storage, sizes, options.threads, variables))
            save({**common, "load_after": machine.load(), "sizes": list(facts_of_sizes(known))})


def facts_of_sizes(known):
    for axis, storage, sizes in points():
        runs = known.get((storage, *sizes.values()))
        if runs:
            yield fact(axis, storage, sizes, runs)


def fact(axis, storage, sizes, runs):
    found = {"axis": axis, "storage": storage, **sizes}
    failures = [run["failure"] for run in runs if "failure" in run]
    if failures:
        return {**found, "failure": failures[0]}
    return {**found, "flops": runs[0]["flops"], "scratch_bytes": runs[0]["scratch_bytes"],
            "resident_bytes": max(run["resident_bytes"] for run in runs),
            "summary": timing.summary([second for each in runs for second in each["seconds"]])}


def slope(before, after, axis, value):
    """d log value / d log axis between two sizes."""
    return math.log(value(after) / value(before)) / math.log(after[axis] / before[axis])


def cells(fact, before, axis, ceiling):
    """Of a size's line; `before` is the size above, None where there is none."""
    if "failure" in fact:
        return [f"{fact[axis]:,}", f"— ({fact['failure']})", *[""] * 6]
    rate = fact["flops"] / fact["summary"]["median"] / 1e9
    slopes = [f"{slope(before, fact, axis, value):.2f}" if before and value(before) > 0 and value(fact) > 0 else "" for value in
              (lambda f: f["summary"]["median"], lambda f: f["resident_bytes"])]
    return [f"{fact[axis]:,}", table.spread_text(fact["summary"]), slopes[0], f"{rate:.1f}", f"{100 * rate / ceiling:.0f} %",
            f"{fact['scratch_bytes'] / 1e6:,.1f} MB", f"{fact['resident_bytes'] / 1e6:,.1f} MB", slopes[1]]


def lines(found, ceiling):
    """Of the Markdown page: a table for every axis and storage."""
    for axis in AXES:
        others = ", ".join(f"{name} = {value:,}" for name, value in BASE.items() if name != axis)
        for storage in STORAGES:
            yield from (f"## Against {axis}, {storage} ({others})", "",
                        f"| {axis} | time: median (quartiles) | slope | GFLOP/s | of the ceiling | scratch, planned | resident | slope |",
                        "|---|---|---|---|---|---|---|---|")
            before = None
            for each in (fact for fact in found if fact["axis"] == axis and fact["storage"] == storage):
                yield "| " + " | ".join(cell.replace("|", "/") for cell in cells(each, before, axis, ceiling)) + " |"
                before = None if "failure" in each else each
            yield ""


def markdown(facts):
    """The whole page, from the facts in the JSON file."""
    machine = facts["machine"]
    ceiling = facts["ceilings"]["multiply_add"]["wall"]["single"]
    head = [f"# A Hessian product of softmax regression against its sizes, {machine['name']}, {facts['date']}", "",
            f"`{facts['command']}`; {facts['threads']} threads, single precision, synthetic bytes of which 19 % are not zero; "
            f"load when it began {facts['load_before']:.1f}, when it ended {facts['load_after']:.1f}. Ceiling: {ceiling:.1f} GFLOP/s of "
            "multiply-adds, in the same run. Flops are 4ndKk, of a sparse X 4Kk for every number that is not zero. A slope is that of "
            "the logarithms, from the line above. Resident memory is what the process has grown by.", ""]
    return "\n".join(head + list(lines(facts["sizes"], ceiling))) + "\n"
