"""Commands that look at campaigns, and the one that finishes what was begun."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mfal.cli.interrupts import interrupt_waits
from mfal.cli.runner import chosen_runner
from mfal.cli.which import Folder, Overrides, Several, Which, as_typed, chosen
from mfal.digits import amount, number
from mfal.errors import ConfigError
from mfal.folder import CONFIGS, Broken, campaigns_in, find_campaign
from mfal.types import unit_suffix
from mfal.yaml_file import COMMAND_LINE

if TYPE_CHECKING:
    from mfal.config import CampaignConfig
    from mfal.differences import Comparison
    from mfal.status import Status, Writer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NoPrefect = Annotated[
    bool, typer.Option("--no-prefect", help="Run through the library alone, in this process.")
]

HowMany = Annotated[int, typer.Option("-n", min=1, help="How many.")]
Diverse = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        metavar="SIM",
        help="Leave out whoever is more similar than this to a better one, by the campaign's "
        "diversity.similarity, or else the problem's own measure.",
    ),
]

NUMBERS = ("rounds", "spent", "left")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (status, best, recommend, export, resume, diff):
        app.command()(command)


def status(
    which: Several = None,
    configs: Folder = CONFIGS,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show where campaigns stand: rounds, cost, the best, what is unanswered, who is at work."""
    from mfal.status import look

    found = look(_configured(which, configs, overrides))
    if as_json:
        typer.echo(json.dumps([asdict(s) for s in found], indent=2))
    elif found:
        _show_status(_console(), found)
    broken = [s for s in found if isinstance(s, Broken)]
    for s in broken:
        typer.echo(f"{s.campaign}: {s.error}\n  hint: {s.hint}", err=True)
    if broken:
        raise typer.Exit(2)


def best(
    which: Which,
    n: HowMany = 10,
    diverse: Diverse = None,
    configs: Folder = CONFIGS,
    overrides: Overrides = None,
) -> None:
    """Show the best candidates measured at the target."""
    from mfal.campaign import open_campaign
    from mfal.cli.terminal import best_table
    from mfal.view import leaders

    config, source = chosen(which, configs, overrides)
    with open_campaign(config, source, to_read=True) as campaign:
        _console().print(best_table(campaign, leaders(campaign, n, diverse)))


def recommend(
    which: Which,
    n: HowMany = 10,
    diverse: Diverse = None,
    unasked: Annotated[
        bool,
        typer.Option("--unasked", help="Of a campaign on a fixed list: all of it, asked or not."),
    ] = False,
    configs: Folder = CONFIGS,
    overrides: Overrides = None,
) -> None:
    """Show which of all candidates asked so far the model holds for the best at the target."""
    from mfal.campaign import open_campaign
    from mfal.cli.terminal import recommended_table
    from mfal.recommend import recommend

    config, source = chosen(which, configs, overrides)
    with open_campaign(config, source, to_read=True) as campaign:
        found = recommend(campaign, n, diverse, unasked=unasked)
        _console().print(recommended_table(campaign, found))


def export(
    which: Which,
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet file; replaced if it exists.")],
    configs: Folder = CONFIGS,
    overrides: Overrides = None,
) -> None:
    """Write every observation to a CSV or parquet file, which `mfal import` can read."""
    from mfal.campaign import open_campaign
    from mfal.view import export as write

    config, source = chosen(which, configs, overrides)
    with open_campaign(config, source, to_read=True) as campaign:
        typer.echo(f"{file}: {write(campaign, file)} observations of {campaign.config.name}")


def resume(
    which: Several = None,
    configs: Folder = CONFIGS,
    overrides: Overrides = None,
    no_prefect: NoPrefect = False,
) -> None:
    """Finish rounds that were begun and not finished, and begin none."""
    with interrupt_waits():
        from mfal.cli.rounds import resume_in_terminal
    from mfal.errors import MfalError

    failed = False
    runner = cache(partial(chosen_runner, no_prefect=no_prefect))  # one for all, if any
    configured = _configured(which, configs, overrides)
    names = which or [c.name for c in configured]
    for config, name in zip(configured, names, strict=True):
        try:
            if isinstance(config, Broken):
                raise ConfigError(config.error, config.hint)
            resume_in_terminal(config, as_typed(name, configs, overrides), runner)
        except MfalError as error:
            failed = True
            named = "" if str(error).startswith(f"{config.name}: ") else f"{config.name}: "
            typer.echo(f"{named}{error}", err=True)
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


