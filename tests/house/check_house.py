#!/usr/bin/env python3
"""Reads the source tree and fails on whatever breaks the rules of the house: an include that runs up, a file that is
too long, device code's special words outside their one file. Usage: check_house.py ROOT
"""

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

FLOORS = ("kernels", "engine", "models", "host")  # each includes only itself and what stands before it
USERS = ("bench", "examples")  # include what a user of the library could
SOURCES = {".hpp", ".h", ".cpp", ".cu", ".cuh"}
LONGEST = 400

PUBLIC = re.compile(r"(kernels/[^/]+|engine/.+|models/.+)\.hpp")
BACKEND = re.compile(r"kernels/(cpu|cuda)/")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
CUDA_HEADER = re.compile(r"(cuda|cublas|cusolver|cudnn|cub/|thrust/|cooperative_groups|nv/|mma)")
TYPE_NAME = re.compile(r"^(?:class|struct)\s+(\w+)", re.MULTILINE)

# What only one file may say, and why.
SPECIAL_WORDS = (
    (re.compile(r"\b__shared__\b"), {"kernels/cuda/device_code.hpp"}, "shared memory comes from shared_storage<S>()"),
    (re.compile(r"\b__CUDACC__\b"), {"kernels/cuda/device_code.hpp"}, "the compiler is asked for in one header"),
    (re.compile(r"<<<"), set(), "kernels are started by launch()"),
    (re.compile(r"\bcudaLaunch(Kernel|CooperativeKernel)"), {"kernels/cuda/launch.hpp"}, "kernels are started by launch()"),
    (re.compile(r"\bcuda(Graph(?!SetConditional\b|ConditionalHandle\b)\w+|Stream(Begin|End)Capture\w*)\s*\("),
     {"kernels/cuda/libraries.hpp"}, "graphs go through one header"),
    (re.compile(r"\batomicAdd\w*\s*\("), set(), "sums have a fixed order"),
    (re.compile(r"\b__(exp|exp10|log|log2|log10|sin|cos|tan|pow|fdivide)f\s*\("), set(), "no approximate intrinsics"),
    (re.compile(r"use_fast_math|ffast-math"), set(), "no fast-math"),
)


def without_comments(text, keep_strings):
    """The same text with comments (and strings, unless kept) blanked out, lines kept."""

    def blank(match):
        found = match.group(0)
        if found.startswith(("//", "/*")) or not keep_strings:
            return re.sub(r"[^\n]", " ", found)
        return found

    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def files_of(root):
    """Files that git tracks or would track; without git, all. A build folder inside the tree is never looked at."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        paths = (root / name for name in listed.stdout.splitlines())
    else:
        paths = (path for top in (*FLOORS, *USERS, "tests", "cmake", "scripts") for path in (root / top).rglob("*"))
    return sorted(path for path in paths if path.is_file())


def included(root, file, mark, name):
    """What an #include line names, as a path inside the house; None for a header from outside."""
    if name.startswith("clout/"):
        return name.removeprefix("clout/")
    if mark == '"':
        target = (file.parent / name).resolve()
        if target.is_relative_to(root):
            return target.relative_to(root).as_posix()
    return None


def include_fault(place, target):
    """Why the file at `place` must not include `target` (both inside the house); None where it may."""
    here, there = PurePosixPath(place).parts, PurePosixPath(target).parts
    if here[0] in USERS:
        return None if there[0] == here[0] or PUBLIC.fullmatch(target) else "public headers only"
    if there[0] not in FLOORS or FLOORS.index(there[0]) > FLOORS.index(here[0]):
        return f"{here[0]} stands below {there[0]}" if there[0] in FLOORS else f"{there[0]} is no floor"
    backend = BACKEND.match(target)
    if backend:
        if here[0] != "kernels":
            return "a backend's own headers stay inside kernels"
        mine = BACKEND.match(place)
        if mine and mine.group(1) != backend.group(1):
            return "the backends do not know each other"
        if not mine and place.endswith(".hpp"):
            return "a public header must not need a backend's"
    return None


def model_names(root):
    return {name for header in (root / "models").rglob("*.hpp")
            for name in TYPE_NAME.findall(without_comments(header.read_text(), keep_strings=False))}


def faults_in(root, file, models):
    place = file.relative_to(root).as_posix()
    top = place.split("/")[0]
    text = file.read_text(errors="replace")
    line_of = lambda match: text.count("\n", 0, match.start()) + 1

    if top in (*FLOORS, *USERS, "tests") and file.suffix in SOURCES | {".py"}:
        lines = text.count("\n")
        if lines > LONGEST:
            yield f"{place}: {lines} lines; at most {LONGEST}"

    is_build_file = file.name == "CMakeLists.txt" or file.suffix == ".cmake"
    if top not in (*FLOORS, *USERS) or (file.suffix not in SOURCES and not is_build_file):
        return
    code = text if is_build_file else without_comments(text, keep_strings=False)
    for word, allowed, why in SPECIAL_WORDS:
        if place not in allowed:
            for match in word.finditer(code):
                yield f"{place}:{line_of(match)}: {match.group(0)}: {why}"
    if is_build_file:
        return

    for match in INCLUDE.finditer(without_comments(text, keep_strings=True)):
        mark, name = match.groups()
        target = included(root, file, mark, name)
        if target is None:
            if CUDA_HEADER.match(name) and not place.startswith("kernels/cuda/"):
                yield f"{place}:{line_of(match)}: includes {name}: only kernels/cuda needs the CUDA toolkit"
            continue
        fault = include_fault(place, target)
        if fault:
            yield f"{place}:{line_of(match)}: includes {target}: {fault}"
    if top == "engine":
        for match in re.finditer(r"\b\w+\b", code):
            if match.group(0) in models:
                yield f"{place}:{line_of(match)}: names {match.group(0)}: the engine knows no model"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = Path(sys.argv[1]).resolve()
    missing = [floor for floor in FLOORS if not (root / floor).is_dir()]
    if missing:
        sys.exit(f"check_house: {root} has no {', '.join(missing)}")
    models = model_names(root)
    files = files_of(root)
    faults = [fault for file in files for fault in faults_in(root, file, models)]
    for fault in faults:
        print(fault)
    print(f"{len(files)} files, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
