"""What happens to a worker stays with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mfal.errors import MfalError
from mfal.sections import MONTH
from mfal.types import Query
from tests.support import ROOT, worker_processes
from tests.unit.scoring.told import Told


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


@pytest.mark.parametrize(("key", "limit"), [("hang", 0.5), ("hold", 0.5), ("child", 1.0)])
def test_after_its_time_limit_nothing_goes_on(
    told: Callable[..., Told], key: str, limit: float
) -> None:
    ask = told(timeout_seconds=limit)
    started = time.monotonic()
    (outcome,) = ask(key)
    assert outcome.error == f"no answer within {limit:g} s" and limit <= outcome.seconds < 10
    assert time.monotonic() - started < 20
    assert worker_processes() == set()
    if key == "child":
        assert ended([int((ask.folder / "child").read_text())])
    assert ask("good")[0].values == (1.0,)
    assert ask.calls(key) == 1  # a candidate that was late is not asked again


def test_temporary_files_end_with_the_worker(told: Callable[..., Told]) -> None:
    ask = told(timeout_seconds=1.0)
    for key in ("litter-good", "litter-good-again", "litter-hang", "litter-orphan"):
        ask(key)
        left = [Path(path) for path in (ask.folder / "litter").read_text().splitlines()]
        there = [path for path in left if path.exists()]
        # As long as a worker runs they are its own, and may be what it goes on with.
        assert there == (left if "good" in key else []), key
    assert len(left) == 4


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
    ask = told(timeout_seconds=0.5)
    bad, good = ask("torn", "good")
    assert bad.error == "no answer within 0.5 s" and good.values == (1.0,)


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
    found += [query.key for query, _ in ask.scorer.unsettled()]
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


def test_workers_work_at_the_same_time(
    told: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first candidate is asked alone until it is seen to be slow.
    monkeypatch.setattr("mfal.scoring.scorer.PATIENCE", 0.3)
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
