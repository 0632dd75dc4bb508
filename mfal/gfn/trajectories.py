"""A batch of trajectories, as losses see it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Trajectories:
    """n trajectories as one flat list of their R transitions, whatever their lengths.

    The transitions of one trajectory are in order of time, those of several interleaved.

    Attributes:
        actions: Action of each transition, ``R``, or ``R x a`` where continuous.
        rows: The trajectory to which it belongs, ``R``.
        log_pf: Log-probability of the action under the policy, ``R``; carries the graph.
        log_pb: Log-probability of the way back under the backward policy, ``R``; carries the
            graph where that is learnt.
        final: Where each trajectory ends, ``n x d``.
        states: State before each transition, ``R x d``; None where the environment's schedule
            made it needless to write them down.
        log_flow: Log flow through the state before each transition, ``R``; None where the
            policy has no head for it.
        context: What the policy was conditioned on, ``n x c``; None where on nothing.
    """

    actions: Tensor
    rows: Tensor
    log_pf: Tensor
    log_pb: Tensor
    final: Tensor
    states: Tensor | None = None
    log_flow: Tensor | None = None
    context: Tensor | None = None

    def __len__(self) -> int:
        return len(self.final)

    def total(self, values: Tensor) -> Tensor:
        """Sums over each trajectory (``n``) of values per transition (``R``)."""
        return values.new_zeros(len(self)).index_add(0, self.rows, values)

    def next(self) -> Tensor:
        """Where each transition's successor stands in the list, ``R``; R + row after the last."""
        n_transitions = len(self.rows)
        order = self.rows.argsort(stable=True)
        follows = self.rows[order[1:]] == self.rows[order[:-1]]
        after = n_transitions + self.rows
        return after.index_put((order[:-1][follows],), order[1:][follows])

    def lengths(self) -> Tensor:
        """Number of steps of each trajectory, ``n``."""
        return self.rows.bincount(minlength=len(self))

    def times(self) -> Tensor:
        """How many steps each transition is from its start, ``R``."""
        order = self.rows.argsort(stable=True)
        counts = self.lengths()
        begins = counts.cumsum(0) - counts
        place = torch.arange(len(order), device=order.device)
        return torch.empty_like(order).index_copy(0, order, place - begins[self.rows[order]])
