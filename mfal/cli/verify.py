"""Verification for a person at a terminal, for a program that reads JSON, and as a picture."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from mfal import registry
from mfal.errors import ConfigError
from mfal.gfn.policy import PolicySettings
from mfal.gfn.settings import TrainSettings
from mfal.progress import training_line
from mfal.report.canvas import (
    COLOURS,
    GREY,
    add_legend,
    check_picture,
    name_axes,
    panels,
    to_bytes,
)
from mfal.sections import Component
from mfal.verification.exercises import Exercise
from mfal.verification.verify import Verdict, fresh_per_step, verify
from mfal.yaml_file import apply_overrides

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_MODES = 24
BAR = 24


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


def show_verdict(console: Console, verdict: Verdict) -> None:
    """What was trained, how far it is from the target, and the probability of each mode."""
    settings = verdict.settings
    console.print(verdict.exercise, style="bold")
    console.print(
        f"{settings['loss']}, {settings['backward']} backward policy, seed {verdict.seed}: "
        f"{verdict.trajectories:,} fresh trajectories in {settings['steps']:,} steps, "
        f"ε {settings['epsilon']:g}, {verdict.rewards_asked:,} rewards, "
        f"{verdict.seconds:.1f} s of CPU",
    )
    console.print(_figures(verdict))
    console.print(_modes(verdict))


def _figures(verdict: Verdict) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(("", "learnt", "exact", "difference")):
        table.add_column(column, justify="right" if i else "left")
    learnt, exact, n_modes = verdict.mode_share, verdict.exact_mode_share, sum(verdict.is_mode)
    noisy = f"  with {verdict.random_actions:.0%} random actions"
    sample_size = verdict.history[-1].effective_sample_size
    for row in (
        ("log Z", *_with_difference(verdict.log_z, verdict.exact_log_z, "", 4)),
        ("share of the modes", *_with_difference(100 * learnt, 100 * exact, " %", 2)),
        (noisy, _percent(verdict.mode_share_with_random_actions)),
        ("modes found in training", str(verdict.modes_found), str(n_modes)),
        ("modes with their probability", str(verdict.modes_learnt), str(n_modes)),
        ("total variation", f"{verdict.total_variation:.5f}", "0"),
        ("Jensen-Shannon (nats)", f"{verdict.jensen_shannon:.6f}", "0"),
        ("effective sample size", _percent(sample_size), "100 %"),
    ):
        table.add_row(*row)
    return table


def _with_difference(learnt: float, exact: float, unit: str, digits: int) -> list[str]:
    difference = round(learnt - exact, digits) + 0.0  # no negative zero
    return [*(f"{v:.{digits}f}{unit}" for v in (learnt, exact)), f"{difference:+.{digits}f}{unit}"]


def _modes(verdict: Verdict) -> Table:
    """A row per mode: its probability, and a bar that reaches the mark where it is right."""
    modes = sorted(verdict.modes(), key=lambda mode: -mode[2])
    title = f"{len(modes)} modes of {len(verdict.keys):,} candidates"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for i, column in enumerate(("mode", "learnt", "exact", "learnt / exact")):
        table.add_column(column, justify="right" if i in (1, 2) else "left", no_wrap=i == 0)
    for key, learnt, exact in modes[:MOST_MODES]:
        table.add_row(Text(key), _percent(learnt), _percent(exact), _bar(learnt / exact))
    if len(modes) > MOST_MODES:
        table.add_row(f"and {len(modes) - MOST_MODES} more")
    return table


def _bar(ratio: float) -> Text:
    """Half the width where the ratio is 1."""
    half = BAR // 2
    length = min(BAR, round(ratio * half))
    cells = ["█" if i < length else " " for i in range(BAR)]
    cells[half - 1] = "▌" if length < half else cells[half - 1]
    bar = Text("".join(cells), style="cyan")
    return bar.append(f" {ratio:.2f}", style="default")


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def draw_verdict(verdict: Verdict, path: Path) -> None:
    """Probabilities learnt against exact, and the losses of training, as PNG, SVG or PDF."""
    figure, (left, right) = panels(2, above=0.6)
    figure.suptitle(verdict.exercise, x=0.01, ha="left", fontsize=10)
    _draw_probabilities(left, verdict)
    _draw_losses(right, verdict)
    path.write_bytes(to_bytes(figure, path.suffix.removeprefix(".")))


def _draw_probabilities(axes: "Axes", verdict: Verdict) -> None:
    pairs = list(zip(verdict.target, verdict.learnt, verdict.is_mode, strict=True))
    positive = [v for exact, learnt, _ in pairs for v in (exact, learnt) if v > 0]
    ends = (min(positive) / 2, max(positive) * 2)
    axes.plot(ends, ends, color=GREY, lw=1, zorder=0)
    for modes, colour, size, label in (
        (False, COLOURS[0], 8, "candidates"),
        (True, COLOURS[5], 24, "modes"),
    ):
        points = [(exact, learnt) for exact, learnt, mode in pairs if mode == modes]
        if points:
            exact, learnt = zip(*points, strict=True)
            axes.scatter(exact, learnt, s=size, color=colour, lw=0, alpha=0.6, label=label)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    title = f"total variation {verdict.total_variation:.4f}; the line is the target"
    x, y = "exact probability, reward over Z", "probability under the trained policy"
    name_axes(axes, title, x, y)
    add_legend(axes)


def _draw_losses(axes: "Axes", verdict: Verdict) -> None:
    steps = [m.step for m in verdict.history]
    for colour, label, values in (
        (COLOURS[0], "training", [m.loss for m in verdict.history]),
        (COLOURS[5], "validation", [m.validation_loss for m in verdict.history]),
    ):
        axes.plot(steps, values, color=colour, lw=1, label=label)
    axes.set_yscale("log")
    title = f"log Z {verdict.log_z:.4f}, exact {verdict.exact_log_z:.4f}"
    name_axes(axes, title, "gradient step", f"loss ({verdict.settings['loss']})")
    add_legend(axes)
