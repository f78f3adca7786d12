"""Candidates that take turns, each in its own process, so that their libraries, threads and memory do not affect each other.

A child prepares itself once, then measures one window for each line that it receives. All children stay alive, and one works at a
time. They rest between windows, so that threads that still spin for work fall asleep.

    the parent:  alternating_processes({"ours": ("benchmarks.something", "ours"), "theirs": [python, "theirs.py"]}, rounds=7)
    the child:   serve(prepare), where prepare() returns (facts, measure) and measure() the seconds of a window
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress

from benchmarks.gpu_peers import LeftOutError
from benchmarks.guard import ROOT, failure

REST = 0.25      # seconds before each window
PATIENCE = 600   # seconds until a silent child is ended
GRACE = 5        # seconds that a child has to end by itself after the last window


def alternating_processes(candidates, rounds, rest=REST, environments=None, patience=PATIENCE):
    """Measure in turns: {name: {"median", "lowest", "highest", "windows", "facts"}, {"left_out": reason} or {"failed": failure}}.

    candidates: {name: a command, or (module, arguments ...) for this Python}; each must call `serve`. environments: {name:
    further environment variables of its process}. A candidate that fails late keeps its windows beside "failed".
    """
    children, found = {}, {}
    with ExitStack() as ends:
        for name, candidate in candidates.items():
            errors = ends.enter_context(tempfile.TemporaryFile("w+", errors="replace"))
            children[name] = _Child(candidate, (environments or {}).get(name, {}), patience, errors)
            ends.callback(children[name].end)
            answer = children[name].answer()
            found[name] = {"facts": answer["ready"], "windows": []} if "ready" in answer else answer
        for _ in range(rounds):
            for name, child in children.items():
                if "windows" in found[name] and "failed" not in found[name]:
                    time.sleep(rest)
                    answer = child.ask()
                    if "window" in answer:
                        found[name]["windows"].append(answer["window"])
                    else:
                        found[name] |= answer
    return {name: {**spread(figures["windows"]), **figures} if figures.get("windows") else figures
            for name, figures in found.items()}


def spread(windows):
    """Median, lowest and highest of some windows.

    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'lowest': 1.0, 'highest': 3.0}
    """
    return {"median": statistics.median(windows), "lowest": min(windows), "highest": max(windows)}


def serve(prepare):
    """Act as a candidate: prepare() returns (facts for JSON, a function that measures a window), or raises LeftOutError.

    Output that libraries print goes to stderr, so that it never mixes with the answers.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**words):
        print(json.dumps(words), file=answers, flush=True)
    try:
        facts, measure = prepare()
        answer(ready=facts)
        for _ in sys.stdin:
            answer(window=measure())
    except (ImportError, LeftOutError) as error:
        answer(left_out=str(error))
    except Exception as error:
        answer(failed=failure(error))


class _Child:
    """The process of one candidate, as its parent sees it."""

    def __init__(self, candidate, environment, patience, errors):
        command = [sys.executable, "-m", *candidate] if isinstance(candidate, tuple) else list(candidate)
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.patience, self.errors, self.late = patience, errors, False
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment})

    def ask(self):
        """The answer to a request for a window."""
        with suppress(OSError):   # it has ended, as its answer will say
            self.process.stdin.write("window\n")
            self.process.stdin.flush()
        return self.answer()

    def answer(self):
        """The next answer, as a dictionary; a failure if none comes."""
        timer = threading.Timer(self.patience, self._give_up)
        timer.start()
        try:
            for line in iter(self.process.stdout.readline, ""):
                with suppress(ValueError):   # output from before it began to serve
                    if isinstance(found := json.loads(line), dict):
                        return found
        finally:
            timer.cancel()
        self.process.kill()
        code = self.process.wait()
        self.errors.seek(0)
        what = f"it gave no answer in {self.patience:g} s" if self.late else f"its process ended with {code}"
        return {"failed": {"error": what, "where": self.errors.read().replace(f"{ROOT}/", "").splitlines()[-3:]}}

    def end(self):
        """Let the process end by itself, or kill it."""
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            self.process.stdout.close()

    def _give_up(self):
        self.late = True
        self.process.kill()
