"""What every environment offers: how a candidate is built, step by step, in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

from torch import Generator, Tensor


@runtime_checkable
class Buildable(Protocol):
    """What discrete and continuous environments have in common.

    A batch of n states is a tensor ``n x d``; states are never changed in place.

    Attributes:
        n_features: Width p of what `observe` returns.
        max_steps: Length of the longest trajectory.
    """

    n_features: int
    max_steps: int

    def initial(self, n: int) -> Tensor:
        """N copies of the source state, ``n x d``."""
        ...

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """States after `actions` (``n``, or ``n x a`` where continuous), each allowed there."""
        ...

    def undo(self, states: Tensor, actions: Tensor) -> Tensor:
        """States before `actions`, each of which may have led here."""
        ...

    def observe(self, states: Tensor) -> Tensor:
        """Policy input, ``n x n_features``, float32."""
        ...

    def keys(self, states: Tensor) -> list[str]:
        """Canonical text of finished states."""
        ...

    def states(self, keys: Sequence[str]) -> Tensor:
        """Finished states of `keys`; the inverse of `keys`.

        Raises:
            InvalidKeyError: for a key outside the search space, naming it.
        """
        ...


@runtime_checkable
class Environment(Buildable, Protocol):
    """A batched, deterministic, acyclic building kit with finitely many actions.

    States are integers. Actions are integers in ``[0, n_actions)``. A state in which
    `forward_mask` allows no action is finished: a complete candidate.

    Further methods are optional; `hook` looks for them. Two know small changes of candidates,
    which genetic-guided training makes use of:

    ``mutate(states, generator) -> states``: finished states, each a small random change away
    from a row.

    ``crossover(first, second, generator) -> states``: finished states, each a recombination
    of the same row of two parents.

    One draws without a policy, where random steps would end up in one corner of the space:

    ``uniform(n, generator) -> states``: n finished states, all candidates equally likely.

    Three make training faster:

    ``observe_delta(states, actions) -> (columns, changes)``, both ``n x k``: the entries of
    the observation that a step changes, and by how much.

    ``retrace(states) -> actions``, ``T x n``: where there is one way only to each finished
    state, the actions along it in order of time, -1 after its end.

    ``schedule() -> Schedule``: where time alone decides what may be done.

    One says which state stands for a candidate that several states are, so that training does
    not remember, and breed from, one candidate in many guises:

    ``canonical(states) -> states``: for finished states, the state that stands for each one's
    candidate, the same for all that have its key.

    One says how far apart candidates are, where the share of the places that differ does not, as
    on a grid; the metrics' modes and guided training's families are told by it:

    ``distance(first, second) -> k x n``, in [0, 1]: of k finished states from n others.

    One says which keys stand for the same candidate, where keys might not be unique:

    ``identities(keys) -> texts``: a text for each key, equal for equal candidates. The laws of
    oracles hold the keys against it, since what has two keys is bought twice.

    An environment that wraps another holds it as ``environment``, and has these methods
    where that one has them.

    Attributes:
        n_actions: Size of the action space.
    """

    n_actions: int

    def forward_mask(self, states: Tensor) -> Tensor:
        """Allowed next actions, bool ``n x n_actions``; an all-False row is finished."""
        ...

    def backward_mask(self, states: Tensor) -> Tensor:
        """Actions that may have led here, bool ``n x n_actions``; all False at the source."""
        ...


@dataclass(frozen=True)
class Schedule:
    """An environment in which time alone decides what may be done, and every way is as long.

    Appending letters to a text of fixed length is the usual case. A rollout then needs no
    masks and no states on the way, and `Environment.retrace` must exist.

    Attributes:
        choices: By time, the range ``(first, last + 1)`` of actions allowed.
        columns: By time, where the observation of a step begins: action a turns its entry
            ``columns[t] + a`` from 0 to 1.
        assemble: Actions ``T x n`` -> the finished states to which they lead, ``n x d``.
    """

    choices: tuple[tuple[int, int], ...]
    columns: tuple[int, ...]
    assemble: Callable[[Tensor], Tensor]


def hook(environment: Buildable, name: str) -> Callable[..., Any] | None:
    """An optional method of an environment; None where it, or one that it wraps, lacks it."""
    wrapped = getattr(environment, "environment", None)
    if wrapped is not None and hook(wrapped, name) is None:
        return None
    found: Callable[..., Any] | None = getattr(environment, name, None)
    return found


class Actions(Protocol):
    """A distribution over the next (or last) action of each of n states."""

    def draw(self, generator: Generator, *, epsilon: float = 0.0) -> Tensor:
        """One action a state, ``n x a``; with probability `epsilon` one drawn uniformly."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density of `actions` (``n x a``), ``n``; differentiable in the outputs."""
        ...


@runtime_checkable
class ContinuousEnvironment(Buildable, Protocol):
    """A building kit whose actions are real numbers, or real and whole numbers mixed.

    It supplies the distribution of actions itself, from numbers that a policy puts out.
    States are real numbers (``n x d``, float32), actions ``n x a``.

    Attributes:
        n_forward: How many numbers of a policy define the next action's distribution.
        n_backward: The same for the last action's, where it is learnt.
    """

    n_forward: int
    n_backward: int

    def finished(self, states: Tensor) -> Tensor:
        """Whether each state is a complete candidate, bool ``n``."""
        ...

    def at_source(self, states: Tensor) -> Tensor:
        """Whether each state is the source, bool ``n``."""
        ...

    def forward_actions(self, states: Tensor, outputs: Tensor) -> Actions:
        """Distribution of the next action, from outputs ``n x n_forward``."""
        ...

    def backward_actions(self, states: Tensor, outputs: Tensor | None) -> Actions:
        """Distribution of the action that led here, from outputs ``n x n_backward``.

        A fixed one, the same for every policy, where `outputs` is None.
        """
        ...


def is_discrete(environment: Buildable) -> TypeGuard[Environment]:
    """Whether it has masks. Cheap, where `isinstance` looks every attribute up."""
    return hasattr(environment, "forward_mask")


def is_continuous(environment: Buildable) -> TypeGuard[ContinuousEnvironment]:
    """Whether it has densities. Cheap, where `isinstance` looks every attribute up."""
    return hasattr(environment, "forward_actions")
