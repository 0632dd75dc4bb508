"""Rounds in a terminal: a live view while they run, tables when they end."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table
from rich.text import Text

from mfal.campaign import Campaign
from mfal.cli.diagnostics import last_diagnosed, rung_table
from mfal.digits import amount, rough, written
from mfal.gfn.base import TrainMetrics
from mfal.metrics import CurvePoint, best, curve, in_order
from mfal.progress import STAGES, Progress, Stage, round_name, training_line
from mfal.reasons import commonest, in_a_line
from mfal.recommend import Recommendation
from mfal.types import Observation

OPENING = "opening the campaign"
BATCH_ROWS = 12
BEST_ROWS = 10
INDENT = 11  # columns before a bar, and before what is said below it
SPARKS = "▁▂▃▄▅▆▇█"


class TerminalProgress(Progress):
    """A live view of the running round: stage, training, oracle calls, cost of budget."""

    def __init__(self, console: Console) -> None:
        self._training, self._bars = _bars(console), _bars(console)
        self._heading = Text(OPENING, style="bold")
        self._metrics = ""
        self._live = Live(self._view(), console=console, refresh_per_second=8)
        self._train = self._training.add_task("train", total=None, note="", visible=False)
        self._score = self._bars.add_task("score", total=None, note="oracle calls", visible=False)
        self._spent = self._bars.add_task("cost", total=None, note="of the budget", visible=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._heading.plain == OPENING:
            self._heading = Text()  # none began
        self._live.update(self._view())
        self._live.stop()
        if not self._live.console.is_terminal:
            self._live.console.print()  # the last view ends without a line break there

    def begin_round(self, number: int, kind: str) -> None:
        """Name the round that starts."""
        self._heading = Text(round_name(number, kind), style="bold")
        self._training.reset(self._train, visible=False)
        self._metrics = ""
        self._bars.reset(self._score, visible=False, note="oracle calls")
        self._refresh()

    def stage(self, stage: Stage) -> None:
        """Mark the stage that runs."""
        name = self._heading.plain.partition("  ")[0]
        marks = [Text(f" {s} ", style="reverse" if s == stage else "dim") for s in STAGES]
        self._heading = Text.assemble((name, "bold"), "  ", *marks)
        self._refresh()

    def train(self, metrics: TrainMetrics) -> None:
        """Show how far training is, and how it goes in a line below."""
        self._training.update(
            self._train, completed=metrics.step, total=metrics.steps, visible=True
        )
        self._metrics = training_line(metrics)
        self._refresh()

    def scored(self, done: int, total: int) -> None:
        """Show how many of the round's queries are answered."""
        self._bars.update(self._score, completed=done, total=total, visible=True)

    def spent(self, cost: float, budget: float) -> None:
        """Show the cost so far."""
        self._bars.update(self._spent, completed=cost, total=budget, visible=True)

    def _refresh(self) -> None:
        self._live.update(self._view())

    def _view(self) -> Group:
        parts: list[RenderableType] = [self._heading, self._training]
        if self._metrics:
            parts.append(Padding(Text(self._metrics), (0, 0, 0, INDENT)))
        return Group(*parts, self._bars)


class _Done(ProgressColumn):
    """How much is done of how much; of a cost, its decimals too."""

    def render(self, task: Task) -> Text:
        total = "?" if task.total is None else amount(task.total)
        done = f"{amount(task.completed):>{len(total)}}/{total}"
        return Text(done, style="progress.download")


def _bars(console: Console) -> Bars:
    """Bars whose columns are as wide as those of any others made here, to stand below them."""
    return Bars(
        TextColumn(f"  {{task.description:<{INDENT - 3}}}", markup=False),
        BarColumn(bar_width=32),
        _Done(table_column=Column(min_width=11)),
        TextColumn("{task.fields[note]}", markup=False, table_column=Column(min_width=13)),
        TimeElapsedColumn(),
        console=console,
    )


def show_rounds(console: Console, campaign: Campaign, numbers: Sequence[int]) -> None:
    """The batches of these rounds, then the campaign's state."""
    observations = campaign.store.observations()
    for number in numbers:
        console.print(batch_table(campaign, [o for o in observations if o.round == number], number))
    show_state(console, campaign)


def show_state(console: Console, campaign: Campaign) -> None:
    """The best candidates, the top-K curve, what is spent, and where the ledger is."""
    observations = campaign.store.observations()
    config, objective = campaign.config, campaign.objective
    leaders = best(observations, campaign.target.name, objective, config.top_k)
    points = curve(observations, campaign.target.name, objective, config.top_k)
    console.print(best_table(campaign, leaders[:BEST_ROWS]))
    rounds = campaign.store.rounds()
    console.print(curve_table(campaign, points, {r.number: r.kind for r in rounds}))
    diagnosed = last_diagnosed(rounds)
    if diagnosed is not None:
        console.print(rung_table(campaign, diagnosed))
    failed = sum(o.outcome.values is None for o in observations)
    console.print(
        f"spent {amount(campaign.store.spent())} of {amount(config.budget.total)} "
        f"on {len(observations)} queries ({failed} failed)"
    )
    if found := commonest(o.outcome for o in observations):
        said = f"the commonest failure ({found[1]} of {failed}): {found[0]}"
        console.print(said, soft_wrap=True, highlight=False)
    level = {f.name: f.level for f in campaign.ladder}
    used = {name: "; ".join(sorted(e)) for name, e in campaign.store.backends().items()}
    rising = sorted(used.items(), key=lambda item: level.get(item[0], 0.0))
    for line in engine_lines(dict(rising)):
        console.print(line)
    console.print(f"ledger: {campaign.store.location}", soft_wrap=True)


