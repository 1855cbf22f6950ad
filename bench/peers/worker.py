#!/usr/bin/env python3
"""A peer as a process: the counterpart of clout_passes.

    worker.py PEER MODEL single|double THREADS FOLDER

PEER is a module beside this file. A request is a line of standard input, an answer a line of JSON:

    variants WORK K                the ways in which this peer can do it
    run WORK K REPEATS OUT VARIANT so many runs after a warm-up that is not counted; the last result goes to OUT as raw
                                   float64, or nowhere ("-"). "share" is the part of the work that a run did

A module has NAME, version() and variants(problem, work, k): {name: make}, where make() readies a Task.
"""

import gc
import importlib
import json
import os
import sys
import time

import numpy as np


def answer(stream, **facts):
    stream.write(json.dumps(facts) + "\n")
    stream.flush()


def reason(error):
    """What went wrong in one line, the last that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


class Worker:
    def __init__(self, peer, problem):
        self.peer, self.problem = peer, problem
        self.ready, self.task = None, None  # one task at a time is kept: they are large

    def variants(self, work, k):
        return {"variants": list(self.peer.variants(self.problem, work, int(k)))}

    def run(self, work, k, repeats, out, variant):
        if self.ready != (work, k, variant):
            self.task = self.ready = None
            gc.collect()
            self.task = self.peer.variants(self.problem, work, int(k))[variant]()
            if self.task.is_worth_warming:
                self.task.run()
            self.ready = (work, k, variant)
        wall, cpu, result = [], [], None
        for _ in range(int(repeats)):
            start, start_cpu = time.perf_counter(), time.process_time()
            result = self.task.run()
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - start_cpu)
        if out != "-":
            np.ascontiguousarray(self.task.to_numpy(result), np.float64).tofile(out)
        return {"seconds": wall, "cpu_seconds": cpu, "share": self.task.share, "note": self.task.note}


def main():
    name, model, precision, threads, folder = sys.argv[1:]
    # What libraries print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    try:
        from problem import Problem

        peer = importlib.import_module(name)
        worker = Worker(peer, Problem(model, precision, int(threads), folder))
    except Exception as error:  # a peer that is not there is a row that says so
        return answer(answers, error=reason(error))
    answer(answers, ready=True, version=peer.version())
    for line in sys.stdin:
        command, *words = line.rstrip("\n").split(" ", 5)  # a variant's name may have spaces
        try:
            answer(answers, **{"variants": worker.variants, "run": worker.run}[command](*words))
        except Exception as error:
            answer(answers, error=reason(error))


if __name__ == "__main__":
    main()
