"""Commands that look at campaigns, and the one that finishes what was begun."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mfal.folder import CONFIGS, Broken, campaigns_in, find_campaign
from mfal.types import unit_suffix

if TYPE_CHECKING:
    from mfal.config import CampaignConfig
    from mfal.differences import Comparison
    from mfal.status import Best, Status, Unknown, Writer

Which = Annotated[
    str, typer.Argument(metavar="CONFIG|NAME", help="A campaign by its YAML file or its name.")
]
Several = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG|NAME]...",
        help="Campaigns by YAML file or name; all of the folder if none.",
    ),
]
Folder = Annotated[Path, typer.Option("--configs", help="The folder that names are looked up in.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NoPrefect = Annotated[
    bool, typer.Option("--no-prefect", help="Run through the library alone, in this process.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (status, best, export, resume, diff):
        app.command()(command)


def status(which: Several = None, configs: Folder = CONFIGS, as_json: AsJson = False) -> None:
    """Show where campaigns stand: rounds, cost, the best, what is unanswered, who is at work."""
    from mfal.status import Unknown, look

    found = look(_chosen(which, configs))
    if as_json:
        typer.echo(json.dumps([asdict(s) for s in found], indent=2))
    else:
        _console().print(_status_table(found))
    unknown = [s for s in found if isinstance(s, Unknown)]
    for s in unknown:
        typer.echo(f"{s.campaign}: {s.error}\n  hint: {s.hint}", err=True)
    if unknown:
        raise typer.Exit(2)


def best(
    which: Which,
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 10,
    diverse: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SIM",
            help="Leave out whoever is more similar than this to a better one, by the problem's "
            "own measure.",
        ),
    ] = None,
    configs: Folder = CONFIGS,
) -> None:
    """Show the best candidates measured at the target."""
    from mfal.campaign import open_campaign
    from mfal.cli.terminal import best_table
    from mfal.view import leaders

    with open_campaign(find_campaign(which, configs), which, to_read=True) as campaign:
        _console().print(best_table(campaign, leaders(campaign, n, diverse)))


def export(
    which: Which,
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet file; replaced if it exists.")],
    configs: Folder = CONFIGS,
) -> None:
    """Write every observation to a CSV or parquet file, which `mfal import` can read."""
    from mfal.campaign import open_campaign
    from mfal.view import export as write

    with open_campaign(find_campaign(which, configs), which, to_read=True) as campaign:
        typer.echo(f"{file}: {write(campaign, file)} observations of {campaign.config.name}")


def resume(which: Several = None, configs: Folder = CONFIGS, no_prefect: NoPrefect = False) -> None:
    """Finish rounds that were begun and not finished, and begin none."""
    from mfal.cli.rounds import resume_in_terminal
    from mfal.errors import MfalError

    failed = False
    chosen = _chosen(which, configs)
    for config, source in zip(chosen, which or [c.name for c in chosen], strict=True):
        try:
            if isinstance(config, Broken):
                raise config.error
            resume_in_terminal(config, source, no_prefect=no_prefect)
        except MfalError as error:
            failed = True
            typer.echo(f"{config.name}: {error}", err=True)
    if failed:
        raise typer.Exit(2)


def diff(first: Which, second: Which, configs: Folder = CONFIGS, as_json: AsJson = False) -> None:
    """Compare the configurations and ledgers of two campaigns; exit code 1 if they differ."""
    from mfal.differences import compare

    found = compare(find_campaign(first, configs), find_campaign(second, configs))
    if as_json:
        typer.echo(json.dumps({"same": found.same, **asdict(found)}, indent=2))
    else:
        _show_comparison(found)
    if not found.same:
        raise typer.Exit(1)


def _chosen(which: Sequence[str] | None, folder: Path) -> "list[CampaignConfig | Broken]":
    if not which:
        return campaigns_in(folder)
    return [find_campaign(name, folder) for name in which]


def _console() -> Console:
    return Console(highlight=False)


def _status_table(found: "Sequence[Status | Unknown]") -> Table:
    from mfal.status import Status, Unknown

    any_failed = any(isinstance(s, Status) and s.failed for s in found)
    table = Table()
    for column in ("campaign", "rounds", "spent", "left"):
        table.add_column(column, justify="left" if column == "campaign" else "right")
    for column in (*(["failed"] if any_failed else []), "best", "unanswered", "at work"):
        table.add_column(column)
    for s in found:
        if isinstance(s, Unknown):
            unread = ["", "", "", *([""] if any_failed else []), "cannot be read, see below"]
            table.add_row(Text(s.campaign), *unread)
            continue
        leader = "" if s.best is None else _leader(s.best)
        unanswered = "" if s.open_round is None else f"{s.pending} of round {s.open_round}"
        begun = "not begun" if s.ledger is None else str(s.rounds)
        failed = [f"{s.failed} of {s.observations}" if s.failed else ""] if any_failed else []
        cells = (s.campaign, begun, f"{s.spent:g}", f"{s.left:g}", *failed, leader, unanswered)
        table.add_row(*map(Text, cells), Text(_at_work(s.writer)))
    return table


def _leader(best: "Best") -> str:
    return f"{best.value:.4g}{unit_suffix(best.unit)}  {best.candidate}"


def _at_work(writer: "Writer | None") -> str:
    if writer is None:
        return ""
    state = {True: "", False: " (dead)", None: " (of another machine)"}[writer.alive]
    return f"process {writer.pid} on {writer.host} since {writer.since}{state}"


def _show_comparison(found: "Comparison") -> None:
    for pair in found.fields:
        typer.echo(f"{pair.where}: {json.dumps(pair.first)} | {json.dumps(pair.second)}")
    for name in found.contents[0].__slots__:
        one, other = (getattr(c, name) for c in found.contents)
        typer.echo(f"{name}: {one}" if one == other else f"{name}: {one} | {other}")
    if found.first is not None:
        typer.echo(f"the first difference is at {found.first.where}:")
        typer.echo(f"  {json.dumps(found.first.first)}\n  {json.dumps(found.first.second)}")
    typer.echo("the same" if found.same else "they differ")