def engine_lines(backends: Mapping[str, str]) -> list[str]:
    """Each engine behind the fidelities that share it: ``relaxed, adiabatic: GFN2-xTB``."""
    sharing: dict[str, list[str]] = {}
    for fidelity, engine in backends.items():
        sharing.setdefault(engine, []).append(fidelity)
    return [f"{', '.join(names)}: {engine}" for engine, names in sharing.items()]


def batch_table(campaign: Campaign, batch: Sequence[Observation], number: int) -> Table:
    """What a round bought, the target fidelity first, then by value."""
    objective = campaign.objective
    cost = sum(o.cost for o in batch)
    counts = ", ".join(
        f"{n} {f.name}"
        for f in reversed(campaign.ladder)
        if (n := sum(o.query.fidelity == f.name for o in batch))
    )
    table = Table(title=f"Round {number}: {counts}, cost {amount(cost)}", title_justify="left")
    rows = in_order(batch, campaign.ladder, objective)
    table.add_column("candidate", overflow="fold")
    table.add_column("fidelity", no_wrap=True)
    value = _add_values(table, objective.label, [o.outcome.value for o in rows[:BATCH_ROWS]])
    table.add_column("cost", justify="right", no_wrap=True)
    for o in rows[:BATCH_ROWS]:
        answer = value(o.outcome.value) or f"failed: {in_a_line(o.outcome.error or '')}"
        table.add_row(Text(o.query.key), Text(o.query.fidelity), Text(answer), amount(o.cost))
    if len(rows) > BATCH_ROWS:
        table.add_row(f"and {len(rows) - BATCH_ROWS} more", "", "", "")
    return table


def best_table(campaign: Campaign, leaders: Sequence[Observation]) -> RenderableType:
    """The best candidates measured at the target, each with its drawing in text."""
    target = campaign.target.name
    if not leaders:
        return Text(f"Nothing measured at {target} yet")
    table = Table(title=f"Best {len(leaders)} measured at {target}", title_justify="left")
    table.add_column("candidate", overflow="fold")
    value = _add_values(table, campaign.objective.label, [o.outcome.value for o in leaders])
    table.add_column("round", justify="right", no_wrap=True)
    for o in leaders:
        shown = Text(_with_description(campaign, o.query.key))
        table.add_row(shown, value(o.outcome.value), str(o.round))
    return table


def recommended_table(campaign: Campaign, recommended: Sequence[Recommendation]) -> RenderableType:
    """The candidates with the best posterior means, each with its drawing in text."""
    target, objective = campaign.target.name, campaign.objective
    title = f"Best {len(recommended)} at {target} by the surrogate"
    table = Table(title=title, title_justify="left")
    table.add_column("candidate", overflow="fold")
    expected = _add_values(table, objective.labelled("expected"), [r.mean for r in recommended])
    table.add_column("±", justify="right", no_wrap=True)
    measured = _add_values(table, "measured", [r.measured for r in recommended])
    may_fail = any(r.probability < 1 for r in recommended)
    if may_fail:
        table.add_column("has a value", justify="right", no_wrap=True)
    for r in recommended:
        shown = Text(_with_description(campaign, r.candidate))
        probable = [f"{r.probability:.0%}"] if may_fail else []
        table.add_row(shown, expected(r.mean), rough(r.sd), measured(r.measured), *probable)
    return table


def _with_description(campaign: Campaign, key: str) -> str:
    describe = campaign.problem.describe
    said = describe(key) if describe else ""
    return f"{key}\n{said}" if said else key


def curve_table(
    campaign: Campaign, points: Sequence[CurvePoint], kinds: Mapping[int, str]
) -> Table:
    """The top-K mean against cost, a row per round, with a bar that grows as it improves.

    Args:
        kinds: Number of a round -> its kind.
    """
    objective, k = campaign.objective, campaign.config.top_k
    table = Table(title=f"Top-{k} mean against cost", title_justify="left")
    table.add_column("after", overflow="fold")
    table.add_column("cost", justify="right", no_wrap=True)
    table.add_column(f"measured at {campaign.target.name}", justify="right", overflow="fold")
    value = _add_values(table, objective.labelled(f"top-{k}"), [p.top_k for p in points])
    table.add_column("", no_wrap=True)
    utilities = [p.top_k * objective.sign for p in points if p.top_k is not None]
    for p in points:
        after = round_name(p.round, kinds.get(p.round, "batch"))
        bar = "" if p.top_k is None else _bar(p.top_k * objective.sign, utilities)
        table.add_row(after, amount(p.cost), str(p.n_target), value(p.top_k), bar)
    return table


def _bar(value: float, among: Sequence[float]) -> str:
    low, high = min(among), max(among)
    level = 1.0 if high == low else (value - low) / (high - low)
    return SPARKS[round(level * (len(SPARKS) - 1))]


def _add_values(
    table: Table, heading: str, values: Sequence[float | None]
) -> Callable[[float | None], str]:
    """Add a column of values; returns how to write them.

    In a narrow terminal its heading gives way, and what failed in it: the numbers stay whole.
    """
    value = written(values)
    width = max((len(value(v)) for v in values), default=0)
    table.add_column(heading, justify="right", overflow="fold", min_width=width)
    return value
