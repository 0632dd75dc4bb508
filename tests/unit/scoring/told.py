"""An oracle whose candidates are instructions, and a scorer that asks it."""

from pathlib import Path
from typing import Any

from mfal.scoring.scorer import Scorer
from mfal.sections import Component, ScoringConfig
from mfal.types import Fidelity, Outcome, Query
from tests.support import score

ONLY = [Fidelity("only", 1.0, 1.0)]

# Its candidates are instructions. Every call leaves a line in the file `log`.
ORACLE = """
import ctypes, gc, os, signal, subprocess, sys, tempfile, time
from pathlib import Path
from mfal.errors import TransientError
from mfal.own.answers import UnavailableError
from mfal.scoring.channel import Channel
from mfal.types import Fidelity, Objective, Outcome, Problem


class Oracle:
    fidelities = (Fidelity("only", 1.0, 1.0),)
    objectives = (Objective("x", "u", "max"),)
    backends = {"only": "told"}

    def __init__(self, folder):
        self.folder = folder

    def evaluate(self, keys, fidelity):
        with (self.folder / "log").open("a") as file:
            file.write(f"{os.getpid()} {' '.join(keys)}\\n")
        return [Outcome((float(getattr(self, key.split("-")[0])(key) or 0),), None, 0.0)
                for key in keys]

    def times(self, key):
        lines = (self.folder / "log").read_text().splitlines()
        return sum(key in line.split() for line in lines)

    def good(self, key):
        return 1

    def kill(self, key):  # from outside, as far as anybody can tell
        os.kill(os.getpid(), signal.SIGKILL)

    def killonce(self, key):
        return 2 if self.times(key) > 1 else self.kill(key)

    def transient(self, key):  # transient-N works at the Nth time
        if self.times(key) < int(key.split("-")[1]):
            raise TransientError("no licence left", "wait")
        return 3

    def gone(self, key):  # the program is there again at the Nth time
        if self.times(key) < int(key.split("-")[1]):
            raise UnavailableError("the program is gone")
        return 4

    def hang(self, key):
        time.sleep(600)

    def hold(self, key):  # hangs in native code that keeps the interpreter to itself
        ctypes.PyDLL(None).sleep(600)

    def child(self, key):
        child = subprocess.Popen(["sleep", "600"])
        (self.folder / "child").write_text(str(child.pid))
        child.wait()

    def litter(self, key):  # litter-NAME leaves a temporary file, and does what NAME says then
        file, path = tempfile.mkstemp()
        os.write(file, b"scratch")
        with (self.folder / "litter").open("a") as paths:
            paths.write(f"{path}\\n")
        return getattr(self, key.split("-")[1])(key)

    def meet(self, key):  # waits until another one is asked
        (self.folder / key).touch()
        deadline = time.monotonic() + 30
        while len(list(self.folder.glob("meet-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        return len(list(self.folder.glob("meet-*")))

    def threads(self, key):
        import torch
        return torch.get_num_threads()

    def omp(self, key):
        return os.environ["OMP_NUM_THREADS"]

    def stdin(self, key):
        return len(sys.stdin.read())

    def forkexit(self, key):  # forkexit-N is N, whatever becomes of the child
        if os.fork() == 0:
            sys.exit(0)
        return key.split("-")[1]

    def forkraise(self, key):
        if os.fork() == 0:
            raise RuntimeError("in the child")
        return key.split("-")[1]

    def forkreturn(self, key):
        return key.split("-")[1] if os.fork() else -1

    def orphan(self, key):  # dies, and leaves a helper that holds all its files open
        if os.fork() == 0:
            time.sleep(600)
        os._exit(3)

    def stray(self, key):
        for descriptor in range(3, 40):
            try:
                os.write(descriptor, b"warning: something native\\n")
            except OSError:
                pass
        self.hang(key)

    def torn(self, key):  # half a message
        self.channel()._end.sendall(b"mfal" + (1000).to_bytes(8, "big") + b"begins")
        self.hang(key)

    def forge(self, key):  # the reply to another call
        self.channel().send((0, "forged"))
        self.hang(key)

    def channel(self):
        (channel,) = (o for o in gc.get_objects() if isinstance(o, Channel))
        return channel

    def mute(self, key):
        raise Mute()


class Mute(Exception):
    def __str__(self):
        raise KeyError("no text")


def problem(folder: str) -> Problem:
    return Problem("told", Oracle(Path(folder)), lambda: None)
"""


class Told:
    """A scorer for such an oracle, and what its file says."""

    def __init__(self, folder: Path, **scoring: Any) -> None:
        self.folder = folder
        path = folder / "told_oracle.py"
        path.write_text(ORACLE)
        self.component = Component(name=f"{path}:problem", options={"folder": str(folder)})
        config = ScoringConfig(**{"workers": 1, "backoff_seconds": 0.05} | scoring)
        self.scorer = Scorer(self.component, ONLY, 1, config)

    def __call__(self, *keys: str) -> list[Outcome]:
        return score(self.scorer, [Query(key, "only") for key in keys])

    def log(self) -> list[list[str]]:
        """Process and candidates of every call."""
        path = self.folder / "log"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def calls(self, key: str) -> int:
        return sum(key in line for line in self.log())
