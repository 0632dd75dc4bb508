"""The words of the product: fidelity, objective, query, outcome, observation, problem.

Everything here is frozen and free of torch, so that importing it costs nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from numbers import Real
from typing import TYPE_CHECKING, Literal, Protocol, get_args, runtime_checkable

from mfal.errors import ConfigError

if TYPE_CHECKING:
    from mfal.envs.base import Environment

Goal = Literal["min", "max"]

COLUMNS = frozenset(
    {"round", "candidate", "description", "fidelity", "cost", "seconds", "backend", "error"}
)
"""Of every table of observations, beside a column of each objective's name."""

LONGEST_NAME = 64
"""Letters that a ledger keeps of a fidelity's name."""

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Fidelity:
    """One rung of a problem's ladder.

    Attributes:
        name: What the rung is called in configurations, ledgers and reports.
        cost: Price of one query in campaign units, above zero.
        level: Position on the ladder in (0, 1], unique; 1.0 is the target.
        manual: People measure it: its queries are written to a file, no oracle is called, and
            the campaign waits until the measurements are imported.
    """

    name: str
    cost: float
    level: float
    manual: bool = False

    def __post_init__(self) -> None:
        _check_name("fidelity", self.name)
        if len(self.name) > LONGEST_NAME:
            raise ConfigError(
                f"fidelity {self.name!r}: its name has {len(self.name)} letters",
                f"give it a name of at most {LONGEST_NAME} letters, which every ledger can keep",
            )
        if not _is_number(self.cost) or not self.cost > 0 or self.cost == float("inf"):
            raise ConfigError(
                f"fidelity {self.name!r}: cost is {self.cost!r}",
                "a cost is a finite number above zero, in campaign units",
            )
        if not _is_number(self.level) or not 0 < self.level <= 1:
            raise ConfigError(
                f"fidelity {self.name!r}: level is {self.level!r}",
                "a level lies in (0, 1]; the target fidelity has level 1.0",
            )
        if self.manual and not _FILE_NAME.fullmatch(self.name):
            raise ConfigError(
                f"fidelity {self.name!r} is measured by hand, and its name is part of a file's",
                "use letters, digits, dots, dashes and underscores, e.g. 'assay-2'",
            )


@dataclass(frozen=True, slots=True)
class Objective:
    """One quantity that an oracle returns, its unit, and whether to minimise or maximise it."""

    name: str
    unit: str
    goal: Goal

    def __post_init__(self) -> None:
        _check_name("objective", self.name)
        if not isinstance(self.unit, str):
            raise ConfigError(
                f"objective {self.name!r}: unit is {self.unit!r}",
                "a unit is a text such as 'eV'; '1' where there is none",
            )
        if self.goal not in get_args(Goal):
            raise ConfigError(f"objective {self.name!r}: goal is {self.goal!r}", "write min or max")

    @property
    def sign(self) -> float:
        """Factor that turns a value into a utility, which is always maximised."""
        return -1.0 if self.goal == "min" else 1.0

    @property
    def better(self) -> str:
        """Which way is better, in words."""
        return "lower is better" if self.goal == "min" else "higher is better"

    @property
    def suffix(self) -> str:
        """What follows a value: a space and the unit, nothing where that is 1."""
        return unit_suffix(self.unit)

    @property
    def label(self) -> str:
        """The name, and the unit in parentheses where there is one."""
        return self.labelled(self.name)

    def labelled(self, what: str) -> str:
        """What is in the objective's unit, such as a mean, with the unit as in `label`."""
        return f"{what} ({self.unit})" if self.suffix else what


def aim(objectives: Sequence[Objective]) -> str:
    """Which of these objectives is optimised, which way is better, and which are only recorded."""
    first, *others = objectives
    recorded = f"; recorded and not optimised: {', '.join(o.label for o in others)}"
    return f"{first.label}: {first.better}{recorded if others else ''}"


def unit_suffix(unit: str) -> str:
    """What follows a value in this unit; see `Objective.suffix`."""
    return "" if unit in ("", "1") else f" {unit}"


LARGEST = 1e100
"""Magnitude beyond which a number is no value: the squares that learning sums would overflow."""


