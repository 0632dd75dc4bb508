"""Comparisons whose runs fail, each in its own way, beside one that does not."""

import logging
import multiprocessing
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfal.compare import Comparison, load_comparison, run_comparison, runs_of, score_outside
from mfal.compare.checks import check_runs
from mfal.compare.run import RunProgress
from mfal.compare.runs import DONE, mark_done
from mfal.errors import ConfigError, MfalError
from tests.integration.comparisons import ledgers, play, written

PARTS = """
import os
from pathlib import Path

from mfal.errors import SurrogateError
from mfal.gfn.base import Proposals
from mfal.gfn.baselines import RandomSampler
from mfal.types import Query

class Odd(ValueError):
    # Cannot be sent to another process: it is not made from what it says.
    def __init__(self, what, why):
        super().__init__(f"{what} {why}")

class Raising(RandomSampler):
    def sample(self, *arguments, **options):
        raise Odd("this sampler", "does not work")

class Misleading(RandomSampler):
    # What it says of its training is none, which comes out where no line of it is run.
    def sample(self, *arguments, **options):
        return Proposals((Query("ACGTACGT", "whole"),), history=(7,))

class Refusing(RandomSampler):
    def sample(self, *arguments, **options):
        raise SurrogateError("too few", "answers")

class Dying(RandomSampler):
    def __init__(self, environment, fidelities, *, once: str):
        super().__init__(environment, fidelities)
        self.once = Path(once)

    def sample(self, *arguments, **options):
        if not self.once.exists():
            self.once.touch()
            os.kill(os.getpid(), 9)
        return super().sample(*arguments, **options)
"""

BENCH = """
from mfal import Fidelity, Objective, Problem, oracle
from tests.problems import motif

def problem(calls: str, manual: str):
    @oracle(
        fidelities=[Fidelity(n, c, l, manual=n == manual)
                    for n, c, l in (("half", 1, 0.5), ("whole", 3, 1.0))],
        objectives=[Objective("agreement", "places", "max")],
    )
    def model(key: str) -> float:
        with open(calls, "a") as file:
            file.write(key + chr(10))
        return 1.0

    return Problem("bench", model, motif.problem().environment)
"""


def with_samplers(folder: Path, **samplers: Any) -> Path:
    """The file of a comparison of random search at the target with samplers of `PARTS`."""
    (folder / "parts.py").write_text(PARTS)
    path = written(folder, without=["evolution", "breeding"])
    settings = yaml.safe_load(path.read_text())
    random = settings["methods"]["random"]
    for name, options in samplers.items():
        part = {"name": f"{folder / 'parts.py'}:{name.capitalize()}", "options": options}
        settings["methods"] = {name: random | {"sampler": part}} | settings["methods"]
    path.write_text(yaml.safe_dump(settings))
    return path


def test_whatever_a_part_raises_the_other_runs_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samplers: dict[str, dict[str, str]] = {"raising": {}, "refusing": {}, "misleading": {}}
    left: list[float] = []

    class Clock(RunProgress):
        def state(self, _: object, __: object, seconds_left: float) -> None:
            left.append(seconds_left)

    comparison = load_comparison(with_samplers(tmp_path, **samplers))
    with caplog.at_level(logging.ERROR), pytest.raises(MfalError) as failed:
        run_comparison(comparison, Clock())
    assert left[-1] == 0  # nobody waits for those that have failed
    assert sorted(failed.value.message.splitlines()) == [
        "misleading-0, misleading-1: TypeError: asdict() should be called on dataclass instances",
        f"raising-0, raising-1: sampler '{tmp_path / 'parts.py'}:Raising': Odd: this sampler does "
        "not work (parts.py, line 17)",
        "refusing-0, refusing-1: too few (parts.py, line 26)",
    ]
    done = [run.name for run in runs_of(comparison) if run.look().is_done]
    assert done == ["random-0", "random-1"]
    logged = sorted(r.message for r in caplog.records if r.name == "mfal.compare.run")
    # A defect, for all that one can tell, with its traceback; a mistake of the user's is told.
    assert [text.split("\n")[0] for text in logged] == [f"misleading-{i} failed:" for i in (0, 1)]
    assert all("in begin_round\n" in text and "TypeError" in text for text in logged)


