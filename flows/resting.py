"""Deployments that are paused: by a person or an automation, or because nobody serves them."""

from collections.abc import Iterable
from dataclasses import dataclass

from prefect import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.exceptions import ObjectNotFound

from flows.names import CAMPAIGN

NOT_SERVED = "not served"
"""Tag of deployments that were paused because whoever served them has ended."""


@dataclass(frozen=True)
class Resting:
    """What somebody has switched off of a deployment, and its tags.

    Attributes:
        paused: The deployment itself.
        schedule_off: Its schedule.
    """

    paused: bool = False
    schedule_off: bool = False
    tags: tuple[str, ...] = ()


def find_resting(campaign: str) -> Resting:
    """What was switched off, on the page or by an automation, before a campaign is served anew."""
    with get_client(sync_client=True) as client:
        try:
            known = client.read_deployment_by_name(f"{CAMPAIGN}/{campaign}")
        except ObjectNotFound:
            return Resting()
    return Resting(
        paused=known.paused and NOT_SERVED not in known.tags,
        schedule_off=any(not schedule.active for schedule in known.schedules),
        tags=tuple(tag for tag in known.tags if tag != NOT_SERVED),
    )


def rest(campaigns: Iterable[str]) -> None:
    """Pause what is not paused yet, so that no runs pile up, and tag it for `find_resting`."""
    with get_client(sync_client=True) as client:
        for campaign in campaigns:
            try:
                known = client.read_deployment_by_name(f"{CAMPAIGN}/{campaign}")
            except ObjectNotFound:
                continue  # deleted on the page
            if not known.paused:
                client.pause_deployment(known.id)
                tags = DeploymentUpdate(tags=[*known.tags, NOT_SERVED])
                client.update_deployment(known.id, tags)
