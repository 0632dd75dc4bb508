"""A verdict for people: tables for the terminal, and a picture."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mfal.errors import ConfigError
from mfal.verification.verify import Verdict

MOST_MODES = 24
BAR = 24
PICTURES = (".png", ".svg", ".pdf")


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


def check_picture(path: Path) -> None:
    """Raise ConfigError where no picture could be written, and leave nothing there."""
    if path.suffix not in PICTURES:
        raise ConfigError(
            f"cannot draw {path}: unknown ending {path.suffix!r}", f"end in {', '.join(PICTURES)}"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"cannot draw {path}: there is no folder {path.parent}", "create it")
    try:
        if path.exists():
            path.open("ab").close()
        else:
            TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ConfigError(
            f"cannot draw {path}: it cannot be written: {error.strerror}",
            "draw into a folder that may be written",
        ) from error


def draw_verdict(verdict: Verdict, path: Path) -> None:
    """Probabilities learnt against exact, and the losses of training, as PNG, SVG or PDF."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    figure.suptitle(verdict.exercise, x=0.01, ha="left", fontsize=11)
    _draw_probabilities(left, verdict)
    _draw_losses(right, verdict)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


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


def _draw_probabilities(axes: Any, verdict: Verdict) -> None:  # noqa: ANN401
    pairs = list(zip(verdict.target, verdict.learnt, verdict.is_mode, strict=True))
    positive = [v for exact, learnt, _ in pairs for v in (exact, learnt) if v > 0]
    low, high = min(positive) / 2, max(positive) * 2
    axes.plot([low, high], [low, high], color="#999999", lw=1, zorder=0)
    for modes, colour, size, label in (
        (False, "#1b6ca8", 8, "candidates"),
        (True, "#d1495b", 24, "modes"),
    ):
        points = [(exact, learnt) for exact, learnt, mode in pairs if mode == modes]
        if points:
            exact, learnt = zip(*points, strict=True)
            axes.scatter(exact, learnt, s=size, color=colour, lw=0, alpha=0.6, label=label)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel("exact probability, reward over Z")
    axes.set_ylabel("probability under the trained policy")
    _title(axes, f"total variation {verdict.total_variation:.4f}; the line is the target")
    axes.legend(frameon=False, loc="upper left")


def _draw_losses(axes: Any, verdict: Verdict) -> None:  # noqa: ANN401
    steps = [m.step for m in verdict.history]
    for colour, label, values in (
        ("#1b6ca8", "training", [m.loss for m in verdict.history]),
        ("#d1495b", "validation", [m.validation_loss for m in verdict.history]),
    ):
        axes.plot(steps, values, color=colour, lw=1, label=label)
    axes.set(yscale="log", xlabel="gradient step", ylabel=f"loss ({verdict.settings['loss']})")
    _title(axes, f"log Z {verdict.log_z:.4f}, exact {verdict.exact_log_z:.4f}")
    axes.legend(frameon=False)


def _title(axes: Any, text: str) -> None:  # noqa: ANN401
    axes.set_title(text, fontsize=10, loc="left")
