"""Trajectories: sampled forwards with a policy, or backwards from finished states."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from mfal.envs.base import Environment
from mfal.gfn.policy import PolicyWalk

_Step = tuple[Tensor, Tensor, Tensor, Tensor]
"""States before, actions, rows and states after, of the trajectories still under way."""

_Unrolled = tuple[Tensor, Tensor, Tensor]
"""States before, actions and rows of whole trajectories."""


@dataclass(frozen=True)
class Trajectories:
    """n trajectories as one flat list of their R transitions, whatever their lengths.

    The transitions of one trajectory are in order of time, those of several interleaved.

    Attributes:
        states: State before each transition, ``R x d``.
        actions: Its action, ``R``.
        rows: The trajectory to which it belongs, ``R``.
        log_pf: Log-probability of the action under the policy, ``R``; carries the graph.
        log_pb: Log-probability of the way back under the backward policy, ``R``.
        final: Where each trajectory ends, ``n x d``.
    """

    states: Tensor
    actions: Tensor
    rows: Tensor
    log_pf: Tensor
    log_pb: Tensor
    final: Tensor

    def __len__(self) -> int:
        return len(self.final)

    def total(self, values: Tensor) -> Tensor:
        """Sums over each trajectory (``n``) of values per transition (``R``)."""
        return values.new_zeros(len(self)).index_add(0, self.rows, values)


def join(parts: Sequence[Trajectories]) -> Trajectories:
    """One batch of several, in order."""
    offsets = [sum(len(part) for part in parts[:i]) for i in range(len(parts))]
    return Trajectories(
        states=torch.cat([part.states for part in parts]),
        actions=torch.cat([part.actions for part in parts]),
        rows=torch.cat([part.rows + o for part, o in zip(parts, offsets, strict=True)]),
        log_pf=torch.cat([part.log_pf for part in parts]),
        log_pb=torch.cat([part.log_pb for part in parts]),
        final=torch.cat([part.final for part in parts]),
    )


def sample_forward(
    environment: Environment,
    policy: nn.Module,
    start: Tensor,
    generator: Generator,
    *,
    epsilon: float = 0.0,
) -> Trajectories:
    """Follow the policy from the unfinished states `start` (``n x d``) to finished ones.

    Actions are drawn as the argmax of logits plus Gumbel noise, the noise of all steps at
    once. `log_pf` comes from the same pass and, whatever `epsilon`, from the policy itself,
    so that gradients need no second pass. Finished rows leave the batch.

    Args:
        epsilon: Probability with which a step takes any allowed action uniformly.
    """
    size = (environment.max_steps, len(start))
    noise = gumbel((*size, environment.n_actions), generator)
    explores = torch.rand(size, generator=generator, device=generator.device) < epsilon
    steps: list[_Step] = []
    states, rows, final = start, torch.arange(len(start), device=start.device), start
    mask = environment.forward_mask(start)
    masks = []
    walk = PolicyWalk(environment, policy, start)
    while len(rows):
        scores = walk.logits().masked_fill(_at(explores, len(steps), rows)[:, None], 0.0)
        actions = masked_argmax(scores + _at(noise, len(steps), rows), mask)
        after = environment.step(states, actions)
        steps.append((states, actions, rows, after))
        masks.append(mask)
        mask = environment.forward_mask(after)
        going = mask.any(dim=1)
        if going.all():
            walk.advance(states, actions, after)
            states = after
            continue
        final = final.index_copy(0, rows, after)
        on = going.nonzero()[:, 0]
        walk.advance(states[on], actions[on], after[on], on)
        states, mask, rows = after[on], mask[on], rows[on]
    states, actions, rows, after = _concatenate(steps)
    log_pf = _log_pf(walk.all_logits(states), torch.cat(masks), actions)
    return Trajectories(states, actions, rows, log_pf, _uniform_log_pb(environment, after), final)


def sample_backward(
    environment: Environment, policy: nn.Module, final: Tensor, generator: Generator
) -> Trajectories:
    """Trajectories to finished states (``n x d``), drawn by the uniform backward policy.

    The policy then rates all transitions in one pass. An environment in which there is one
    way to each state may offer ``unroll(final)``, which returns the states before all steps,
    the actions and the rows of `final`, and saves the walk.
    """
    unroll: Callable[[Tensor], _Unrolled | None] = getattr(environment, "unroll", _unknown)
    unrolled = unroll(final)
    if unrolled is not None:
        states, actions, rows = unrolled
        log_pb = torch.zeros(len(rows), device=final.device)
    else:
        states, actions, rows, after = _walk_back(environment, final, generator)
        log_pb = _uniform_log_pb(environment, after)
    mask = environment.forward_mask(states)
    log_pf = _log_pf(policy(environment.observe(states)), mask, actions)
    return Trajectories(states, actions, rows, log_pf, log_pb, final)


def _walk_back(environment: Environment, final: Tensor, generator: Generator) -> _Step:
    """All transitions of random ways back from finished states, in order of time."""
    noise = gumbel((environment.max_steps, len(final), environment.n_actions), generator)
    steps: list[_Step] = []
    after, rows = final, torch.arange(len(final), device=final.device)
    mask = environment.backward_mask(final)
    while len(rows):
        actions = masked_argmax(_at(noise, len(steps), rows), mask)
        before = environment.undo(after, actions)
        steps.append((before, actions, rows, after))
        mask = environment.backward_mask(before)
        going, after = mask.any(dim=1), before
        if not going.all():
            on = going.nonzero()[:, 0]
            after, mask, rows = before[on], mask[on], rows[on]
    return _concatenate(steps[::-1])


def log_probabilities(logits: Tensor, mask: Tensor) -> Tensor:
    """Log-probabilities of all actions, ``n x n_actions``; -inf for those not allowed."""
    return logits.masked_fill(~mask, -torch.inf).log_softmax(dim=1)


def _log_pf(logits: Tensor, mask: Tensor, actions: Tensor) -> Tensor:
    return log_probabilities(logits, mask).gather(1, actions[:, None])[:, 0]


def _uniform_log_pb(environment: Environment, after: Tensor) -> Tensor:
    """Log-probability of each way back from `after` (``R x d``) if all are as likely."""
    return -environment.backward_mask(after).sum(dim=1).to(torch.float32).log()


def _concatenate(steps: list[_Step]) -> _Step:
    states, actions, rows, after = (torch.cat(parts) for parts in zip(*steps, strict=True))
    return states, actions, rows, after


def _unknown(final: Tensor) -> None:
    return None


def _at(values: Tensor, time: int, rows: Tensor) -> Tensor:
    """``values[time, rows]``, without a copy where that is all rows."""
    return values[time] if len(rows) == values.shape[1] else values[time, rows]


def masked_argmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Best allowed action of each row; an action that is not allowed never comes out."""
    return scores.masked_fill(~mask, -torch.inf).argmax(dim=1)


def gumbel(size: tuple[int, ...], generator: Generator) -> Tensor:
    """Standard Gumbel noise: minus the log of exponential noise."""
    noise = torch.empty(size, device=generator.device)
    return noise.exponential_(generator=generator).log_().neg_()
