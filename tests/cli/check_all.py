#!/usr/bin/python3
"""Runs `reproduce all`: each experiment as if run alone, those that fail told and left behind, killed and resumed.

    check_all.py --clout build/bin/clout --data data

Figure 4 on its own data and figure 6 on a small corpus stand for the rest, whose data is not there: these fail.
"""

import json
import os
import signal
import subprocess
import sys
import time

from check_spam import write_corpus
from program import ENVIRONMENT, Program, command_line, scratch
from report_cases import FIGURES

NAMES = ["figure1", "figure2_linear", "figure2_lissa", "figure3", "figure4", "figure5", "figure6", "hospital", "figure2_convnet"]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def read_json(path):
    return json.loads(read(path))


class All:
    """Runs of `all` on one folder of data."""

    def __init__(self, program, data):
        self.program, self.words = program, ["reproduce", "all", "--data", data, "--device", program.device]

    def run(self, out, *more):
        return self.program.run(*self.words, "--out", out, *more, seconds=900)

    def expect_states(self, name, out, finished, codes=None):
        """`codes`: exit codes of those that failed, 2 where nothing else is said."""
        experiments = read_json(os.path.join(out, "experiments.json"))["experiments"]
        expected = [(each, "finished" if each in finished else "failed") for each in NAMES]
        self.program.expect([(each["name"], each["state"]) for each in experiments] == expected, name, str(experiments))
        for each in experiments:
            if each["state"] == "failed":
                code = (codes or {}).get(each["name"], 2)
                self.program.expect(each["exit_code"] == code and each["reason"], name, str(each))
        report = read(os.path.join(out, "report.html")).decode()
        self.program.expect(report.count("Failed with exit code") == len(NAMES) - len(finished), name,
                            "the report tells other failures")
        for each in experiments:
            self.program.expect(f'<section id="{each["name"]}"' in report, name, f"{each['name']} is not in the report")

    def refused(self, name, out, expected, *more):
        done = self.run(out, *more)
        self.program.expect(done.returncode == 2 and done.stderr.count("\n") == 1 and expected in done.stderr
                            and not done.stdout,
                            name, f"{done.returncode}: {done.stderr}")


def same_as_alone(program, name, together, alone, words):
    """But for what tells times and the command line, the bytes are the same."""
    done = program.run("reproduce", *words, "--out", alone, "--device", program.device, "--quiet", seconds=600)
    if not program.expect(done.returncode == 0, name, done.stderr):
        return
    files = sorted(os.listdir(alone))
    program.expect(sorted(os.listdir(together)) == files and len(files) >= 6, name,
                   f"{sorted(os.listdir(together))}; alone {files}")
    for file in files:
        mine, its = (os.path.join(folder, file) for folder in (together, alone))
        if file not in ("summary.json", "manifest.json"):
            program.expect(read(mine) == read(its), name, f"{file} has other bytes")
            continue
        mine, its = read_json(mine), read_json(its)
        for facts in (mine, its):
            for key in ("seconds", "started", "finished", "command_line"):
                facts.pop(key, None)
        program.expect(mine == its, name, f"{file}: {mine}; alone {its}")


def check_whole(program, runs, data, path):
    done = runs.run(path("all"), "--quick", "--json")
    program.expect(done.returncode == 2, "all", f"exit code {done.returncode}: {done.stderr}")
    lines = done.stderr.splitlines()
    program.expect("clout: 5 of 9, figure4: begins" in lines and "clout: 1 of 9, figure1: begins" in lines, "progress",
                   done.stderr)
    failed = "clout: failed: figure1, figure2_linear, figure2_lissa, figure3, hospital, figure2_convnet ("
    program.expect(lines[-1].startswith(failed), "the last line", lines[-1])
    program.expect(json.loads(done.stdout)["figure4"] == "finished", "--json", done.stdout)
    runs.expect_states("all", path("all"), ("figure4", "figure5", "figure6"))
    same_as_alone(program, "figure4", path("all/figure4"), path("figure4"), ["figure4", "--data", data])
    same_as_alone(program, "figure6", path("all/figure6"), path("figure6"), ["figure6", "--quick", "--data", data])
    words = read_json(path("all/figure6/manifest.json"))["command_line"][1:]
    again = program.run(*words[:-1], *words[-1:], "--json")
    program.expect(again.returncode == 0, "the manifest's command line", again.stderr)


def check_resume(program, runs, data, path):
    """After check_whole: what is finished stays, what is another request's is refused."""
    files = [path(f"all/{name}/summary.json") for name in ("figure4", "figure6")]
    before = [os.stat(file).st_mtime_ns for file in files]
    done = runs.run(path("all"), "--quick", "--resume", "--quiet")
    program.expect(done.returncode == 2 and not done.stdout and "begins" not in done.stderr, "--resume --quiet",
                   f"{done.returncode}: {done.stdout}{done.stderr}")
    program.expect([os.stat(file).st_mtime_ns for file in files] == before, "--resume", "what was finished ran again")
    runs.expect_states("--resume", path("all"), ("figure4", "figure5", "figure6"))
    runs.refused("--resume with another seed", path("all"), "seed 0; expected 1", "--quick", "--resume", "--seed", 1)
    runs.refused("--resume without --quick", path("all"), '"quick":true', "--resume")
    counts = os.path.join(data, "enron1-spam", "vocabulary.txt")
    os.rename(counts, counts + ".away")
    runs.refused("--resume with other data", path("all"), "vocabulary.txt that is not there any more", "--quick",
                 "--resume")
    os.rename(counts + ".away", counts)
    os.remove(path("all/figure6/manifest.json"))  # as a kill leaves it
    runs.run(path("all"), "--quick", "--resume")
    program.expect(os.stat(files[1]).st_mtime_ns > before[1], "--resume", "what has no manifest did not run again")
    runs.expect_states("--resume without a manifest", path("all"), ("figure4", "figure5", "figure6"))


