"""`mfal report`: a campaign or a comparison, in the terminal and as a page."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from rich.console import Console

from mfal.campaign import open_campaign
from mfal.cli.rounds import show_waiting
from mfal.cli.terminal import show_state
from mfal.cli.which import chosen
from mfal.compare import curves, load_comparison, runs_of
from mfal.errors import ConfigError, LedgerError
from mfal.folder import is_file_of
from mfal.report.campaign_page import campaign_page
from mfal.report.comparison_page import comparison_page
from mfal.report.html import write
from mfal.report.published import read_published
from mfal.report.snapshot import take
from mfal.report.tables import campaign_tables
from mfal.yaml_file import read_yaml


def report_in_terminal(
    which: str,
    configs: Path,
    overrides: Sequence[str],
    out: Path | None,
    published: Path | None,
) -> None:
    """Write the report of a campaign or a comparison, and say where it is.

    Args:
        which: Path of its file, or name of a campaign.
        configs: The folder that names are looked up in.
        out: Folder to write into; by default ``report`` beside the ledger.
        published: CSV file of curves to lay over a comparison.
    """
    if is_file_of(which) and "methods" in read_yaml(Path(which)):
        index = _report_comparison(Path(which), overrides, out, published)
    elif published is not None:
        raise ConfigError(
            f"{which}: --published is for comparisons", "leave it out, or name a comparison"
        )
    else:
        index = _report_campaign(which, configs, overrides, out)
    Console(markup=False).print(f"report: {index}", soft_wrap=True)


def _report_campaign(which: str, configs: Path, overrides: Sequence[str], out: Path | None) -> Path:
    config, source = chosen(which, configs, overrides)
    with open_campaign(config, source, to_read=True) as campaign:
        show_state(Console(markup=False), campaign)
        show_waiting(Console(markup=False), campaign, source)
        snapshot = take(campaign)
    folder = out or config.folder / "report"
    return write(campaign_page(snapshot), campaign_tables(snapshot), folder)


def _report_comparison(
    path: Path, overrides: Sequence[str], out: Path | None, published: Path | None
) -> Path:
    others = [] if published is None else read_published(published)
    comparison = load_comparison(path, overrides)
    table = curves(comparison)
    if table.empty:
        raise LedgerError(
            f"{comparison.folder}: no run of {comparison.name!r} has begun",
            f"run it first: mfal compare {quote(str(path))}",
        )
    begun = next(run for run in runs_of(comparison) if run.look().has_begun)
    with open_campaign(begun.config, begun.name, to_read=True) as campaign:
        objective, k = campaign.objective, campaign.config.top_k
    page = comparison_page(comparison, table, objective, k, others)
    return write(page, {"curves": table}, out or comparison.folder / "report")
