"""What each choice of the training recipe is worth: ``python -m tests.benchmarks.ablation``.

Changes the defaults one at a time, on problems whose answer is known exactly, at an equal
number of fresh trajectories. Writes docs/ablations.md and docs/ablations.json.
"""

import json
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mfal.envs.sequence import SequenceEnvironment
from mfal.gfn.agent import Agent
from mfal.gfn.losses import residual
from mfal.gfn.policy import PolicySettings, make_policy
from mfal.gfn.rollout import rollout
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import Trainer
from mfal.verification import exercises
from mfal.verification.exercises import Exercise
from mfal.verification.verify import fresh_per_step, verify
from tests.benchmarks import machine, report

LONG = 30  # Letters of the sequences that are too many to enumerate.
SCALE = 0.7

PROBLEMS: dict[str, tuple[str, int]] = {
    # Name: what is told, and fresh trajectories.
    "tetris_4x4": ("TV", 16_000),
    "dna6": ("TV", 8_000),
    "hypergrid": ("TV", 16_000),
    "sparse_hypergrid": ("TV", 16_000),
    "dna30": ("KL", 19_200),
}

Change = dict[str, Any]
VARIANTS: dict[str, Change] = {
    "defaults": {},
    "batch 16": {"batch_size": 16},
    "batch 32": {"batch_size": 32},
    "batch 128": {"batch_size": 128},
    "batch 128, rate 0.01": {"batch_size": 128, "learning_rate": 1e-2},
    "rate 0.001": {"learning_rate": 1e-3},
    "rate 0.003": {"learning_rate": 3e-3},
    "rate 0.01": {"learning_rate": 1e-2},
    "no cooldown": {"cooldown": 0.0},
    "cooldown 0.5": {"cooldown": 0.5},
    "tb": {"loss": "tb"},
    "db": {"loss": "db"},
    "subtb, λ 0.9": {"loss": "subtb"},
    "fm": {"loss": "fm"},
    "learnt backward": {"backward": "learnt"},
    "ε 0": {"epsilon": 0.0},
    "ε 0.01": {"epsilon": 0.01},
    "ε 0.2": {"epsilon": 0.2},
    "temperature 2": {"temperature": 2.0},
    "no replay": {"replay_share": 0.0},
    "replay 0.75": {"replay_share": 0.75},
    "prioritised replay": {"replay": "prioritised"},
    "no guidance": {"guided_every": 0},
    "local search": {"guide": "local"},
    "neither replay nor guidance": {"replay_share": 0.0, "guided_every": 0},
    "gru": {"policy": {"kind": "gru"}},
}

SETTING = """One choice of the defaults is changed at a time; every run gets the same number of
fresh trajectories (replay and guided proposals come on top). Figures are the mean over the
seeds and, in parentheses, the worst. TV: total variation between what the policy samples,
computed exactly, and the target. Modes: how many of the 16 of the sparse hypergrid the worst
seed gives at least half of their probability. KL: Kullback-Leibler divergence, in nats, of
what the policy samples to the target, whose log Z a transfer matrix gives. The default is in
the first row; lower is better."""


def main(
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.")] = 5,
    processes: Annotated[int, typer.Option(help="How many at once.")] = 2,
    only: Annotated[str, typer.Option(help="Variants to run, with commas between.")] = "",
    docs: Annotated[Path | None, typer.Option(help="Write here instead of docs/.")] = None,
) -> None:
    """Run every variant on every problem, print the table and write it down."""
    chosen = [name for name in VARIANTS if not only or name in only.split(",")]
    cells = [(v, p) for v in chosen for p in PROBLEMS if fits(VARIANTS[v], p)]
    jobs = [(v, p, seed) for v, p in cells for seed in range(seeds)]
    console = Console()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        done = list(
            track(pool.map(run, *zip(*jobs, strict=True)), "training", len(jobs), console=console)
        )
    results: dict[str, dict[str, list[dict[str, float]]]] = {v: {} for v in chosen}
    for (variant, problem, _), figures in zip(jobs, done, strict=True):
        results[variant].setdefault(problem, []).append(figures)
    header = ["variant", *(f"{p}, {told}" for p, (told, _) in PROBLEMS.items()), "modes", "CPU s"]
    rows = [row(v, results[v]) for v in chosen]
    shown = Table(title="The training recipe, one change at a time", title_justify="left")
    for i, column in enumerate(header):
        shown.add_column(column, justify="right" if i else "left")
    for cells_ in rows:
        shown.add_row(*cells_)
    console.print(shown)
    if not only or docs is not None:
        write(header, rows, results, seeds, docs or report.DOCS)


