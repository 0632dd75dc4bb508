"""The joint predictor beside GPyTorch's posterior: ``python -m tests.benchmarks.prediction``.

One thread, CPU seconds, one run: the same process, written with GPyTorch's kernels.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
import typer
from gpytorch.settings import fast_pred_var
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mfal.surrogate.gp import MultiFidelityGP
from tests.benchmarks import machine, report
from tests.benchmarks.acquisition import FIDELITIES, counts, make_data

OBSERVATIONS = 2000
OURS = 4096
BATCHES = (250, 500, 1000)
"""Candidates that GPyTorch is given at a time; the fastest counts."""

EVERY, TARGET = "every fidelity", "target alone"
HEADER = ["moments", "candidates/s", "times GPyTorch", "times GPyTorch at the target", "difference"]

Moments = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Measured:
    """A predictor, what it was asked for, candidates a second, and how far its variances are off.

    Attributes:
        off: Largest relative difference of a variance from ours in float64.
    """

    name: str
    moments: str
    rate: float
    off: float | None


def main(n: int = OBSERVATIONS) -> None:
    """Measure, print the table and write it down."""
    torch.set_num_threads(1)
    surrogate = MultiFidelityGP(max_fit_points=300, max_steps=20).fit(make_data(n), seed=0)
    model = surrogate.to_botorch()
    every, target = tuple(range(FIDELITIES)), (FIDELITIES - 1,)
    exact = surrogate.joint(counts(BATCHES[0], seed=2)).variance
    measured = []
    for name, caching in (("GPyTorch", False), ("GPyTorch, fast_pred_var", True)):
        for told, rungs in ((EVERY, every), (TARGET, target)):
            with fast_pred_var(caching):
                rate, variance = fastest(lambda x: gpytorch_moments(model, x, rungs))  # noqa: B023
            off = float((variance / exact[:, list(rungs)] - 1).abs().max())
            measured.append(Measured(name, told, rate, off))
    new, places = counts(OURS, seed=1), torch.full((OURS,), -1)
    for precision in (torch.float64, torch.float32):
        predictor = surrogate.posterior.predictor.to(precision)
        taken = min(seconds(lambda: predictor.joint(new, places)) for _ in range(3))  # noqa: B023
        few = counts(BATCHES[0], seed=2)
        off = float((predictor.joint(few, places[: len(few)]).variance / exact - 1).abs().max())
        name = f"ours, {str(precision).removeprefix('torch.')}"
        measured.append(Measured(name, EVERY, OURS / taken, off))
    write(n, measured)


def gpytorch_moments(model: torch.nn.Module, features: Tensor, rungs: Sequence[int]) -> Moments:
    """Mean, variance and covariance with the target at `rungs`, ``n x m`` each."""
    n, m = len(features), len(rungs)
    ids = torch.arange(n, dtype=torch.float64)[:, None] + 10_000
    inputs = torch.cat([torch.cat([features, ids, torch.full_like(ids, r)], 1) for r in rungs])
    posterior = model(inputs)
    if m == 1:
        variance = posterior.variance[:, None]
        return posterior.mean[:, None], variance, variance
    blocks = posterior.covariance_matrix.view(m, n, m, n).diagonal(dim1=1, dim2=3)
    return posterior.mean.view(m, n).T, blocks.diagonal(), blocks[:, -1].T


@torch.no_grad()
def fastest(moments: Callable[[Tensor], Moments]) -> tuple[float, Tensor]:
    """Candidates a second at the best size of a batch, and the variances of the smallest."""
    rates, variances = [], []
    for batch in BATCHES:
        features = counts(batch, seed=2)
        variances.append(moments(features)[1])
        taken = min(seconds(lambda: moments(features)) for _ in range(2))  # noqa: B023
        rates.append(batch / taken)
    return max(rates), variances[0]


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds that `work` takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def write(n: int, measured: list[Measured]) -> None:
    """The table on the terminal and in docs/."""
    base = {m.moments: m.rate for m in measured if m.name == "GPyTorch"}
    cells = [
        [
            f"{m.name}, {m.moments}",
            f"{m.rate:,.0f}",
            *(f"{m.rate / base[told]:.1f}" for told in (EVERY, TARGET)),
            "-" if m.off is None else f"{m.off:.0e}",
        ]
        for m in measured
    ]
    shown = Table(title=f"Moments at {n:,} observations", title_justify="left")
    for i, column in enumerate(HEADER):
        shown.add_column(column, justify="right" if i else "left")
    for line in cells:
        shown.add_row(*line)
    Console().print(shown)
    described = machine.describe()
    text = (
        f"A coregionalised process of {FIDELITIES} fidelities conditioned on {n:,} observations of "
        "340 counts; one thread, CPU seconds of one run. At every fidelity: the mean, the variance "
        "and the covariance with the target of each candidate, which is what `joint` gives. At the "
        "target alone: its mean and variance, of which `joint` gives more. GPyTorch's posterior "
        "is that of the model that `to_botorch` makes, evaluated on batches of "
        f"{', '.join(map(str, BATCHES))} candidates, the fastest counts; its caches are filled "
        "before. With `fast_pred_var` it keeps a root of the inverse covariance. The difference is "
        "the largest relative one of a variance from ours in float64."
    )
    parts = ["## The joint predictor", text, machine.sentence(described)]
    figures = {
        "machine": described,
        "versions": machine.versions("torch", "botorch", "gpytorch"),
        "observations": n,
        "rows": [asdict(m) for m in measured],
    }
    report.section("prediction", "\n\n".join([*parts, report.table(HEADER, cells)]), figures)


if __name__ == "__main__":
    typer.run(main)
