"""Whether the oracle answers at all: what has only ever failed is not paid for again."""

import logging
from collections.abc import Iterable, Sequence
from itertools import takewhile
from shlex import quote

from mfal.campaign import Campaign
from mfal.errors import OracleError
from mfal.reasons import commonest
from mfal.scoring.scorer import IN_A_ROW
from mfal.types import Observation, Outcome, Query

log = logging.getLogger(__name__)

ENOUGH = 10
"""Failures at the target without an answer there from which on every round warns of them."""


class Patience:
    """Ends where query after query fails: an oracle that broke is not paid for.

    It counts what is asked while one process runs, over rounds. So whoever runs the command again
    goes on: with an oracle that was mended, or with candidates that fail for good reason.
    """

    def __init__(self) -> None:
        self._asked: list[Query] = []
        self._outcomes: dict[Query, Outcome] = {}

    def ask(self, queries: Sequence[Query]) -> None:
        """Take note of queries; they are asked one fidelity after the other (`Scorer.ask`)."""
        first = dict.fromkeys(query.fidelity for query in queries)
        self._asked += [q for fidelity in first for q in queries if q.fidelity == fidelity]

    def note(self, outcomes: Iterable[tuple[Query, Outcome]]) -> None:
        """Take note of what came in."""
        self._outcomes |= dict(outcomes)

    def check(self, problem: str) -> None:
        """Raise OracleError where the queries that were asked last have all failed.

        Last asked and not last answered: failures come in late where they are asked again.
        """
        last = (self._outcomes[q] for q in reversed(self._asked) if q in self._outcomes)
        failed = list(takewhile(lambda outcome: outcome.values is None, last))
        if len(failed) >= IN_A_ROW:
            raise OracleError(
                f"stopped: the last {len(failed)} queries have all failed, {_why(failed)}",
                f"mend the oracle (mfal check {quote(problem)} tries it) and run the same command "
                "again, which goes on with what is not asked yet; run it again, too, where "
                "candidates fail through no fault of the oracle",
            )


def check_answered(campaign: Campaign) -> None:
    """Raise OracleError where all that was asked has failed; warn where all at the target has."""
    seen = campaign.store.observations()
    target = campaign.target.name
    of_target = [o for o in seen if o.query.fidelity == target]
    if _all_failed(seen):
        raise OracleError(
            f"no further round: all {len(seen)} queries asked so far have failed, "
            f"{_why([o.outcome for o in seen])}",
            f"mend the oracle (mfal check {quote(campaign.config.problem.name)} tries it), and "
            "begin again under another `name`: what has failed is not asked again; where "
            "candidates fail through no fault of the oracle, ask more of them in the initial "
            "design",
        )
    if len(of_target) >= ENOUGH and _all_failed(of_target):
        log.warning(
            "all %d queries at %s, the target, have failed, %s; without a value there, no "
            "candidate can be named as the best",
            len(of_target),
            target,
            _why([o.outcome for o in of_target]),
        )


def _all_failed(seen: Sequence[Observation]) -> bool:
    return bool(seen) and all(o.outcome.values is None for o in seen)


def _why(failures: Sequence[Outcome]) -> str:
    found = commonest(failures)
    return "" if found is None else f"{found[1]} with: {found[0]}"
