#!/usr/bin/python3
"""Bad input of every kind: one line on standard error, the right exit code, and nothing left behind.

    bad_inputs.py --clout build/bin/clout [--device cpu]

Exit status: 0 all as it should be, 1 something else.
"""

import json
import os
import resource
import struct
import subprocess
import sys
import zipfile

import numpy as np

from program import Files, Program, fit, parse_json, scratch


class Bench:
    """Runs verbs that must fail, and looks at what they say and leave."""

    def __init__(self, program, files):
        self.program, self.files = program, files
        self.out = files.path("out")
        os.makedirs(self.out, exist_ok=True)

    def fails(self, name, code, arguments, *parts, out="result.npy", device=None, warned=False, **options):
        """`arguments` must end with exit code `code` and one line that contains all of `parts` (after one warning)."""
        before = listing(self.files.folder)
        command = [*arguments, "--device", device or self.program.device]
        if out is not None:
            command += ["--out", os.path.join(self.out, out)]
        done = self.program.run(*command, **options)
        lines = done.stderr.splitlines()
        if warned and lines and lines[0].startswith("clout: warning: "):
            lines = lines[1:]
        expect = lambda holds, why: self.program.expect(holds, name, why)
        expect(done.returncode == code, f"exit code {done.returncode}, expected {code}: {done.stderr.strip()[:300]!r}")
        expect(len(lines) == 1 and lines[0].startswith("clout: "), f"standard error is {done.stderr[:300]!r}")
        expect(done.stdout == "", f"standard output is {done.stdout[:200]!r}")
        for part in map(str, parts):
            expect(part in done.stderr, f"{part!r} is not in {done.stderr.strip()!r}")
        left = sorted(listing(self.files.folder) - before)
        expect(not left, f"left behind: {left}")

    def raw(self, name, content):
        with open(self.files.path(name), "wb") as file:
            file.write(content)
        return self.files.path(name)


def listing(folder):
    return {os.path.join(where, name) for where, folders, names in os.walk(folder) for name in [*folders, *names]}


def npy(header, data=b""):
    """A .npy file of format 1.0 with this header text"""
    text = header.encode() + b" " * ((-len(header) - 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def header(descr="<f8", fortran=False, shape=(24, 3)):
    return f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"


def check_files(bench):
    """Files that are none, or not what is read here: the same for every array, so tried on x"""
    files, raw = bench.files, bench.raw
    x = np.load(files.path("x.npy"))
    loss = lambda name, path, *parts: bench.fails(
        name, 2, ["loss", *files.options(x=path)], os.path.basename(path), *parts)
    loss("missing file", files.path("nowhere.npy"))
    loss("a folder", files.folder)
    loss("empty file", raw("empty.npy", b""))
    loss("text", raw("text.npy", b"1,2,3\n4,5,6\n"))
    loss("wrong dtype", files.save("complex", x.astype(np.complex128)), "expected")
    loss("float16", files.save("half", x.astype(np.float16)))
    loss("Fortran order", files.save("fortran", np.asfortranarray(x)), "Fortran")
    loss("big-endian", files.save("big", x.astype(">f8")), "endian")
    np.save(files.path("object.npy"), np.array([[1, "a"], [2, None]], dtype=object), allow_pickle=True)
    loss("object", files.path("object.npy"), "object")
    loss("header larger than the file", raw("long.npy", b"\x93NUMPY\x01\x00\xff\xff{'descr'"))
    loss("data shorter than the header says", raw("short.npy", npy(header(shape=(10**6, 3)), b"\0" * 72)))
    loss("data longer than the header says", raw("more.npy", npy(header(shape=(1, 3)), b"\0" * 72)))
    loss("a shape that overflows", raw("huge.npy", npy(header(shape=(2**62, 2**62)))))
    loss("a negative shape", raw("negative.npy", npy(header(shape=(-1, 3)))))
    loss("unknown version", raw("version.npy", b"\x93NUMPY\x09\x00" + b"\0" * 100))
    loss("cut in the header", raw("cut.npy", npy(header())[:40]))
    with zipfile.ZipFile(files.path("no-x.npz"), "w") as archive:
        archive.writestr("other.npy", "")
    loss("an .npz without the array", files.path("no-x.npz"))
    loss("a damaged .npz", raw("damaged.npz", b"PK\x03\x04" + b"\0" * 60))
    for value, word in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "inf")):
        bad = x.copy()
        bad[5, 1] = bad[7, 0] = value
        loss(f"{value} in x", files.save("x-bad", bad), "[5][1]")