def stop(runs, out, how):
    """Ends a run when figure 6 has begun its journal; the exit code and the last line, None where it was faster."""
    job = subprocess.Popen([runs.program.path, *map(str, runs.words), "--out", out], env=ENVIRONMENT,
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    journal = os.path.join(out, "figure6", "checks.journal")
    while job.poll() is None and not (os.path.exists(journal) and os.path.getsize(journal) > 3000):
        time.sleep(0.002)
    job.send_signal(how)
    _, said = job.communicate(timeout=300)
    return (job.returncode, said.splitlines()[-1]) if os.path.exists(journal) else None


def check_stopped(program, runs, data, path):
    done = program.run("reproduce", "figure6", "--data", data, "--out", path("whole"), "--device", program.device)
    program.expect(done.returncode == 0, "figure6", done.stderr)
    for how in (signal.SIGKILL, signal.SIGINT):
        out = path(how.name)
        stopped = stop(runs, out, how)
        if not program.expect(stopped is not None, how.name, "no journal was left"):
            continue
        program.expect(stopped[0] == (130 if how == signal.SIGINT else -how), how.name, str(stopped))
        program.expect(how == signal.SIGKILL or stopped[1].endswith("what was finished is kept, --resume goes on"),
                       how.name, stopped[1])
        report = read(os.path.join(out, "report.html")).decode()
        program.expect(report.count("Failed with exit code") == 6 and "Not run yet." in report, how.name,
                       "another report")
        if how == signal.SIGINT:
            program.expect("Begun and not finished" in report, how.name, "figure 6 does not stand in the report as begun")
        runs.refused(f"{how.name}, without --resume", out, "holds unfinished work; expected --resume")
        runs.run(out, "--resume")
        runs.expect_states(f"{how.name}, resumed", out, ("figure6",))
        for file in ("repeats.csv", "figure6.csv", "figure6.png"):
            program.expect(read(os.path.join(out, "figure6", file)) == read(path(f"whole/{file}")),
                           f"{how.name}, resumed",
                           f"{file} has other bytes")


def check_codes(program, runs, mnist, path):
    """The exit code is the first failure's: without data it is 2, without memory 4."""
    done = runs.run(path("codes"), "--quick", "--memory-limit", "1K")
    program.expect(done.returncode == 2, "no data first", f"exit code {done.returncode}")
    runs.expect_states("no data first", path("codes"), (), {"figure4": 4, "figure5": 4, "figure6": 4})
    others = All(program, mnist)  # the last experiment misses its list of rows: the first and the last code differ
    done = others.run(path("memory"), "--quick", "--memory-limit", "1K")
    program.expect(done.returncode == 4, "no memory first", f"exit code {done.returncode}: {done.stderr}")
    others.expect_states("no memory first", path("memory"), (),
                         {name: 4 for name in NAMES if name[6:] in ("1", "2_linear", "2_lissa", "3")})


def check_refusals(program, runs, path):
    for option, value in (("--panel", "linear"), ("--levels", "all"), ("--checkpoint", "x"), ("--train-features", "x"),
                          ("--test-features", "x")):
        runs.refused(option, path("no"), f"{option}: is of figure", option, value)
    done = program.run("reproduce", "all")
    program.expect(done.returncode == 2 and done.stderr.count("\n") == 1 and "--out" in done.stderr, "no --out",
                   done.stderr)
    done = program.run("reproduce", "all", "--device", "cuda:99", "--out", path("no"))
    program.expect(done.returncode in (2, 4) and done.stderr.count("\n") == 1, "--device",
                   f"{done.returncode}: {done.stderr}")
    program.expect(not os.path.exists(path("no")), "refused", "a folder is left")
    done = program.run("reproduce", "--help")
    program.expect("figure2_convnet" in done.stdout and "report.html" in done.stdout, "--help", done.stdout)
    published = read_json(os.path.join(FIGURES, "published.json"))["experiments"]
    program.expect(sorted(published) == sorted(NAMES), "published.json", f"{sorted(published)}")


def main():
    parser = command_line(__doc__)
    parser.add_argument("--data", required=True, help="the folder of data sets that comes with the program")
    options = parser.parse_args()
    program = Program(options.clout, options.device)
    with scratch() as folder:
        path = lambda name: os.path.join(folder, name)
        digits = [f"mnist/{part}-ubyte.gz" for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3",
                                                        "t10k-labels-idx1")]
        for name, sets in (("data", ("cifar10-dog-ship", "models")), ("few", ()), ("digits", digits)):
            os.makedirs(path(name))
            for each in sets:
                os.makedirs(os.path.dirname(path(f"{name}/{each}")), exist_ok=True)
                os.symlink(os.path.join(os.path.abspath(options.data), each), path(f"{name}/{each}"))
        write_corpus(path("enron1.tsv.gz"))
        for name in ("data", "few"):
            done = program.run("count-words", "--mails", path("enron1.tsv.gz"), "--out", path(f"{name}/enron1-spam"))
            program.expect(done.returncode == 0, "count-words", done.stderr)
        runs = All(program, path("data"))
        check_refusals(program, runs, path)
        check_whole(program, runs, path("data"), path)
        check_resume(program, runs, path("data"), path)
        check_stopped(program, All(program, path("few")), path("few"), path)
        check_codes(program, runs, path("digits"), path)
    return program.summary()


if __name__ == "__main__":
    sys.exit(main())
