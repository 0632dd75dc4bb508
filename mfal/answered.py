"""Whether the oracle answers at all: what has only ever failed is not paid for again."""

import logging
from collections.abc import Sequence

from mfal.campaign import Campaign
from mfal.errors import OracleError
from mfal.reasons import commonest
from mfal.types import Observation

log = logging.getLogger(__name__)

ENOUGH = 10
"""Failures at the target without an answer there from which on every round warns of them."""


def check_answered(campaign: Campaign) -> None:
    """Raise OracleError where all that was asked has failed; warn where all at the target has."""
    seen = campaign.store.observations()
    target = campaign.target.name
    of_target = [o for o in seen if o.query.fidelity == target]
    if _all_failed(seen):
        raise OracleError(
            f"no further round: all {len(seen)} queries asked so far have failed, {_why(seen)}",
            f"mend the oracle (mfal check {campaign.config.problem.name} tries it), and begin "
            "again under another `name`: what has failed is not asked again; where candidates "
            "fail through no fault of the oracle, ask more of them in the initial design",
        )
    if len(of_target) >= ENOUGH and _all_failed(of_target):
        log.warning(
            "all %d queries at %s, the target, have failed, %s; without a value there, no "
            "candidate can be named as the best",
            len(of_target),
            target,
            _why(of_target),
        )


def _all_failed(seen: Sequence[Observation]) -> bool:
    return bool(seen) and all(o.outcome.values is None for o in seen)


def _why(seen: Sequence[Observation]) -> str:
    found = commonest(o.outcome for o in seen)
    return "" if found is None else f"{found[1]} with: {found[0]}"