@dataclass(frozen=True, slots=True, order=True)
class Query:
    """A candidate (its canonical text, the key) and the name of the fidelity to ask it at."""

    key: str
    fidelity: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an oracle said to a query.

    Attributes:
        values: One number per objective in the objective's unit, or None for a failure.
        error: Why it failed, or None. A failed query is data, and paid for.
        seconds: Wall time the answer took.
    """

    values: tuple[float, ...] | None
    error: str | None
    seconds: float

    def __post_init__(self) -> None:
        if (self.values is None) == (self.error is None):
            raise ValueError("an outcome has either values or an error")

    @property
    def value(self) -> float | None:
        """The number of the first objective, which is optimised; None for a failure."""
        return None if self.values is None else self.values[0]


@dataclass(frozen=True, slots=True)
class Observation:
    """A query with its outcome, as the ledger holds it.

    Attributes:
        cost: What was charged for it, in campaign units.
        backend: The engine that answered, e.g. ``"ViennaRNA 2.8.0 …"``.
    """

    query: Query
    outcome: Outcome
    round: int
    cost: float
    backend: str


@runtime_checkable
class Oracle(Protocol):
    """Answers queries. `evaluate` dispatches on ``fidelity.name``; costs are the campaign's."""

    @property
    def fidelities(self) -> tuple[Fidelity, ...]:
        """The ladder by rising level; the last is the target. Costs are defaults."""
        ...

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The quantities in the order in which `Outcome.values` holds them."""
        ...

    @property
    def backends(self) -> Mapping[str, str]:
        """Name of a fidelity -> the engine that answers it, stored with every outcome."""
        ...

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        """One outcome per key, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """What to search, and whom to ask.

    Attributes:
        name: A short name for reports.
        oracle: The ladder of oracles.
        environment: Builds the environment in which a sampler puts a candidate together.
            A function, so that looking at a problem does not import torch.
        describe: A line of text that shows a candidate next to its key, such as a
            folded structure; None where the key says it all.
        draw: A picture of a candidate as the text of an SVG file, for tables and reports;
            None where there is none.
        similarity: How alike two candidates are, where a campaign names no other measure: a
            name of the registry, ``package.module:attribute`` or ``./file.py:attribute``.
    """

    name: str
    oracle: Oracle
    environment: "Callable[[], Environment]"
    describe: Callable[[str], str] | None = None
    draw: Callable[[str], str] | None = None
    similarity: str = "edit"

    def __post_init__(self) -> None:
        _check_name("problem", self.name)
        what = f"problem {self.name!r}"
        needed = ("fidelities", "objectives", "backends", "evaluate")
        missing = [part for part in needed if not hasattr(self.oracle, part)]
        if missing:
            raise ConfigError(
                f"{what}: its oracle, a {type(self.oracle).__name__}, has no {', '.join(missing)}",
                "put @oracle(...) above a function, or give what mfal.types.Oracle asks for",
            )
        if not callable(self.environment):
            raise ConfigError(
                f"{what}: environment is {self.environment!r}",
                "give a function without arguments that builds the environment",
            )
        check_ladder(self.oracle.fidelities)
        check_objectives(what, self.oracle.objectives)


def check_ladder(fidelities: Sequence[Fidelity]) -> None:
    """Raise ConfigError unless names and levels are unique, levels rise and end at 1.0."""
    _check_kind("the ladder", fidelities, Fidelity)
    names = [f.name for f in fidelities]
    levels = [f.level for f in fidelities]
    if not names or len(set(names)) != len(names):
        raise ConfigError(
            f"the ladder has the fidelities {names}", "name each fidelity once, at least one"
        )
    if levels != sorted(set(levels)) or levels[-1] != 1.0:
        raise ConfigError(
            f"the levels of the ladder are {levels}",
            "levels rise strictly and the last, the target, is 1.0",
        )


def check_objectives(what: str, objectives: Sequence[Objective]) -> None:
    """Raise ConfigError unless objectives are there, each with a name that no other column has.

    Args:
        what: What has them.
    """
    _check_kind(what, objectives, Objective)
    names = [o.name for o in objectives]
    if not names or len(set(names)) != len(names):
        raise ConfigError(
            f"{what} has the objectives {names}", "name each objective once, at least one"
        )
    taken = sorted(COLUMNS & {*names})
    if taken:
        raise ConfigError(
            f"{what} has the objective {taken[0]!r}, and every table has another column so named",
            f"give it a name other than {', '.join(sorted(COLUMNS))}",
        )


def _check_kind(what: str, found: object, kind: type) -> None:
    """Raise ConfigError unless `found` is a list or tuple of nothing but this kind."""
    if not isinstance(found, list | tuple):
        raise ConfigError(
            f"{what}: {found!r} is no list", f"give a list of {kind.__name__}, even for one"
        )
    for part in found:
        if not isinstance(part, kind):
            raise ConfigError(
                f"{what}: {part!r} is no {kind.__name__}",
                f"write {kind.__name__}({', '.join(f'{name}=…' for name in _needed(kind))})",
            )


def _needed(kind: type) -> list[str]:
    return [field.name for field in fields(kind) if field.default is MISSING]


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{what} {name!r}: its name is no text", "a name is a text, in quotes")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def as_number(value: object) -> float:
    """`value` as a float; TypeError, ValueError or OverflowError where it is none.

    A text or a truth value, of NumPy or torch too, is no number, though `float` takes it for one.
    """
    is_truth = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
    if is_truth or isinstance(value, str | bytes):
        raise TypeError("a text or a truth value is no number")
    return float(value)  # type: ignore[arg-type]
