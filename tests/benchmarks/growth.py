"""What the surrogate costs as the ledger grows: ``python -m tests.benchmarks.growth``.

One thread, CPU seconds, and a process of its own for every size. Also draws docs/growth.png.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mfal.batch.knowledge import Sought
from mfal.batch.select import Pool, select_batch
from mfal.dataset import Dataset
from mfal.features.base import FeatureSet
from mfal.features.kmers import KmerCounts
from mfal.features.stems import StemSummary
from mfal.rest import SOUGHT
from mfal.sections import BatchConfig
from mfal.surrogate.gp import MultiFidelityGP
from mfal.types import Query
from tests.benchmarks import machine, report
from tests.benchmarks.strands import random_strands

SIZES = (500, 1000, 2000, 4000, 10_000)
COSTS = (1.0, 3.0, 7.0)
BATCH, POOL = 100, 5000
TOP = 10
BLOCK = 20_000
"""Candidates whose features are in memory at the same time."""

HEADER = ["observations", "fit (s)", "predict (s)", "candidates/s", "select (s)", "peak (GiB)"]

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """CPU seconds and memory at one size.

    Attributes:
        observations: How many the surrogate was conditioned on.
        candidates: How many it predicted.
        fit: Seconds to fit and condition it.
        features: Seconds for the features of the candidates.
        predict: Seconds for their moments at every fidelity.
        select: Seconds to choose the batch, posterior covariances included.
        rank: Of the variances; 0 where they are exact.
        peak: Largest resident memory of the process, bytes.
    """

    observations: int
    candidates: int
    fit: float
    features: float
    predict: float
    select: float
    rank: int
    peak: int


def main(
    candidates: Annotated[int, typer.Option(help="How many to predict.")] = 100_000,
    only: Annotated[int, typer.Option(help="This number of observations; 0 for all.")] = 0,
    docs: Annotated[Path | None, typer.Option(help="Write here instead of docs/.")] = None,
) -> None:
    """Measure every size, print the table, and write it down unless only one was asked for."""
    context = multiprocessing.get_context("spawn")
    console, costs = Console(), []
    for n in (only,) if only else SIZES:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            costs.append(pool.submit(measure, n, candidates).result())
        console.print(costs[-1], soft_wrap=True)
    cells = [row(cost) for cost in costs]
    rate = sum(c.candidates for c in costs) / sum(c.features for c in costs)
    shown = Table(title=f"{candidates:,} candidates, {BATCH} selected", title_justify="left")
    for column in HEADER:
        shown.add_column(column, justify="right")
    for line in cells:
        shown.add_row(*line)
    console.print(shown)
    console.print(f"features of {rate:,.0f} 30-mers a second")
    if only and docs is None:
        return
    folder = docs or report.DOCS
    described = machine.describe()
    text = (
        "Seconds to fit the default surrogate to observations of 30-mers at three fidelities "
        "(half of the candidates of a rung are asked at the next), 4-mer counts and stem "
        f"summaries, to predict {candidates:,} new ones at every fidelity, and to select {BATCH} "
        f"queries from {POOL:,}. One thread, float64; CPU seconds. Hyperparameters are fitted to "
        "600 observations; above 2,000 variances come from a subspace of rank 256. Features are "
        f"made at {rate:,.0f} 30-mers a second and are not in the seconds."
    )
    parts = ["## As the ledger grows", text, machine.sentence(described)]
    parts += [report.table(HEADER, cells), "![Cost against observations](growth.png)"]
    figures = {"machine": described, "rows": [asdict(cost) for cost in costs]}
    report.section("growth", "\n\n".join(parts), figures, folder)
    draw(costs, folder / "growth.png")


def row(cost: Cost) -> list[str]:
    """A line of the table."""
    seconds = (f"{cost.fit:.1f}", f"{cost.predict:.1f}", f"{cost.candidates / cost.predict:,.0f}")
    return [f"{cost.observations:,}", *seconds, f"{cost.select:.2f}", f"{cost.peak / 2**30:.2f}"]


def measure(n: int, candidates: int) -> Cost:
    """Fit to `n` observations, predict `candidates` and select a batch."""
    torch.set_num_threads(1)
    features = FeatureSet([KmerCounts(alphabet="ACGT"), StemSummary()])
    data = make_data(n, features)
    settings = MultiFidelityGP(linear_columns=features.linear_columns)
    fit, surrogate = seconds(lambda: settings.fit(data, seed=0))
    featurising = predicting = 0.0
    for block, start in enumerate(range(0, candidates, BLOCK)):
        keys = random_strands(min(BLOCK, candidates - start), seed=1 + block)
        taken, rows = seconds(lambda: features(keys))  # noqa: B023
        featurising += taken
        taken, moments = seconds(lambda: surrogate.joint(rows))  # noqa: B023
        predicting += taken
        if not bool(moments.variance.isfinite().all()):
            raise RuntimeError(f"a variance is not finite at {n} observations")
    select, chosen = seconds(lambda: choose(surrogate, features))
    if len(chosen) != BATCH:
        raise RuntimeError(f"{len(chosen)} were selected, not {BATCH}")
    rank = int(surrogate.diagnostics()["variance_rank"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
    return Cost(n, candidates, fit, featurising, predicting, select, rank, peak)


def make_data(n: int, features: FeatureSet) -> Dataset:
    """Nested answers about 30-mers; the lower the rung, the less they tell of the target."""
    n_candidates = n * 4 // 7
    asked = [n_candidates, n_candidates // 2, n - n_candidates - n_candidates // 2]
    keys = random_strands(n_candidates, seed=0)
    rows = features(keys)
    generator = torch.Generator().manual_seed(0)
    candidate = torch.cat([torch.arange(m) for m in asked])
    fidelity = torch.repeat_interleave(torch.arange(3), torch.tensor(asked))
    own = torch.randn(n_candidates, 3, generator=generator, dtype=torch.float64)
    summaries = rows[:, list(features.linear_columns)]
    truth = -summaries.sum(dim=1) / 10 + 0.3 * own[:, -1]
    utility = truth[candidate] + 0.3 * (2 - fidelity) * own[candidate, fidelity]
    return Dataset(tuple(keys), rows, candidate, fidelity, utility, 3)


def choose(surrogate: MultiFidelityGP, features: FeatureSet) -> list[Query]:
    """A batch from random queries, half of it by value and half by what it teaches."""
    keys = random_strands(POOL, seed=7)
    rows = features(keys)
    fidelity = torch.arange(POOL) % 3
    moments = surrogate.joint(rows)
    best = moments.mean[:, -1].topk(SOUGHT).indices.sort().values
    sure = torch.ones(POOL, dtype=torch.float64)

    def covariance(at: Tensor) -> Tensor:
        both, target = torch.cat([at, best]), torch.full((SOUGHT,), 2)
        new = torch.full((len(both),), -1)
        return surrogate.covariance(rows[both], new, torch.cat([fidelity[at], target]))

    pool = Pool(
        queries=tuple(Query(key, str(i % 3)) for i, key in enumerate(keys)),
        value=moments.mean.gather(1, fidelity[:, None])[:, 0].exp(),
        cost=tuple(COSTS[i % 3] for i in range(POOL)),
        is_target=fidelity == 2,
        covariance=covariance,
        noise=moments.noise[fidelity],
        sought=Sought(moments.mean[best, -1].double(), TOP, best, sure),
    )
    return select_batch(pool, BatchConfig(cost=None, queries=BATCH), left=1e6)


def seconds(work: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds that `work` takes, and what it returns."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


def draw(costs: list[Cost], path: Path) -> None:
    """Seconds against observations, both logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    n = [cost.observations for cost in costs]
    for label, style, values in (
        ("fit and condition", "o-", [c.fit for c in costs]),
        (f"predict {costs[0].candidates:,}", "s-", [c.predict for c in costs]),
        (f"select {BATCH} from {POOL:,}", "^-", [c.select for c in costs]),
    ):
        axes.plot(n, values, style, ms=5, lw=1.5, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(n, [f"{size:,}" for size in n])
    axes.set_yticks(ticks := [1, 2, 5, 10, 20, 50, 100], [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.axvline(2000, color="#999999", lw=1, ls=":")
    axes.annotate("exact variances  ", (2000, axes.get_ylim()[0]), ha="right", va="bottom")
    axes.annotate("  rank 256", (2000, axes.get_ylim()[0]), va="bottom")
    axes.set_xlabel("observations")
    axes.set_ylabel("CPU seconds, one thread")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    typer.run(main)
