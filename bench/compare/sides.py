"""Both sides as processes that take turns: the native passes and the peers, which serve requests, and the program."""

import json
import os
import select
import subprocess
import time

MOST_SECONDS = 600  # a peer that takes longer is a row that says so


class Failed(Exception):
    """What a side could not do, in one line."""


def affinity(threads):
    """For a child: as many processors as it may have threads, the same for all sides."""
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    return lambda: os.sched_setaffinity(0, cpus)


# glibc gives large blocks back when they are freed, and PyTorch's tensors come and go with every operation: asked for anew,
# their pages take it a quarter of its time on a network.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(10**11), "MALLOC_TOP_PAD_": str(2**28)}


def environment(threads, is_passive):
    found = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads),
                 **KEEP_MEMORY)
    if is_passive:
        found["OMP_WAIT_POLICY"] = "passive"
    return found


class Served:
    """A process that answers lines: clout_passes, or a peer's worker."""

    def __init__(self, command, log, threads, is_passive, has_variants):
        self.has_variants = has_variants
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0,
                                        env=environment(threads, is_passive), preexec_fn=affinity(threads))
        self.rest = b""
        try:
            self.version = self.answer().get("version", "")
        except Failed:
            self.close()
            raise

    def answer(self, most=MOST_SECONDS):
        end = time.monotonic() + most
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                self.close()
                raise Failed(f"took more than {most} s")
            read = os.read(self.process.stdout.fileno(), 65536)
            if not read:
                raise Failed(f"ended with exit status {self.process.wait()}")
            self.rest += read
        line, self.rest = self.rest.split(b"\n", 1)
        found = json.loads(line)
        if "error" in found:
            raise Failed(found["error"])
        return found

    def ask(self, line):
        if self.process.poll() is not None:
            raise Failed(f"ended with exit status {self.process.returncode}")
        self.process.stdin.write(line.encode() + b"\n")
        return self.answer()

    def variants(self, work, k):
        return self.ask(f"variants {work} {k}")["variants"] if self.has_variants else [""]

    def run(self, work, k, repeats, out, variant):
        if self.has_variants:
            return self.ask(f"run {work} {k} {repeats} {out} {variant}")
        return self.ask(f"{work} {k} {repeats} {out}")

    @property
    def is_alive(self):
        return self.process.poll() is None

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Program:
    """The program `clout` on whole tasks: a command's wall and processor time, its start and all reading included."""

    version, is_alive = "", True

    def __init__(self, program, log, threads, is_passive, commands):
        self.program, self.log, self.threads, self.is_passive, self.commands = program, log, threads, is_passive, commands

    def variants(self, work, k):
        return list(self.commands(work, k))

    def run(self, work, k, repeats, out, variant):
        arguments, collect = self.commands(work, k)[variant]
        wall, cpu, inside = [], [], []
        for _ in range(repeats):
            start = time.perf_counter()
            process = subprocess.Popen([self.program, *arguments, "--threads", str(self.threads), "--no-progress"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       env=environment(self.threads, self.is_passive), preexec_fn=affinity(self.threads))
            message = process.stderr.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            wall.append(time.perf_counter() - start)
            cpu.append(usage.ru_utime + usage.ru_stime)
            if process.returncode != 0:
                raise Failed(message.strip().splitlines()[-1] if message.strip() else f"exit status {process.returncode}")
            inside.append(collect(out))
        return {"seconds": wall, "cpu_seconds": cpu, "share": 1.0, "note": "", "inside_seconds": inside,
                "command": " ".join(["clout", *arguments])}

    def close(self):
        pass
