"""Who runs rounds for the command line: the library alone, or Prefect.

Chosen before anything heavy is imported, so that a server may start meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mfal.registry import resolve

if TYPE_CHECKING:
    from mfal.campaign import Campaign
    from mfal.progress import Progress
    from mfal.resume import Resumed


class Runner(Protocol):
    """Whatever runs an open campaign for the command line."""

    def run(self, campaign: Campaign, rounds: int | None, progress: Progress) -> list[int]:
        """As `mfal.round.run_rounds`."""
        ...

    def resume(self, campaign: Campaign, progress: Progress) -> Resumed | None:
        """As `mfal.resume.resume`."""
        ...


class Library:
    """The library alone, in this process."""

    def run(self, campaign: Campaign, rounds: int | None, progress: Progress) -> list[int]:
        """Run rounds."""
        from mfal.round import run_rounds

        return run_rounds(campaign, rounds, progress=progress)

    def resume(self, campaign: Campaign, progress: Progress) -> Resumed | None:
        """Finish what was begun."""
        from mfal.resume import resume

        return resume(campaign, progress)


def chosen_runner(*, no_prefect: bool) -> Runner:
    """The library or Prefect, which the library knows by name only, as any other plug-in."""
    if no_prefect:
        return Library()
    made: Runner = resolve("runner", "prefect")()
    return made
