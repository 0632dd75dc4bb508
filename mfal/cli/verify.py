"""Verification for a person at a terminal, or for a program that reads JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from mfal import registry
from mfal.errors import ConfigError
from mfal.gfn.policy import PolicySettings
from mfal.gfn.train import TrainSettings
from mfal.progress import training_line
from mfal.sections import Component
from mfal.verification.exercises import Exercise
from mfal.verification.verdict import check_picture, draw_verdict, show_verdict
from mfal.verification.verify import fresh_per_step, verify
from mfal.yaml_file import apply_overrides


def verify_in_terminal(
    name: str,
    changes: Sequence[str] = (),
    *,
    trajectories: int | None = None,
    seed: int = 0,
    random_actions: float = 0.1,
    plot: Path | None = None,
    as_json: bool = False,
) -> None:
    """Train on the exercise called `name` and show how close it came.

    Args:
        changes: Of the recipe and the network, such as ``train.loss=tb``, ``policy.hidden=64``.
        trajectories: Fresh ones to train on; the exercise's own number where None.
        plot: Also draw the verdict into this file.
        as_json: Print JSON instead of tables.
    """
    # Steps are small products: threads that wait for each other cost twice the processor time on
    # an idle machine, and twenty times the wall time on a busy one.
    torch.set_num_threads(1)
    exercise = registry.build("exercise", Component(name=name))
    if not isinstance(exercise, Exercise):
        raise ConfigError(
            f"exercise {name!r} gives a {type(exercise).__name__}",
            "its function returns a mfal.verification.exercises.Exercise",
        )
    settings, policy = settings_of(changes)
    if plot is not None:
        check_picture(plot)
    wanted = exercise.trajectories if trajectories is None else trajectories
    settings = replace(settings, steps=math.ceil(wanted / fresh_per_step(settings)))
    console = Console(stderr=as_json, markup=False)
    watched = console.is_terminal
    with Progress(console=console, transient=True, disable=not watched) as progress:
        bar = progress.add_task("training", total=settings.steps)
        verdict = verify(
            exercise,
            settings,
            policy=policy,
            seed=seed,
            random_actions=random_actions,
            on_step=lambda m: progress.update(bar, completed=m.step, description=training_line(m)),
        )
    if plot is not None:
        draw_verdict(verdict, plot)
    if as_json:
        print(json.dumps(verdict.summary(), indent=2))  # noqa: T201 - this is the output
    else:
        show_verdict(console, verdict)


def settings_of(changes: Sequence[str]) -> tuple[TrainSettings, PolicySettings]:
    """The recipe and the network after `changes`.

    Raises:
        ConfigError: for a section or setting that does not exist, or a value out of range.
    """
    data: dict[str, Any] = {}
    apply_overrides(data, changes)
    odd = sorted(set(data) - {"train", "policy"})
    if odd:
        raise ConfigError(f"there is no section {odd[0]!r}", "changes start with train. or policy.")
    plain = next((name for name in data if not isinstance(data[name], dict)), None)
    if plain is not None:
        raise ConfigError(
            f"{plain}: {data[plain]!r} is no section", f"set one of its fields: {plain}.NAME=VALUE"
        )
    if "steps" in data.get("train", {}):
        raise ConfigError("train.steps follows from the trajectories", "set --trajectories")
    train: TrainSettings = registry.checked("train", data.get("train", {}), TrainSettings)
    policy: PolicySettings = registry.checked("policy", data.get("policy", {}), PolicySettings)
    return train, policy
