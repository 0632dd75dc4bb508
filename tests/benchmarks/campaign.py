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
    picture: Annotated[Path | None, typer.Option(help="Also draw them into a PNG.")] = None,
) -> None:
    """Run the campaign to its end for each seed and print what both found."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        results = list(pool.map(run_seed, [config] * seeds, range(seeds)))
    show(Console(), results)
    if out is not None:
        out.write_text(json.dumps(results, indent=2))
    if picture is not None:
        draw(results, load_config(config).top_k, picture)


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
            at_random = [random_top_k(campaign, p.cost, k) for p in points]
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
        "random_curve": at_random,
        "random_top_k": at_random[-1],
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


def draw(results: list[dict[str, Any]], k: int, path: Path) -> None:
    """The mean of the K best against cost: a line per seed, campaign and random."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for i, r in enumerate(results):
        costs, values = [p[0] for p in r["curve"]], [p[1] for p in r["curve"]]
        label = ("multi-fidelity GFlowNet", "random, all at the target") if i == 0 else ("", "")
        axes.plot(costs, values, "o-", color="#1b6ca8", ms=4, lw=1.5, label=label[0])
        axes.plot(costs, r["random_curve"], "s--", color="#999999", ms=3, lw=1, label=label[1])
    axes.set_xlabel("cost spent, initial design included (campaign units)")
    axes.set_ylabel(f"mean of the {k} best measured\nfolding energies (kcal/mol)")
    axes.set_title(f"DNA 30-mers, {len(results)} seeds, a line each", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    typer.run(main)
