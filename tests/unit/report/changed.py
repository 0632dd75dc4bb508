"""Campaigns that differ from a run one in their values alone."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

from mfal.report.snapshot import Snapshot
from mfal.types import Objective, Outcome


def scaled(snapshot: Snapshot, factor: float) -> Snapshot:
    """All values are so many times as large."""
    return with_outcomes(snapshot, lambda o: _with_values(o, lambda v: (factor * v[0],)))


def with_second(snapshot: Snapshot, second: Objective) -> Snapshot:
    """There is another objective, whose values are twice those of the first."""
    oracle: Any = copy(snapshot.problem.oracle)
    oracle.objectives = (*oracle.objectives, second)
    both = replace(snapshot, problem=replace(snapshot.problem, oracle=oracle))
    return with_outcomes(both, lambda o: _with_values(o, lambda v: (v[0], 2 * v[0])))


def with_outcomes(snapshot: Snapshot, change: Callable[[Outcome], Outcome]) -> Snapshot:
    """Every answer is another one."""
    observations = (replace(o, outcome=change(o.outcome)) for o in snapshot.observations)
    return replace(snapshot, observations=tuple(observations))


def _with_values(
    outcome: Outcome, change: Callable[[tuple[float, ...]], tuple[float, ...]]
) -> Outcome:
    return outcome if outcome.values is None else replace(outcome, values=change(outcome.values))