def check_values(bench):
    """Arrays that do not fit the model or each other"""
    files = bench.files
    y, params = np.load(files.path("y.npy")), np.load(files.path("params.npy"))
    loss = lambda name, *parts, **changed: bench.fails(name, 2, ["loss", *files.options(**changed)], *parts)
    save = files.save
    loss("x with one axis", "expected", x=save("x1", np.zeros(24)))
    loss("x with five axes", "expected", x=save("x5", np.zeros((24, 1, 1, 1, 3))))
    loss("no examples", "expected", x=save("x0", np.zeros((0, 3))), y=save("y0", y[:0]))
    loss("no features", "expected", x=save("xd0", np.zeros((24, 0))))
    loss("x of int64", "int64", x=save("xi", np.zeros((24, 3), np.int64)))
    loss("label too large", "label 3", "[4]", "0 to 2", y=save("yk", np.where(np.arange(24) == 4, 3, y)))
    loss("label negative", "label -1", "[0]", y=save("ym", np.where(np.arange(24) == 0, -1, y)))
    loss("labels of float", "float64", y=save("yf", y.astype(float)))
    loss("too few labels", "23", "24", y=save("ys", y[:23]))
    loss("labels with two axes", "expected", y=save("y2", y[:, None]))
    loss("p too large", "[10]", "[9]", params=save("p10", np.zeros(10)))
    loss("p with two axes", "expected [9]", params=save("p2", np.zeros((3, 3))))
    loss("params of int64", "int64", params=save("pi", np.zeros(9, np.int64)))
    for value in (np.nan, np.inf):
        bad = params.copy()
        bad[6] = value
        loss(f"{value} in params", "[6]", params=save("p-bad", bad))
    loss("too few weights", "23", "24", weights=save("w23", np.ones(23)))
    loss("negative weight", "[2]", weights=save("wn", np.where(np.arange(24) == 2, -1.0, 1)))
    loss("weights all zero", "zero", weights=save("w0", np.zeros(24)))
    loss("NaN weight", "[3]", weights=save("wnan", np.where(np.arange(24) == 3, np.nan, 1)))
    loss("weights with two axes", "expected [24]", weights=save("w2", np.ones((24, 1))))
    for verb in ("hvp", "tangent", "perturb", "solve"):
        given = lambda name, array: [verb, *files.options(vectors=save(name, array))]
        bench.fails(f"{verb}: k = 0", 2, given("v0", np.zeros((0, 9))), "v0.npy", "expected")
        bench.fails(f"{verb}: p does not match", 2, given("v8", np.zeros((2, 8))), "[2][8]", "[9]")
        bench.fails(f"{verb}: one axis", 2, given("v1", np.zeros(9)), "expected")
        bench.fails(f"{verb}: NaN", 2, given("vn", np.full((1, 9), np.nan)), "[0][0]")
        bench.fails(f"{verb}: no vectors", 2, [verb, *files.options()], "--vectors")


