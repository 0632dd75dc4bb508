"""What goes to whoever asks an oracle, and what comes back."""

import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mfal.errors import TransientError
from mfal.own.answers import UnavailableError, answered, failure
from mfal.reasons import kept, said
from mfal.sections import Component
from mfal.types import Fidelity, Oracle, Outcome, as_number

DIED = "the oracle's process died"
"""Begins the reason of a failure that ended the oracle's process."""

LATE = "no answer within"
"""Begins the reason of a failure to answer in time."""

GARBLED = "something else than the reply came from the oracle's process"
"""Begins the reason of a failure where nobody can tell what the oracle answered."""

TroubleKind = Literal["raised", "transient", "unavailable", "late", "died", "killed", "garbled"]


@dataclass(frozen=True, slots=True)
class Asked:
    """How to build an oracle anywhere, and how many numbers its answers have."""

    problem: Component
    n_objectives: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an oracle.

    Attributes:
        timeout: Seconds after which it is given up.
    """

    keys: tuple[str, ...]
    fidelity: Fidelity
    timeout: float


@dataclass(frozen=True, slots=True)
class Answered:
    """Checked outcomes of a call, one per key and in their order, and how long it took."""

    outcomes: list[Outcome]
    seconds: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a call as a whole has no answer.

    Attributes:
        kind: The oracle ``raised`` or returned something else than outcomes; what it raised is
            ``transient``, or says that whoever answers for it is ``unavailable``; the call was
            ``late``; its process ``died`` of it, or was ``killed`` from outside; what came from
            there was ``garbled``.
        error: The same in words.
        seconds: Wall time until then.
    """

    kind: TroubleKind
    error: str
    seconds: float


Reply = Answered | Trouble


def evaluate(oracle: Oracle, asked: Asked, call: Call) -> Reply:
    """Call the oracle in this process and thread; whatever it does, there is a reply.

    Only in a child that the oracle has forked, what is raised goes on and ends it.
    """
    here, started = os.getpid(), time.perf_counter()
    kind: TroubleKind = "raised"
    try:
        found = checked(
            oracle.evaluate(list(call.keys), call.fidelity), len(call.keys), asked.n_objectives
        )
    except BaseException as error:  # even an oracle's sys.exit() is an outcome
        if os.getpid() != here:
            raise
        kind, found = _told(error)
    seconds = time.perf_counter() - started
    return Trouble(kind, found, seconds) if isinstance(found, str) else Answered(found, seconds)


def _told(error: BaseException) -> tuple[TroubleKind, str]:
    """What an oracle raised, as text: its exceptions may not pickle."""
    if isinstance(error, UnavailableError):
        return "unavailable", kept(error.message)
    return "transient" if isinstance(error, TransientError) else "raised", said(error)


def checked(answers: object, n: int, n_objectives: int) -> list[Outcome] | str:
    """The outcomes with every value usable, or what is wrong with the answer as a whole."""
    if not isinstance(answers, Sequence) or isinstance(answers, str):
        return f"the oracle returned a {type(answers).__name__}, not a list of outcomes"
    if len(answers) != n:
        return f"the oracle returned {len(answers)} outcomes for {n} candidates"
    return [checked_outcome(a, n_objectives) for a in answers]


def checked_outcome(answer: object, n_objectives: int) -> Outcome:
    """The answer in plain numbers and text, a failure where it cannot be."""
    if not isinstance(answer, Outcome):
        return failure(f"the oracle returned a {type(answer).__name__}, not an Outcome", 0.0)
    try:
        seconds = as_number(answer.seconds)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        return failure(f"not a time: {answer.seconds!r} seconds", 0.0)
    if answer.values is None:
        return failure(str(answer.error), seconds)
    if not isinstance(answer.values, Iterable):
        return failure(f"not a tuple of values: {answer.values!r}", seconds)
    return answered(answer.values, n_objectives, seconds)
