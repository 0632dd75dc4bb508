"""Acquisitions beside BoTorch's: ``python -m tests.benchmarks.acquisition``.

One thread, CPU seconds, one run: the same surrogate, candidates and max-values for all.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mfal.acquisition.gibbon import Gibbon
from mfal.acquisition.mes import MaxValueEntropy
from mfal.acquisition.negentropy import log_negentropy
from mfal.dataset import Dataset
from mfal.surrogate.gp import MultiFidelityGP
from tests.benchmarks import machine, report

OBSERVATIONS, FIDELITIES, MAX_VALUES = 300, 3, 16
OURS, THEIRS, BATCH = 20_000, 300, 10
"""Candidates that ours and BoTorch's are asked about, and how many BoTorch is given at a time."""

HEADER = ["acquisition", "CPU s", "candidates/s", "times BoTorch", "largest difference (nats)"]


def main(n: int = OBSERVATIONS) -> None:
    """Measure, print the table and write it down."""
    torch.set_num_threads(1)
    data = make_data(n)
    surrogate = MultiFidelityGP().fit(data, seed=0)
    places = torch.arange(len(data.keys))
    gibbon = Gibbon(surrogate, data.features, places, n_max_values=MAX_VALUES, seed=0)
    mes = MaxValueEntropy(surrogate, data.features, places, n_max_values=MAX_VALUES, seed=0)
    new = counts(OURS, seed=1)
    theirs, reference = seconds(lambda: botorch_gibbon(surrogate, gibbon, new[:THEIRS]))
    built, _ = seconds(lambda: log_negentropy(torch.zeros(1, 1), torch.zeros(1, 1)))
    rows = [("BoTorch GIBBON", theirs, THEIRS, 0.0)]
    for name, acquisition in (("GIBBON", gibbon), ("exact (`mes`)", mes)):
        acquisition.log(new[:1000])
        taken, worth = seconds(lambda a=acquisition: a.log(new).exp())  # type: ignore[misc]
        difference = float((worth[:THEIRS] - reference).abs().max())
        rows.append((name, taken, OURS, difference))
    speed = THEIRS / theirs
    cells = [
        [name, f"{taken:.2f}", f"{m / taken:,.0f}", f"{m / taken / speed:,.0f}", f"{off:.1e}"]
        for name, taken, m, off in rows
    ]
    shown = Table(title="Acquisition of a candidate at all fidelities", title_justify="left")
    for column in HEADER:
        shown.add_column(column, justify="right")
    for row in cells:
        shown.add_row(*row)
    Console().print(shown)
    described = machine.describe()
    text = (
        f"A coregionalised process of {FIDELITIES} fidelities conditioned on {n} observations of "
        f"340 counts, {MAX_VALUES} max-values, one thread, float64; CPU seconds for {OURS:,} "
        f"candidates (BoTorch: {THEIRS}) at all fidelities, the surrogate's moments included. "
        f"BoTorch's `qMultiFidelityLowerBoundMaxValueEntropy` is given {BATCH} candidates at a "
        f"time. The table of the exact information is made once in a process, in {built:.1f} s. "
        "The exact information differs from GIBBON, its lower bound, by what the bound leaves out."
    )
    parts = ["## Acquisition", text, machine.sentence(described), report.table(HEADER, cells)]
    figures: dict[str, Any] = {
        "machine": described,
        "versions": machine.versions("torch", "botorch", "gpytorch"),
        "observations": n,
        "table_seconds": built,
        "rows": rows,
    }
    report.section("acquisition", "\n\n".join(parts), figures)


def counts(n: int, *, seed: int) -> Tensor:
    """Features like those of short words: sparse counts, ``n x 340``."""
    generator = torch.Generator().manual_seed(seed)
    rate = torch.full((n, 340), 0.3, dtype=torch.float64)
    return torch.poisson(rate, generator=generator)


def make_data(n: int) -> Dataset:
    """Nested answers at three fidelities, half of them at the cheapest."""
    n_candidates = n * 4 // 7
    features = counts(n_candidates, seed=0)
    generator = torch.Generator().manual_seed(0)
    slope = torch.randn(340, generator=generator, dtype=torch.float64)
    smooth = features @ slope / 10
    asked = [n_candidates, n_candidates // 2, n - n_candidates - n_candidates // 2]
    candidate = torch.cat([torch.arange(m) for m in asked])
    fidelity = torch.repeat_interleave(torch.arange(FIDELITIES), torch.tensor(asked))
    own = torch.randn(len(candidate), generator=generator, dtype=torch.float64)
    utility = smooth[candidate] + 0.3 * (FIDELITIES - 1 - fidelity) * own
    keys = tuple(str(i) for i in range(n_candidates))
    return Dataset(keys, features, candidate, fidelity, utility, FIDELITIES)


def botorch_gibbon(surrogate: MultiFidelityGP, ours: Gibbon, features: Tensor) -> Tensor:
    """BoTorch's number at every fidelity, ``n x M``, for the max-values of `ours`."""
    from botorch.acquisition.cost_aware import InverseCostWeightedUtility
    from botorch.acquisition.max_value_entropy_search import (
        qMultiFidelityLowerBoundMaxValueEntropy,
    )
    from botorch.models.deterministic import GenericDeterministicModel

    def project(inputs: Tensor) -> Tensor:
        return torch.cat([inputs[..., :-1], torch.full_like(inputs[..., -1:], FIDELITIES - 1)], -1)

    def at(rung: int) -> Tensor:
        ids = torch.arange(len(features), dtype=torch.float64)[:, None] + 10_000
        return torch.cat([features, ids, torch.full_like(ids, rung)], dim=1)

    free = GenericDeterministicModel(lambda x: torch.ones_like(x[..., :1]))
    acquisition = qMultiFidelityLowerBoundMaxValueEntropy(
        surrogate.to_botorch(),
        candidate_set=at(FIDELITIES - 1)[:10],
        cost_aware_utility=InverseCostWeightedUtility(free),
        project=project,
    )
    acquisition.posterior_max_values = ours.max_values[:, None]
    columns = []
    with torch.no_grad():
        for rung in range(FIDELITIES):
            parts = at(rung)[:, None, :].split(BATCH)
            columns.append(torch.cat([acquisition(part) for part in parts]))
    return torch.stack(columns, dim=1)


def seconds(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """CPU seconds that `work` takes, and what it returns."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


if __name__ == "__main__":
    typer.run(main)