def check_tests_and_removals(bench):
    files, save = bench.files, bench.files.save
    influence = lambda name, *parts, tests: bench.fails(
        name, 2, ["influence", *files.options(), *tests], *parts, out="scores")
    influence("test index too large", "--test-index 24", "0 to 23", tests=["--test-index", 24])
    influence("test index negative", "at least 0", tests=["--test-index=-1"])
    influence("test index among test data", "--test-index 4", "0 to 3", tests=[*files.tests(), "--test-index", 4])
    influence("test index that is no number", "--test-index", tests=["--test-index", "a"])
    influence("no tests", "test", tests=[])
    influence("test x alone", "--test-y", tests=files.tests()[:2])
    influence("tests of another size", "tx4.npy",
              tests=["--test-x", save("tx4", np.zeros((4, 4))), *files.tests()[2:]])
    influence("test label outside", "label 7", tests=[*files.tests()[:2], "--test-y", save("ty7", np.full(4, 7))])
    retrain = lambda name, *arguments, parts=(), code=2: bench.fails(
        name, code, ["retrain", *files.options(), *files.tests(), *arguments], *parts, out="loo")
    retrain("nothing to remove", parts=["--indices"])
    retrain("index out of range", "--indices", save("i24", np.array([0, 24])), parts=["24", "0 to 23"])
    retrain("negative index", "--indices", save("i-1", np.array([-1])), parts=["-1", "0 to 23"])
    retrain("indices of float", "--indices", save("if", np.array([0.0])), parts=["float64"])
    retrain("no indices", "--indices", save("ie", np.array([], np.int64)), parts=["empty"])
    retrain("two ways to say it", "--all", "--indices", files.path("indices.npy"), parts=["--all"])
    groups = lambda text: bench.raw("groups.json", text.encode())
    retrain("groups that are no JSON", "--groups", groups("[[1, 2"), parts=["groups.json"])
    retrain("groups of text", "--groups", groups('[["a"]]'), parts=["groups.json"])
    retrain("a group of fractions", "--groups", groups("[[1.9]]"), parts=["1.9", "integers"])
    retrain("an index beyond 64 bits", "--groups", groups("[[18446744073709551615]]"), parts=["18446744073709551615", "integers"])
    retrain("a group of true", "--groups", groups("[[true]]"), parts=["integers"])
    retrain("damping of an exact fit", "--indices", files.path("indices.npy"), "--damping", 0.1, parts=["--damping"])
    retrain("an empty group", "--groups", groups("[[1], []]"), parts=["empty"])
    retrain("a group out of range", "--groups", groups("[[1, 99]]"), parts=["99"])
    retrain("an index twice in a group", "--groups", groups("[[1, 1]]"), parts=["twice"])
    retrain("a group of everything", "--groups", groups(json.dumps([list(range(24))])), parts=["something must stay"])
    retrain("missing groups", "--groups", files.path("none.json"), parts=["none.json"])


def check_networks(bench):
    """--model convnet: specifications, data and options that do not fit"""
    files, save = bench.files, bench.files.save
    spec = lambda name, text: bench.raw(name, text.encode())
    layers = '{"input":[1,6,5],"layers":[%s{"mean_pool":{}},{"linear":{"out":3}}]}'
    good = spec("net.json", layers % '{"conv":{"out":2,"kernel":3}},')
    x = save("images", np.zeros((24, 1, 6, 5)))
    net = lambda verb, given, *more, **changed: [
        verb, "--model", "convnet", "--l2", "1e-3", "--spec", given, "--x", changed.get("x", x), "--y",
        files.path("y.npy"), *more]
    params = ["--params", save("net-params", np.zeros(29))]
    refuse = lambda name, arguments, *parts, code=2, **more: bench.fails(name, code, arguments, *parts, **more)
    refuse("no spec there", net("loss", files.path("none.json"), *params), "none.json")
    refuse("images of another size", net("loss", good, *params, x=save("small", np.zeros((24, 1, 5, 5)))), "[1][6][5]")
    refuse("params of another length", net("loss", good, "--params", save("net-28", np.zeros(28))), "[29]", "linear.bias")
    refuse("kernel too large", net("loss", spec("large.json", layers % '{"conv":{"out":2,"kernel":6}},'), *params), "layer 1", "6x6")
    refuse("sparse images", net("loss", good, *params, "--storage", "sparse"), "--storage", "logistic")
    refuse("bias", net("loss", good, *params, "--bias"), "--bias", "logistic")
    refuse("classes of another network", net("loss", good, *params, "--classes", 4), "--classes 4")
    refuse("steps of logistic", ["train", *files.options(fitted=False), "--steps", 5], "--steps", "convnet", out="fit")
    train = lambda name, *more, parts=(): refuse(name, net("train", good, *more), *parts, out="fit")
    train("batch larger than the data", "--batch", 25, parts=["25", "1 to 24"])
    train("a rate of 0", "--batch", 5, "--learning-rate", 0, parts=["--learning-rate"])
    train("a tolerance for Adam", "--batch", 5, "--tolerance", 1e-3, parts=["--tolerance", "logistic"])
    moments = ["--moments", save("moments", np.zeros((2, 28))), "--start-step", 9, "--test-index", 0]
    one = save("net-one", np.ones((1, 29)))
    for preconditioner in ("jacobi", "kronecker"):
        refuse(f"{preconditioner} of a network", [*net("solve", good, *params), "--vectors", one, "--preconditioner",
                                                  preconditioner, "--damping", 1], preconditioner, "nystrom", out="s.npy")
    refuse("moments of another network", net("retrain", good, *params, "--batch", 5, *moments, "--indices",
           files.path("indices.npy")), "[2][29]", out="loo")
    rng = np.random.default_rng(1)
    curved = ["--params", save("curved", rng.standard_normal(29) * 2), "--vectors", save("net-v", np.eye(29)[:3])]
    rough = save("rough", rng.standard_normal((24, 1, 6, 5)))
    refuse("an indefinite Hessian", [*net("solve", good, *curved, x=rough)], "not positive definite", code=3)
    refuse("an indefinite Hessian, direct", [*net("solve", good, *curved, "--solver", "direct", x=rough)],
           "not positive definite", code=3)


