"""The machine that a run was on, and what it can do at most."""

import os
import pathlib
import re
import subprocess

CEILING = re.compile(r"^(multiply-add|OpenBLAS GEMM):\s+([\d.]+) float,\s+([\d.]+) double GFLOP/s by the wall;"
                     r"\s+([\d.]+),\s+([\d.]+) per second of processor time", re.MULTILINE)
BANDWIDTH = re.compile(r"^memory, read:\s+([\d.]+) GB/s", re.MULTILINE)


def processor():
    """Its name, and family and model, since clouds name many processors alike."""
    found = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return {"name": found.get("model name", "unknown"), "family": found.get("cpu family", ""), "model": found.get("model", "")}


def slug(name):
    """For a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unknown"


def load():
    return os.getloadavg()[0]


def parse_ceilings(text):
    found = {}
    for what, *rates in CEILING.findall(text):
        wall_single, wall_double, cpu_single, cpu_double = map(float, rates)
        found["multiply_add" if what == "multiply-add" else "gemm"] = {
            "wall": {"single": wall_single, "double": wall_double}, "cpu": {"single": cpu_single, "double": cpu_double}}
    bandwidth = BANDWIDTH.search(text)
    if set(found) != {"multiply_add", "gemm"} or bandwidth is None:
        raise ValueError("clout_bench: expected lines of its ceilings")
    return {**found, "read_bandwidth": float(bandwidth.group(1))}


def ceilings(program, environment):
    """GFLOP per second of the wall and of processor time, GB/s; by clout_bench with no benchmark to run."""
    done = subprocess.run([program, "--benchmark_filter=^none$"], capture_output=True, text=True, env=environment)
    return parse_ceilings(done.stdout)