def _configured(
    which: Sequence[str] | None, folder: Path, overrides: Sequence[str] | None
) -> "list[CampaignConfig | Broken]":
    """The campaigns that are named, as they were changed; without a name, all in the folder."""
    if which:
        return [find_campaign(name, folder, overrides or ()) for name in which]
    if overrides:
        raise ConfigError(
            f"{COMMAND_LINE} changes campaigns that are named, and none is", "name one, or more"
        )
    found: list[CampaignConfig | Broken] = [*campaigns_in(folder)]
    if not found:
        typer.echo(
            f"there is no campaign in {folder}/; name a YAML file, or give --configs", err=True
        )
    return found


def _console() -> Console:
    return Console(highlight=False, markup=False)


def _show_status(console: Console, found: "Sequence[Status | Broken]") -> None:
    """A row per campaign, or a block in a narrow terminal; lines below where there is more."""
    rows = [_status_row(s) for s in found]
    any_failed = any("failed" in row for row in rows)
    shown = ["campaign", *NUMBERS, *(["failed"] if any_failed else []), "best"]
    if _row_width(rows, shown) <= console.width:
        console.print(_status_table(rows, shown))
    else:
        _show_blocks(console, rows, shown)
    for s in found:
        if not isinstance(s, Broken) and (said := _under_way(s)):
            console.print(f"{s.campaign}: {said}", soft_wrap=True)


def _row_width(rows: Sequence[Mapping[str, str]], shown: Sequence[str]) -> int:
    """Letters of the table's widest row, in which candidates may be folded and nothing else."""
    whole = [{**row, "best": row.get("best", "").partition("  ")[0]} for row in rows]
    return sum(2 + max(len(c), *(len(row.get(c, "")) for row in whole)) for c in shown)


def _status_table(rows: Sequence[Mapping[str, str]], shown: Sequence[str]) -> Table:
    """A row per campaign."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in shown:
        justify: JustifyMethod = "right" if heading in NUMBERS else "left"
        # Names are there to be typed: the best alone gives way in a narrow terminal.
        table.add_column(heading, justify=justify, no_wrap=heading != "best", overflow="fold")
    for row in rows:
        table.add_row(*(Text(row.get(heading, "")) for heading in shown))
    return table


def _show_blocks(console: Console, rows: Sequence[Mapping[str, str]], shown: Sequence[str]) -> None:
    """The name of each campaign, and a line below for each figure."""
    for row in rows:
        console.print(row["campaign"], soft_wrap=True)
        block = Table.grid(padding=(0, 2, 0, 0))
        block.add_column(no_wrap=True)
        block.add_column(overflow="fold")
        for heading in shown[1:]:
            if heading in row:
                block.add_row(heading, Text(row[heading]))
        console.print(Padding(block, (0, 0, 0, 2)))


def _status_row(s: "Status | Broken") -> dict[str, str]:
    """Heading -> what stands below it, where there is anything."""
    if isinstance(s, Broken):
        return {"campaign": s.campaign, "best": "cannot be read, see below"}
    begun = "not begun" if s.ledger is None else str(s.rounds)
    row = {
        "campaign": s.campaign,
        "rounds": begun,
        "spent": amount(s.spent),
        "left": amount(s.left),
    }
    if s.failed:
        row["failed"] = f"{s.failed} of {s.observations}"
    if s.best is not None:
        row["best"] = f"{number(s.best.value)}{unit_suffix(s.best.unit)}  {s.best.candidate}"
    return row


def _under_way(s: "Status") -> str:
    """What is unanswered, or waited for, and who is at work."""
    said = []
    aside = f" ({amount(s.budget - s.spent - s.left)} units set aside)"
    if s.waits_for is not None:
        n, files = s.waits_for.count, ", ".join(s.waits_for.files)
        measured = f"waits for {n} measurement{'' if n == 1 else 's'}: {files}"
        said.append(measured + aside)
    elif s.open_round is not None:
        said.append(f"{s.pending} of round {s.open_round} unanswered{aside}")
    if s.writer is not None:
        said.append(_at_work(s.writer))
    return "; ".join(said)


def _at_work(writer: "Writer") -> str:
    process = f"process {writer.pid} on {writer.host}"
    if writer.alive is False:
        return f"left by {process} (begun {writer.since}), which is gone"
    state = "" if writer.alive else " (of another machine)"
    return f"at work: {process} since {writer.since}{state}"


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