def check_usage(bench):
    files = bench.files
    usage = lambda name, *arguments, parts=(): bench.fails(name, 2, arguments, *parts, out=None)
    bench.program.expect(bench.program.run().returncode == 2, "no verb", "exit code is not 2")
    done = bench.program.run()
    bench.program.expect(len(done.stderr.splitlines()) == 1 and done.stderr.startswith("clout: "), "no verb",
                         f"standard error is {done.stderr[:200]!r}")
    usage("unknown verb", "lose", *files.options())
    usage("no --out", "loss", *files.options(), parts=["--out"])
    out = ["--out", os.path.join(bench.out, "a.npy")]
    usage("unknown flag", "loss", *files.options(), *out, "--frobnicate", parts=["--frobnicate"])
    usage("a flag of another verb", "loss", *files.options(), *out, "--solver", "cg", parts=["--solver"])
    usage("no value", "loss", *files.options(), *out, "--x")
    for flag in ("--x", "--y", "--params", "--classes"):
        left = list(map(str, files.options()))
        del left[left.index(flag) : left.index(flag) + 2]
        usage(f"no {flag}", "loss", *left, *out, parts=[flag])
    for flag, value in (("--l2", "-1"), ("--l2", "nan"), ("--l2", "inf"), ("--l2", "x"), ("--classes", 1),
                        ("--classes", "two"), ("--precision", "half"), ("--threads", -1), ("--memory-limit", "lots"),
                        ("--memory-limit", "-1"), ("--model", "forest"), ("--device", "foo"), ("--device", "cuda:x"),
                        ("--device", "cuda:-1"), ("--storage", "csr")):
        left = list(map(str, files.options()))
        if flag in left:
            del left[left.index(flag) : left.index(flag) + 2]
        usage(f"{flag} {value}", "loss", *left, *out, f"{flag}={value}")
    usage("hvp --damping nan", "hvp", *files.options(vectors=files.path("vectors.npy")), *out, "--damping", "nan",
          parts=["--damping"])
    solve = ["solve", *files.options(vectors=files.path("vectors.npy")), *out]
    for flag, value in (("--tolerance", 0), ("--tolerance", -1), ("--tolerance", "nan"), ("--damping", -1),
                        ("--damping", "nan"), ("--damping", "inf"), ("--solver", "magic"), ("--max-iterations", 0), ("--max-iterations", 2**59)):
        usage(f"solve {flag} {value}", *solve, f"{flag}={value}", parts=[flag])


def check_devices(bench):
    files, program = bench.files, bench.program
    info = parse_json(program.run("info", "--json").stdout) or {}
    if program.expect("devices" in info, "info --json", "no devices") and len(info["devices"]) == 1:
        reason = info["cuda"].removeprefix("not available: ")
        for device in ("cuda", "cuda:0"):
            bench.fails(f"--device {device} without one", 4, ["loss", *files.options()], reason, device=device)
    else:
        bench.fails("--device cuda:99", 4, ["loss", *files.options()], device="cuda:99")
    bench.fails("memory limit", 4, ["loss", *files.options(), "--memory-limit", "100"], "memory limit")
    bench.fails("memory limit of a folder", 4, ["influence", *files.options(), *files.tests(), "--memory-limit", "2K"],
                "memory limit", out="scores")


