"""Rounds for a person at a terminal: progress while they run, tables when they end."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig
from mfal.imports import import_file
from mfal.progress import Progress
from mfal.round import initial_record, run_rounds
from mfal.stopping import stop_reason
from mfal.terminal import TerminalProgress, show_rounds
from mfal.waiting import waiting, waiting_text

Runner = Callable[[Campaign, int | None, Progress], list[int]]
"""Runs n rounds of a campaign (None: until it is over), returns their numbers."""


def run_in_terminal(
    config: CampaignConfig, rounds: int | None, source: str, runner: Runner | None = None
) -> None:
    """Run rounds of the campaign of `config`, and show what came of them.

    Args:
        rounds: How many; None for as many as there may be.
        source: Name of the configuration in errors, usually its file.
        runner: What runs them; the library itself by default.
    """
    console = Console()
    with open_campaign(config, source) as campaign:
        engines = "; ".join(f"{n}: {b}" for n, b in campaign.problem.oracle.backends.items())
        console.print(f"{config.name} ({campaign.problem.name})  {engines}", markup=False)
        with TerminalProgress(console) as progress:
            ended = (runner or _run_in_library)(campaign, rounds, progress)
        show_rounds(console, campaign, ended)
        if not show_waiting(console, campaign, source) and (rounds is None or len(ended) < rounds):
            why = stop_reason(campaign) or "nothing that was proposed can be bought"
            console.print(f"No further round: {why}.", markup=False)


def import_in_terminal(config: CampaignConfig, path: Path, source: str) -> None:
    """Import a file of observations into the campaign of `config`, and say what came of it."""
    console = Console()
    with open_campaign(config, source) as campaign:
        done = import_file(campaign, path)
        counts = ", ".join(f"{n} {name}" for name, n in done.queries.items() if n)
        console.print(
            f"{path}: imported {'into' if done.awaited else 'as'} round {done.round}: "
            f"{counts} ({done.failed} failed), "
            f"cost {done.cost:g}",
            soft_wrap=True,
            markup=False,
        )
        if done.merged:
            console.print(f"{done.merged} rows repeated another and were merged with it")
        if done.unused:
            console.print(f"columns not used: {', '.join(done.unused)}", markup=False)
        if show_waiting(console, campaign, source):
            return
        if done.awaited:
            said = f"round {done.round} has all its measurements; go on: mfal round {source}"
            console.print(said, soft_wrap=True, markup=False)
        else:
            _show_missing(console, campaign)


def show_waiting(console: Console, campaign: Campaign, source: str) -> bool:
    """Say what the campaign waits for, if it waits; `source` is its configuration file."""
    awaited = waiting(campaign)
    if awaited is not None:
        console.print(waiting_text(awaited, source), soft_wrap=True, markup=False)
    return awaited is not None


def _show_missing(console: Console, campaign: Campaign) -> None:
    missing = {n: k for n, k in initial_record(campaign)["asked"].items() if k}
    left = ", ".join(f"{k} {name}" for name, k in missing.items())
    console.print(f"the initial design still asks: {left or 'nothing'}", markup=False)


def _run_in_library(campaign: Campaign, rounds: int | None, progress: Progress) -> list[int]:
    return run_rounds(campaign, rounds, progress=progress)
