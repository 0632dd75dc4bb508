"""Rounds for a person at a terminal: progress while they run, tables when they end."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from mfal.campaign import Campaign, open_campaign
from mfal.cli.runner import Runner
from mfal.cli.terminal import TerminalProgress, engine_lines, show_rounds
from mfal.config import CampaignConfig
from mfal.digits import amount
from mfal.errors import NoLedgerError
from mfal.importing.observations import import_file
from mfal.ledger.reading import read_ledger
from mfal.round import initial_record
from mfal.stopping import why_no_further
from mfal.types import aim
from mfal.waiting import waiting, waiting_text

NOTHING_OPEN = "nothing to do: every round that was begun is finished"


def run_in_terminal(
    config: CampaignConfig, rounds: int | None, source: str, runner: Runner
) -> None:
    """Run rounds of the campaign of `config`, and show what came of them.

    Args:
        rounds: How many; None for as many as there may be.
        source: Name of the configuration in errors, usually its file.
        runner: Who runs them.
    """
    console = Console(markup=False)
    with open_campaign(config, source) as campaign:
        engines = "; ".join(engine_lines(campaign.problem.oracle.backends))
        console.print(f"{config.name} ({campaign.problem.name})  {engines}")
        objectives = campaign.problem.oracle.objectives
        if len(objectives) > 1:
            console.print(aim(objectives))
        with TerminalProgress(console) as progress:
            ended = runner.run(campaign, rounds, progress)
        show_rounds(console, campaign, ended)
        if not show_waiting(console, campaign, source) and (rounds is None or len(ended) < rounds):
            console.print(f"No further round: {why_no_further(campaign)}.")


def resume_in_terminal(config: CampaignConfig, source: str, runner: Callable[[], Runner]) -> None:
    """Finish the round of a campaign that was begun and not finished, and say what was done.

    Args:
        source: Name of the configuration in errors, usually its file.
        runner: Gives who does it, called where there is something to finish.
    """
    console = Console(highlight=False, markup=False)
    try:
        with read_ledger(config.ledger_url, config.name, config.identity()) as ledger:
            is_whole = ledger.open_round() is None
    except NoLedgerError:
        said = "nothing to do: it has not begun"
    else:
        said = NOTHING_OPEN if is_whole else _resume(console, config, source, runner())
    console.print(f"{config.name}: {said}", soft_wrap=True)


def _resume(console: Console, config: CampaignConfig, source: str, runner: Runner) -> str:
    with open_campaign(config, source) as campaign:
        with TerminalProgress(console) as progress:
            done = runner.resume(campaign, progress)
        awaited = waiting(campaign)
    if done is None:
        return NOTHING_OPEN
    answered = f"{done.asked} of its {done.queries} queries"
    if awaited is None:
        asked = f"{answered} had no answer; they were asked, for {amount(done.cost)}"
        return f"round {done.round} is finished: {asked}"
    text = waiting_text(awaited, source)
    return f"{answered} were asked, for {amount(done.cost)}\n{text}" if done.asked else text


def import_in_terminal(config: CampaignConfig, path: Path, source: str) -> None:
    """Import a file of observations into the campaign of `config`, and say what came of it."""
    console = Console(markup=False)
    with open_campaign(config, source) as campaign:
        done = import_file(campaign, path)
        counts = ", ".join(f"{n} {name}" for name, n in done.queries.items() if n)
        console.print(
            f"{path}: imported {'into' if done.awaited else 'as'} round {done.round}: "
            f"{counts} ({done.failed} failed), "
            f"cost {amount(done.cost)}",
            soft_wrap=True,
        )
        if done.merged:
            console.print(f"rows that repeat another, and were merged with it: {done.merged}")
        if done.unused:
            names = (name.strip() or "one without a name" for name in done.unused)
            console.print(f"columns not used: {', '.join(names)}")
        if show_waiting(console, campaign, source):
            return
        if done.awaited:
            said = f"round {done.round} has all its measurements; go on: mfal round {source}"
            console.print(said, soft_wrap=True)
        else:
            _show_missing(console, campaign)


def show_waiting(console: Console, campaign: Campaign, source: str) -> bool:
    """Say what the campaign waits for, if it waits; `source` is its configuration file."""
    awaited = waiting(campaign)
    if awaited is not None:
        console.print(waiting_text(awaited, source), soft_wrap=True)
    return awaited is not None


def _show_missing(console: Console, campaign: Campaign) -> None:
    missing = {n: k for n, k in initial_record(campaign)["asked"].items() if k}
    left = ", ".join(f"{k} {name}" for name, k in missing.items())
    console.print(f"the initial design still asks: {left or 'nothing'}")