def check_outputs(bench):
    files, raw = bench.files, bench.raw
    loss = lambda name, out, *parts: bench.fails(name, 2, ["loss", *files.options()], *parts, out=out)
    loss("output in a folder that is not there", "nowhere/a.npy", "nowhere")
    loss("output below a file", files.path("x.npy") + "/a.npy", "x.npy")
    loss("output is a folder", bench.out, "out")
    loss("output where nothing can be", "/proc/a.npy", "/proc")
    folder = lambda name, out, *parts: bench.fails(
        name, 2, ["train", *files.options(fitted=False)], *parts, out=out)
    folder("output folder below a file", files.path("x.npy") + "/a", "x.npy")
    folder("output folder is a file", raw("plain", b"-"), "plain")
    folder("output folder where none can be", "/proc/a", "/proc")
    if os.geteuid() != 0:  # root may write anywhere
        locked = files.path("locked")
        os.makedirs(locked)
        os.chmod(locked, 0o555)
        loss("output in a folder without permission", locked + "/a.npy", "locked")
        folder("output folder without permission", locked, "locked")


def check_full_disk(bench):
    """As a limit on the size of files for everybody, as a file system of 64 KiB for root"""
    files = Files(bench.files.path("full"), n=3000)
    large = ["gradient", *files.options(), "--per-example"]
    limited = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
               "restore_signals": False}  # Python ignores SIGXFSZ, and so does its child then
    bench.fails("files are limited", 2, large, "result.npy", **limited)
    tiny = {**limited, "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))}
    bench.fails("no room for a manifest", 2, ["loss", *files.options()], **tiny)
    many = ["retrain", *files.options(), *files.tests(), "--indices", files.save("many", np.arange(40))]
    bench.fails("no room for a journal", 2, many, out="loo", warned=True, **tiny)
    disk = bench.files.path("disk")
    os.makedirs(disk)
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode == 0
    if not mounted:
        return print("  no small file system could be mounted: a full disk was played by limits alone")
    try:
        bench.fails("a full disk", 2, large, "space", out=os.path.join(disk, "result.npy"))
        bench.fails("a full disk, in a folder", 2, ["influence", *files.options(), *files.tests()], "space",
                    out=os.path.join(disk, "scores"), warned=True)
    finally:
        subprocess.run(["umount", disk], check=True)


def check_certificates(bench):
    """Exit code 3 writes nothing; --allow-uncertified writes, and says so"""
    flat = Files(bench.files.path("flat"), l2=0)  # equal shifts of all classes: H is singular, these vectors outside
    solve = ["solve", *flat.options(vectors=flat.path("vectors.npy"))]
    fitted = Files(bench.files.path("fitted"))
    fit(bench.program, fitted)
    retrain = ["retrain", *fitted.options(), *fitted.tests(), "--indices", fitted.path("indices.npy")]
    hopeless = [("singular, cg", solve, "result.npy", "result.npy.report.json"),
                ("iteration limit", [*solve, "--damping", 1e-3, "--max-iterations", 1], "result.npy",
                 "result.npy.report.json"),
                ("train", ["train", *flat.options(fitted=False), "--tolerance", 1e-300], "fit", "fit/params.npy"),
                ("influence", ["influence", *flat.options(), *flat.tests(), "--max-iterations", 1], "scores",
                 "scores/scores.npy"),
                ("retrain", [*retrain, "--tolerance", 1e-300], "loo", "loo/loo.csv")]
    for name, arguments, out, written in hopeless:
        if name != "retrain":  # its journal is kept on purpose
            bench.fails(f"uncertified: {name}", 3, arguments, "--allow-uncertified", out=out, warned=name == "influence")
        done = bench.program.run(*arguments, "--allow-uncertified", "--device", bench.program.device, "--out",
                                 bench.files.path("allowed-" + out))
        expect = lambda holds, why: bench.program.expect(holds, f"allowed: {name}", why)
        expect(done.returncode == 0, f"exit code {done.returncode}: {done.stderr}")
        expect(os.path.exists(bench.files.path("allowed-" + written)), f"{written} was not written")
        expect("not certified" in done.stderr and all(line.startswith("clout: warning: ") for line in
                                                      done.stderr.splitlines()), f"warned with {done.stderr!r}")
    bench.fails("singular, direct", 3, [*solve, "--solver", "direct"])
    dead = flat.save("x-dead", np.load(flat.path("x.npy")) * [1, 0, 1])
    bench.fails("singular, retrain", 3, ["retrain", *flat.options(x=dead), *flat.tests(), "--all"], "raise --l2", out="loo",
                warned=True)


def check_minima(bench):
    """Where there is no minimum, no gradient norm certifies a fit"""
    absent = Files(bench.files.path("absent"), bias=True)
    y = np.load(absent.path("y.npy"))
    train = lambda name, files, *parts, **changed: bench.fails(
        name, 3, ["train", *files.options(fitted=False, **changed), "--tolerance", 1e-6], *parts, out="fit")
    train("bias and a class that is absent", absent, "class 1", y=absent.save("y-no-1", np.where(y == 1, 0, y)))
    train("bias and a class of weight 0", absent, "class 1", weights=absent.save("w-no-1", np.where(y == 1, 0.0, 1)))
    fit(bench.program, absent)
    of_class_1 = json.dumps([[int(i) for i in np.flatnonzero(y == 1)]])
    bench.fails("bias and a set that is a class", 3, ["retrain", *absent.options(), *absent.tests(), "--groups",
                bench.raw("class.json", of_class_1.encode())], "row 1", "class 1", out="loo")
    apart = Files(bench.files.path("apart"), l2=0)
    x = np.eye(3)[np.load(apart.path("y.npy"))]
    train("separable, no regulariser", apart, "run away", x=apart.save("x-apart", x))
    one = Files(bench.files.path("one-apart"), n=40, l2=0, bias=True)  # class 2 alone can be told apart; two overlap
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(40, 3))
        y = np.where(x[:, 1] > 0.7, 2, x[:, 0] + rng.normal(size=40) * 1.5 > 0)
        for tolerance in (1e-8, 1e-10, 1e-11):
            bench.fails(f"one class separable, seed {seed}", 3, ["train", *one.options(
                fitted=False, x=one.save("x-one", x), y=one.save("y-one", y)), "--tolerance", tolerance], out="fit")


