"""Which candidates have failed, and what that says of them at other fidelities."""

from collections.abc import Sequence

from mfal.types import Fidelity, Observation


def failed_candidates(
    observations: Sequence[Observation], ladder: Sequence[Fidelity]
) -> frozenset[str]:
    """Candidates that are known to have no value at the target.

    Those that failed there, and those that failed below as long as no candidate had a value above
    a failure.
    """
    rungs = by_rung(observations, ladder)
    return failed_at(rungs if goes_on(rungs) else rungs[-1:])


def by_rung(
    observations: Sequence[Observation], ladder: Sequence[Fidelity]
) -> list[list[Observation]]:
    """The observations at each fidelity, in the order of the ladder."""
    return [[o for o in observations if o.query.fidelity == f.name] for f in ladder]


def goes_on(rungs: Sequence[Sequence[Observation]]) -> bool:
    """Whether no candidate had a value above a fidelity at which it failed."""
    return all(
        o.outcome.values is None
        for asked, below in zip(rungs, failed_below(rungs), strict=True)
        for o in asked
        if o.query.key in below
    )


def failed_below(rungs: Sequence[Sequence[Observation]]) -> list[frozenset[str]]:
    """For each fidelity the candidates that failed at any below it."""
    return [failed_at(rungs[:rung]) for rung in range(len(rungs))]


def failed_at(rungs: Sequence[Sequence[Observation]]) -> frozenset[str]:
    """Candidates that failed at any of these."""
    return frozenset(o.query.key for asked in rungs for o in asked if o.outcome.values is None)
