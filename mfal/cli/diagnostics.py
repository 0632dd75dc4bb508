"""How far a round's surrogate can be trusted, as a table for a terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from mfal.campaign import Campaign
from mfal.digits import written
from mfal.ledger.reading import RoundInfo


def last_diagnosed(rounds: Sequence[RoundInfo]) -> RoundInfo | None:
    """The latest round whose record says what its batch was made of."""
    return next((r for r in reversed(rounds) if r.record.get("batch")), None)


def rung_table(campaign: Campaign, info: RoundInfo) -> Table:
    """A row per fidelity, the target first: the surrogate held out, and the batch's shares."""
    record, objective = info.record, campaign.objective
    in_unit = f" (RMSE in {objective.unit})" if objective.suffix else ""
    table = Table(
        title=f"Round {info.number}: the surrogate on candidates left out, and the batch{in_unit}",
        title_justify="left",
        caption=record.get("fallback") or None,
        caption_justify="left",
    )
    table.add_column("fidelity", overflow="fold")
    for column in ("n", "Spearman", "RMSE", "NLPD", "in 90 %", "corr.", "batch", "cost"):
        table.add_column(column, justify="right", no_wrap=True)
    held_out = record.get("held_out", {})
    rmse = written((figures.get("rmse") for figures in held_out.values()), figures=3)
    for fidelity in reversed(campaign.ladder):
        figures = held_out.get(fidelity.name, {})
        batch = record["batch"][fidelity.name]
        table.add_row(
            Text(fidelity.name),
            str(figures.get("n", "")),
            _number(figures.get("spearman"), ".2f"),
            rmse(figures.get("rmse")),
            _number(figures.get("nlpd"), ".2f"),
            _number(figures.get("coverage_90"), ".0%"),
            _number(record.get("correlations", {}).get(fidelity.name), ".3f"),
            str(batch["queries"]),
            _number(batch["cost_share"], ".0%"),
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