def check_magnitudes(bench):
    """What leaves the range of the numbers is refused, never written"""
    files, save = bench.files, bench.files.save
    x, n = np.load(files.path("x.npy")), 24
    bench.fails("weights whose sum overflows", 2, ["loss", *files.options(weights=save("w-large", np.full(n, 1e308)))],
                "w-large.npy", "sum")
    large = files.options(x=save("x-large", np.where(x > 0, 1e308, -1e308)))
    bench.fails("gradient beyond float64", 3, ["gradient", *large], "result.npy")
    for l2, precision, part in ((1e308, "double", "float64"), (1e38, "single", "float32")):
        steep = Files(bench.files.path(f"steep-{precision}"), l2=l2)
        arguments = ["gradient", *steep.options(params=steep.save("p", np.full(9, 100.0))), "--precision", precision]
        bench.fails(f"l2 {l2}, {precision}", 3, arguments, "result.npy", part)
    sizes = {"unit": 1.0, "tiny": 2.0**-900, "huge": 2.0**900}  # powers of two: the same bits
    written = {}
    for name, size in sizes.items():
        cases = [("gradient", precision, files.options(weights=save("w-" + name, np.full(n, size))), 1.0)
                 for precision in ("double", "single")]
        cases += [(verb, "double", files.options(vectors=save("v-" + name, size * np.arange(1.0, 19).reshape(2, 9))), size)
                  for verb in ("hvp", "solve")]
        for verb, precision, options, unit in cases:
            out = bench.files.path(f"{verb}-{name}-{precision}.npy")
            done = bench.program.run(verb, *options, "--precision", precision, "--device", bench.program.device, "--out", out)
            if bench.program.expect(done.returncode == 0, f"{verb}, {precision}, {name}", done.stderr):
                written[verb, precision, name] = (np.load(out) / unit).tobytes()
    for (verb, precision, name), content in written.items():
        bench.program.expect(content == written.get((verb, precision, "unit")), f"{verb}, {precision}, {name}",
                             "another result than in units of 1")


def main():
    program = Program.of(__doc__)
    with scratch() as folder:
        bench = Bench(program, Files(folder))
        for check in (check_files, check_values, check_tests_and_removals, check_networks, check_usage, check_devices, check_outputs,
                      check_full_disk, check_certificates, check_minima, check_magnitudes):
            check(bench)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
