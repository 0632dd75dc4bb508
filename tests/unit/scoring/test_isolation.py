"""What happens to a worker stays with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import psutil
import pytest

from mfal.errors import MfalError
from mfal.scoring.scorer import Scorer
from mfal.sections import MONTH, Component, ScoringConfig
from mfal.types import Fidelity, Outcome, Query
from tests.support import ROOT, score, worker_processes

ONLY = [Fidelity("only", 1.0, 1.0)]

# Its candidates are instructions. Every call leaves a line in the file `log`.
ORACLE = """
import ctypes, gc, os, signal, subprocess, sys, time
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


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Callable[..., Told]]:
    made: list[Told] = []

    def make(**scoring: Any) -> Told:
        made.append(Told(tmp_path, **scoring))
        return made[-1]

    yield make
    for one in made:
        one.scorer.close()
    assert worker_processes() == set()


def ended(processes: list[int], seconds: float = 10) -> bool:
    """Whether all these processes end within so many seconds."""

    def runs(pid: int) -> bool:
        try:  # one whose parent is gone may stay as a zombie where nobody waits for it
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + seconds
    while any(map(runs, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_candidate_whose_worker_was_killed_is_asked_once_more(
    told: Callable[..., Told],
) -> None:
    ask = told()
    (saved,), (lost,) = ask("killonce"), ask("kill")
    assert saved.values == (2.0,)
    assert lost.error == "the oracle's process died (exit code -9)"
    assert ask.calls("killonce") == ask.calls("kill") == 2


def test_a_worker_that_is_killed_while_idle_costs_nothing(told: Callable[..., Told]) -> None:
    ask = told()
    ask("good")
    (worker,) = worker_processes()
    os.kill(worker, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(worker)], timeout=10)
    (outcome,) = ask("good-again")
    assert outcome.values == (1.0,)
    assert ask.calls("good-again") == 1


@pytest.mark.parametrize("key", ["hang", "hold", "child"])
def test_after_its_time_limit_nothing_goes_on(told: Callable[..., Told], key: str) -> None:
    ask = told(timeout_seconds=1.0)
    started = time.monotonic()
    (outcome,) = ask(key)
    assert outcome.error == "no answer within 1 s" and 1 <= outcome.seconds < 10
    assert time.monotonic() - started < 20
    assert worker_processes() == set()
    if key == "child":
        assert ended([int((ask.folder / "child").read_text())])
    assert ask("good")[0].values == (1.0,)
    assert ask.calls(key) == 1  # a candidate that was late is not asked again


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("kind", ["forkexit", "forkraise"])
def test_a_child_that_the_oracle_forks_answers_nobody(
    told: Callable[..., Told], kind: str, size: int
) -> None:
    ask = told(chunk_size=size)
    outcomes = ask(*(f"{kind}-{i}" for i in range(20)))
    assert [outcome.values for outcome in outcomes] == [(float(i),) for i in range(20)]
    assert len({process for process, *_ in ask.log()}) == len(worker_processes()) == 1


def test_a_forked_child_that_returns_answers_nobody(told: Callable[..., Told]) -> None:
    ask = told(chunk_size=1)
    outcomes = ask(*(f"forkreturn-{i}" for i in range(20)))
    assert [outcome.values for outcome in outcomes] == [(float(i),) for i in range(20)]


@pytest.mark.parametrize("key", ["stray", "forge"])
def test_what_is_not_the_reply_to_a_call_is_no_answer(told: Callable[..., Told], key: str) -> None:
    ask = told(timeout_seconds=60)
    bad, good = ask(key, "good")
    assert bad.values is None and good.values == (1.0,)
    assert bad.error is not None
    assert bad.error.startswith("something else than the reply came from the oracle's process: ")
    assert ask.calls(key) == 1


def test_half_a_reply_is_not_waited_for_for_ever(told: Callable[..., Told]) -> None:
    ask = told(timeout_seconds=1.0)
    bad, good = ask("torn", "good")
    assert bad.error == "no answer within 1 s" and good.values == (1.0,)


def test_a_crash_is_seen_though_a_helper_holds_the_line(told: Callable[..., Told]) -> None:
    ask = told(timeout_seconds=20)
    (outcome,) = ask("orphan")
    assert outcome.error == "the oracle's process died (exit code 3)"


@pytest.mark.parametrize("runner", ["processes", "threads"])
def test_an_exception_without_a_text_is_a_failure_by_its_name(
    told: Callable[..., Told], runner: str
) -> None:
    ask = told(timeout_seconds=5, runner=runner)
    (outcome,) = ask("mute")
    assert outcome.error == "Mute, whose text cannot be had: KeyError"


@pytest.mark.parametrize("runner", ["processes", "threads"])
def test_the_longest_time_limit_is_one_that_can_be_waited(
    told: Callable[..., Told], runner: str
) -> None:
    ask = told(timeout_seconds=MONTH, runner=runner)
    assert ask("good")[0].values == (1.0,)


def test_answers_outlive_the_python_that_workers_run_on(
    told: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = told(chunk_size=1)
    ask("good")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    ask.scorer.ask([Query(key, "only") for key in ("good-1", "good-2", "orphan", "good-3")])
    found: list[str] = []
    with pytest.raises(MfalError, match=r"no worker process can be started: .*gone") as raised:
        while True:
            found += [query.key for query, _ in ask.scorer.answers()]
    assert found == ["good-1", "good-2", "orphan"]
    assert "the same command goes on" in raised.value.hint


@pytest.mark.parametrize("key", ["hold", "child"])
def test_a_worker_ends_with_its_campaign_whatever_it_does(tmp_path: Path, key: str) -> None:
    ask = Told(tmp_path)
    code = (
        "import sys; from mfal.sections import Component, ScoringConfig; "
        "from mfal.scoring.scorer import Scorer; from mfal.types import Fidelity, Query\n"
        "problem = Component.model_validate_json(sys.argv[1])\n"
        "made = Scorer(problem, [Fidelity('only', 1.0, 1.0)], 1, ScoringConfig())\n"
        "made.ask([Query(sys.argv[2], 'only')]); made.answers()"
    )
    campaign = subprocess.Popen(
        [sys.executable, "-c", code, ask.component.model_dump_json(), key],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 60
    while not ask.log() or (key == "child" and not (tmp_path / "child").exists()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes = psutil.Process(campaign.pid).children(recursive=True)
    assert len(processes) == (2 if key == "child" else 1)
    campaign.kill()
    campaign.wait()
    assert ended([process.pid for process in processes])


def test_workers_work_at_the_same_time(told: Callable[..., Told]) -> None:
    # The first candidate is asked alone until it is seen to be slow.
    ask = told(workers=2)
    assert [outcome.values for outcome in ask("meet-1", "meet-2")] == [(2.0,), (2.0,)]
    assert len({process for process, *_ in ask.log()}) == 2


def test_quick_work_starts_one_worker(told: Callable[..., Told]) -> None:
    ask = told(workers=8)
    assert {outcome.values for outcome in ask(*(f"good-{i}" for i in range(2000)))} == {(1.0,)}
    assert len({process for process, *_ in ask.log()}) == len(worker_processes()) == 1
    assert [len(line) - 1 for line in ask.log()][:3] == [1, 10, 100]


def test_a_worker_has_one_thread_and_nothing_to_read(
    told: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    ask = told()
    assert [o.values for o in ask("threads", "omp", "stdin")] == [(1.0,), (1.0,), (0.0,)]


@pytest.mark.parametrize("runner", ["processes", "threads"])
@pytest.mark.parametrize(
    ("key", "retries", "calls", "value", "error"),
    [
        ("transient-1", 0, 1, (3.0,), None),
        ("transient-3", 2, 3, (3.0,), None),
        ("transient-3", 1, 2, None, "TransientError: no licence left (asked 2 times)"),
        ("transient-2", 0, 1, None, "TransientError: no licence left"),
        ("nonsense", 3, 1, None, "AttributeError: 'Oracle' object has no attribute 'nonsense'"),
    ],
)
def test_transient_failures_are_asked_again_and_no_others(
    told: Callable[..., Told],
    runner: str,
    key: str,
    retries: int,
    calls: int,
    value: tuple[float, ...] | None,
    error: str | None,
) -> None:
    ask = told(retries=retries, runner=runner)
    (outcome,) = ask(key)
    assert (outcome.values, outcome.error) == (value, error)
    assert ask.calls(key) == calls


def test_retries_wait_longer_each_time_and_hold_nobody_up(told: Callable[..., Told]) -> None:
    ask = told(retries=2, backoff_seconds=1.5, runner="threads", chunk_size=1)
    ask.scorer.ask([Query(key, "only") for key in ("transient-3", "good")])
    started, arrived = time.monotonic(), {}
    while ask.scorer.waiting:
        arrived |= {q.key: time.monotonic() - started for q, _ in ask.scorer.answers()}
    assert arrived["good"] < 1.5 <= 4.5 <= arrived["transient-3"] < 8  # 1.5 + 3 s


def test_a_chunk_with_a_transient_failure_is_asked_again_in_halves(
    told: Callable[..., Told],
) -> None:
    ask = told(retries=2)
    ask(*(f"good-{i}" for i in range(11)))  # calls have grown to ten
    before = len(ask.log())
    outcomes = ask("good", "good-x", "transient-3")
    assert [o.values for o in outcomes] == [(1.0,), (1.0,), (3.0,)]
    # Whoever has an answer now is not asked for it at the second retry.
    all_three = ["good", "good-x", "transient-3"]
    asked = [all_three, all_three[:2], ["transient-3"], ["transient-3"]]
    assert [line[1:] for line in ask.log()[before:]] == asked


def test_where_nobody_can_be_asked_nothing_has_failed(told: Callable[..., Told]) -> None:
    ask = told(retries=2)
    ask(*(f"good-{i}" for i in range(11)))
    before = len(ask.log())
    assert [o.values for o in ask("good", "gone-3")] == [(1.0,), (4.0,)]
    asked = [["good", "gone-3"], ["good"], ["gone-3"], ["gone-3"]]
    assert [line[1:] for line in ask.log()[before:]] == asked

    ask.scorer.ask([Query(key, "only") for key in ("gone-9", "good")])
    found: list[tuple[Query, Outcome]] = []
    with pytest.raises(MfalError, match=r"^the program is gone\n") as raised:
        while ask.scorer.waiting:
            found += ask.scorer.answers()
    assert [query.key for query, _ in found] == ["good"]
    assert "nothing was charged" in raised.value.hint
    assert ask.calls("gone-9") == 3


def test_where_nobody_can_be_asked_no_answer_of_another_call_is_lost(
    told: Callable[..., Told],
) -> None:
    ask = told(retries=0, workers=2, runner="threads", chunk_size=1)
    ask.scorer._pace.learn("only", 1, 60.0)  # slow: all are asked at once
    ask.scorer.ask([Query(key, "only") for key in ("gone-9", "good")])
    ask.scorer._submit()
    wait(ask.scorer._calls)
    assert [query.key for query, _ in ask.scorer.answers()] == ["good"]
    with pytest.raises(MfalError, match="the program is gone"):
        ask.scorer.answers()


def test_no_thread_holds_a_process_up_that_has_closed_its_scorer(tmp_path: Path) -> None:
    ask = Told(tmp_path)
    code = (
        "import sys; from mfal.sections import Component, ScoringConfig; "
        "from mfal.scoring.scorer import scorer; from mfal.types import Fidelity, Query\n"
        "problem = Component.model_validate_json(sys.argv[1])\n"
        "config = ScoringConfig(runner='threads', timeout_seconds=300)\n"
        "with scorer(problem, [Fidelity('only', 1.0, 1.0)], 1, config) as made:\n"
        "    made.ask([Query('hang', 'only')]); made._submit()"
    )
    subprocess.run(
        [sys.executable, "-c", code, ask.component.model_dump_json()],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=200,
        check=True,
    )


@pytest.mark.parametrize(("retry", "calls"), [(False, 1), (True, 2)])
def test_time_limits_are_transient_only_where_the_configuration_says_so(
    told: Callable[..., Told], retry: bool, calls: int
) -> None:
    ask = told(retries=1, retry_timeouts=retry, timeout_seconds=0.5, runner="threads")
    (outcome,) = ask("hang")
    assert outcome.error is not None and outcome.error.startswith("no answer within 0.5 s")
    assert ask.calls("hang") == calls
