"""Campaigns over a fixed pool against single-fidelity rivals: ``python -m tests.benchmarks.pool``.

Every method runs through the same rounds of the product, on the same pools, with the same budget
and an initial design of the same cost. Each campaign that ends is written into docs/pool.json, and
a run that was cut short goes on from there. Writes docs/pool.md and docs/pool.png.
"""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from torch import Tensor

from mfal import learn
from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.learn import Fitted
from mfal.metrics import curve
from mfal.reference import reference_keys
from mfal.round import Steps, run_rounds
from tests.benchmarks import machine, pool_page
from tests.problems import dna_ladder

POOL = 5000
RECOMMENDED, MEASURED = 50, 10
TARGET = dna_ladder.LadderOracle.fidelities[-1]
PROBLEM = f"{Path(dna_ladder.__file__).resolve()}:problem"


@dataclass(frozen=True)
class Ladder:
    """Costs of the three rungs, and what a campaign may spend on them."""

    costs: tuple[float, float, float]
    round: float  # also what the initial design costs
    total: float


LADDERS = {
    "1/3/7": Ladder((1, 3, 7), 140, 1400),
    "1/10/100": Ladder((1, 10, 100), 1500, 9000),
}
SINGLE: dict[str, Any] = {"fidelities": [TARGET.name]}
MULTI = "multi-fidelity (default)"
RANDOM = "random"
UCB = {"name": "ucb", "options": {"beta": 2.0}}
# The changes of the default configuration that make each method.
RIVALS: dict[str, dict[str, Any]] = {
    RANDOM: SINGLE,
    "single-fidelity EI": SINGLE | {"acquisition": "ei"},
    "single-fidelity UCB": SINGLE | {"acquisition": UCB},
    "single-fidelity GIBBON": SINGLE,
}
METHODS: dict[str, dict[str, Any]] = RIVALS | {MULTI: {}}
# Other acquisitions in the multi-fidelity default, on one ladder.
ACQUISITIONS: dict[str, dict[str, Any]] = {
    "multi-fidelity mes": {"acquisition": "mes"},
    "multi-fidelity ucb": {"acquisition": UCB},
    "multi-fidelity ei": {"acquisition": "ei"},
    "multi-fidelity thompson": {"acquisition": "thompson"},
}
ACQUISITION_LADDER, ACQUISITION_SEEDS = "1/3/7", 3


@dataclass(frozen=True)
class Point:
    """What a campaign had after a round.

    Attributes:
        cost: Spent so far, the initial design included.
        queries: Answers so far, by rising fidelity.
        recommended: Mean true value of the candidates with the best posterior means.
        measured: Mean of the best values measured at the target.
    """

    cost: float
    queries: tuple[int, ...]
    recommended: float
    measured: float


def main(
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.")] = 5,
    only: Annotated[str, typer.Option(help="Only methods with this in their name.")] = "",
    docs: Annotated[Path, typer.Option(help="Folder of page, picture and figures.")] = Path("docs"),
) -> None:
    """Run what docs/pool.json does not hold yet, and write the page."""
    console, path = Console(), docs / "pool.json"
    done: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for ladder, method, seed in plan(seeds):
        name = f"{ladder} | {method} | {seed}"
        if name in done or only not in method:
            continue
        points = run(LADDERS[ladder], (METHODS | ACQUISITIONS)[method], method == RANDOM, seed)
        done[name] = {
            "ladder": ladder,
            "method": method,
            "seed": seed,
            "points": [asdict(point) for point in points],
        }
        path.write_text(json.dumps(done, indent=1, sort_keys=True) + "\n")
        last = points[-1]
        console.print(f"{name}: recommended {last.recommended:.2f}, measured {last.measured:.2f}")
    pool_page.write(list(done.values()), MULTI, list(RIVALS), docs, machine.describe())


def plan(seeds: int) -> list[tuple[str, str, int]]:
    """All campaigns as (ladder, method, seed): a seed of all rivals before the next."""
    rivals = [
        (ladder, method, seed) for seed in range(seeds) for ladder in LADDERS for method in METHODS
    ]
    others = [
        (ACQUISITION_LADDER, method, seed)
        for seed in range(min(seeds, ACQUISITION_SEEDS))
        for method in ACQUISITIONS
    ]
    return rivals + others


def run(ladder: Ladder, changes: dict[str, Any], is_random: bool, seed: int) -> list[Point]:
    """One campaign to the end of its budget."""
    keys = dna_ladder.make_pool(POOL, seed)
    answers = dna_ladder.LadderOracle().evaluate(keys, TARGET)
    truth = torch.tensor([a.values[0] for a in answers if a.values], dtype=torch.float64)
    points: list[Point] = []

    def fit(campaign: Campaign, seed: int) -> Fitted:
        fitted = learn.fit(campaign, seed)
        points.append(look(campaign, fitted, keys, truth))
        return Fitted(fitted.data, fallback="random on purpose") if is_random else fitted

    with tempfile.TemporaryDirectory() as folder:
        config = settings(Path(folder), keys, ladder, changes, seed)
        with open_campaign(config) as campaign:
            run_rounds(campaign, None, steps=Steps(fit=fit))
            fit(campaign, seed)  # a round fits before it asks: this is after the last
    return points


def settings(
    folder: Path, keys: list[str], ladder: Ladder, changes: dict[str, Any], seed: int
) -> CampaignConfig:
    """The product's defaults over a pool in `folder`, changed for one method."""
    (folder / "pool.txt").write_text("\n".join(keys))
    names = [f.name for f in dna_ladder.LadderOracle.fidelities]
    defaults = {
        "name": "pool",
        "problem": PROBLEM,
        "costs": dict(zip(names, ladder.costs, strict=True)),
        "seed": seed,
        "budget": {"total": ladder.total},
        "initial": {"share": ladder.round / ladder.total},
        "batch": {"cost": ladder.round},
        "features": [{"name": "kmers", "options": {"alphabet": "ACGT", "k": 4}}],
        "sampler": {"name": "pool", "options": {"file": str(folder / "pool.txt")}},
        "top_k": RECOMMENDED,
        "data_dir": str(folder),
    }
    return parse_config(defaults | changes)


def look(campaign: Campaign, fitted: Fitted, keys: list[str], truth: Tensor) -> Point:
    """What the campaign has found, by the posterior of its own surrogate."""
    if fitted.surrogate is None or fitted.reward is None:
        raise RuntimeError(f"no surrogate to recommend by: {fitted.fallback}")
    # The pool in the order of the round's reference, about which the surrogate was asked before;
    # every acquisition that comes with the product holds the surrogate that remembers.
    order = reference_keys(campaign, fitted.surrogate, fitted.data, 0)
    acquisition: Any = fitted.reward.acquisition
    moments = acquisition.surrogate.joint(campaign.features(order), fitted.candidate(order))
    mean = moments.mean[:, -1]
    place = {key: i for i, key in enumerate(keys)}
    best = [place[order[i]] for i in mean.topk(RECOMMENDED).indices.tolist()]
    observations = campaign.store.observations()
    last = curve(observations, TARGET.name, campaign.objective, MEASURED)[-1]
    counts = [sum(o.query.fidelity == f.name for o in observations) for f in campaign.ladder]
    return Point(last.cost, tuple(counts), float(truth[best].mean()), last.top_k)


if __name__ == "__main__":
    typer.run(main)
