"""Campaigns against random selection at equal cost: ``python -m tests.benchmarks.campaign``.

Random selection is given its best form: it asks only random candidates at the target, for
all that the campaign spent, its initial design included.
"""

import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mfal.budget import exact
from mfal.campaign import Campaign, derive_seed, open_campaign
from mfal.config import load_config
from mfal.metrics import best, curve
from mfal.propose import random_keys
from mfal.round import run_rounds


def main(
    config: Annotated[Path, typer.Option(help="Campaign to run.")] = Path("configs/dna.yaml"),
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.")] = 3,
    processes: Annotated[int, typer.Option(help="How many at once.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Also write the figures as JSON.")] = None,
) -> None:
    """Run the campaign to its end for each seed and print what both found."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        results = list(pool.map(run_seed, [config] * seeds, range(seeds)))
    show(Console(), results)
    if out is not None:
        out.write_text(json.dumps(results, indent=2))


def run_seed(path: Path, seed: int) -> dict[str, Any]:
    """One campaign and random selection for the same money."""
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(path, [f"seed={seed}", f"data_dir={folder}"])
        started = time.perf_counter()
        with open_campaign(config) as campaign:
            ended = run_rounds(campaign, None)
            seconds = time.perf_counter() - started
            observations = campaign.store.observations()
            k = config.top_k
            points = curve(observations, campaign.target.name, campaign.objective, k)
            at_random = random_top_k(campaign, points[-1].cost, k)
            leaders = best(observations, campaign.target.name, campaign.objective, k)
            stages = [r.record["seconds"] for r in campaign.store.rounds() if r.number]
            warnings = [r.record["fallback"] for r in campaign.store.rounds() if r.number]
    return {
        "seed": seed,
        "rounds": len(ended),
        "cost": points[-1].cost,
        "seconds": seconds,
        "curve": [(p.cost, p.top_k, p.n_target) for p in points],
        "top_k": points[-1].top_k,
        "random_top_k": at_random,
        "best": [(o.query.key, o.outcome.values) for o in leaders],
        "stages": stages,
        "fallbacks": [w for w in warnings if w],
    }


def random_top_k(campaign: Campaign, cost: float, k: int) -> float:
    """Mean of the k best of as many random candidates as `cost` buys at the target."""
    n = int(exact(cost) // exact(campaign.target.cost))
    keys = random_keys(campaign, n, derive_seed(campaign.config.seed, "random selection"))
    answers = campaign.problem.oracle.evaluate(keys, campaign.target)
    sign = campaign.objective.sign
    utilities = sorted((a.values[0] * sign for a in answers if a.values), reverse=True)
    return sum(utilities[:k]) / k * sign


def show(console: Console, results: list[dict[str, Any]]) -> None:
    """A row per seed."""
    table = Table(title="Mean of the K best measured at the target, at equal cost")
    for column in ("seed", "rounds", "cost", "campaign", "random", "difference", "s per round"):
        table.add_column(column, justify="right")
    for r in results:
        table.add_row(
            str(r["seed"]),
            str(r["rounds"]),
            f"{r['cost']:g}",
            f"{r['top_k']:.2f}",
            f"{r['random_top_k']:.2f}",
            f"{r['top_k'] - r['random_top_k']:+.2f}",
            f"{r['seconds'] / max(1, r['rounds']):.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