def fits(change: Change, problem: str) -> bool:
    """Whether a variant makes sense for a problem."""
    return "policy" not in change or problem.startswith("dna")


def run(variant: str, problem: str, seed: int) -> dict[str, float]:
    """Train once; the distance to the target and what it took."""
    torch.set_num_threads(1)
    change = dict(VARIANTS[variant])
    policy = PolicySettings(**change.pop("policy", {}))
    settings = TrainSettings(report_every=1_000_000, **change)
    steps = max(1, round(PROBLEMS[problem][1] / fresh_per_step(settings)))
    settings = replace(settings, steps=steps)
    if problem == "dna30":
        return run_long(settings, policy, seed)
    exercise: Exercise = getattr(exercises, problem)()
    verdict = verify(exercise, settings, policy=policy, seed=seed)
    return {
        "distance": verdict.total_variation,
        "log_z_error": abs(verdict.log_z - verdict.exact_log_z),
        "modes_found": verdict.modes_found,
        "modes_learnt": verdict.modes_learnt,
        "cpu_s": verdict.seconds,
    }


def run_long(settings: TrainSettings, policy: PolicySettings, seed: int) -> dict[str, float]:
    """Sequences too many to enumerate: log Z by a transfer matrix, KL from samples."""
    import time

    environment = SequenceEnvironment(alphabet="ACGT", length=LONG)
    log_reward, heads = exercises.potts(environment, SCALE), settings.heads(environment)
    generator = torch.Generator().manual_seed(seed)
    agent = Agent(environment, make_policy(policy, environment, heads, generator), heads)
    trainer = Trainer(agent, lambda states, _: log_reward(states), settings, seed=seed)
    began = time.process_time()
    trainer.run()
    seconds = time.process_time() - began
    with torch.no_grad():
        drawn = rollout(agent, agent.start(4000), torch.Generator().manual_seed(1))
    ratio = residual(drawn, log_reward(drawn.final)).double()
    return {"distance": float(ratio.mean()) + potts_log_z(LONG, SCALE), "cpu_s": seconds}


def potts_log_z(length: int, scale: float) -> float:
    """Log Z of `exercises.potts`, letter by letter from the left."""
    fields, couplings = exercises.potts_tables(length, 4)
    sums = scale * fields[0]
    for place in range(1, length):
        along = sums[:, None] + scale * couplings[place - 1]
        sums = along.logsumexp(dim=0) + scale * fields[place]
    return float(sums.logsumexp(dim=0))


def row(variant: str, results: dict[str, list[dict[str, float]]]) -> list[str]:
    """A line of the table."""
    cells = [variant]
    for problem in PROBLEMS:
        distances = [r["distance"] for r in results.get(problem, [])]
        cells.append(
            f"{statistics.mean(distances):.3f} ({max(distances):.3f})" if distances else "-"
        )
    sparse = results.get("sparse_hypergrid", [])
    cells.append(f"{min(r['modes_learnt'] for r in sparse):.0f}" if sparse else "-")
    seconds = [statistics.mean(r["cpu_s"] for r in runs) for runs in results.values()]
    cells.append(f"{sum(seconds):.0f}")
    return cells


def write(
    header: list[str],
    rows: list[list[str]],
    results: dict[str, Any],
    seeds: int,
    folder: Path,
) -> None:
    """The page and its figures."""
    described = machine.describe()
    trajectories = ", ".join(f"{p} {n:,}" for p, (_, n) in PROBLEMS.items())
    parts = [
        "# Why the training recipe is what it is",
        "Written by `python -m tests.benchmarks.ablation`; raw figures in `ablations.json`.",
        SETTING,
        f"{seeds} seeds. Fresh trajectories: {trajectories}. CPU seconds of training are summed "
        f"over the problems. {machine.sentence(described)}",
        report.table(header, rows),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ablations.md").write_text("\n\n".join(parts) + "\n")
    data = {"machine": described, "variants": VARIANTS, "results": results}
    (folder / "ablations.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