def test_a_process_that_dies_is_said_once_and_the_same_command_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = with_samplers(tmp_path, dying={"once": str(tmp_path / "died")})
    comparison = load_comparison(path)
    with caplog.at_level(logging.ERROR), pytest.raises(MfalError) as failed:
        run_comparison(comparison)
    names, _, why = failed.value.message.partition(": ")
    assert "dying-0" in names.split(", ") and why.startswith("a process ended without a word")
    assert "\n" not in why and not caplog.records
    assert "run the same command again" in failed.value.hint

    run_comparison(comparison)
    assert all(run.look().is_done for run in runs_of(comparison))
    found = ledgers(path)
    for seed in (0, 1):
        assert found[f"dying-{seed}"] == found[f"random-{seed}"]


def test_a_mark_that_something_else_has_written_ends_no_run(tmp_path: Path) -> None:
    run, *_ = runs_of(load_comparison(written(tmp_path)))
    run.config.folder.mkdir(parents=True)
    (run.config.folder / DONE).write_bytes(b"\xff")
    assert not run.look().is_done


def test_the_end_of_a_run_goes_with_its_ledger(tmp_path: Path) -> None:
    path = written(tmp_path, ["evolution", "breeding"])
    comparison = load_comparison(path)
    play(comparison)
    run, other = runs_of(comparison)
    for one in (run, other):
        mark_done(one.config)
        assert one.look().is_done
    before = ledgers(path)
    for file in run.config.folder.glob("ledger.db*"):
        file.unlink()
    assert not run.look().is_done
    run_comparison(comparison)
    assert ledgers(path) == before


def test_processes_of_the_caller_outlive_a_comparison_that_stops(tmp_path: Path) -> None:
    class Stopped(RunProgress):
        def state(self, *_: object) -> None:
            raise KeyboardInterrupt

    mine = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    mine.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_comparison(load_comparison(written(tmp_path)), Stopped())
        mine.join(2)  # a signal takes its time
        assert mine.is_alive()
    finally:
        mine.kill()


def measured_by_people(folder: Path, fidelity: str, *changes: str) -> Comparison:
    """A comparison of random search with a fidelity that is not computed."""
    (folder / "bench.py").write_text(BENCH)
    path = written(folder, problem__name=f"{folder / 'bench.py'}:problem")
    return load_comparison(
        path,
        [
            "methods={random: {surrogate: null, sampler: random}}",
            f"campaign.problem.options.manual={fidelity}",
            *changes,
        ],
    )


@pytest.mark.parametrize("fidelity", ["half", "whole"])
def test_a_fidelity_that_people_measure_is_refused(fidelity: str, tmp_path: Path) -> None:
    comparison = measured_by_people(tmp_path, fidelity)
    said = rf"compare.yaml: methods.random: fidelities: people measure {fidelity} of bench"
    with pytest.raises(ConfigError, match=said):
        run_comparison(comparison)
    assert not (tmp_path / "calls.txt").exists()


def test_one_that_no_method_uses_is_none_of_its_business(tmp_path: Path) -> None:
    target_alone = "methods={random: {surrogate: null, sampler: random, fidelities: [whole], \
        initial.queries: {whole: 10}}}"
    comparison = measured_by_people(tmp_path, "half", target_alone, "seeds=[0]")
    (run,) = runs_of(comparison)
    check_runs(comparison, [run.look()])
    play(comparison)
    score_outside(comparison)
    assert run.look().spent == 54


def test_people_are_not_asked_outside_the_budget(tmp_path: Path) -> None:
    comparison = measured_by_people(tmp_path, "whole", "seeds=[0]")
    play(comparison)
    asked = (tmp_path / "calls.txt").read_text()
    with pytest.raises(ConfigError, match="people measure whole of bench"):
        score_outside(comparison)
    assert (tmp_path / "calls.txt").read_text() == asked
