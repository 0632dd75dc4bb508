"""Rollouts: trajectories drawn from a policy, along given actions where there are any."""

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from mfal.envs.base import Buildable, Schedule, hook, is_continuous, is_discrete
from mfal.gfn.agent import Agent
from mfal.gfn.course import set_out
from mfal.gfn.moves import Moves, draw_noise, gumbel, make_moves, masked_argmax, taken
from mfal.gfn.trajectories import Trajectories
from mfal.gfn.walk import start_walk

_CHUNK = 1024  # finished states drawn at once


@dataclass(frozen=True)
class Given:
    """Actions that rows of a rollout are to take, such as the way to a known candidate.

    Attributes:
        actions: By time and row, ``T x n`` (``T x n x a`` where continuous).
        known: Where the action is given and not drawn, bool ``T x n``.
    """

    actions: Tensor
    known: Tensor

    def after_free(self, n: int) -> "Given":
        """The same behind n rows whose actions are all drawn."""
        free = (self.actions.shape[0], n, *self.actions.shape[2:])
        return Given(
            torch.cat([self.actions.new_zeros(free), self.actions], dim=1),
            torch.cat([self.known.new_zeros(free[:2]), self.known], dim=1),
        )


def rollout(
    agent: Agent,
    start: Tensor,
    generator: Generator,
    *,
    given: Given | None = None,
    context: Tensor | None = None,
    epsilon: float = 0.0,
    temperature: float = 1.0,
    with_states: bool = False,
) -> Trajectories:
    """Follow the policy from source states (``n x d``) to finished ones.

    `log_pf` comes from the very pass that drew the actions and, whatever `epsilon` and
    `temperature`, from the policy itself, so that gradients need no second pass. Finished
    rows leave the batch.

    Args:
        given: Actions to take instead of drawn ones; the policy rates them all the same.
        context: What the policy is conditioned on, ``n x c``.
        epsilon: Probability with which a step takes any allowed action uniformly.
        temperature: Above one flattens the policy from which is drawn (discrete ones only).
        with_states: Whether the states on the way are wanted, even where a schedule makes
            them needless.
    """
    environment = agent.environment
    schedule = hook(environment, "schedule")
    if schedule is not None and not with_states and is_discrete(environment):
        size = (environment.max_steps, len(start), environment.n_actions)
        noise = draw_noise(size, generator, epsilon, temperature)
        return _by_schedule(agent, schedule(), start, noise, given, context)
    moves = make_moves(
        environment, agent.heads, len(start), generator, epsilon=epsilon, temperature=temperature
    )
    return _step_by_step(agent, moves, start, given, context)


@torch.no_grad()
def finished(agent: Agent, n: int, generator: Generator) -> Tensor:
    """N finished states that the policy draws, ``n x d``."""
    sizes = [min(_CHUNK, n - first) for first in range(0, max(n, 1), _CHUNK)]
    return torch.cat([rollout(agent, agent.start(size), generator).final for size in sizes])


def _by_schedule(
    agent: Agent,
    schedule: Schedule,
    start: Tensor,
    noise: Tensor,
    given: Given | None,
    context: Tensor | None,
) -> Trajectories:
    """A rollout in which all rows do the same kind of step at the same time."""
    n, width = len(start), agent.heads.n_outputs
    walk = start_walk(agent.policy, agent.observe(start, context), len(noise) * n, follows=True)
    by_time: list[Tensor] = []
    for time, drawn in enumerate(noise.unbind()):
        first, end = schedule.choices[time]
        if time:
            walk.shift(by_time[-1] + schedule.columns[time - 1], None)
        logits = walk.outputs()
        if end - first < width:
            logits, drawn = logits[:, first:end], drawn[:, first:end]
        chosen = (logits + drawn).argmax(dim=1)
        if first:
            chosen += first
        if given is not None:
            chosen = torch.where(given.known[time], given.actions[time], chosen)
        by_time.append(chosen)
    actions, outputs = torch.stack(by_time), walk.recorded()
    log_pf = _scheduled_log_pf(agent.heads.forward_of(outputs), schedule, actions)
    return Trajectories(
        actions=actions.flatten(),
        rows=torch.arange(n, device=actions.device).repeat(len(actions)),
        log_pf=log_pf,
        log_pb=torch.zeros_like(log_pf),  # There is one way back.
        final=schedule.assemble(actions),
        log_flow=agent.heads.flow_of(outputs) if agent.heads.flow else None,
        context=context,
    )


def _scheduled_log_pf(logits: Tensor, schedule: Schedule, actions: Tensor) -> Tensor:
    """Log-probability of the actions (``T x n``) among those of their time, ``R``."""
    n, parts, begin = actions.shape[1], [], 0
    times = len(schedule.choices)
    for time in range(1, times + 1):
        if time < times and schedule.choices[time] == schedule.choices[begin]:
            continue
        first, end = schedule.choices[begin]
        own = logits[begin * n : time * n, first:end].log_softmax(dim=1)
        parts.append(own.gather(1, actions[begin:time].view(-1, 1) - first)[:, 0])
        begin = time
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _step_by_step(
    agent: Agent,
    moves: Moves,
    start: Tensor,
    given: Given | None,
    context: Tensor | None,
) -> Trajectories:
    """A rollout of any environment, whose rows may end at different times."""
    environment, states = agent.environment, start
    rows = torch.arange(len(start), device=start.device)
    steps: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    moves.going(start)
    course = set_out(agent, start, context)
    while True:
        actions = moves.draw(states, course.outputs(), len(steps))
        if given is not None:
            actions = _follow(given, actions, len(steps), rows)
        after = environment.step(states, actions)
        steps.append((states, actions, rows, after))
        going = moves.going(after).nonzero()[:, 0]
        if not going.shape[0]:
            break
        on = going if going.shape[0] < rows.shape[0] else None
        if on is not None:
            after, rows = after.index_select(0, on), rows.index_select(0, on)
            moves.keep(on)
        course.go(states, actions, on, after, rows)
        states = after
    states, actions, rows, after = (torch.cat(parts) for parts in zip(*steps, strict=True))
    final = after[_last(rows, len(start))]
    outputs = course.recorded()
    log_pf = moves.log_pf(states, outputs, actions)
    flow = agent.heads.flow_of(outputs) if agent.heads.flow else None
    no_choice = torch.zeros_like(log_pf)
    trajectories = Trajectories(actions, rows, log_pf, no_choice, final, states, flow, context)
    log_pb = _log_pb(agent, trajectories, outputs, after, context)
    return trajectories if log_pb is None else replace(trajectories, log_pb=log_pb)


def _last(rows: Tensor, n: int) -> Tensor:
    """Where in a list in order of time the last transition of each of n rows is, ``n``."""
    places = torch.arange(len(rows), device=rows.device)
    return places.new_zeros(n).scatter_reduce(0, rows, places, "amax")


def _follow(given: Given, drawn: Tensor, time: int, rows: Tensor) -> Tensor:
    """The given actions where there are any at this time, else those drawn."""
    if time >= len(given.known):
        return drawn
    known = given.known[time, rows].view(-1, *[1] * (drawn.ndim - 1))
    return torch.where(known, given.actions[time, rows], drawn)


def _log_pb(
    agent: Agent, trajectories: Trajectories, outputs: Tensor, after: Tensor, context: Tensor | None
) -> Tensor | None:
    """Log-probability of each way back, ``R``; None where there is only one.

    Args:
        outputs: Of the states before each transition, ``R x n_outputs``.
        after: States after each transition, ``R x d``.
    """
    environment, backward = agent.environment, None
    if hook(environment, "retrace") is not None:
        return None
    if agent.heads.backward:
        # A transition's end is where the next one begins, and has been looked at there.
        ends = agent.outputs(trajectories.final, context)
        backward = agent.heads.backward_of(torch.cat([outputs, ends])[trajectories.next()])
    return rate_backward(environment, after, backward, trajectories.actions)


def rate_backward(
    environment: Buildable, after: Tensor, outputs: Tensor | None, actions: Tensor
) -> Tensor:
    """Log-probability under the backward policy of `actions` having led to `after`, ``R``.

    Args:
        outputs: Of the backward head, ``R x backward``; None for the uniform policy.
    """
    if is_continuous(environment):
        return environment.backward_actions(after, outputs).log_prob(actions)
    if not is_discrete(environment):
        raise TypeError(f"{type(environment).__name__} has neither masks nor densities")
    mask = environment.backward_mask(after)
    if outputs is None:
        return -mask.sum(dim=1).float().log()
    return taken(outputs, mask, actions)


@torch.no_grad()
def ways_back(
    agent: Agent, final: Tensor, generator: Generator, context: Tensor | None = None
) -> Given:
    """Ways to finished states (``n x d``), drawn by the backward policy, for a rollout to take.

    An environment in which there is one way to each state retraces it without a draw.
    """
    retrace = hook(agent.environment, "retrace")
    if retrace is not None:
        actions: Tensor = retrace(final)
        return Given(actions, actions >= 0)
    after, rows = final, torch.arange(len(final), device=final.device)
    backwards: list[tuple[Tensor, Tensor]] = []
    while len(rows):
        outputs = None
        if agent.heads.backward:
            seen = None if context is None else context[rows]
            outputs = agent.heads.backward_of(agent.outputs(after, seen))
        actions = _draw_backward(agent.environment, after, outputs, generator)
        backwards.append((actions, rows))
        after = agent.environment.undo(after, actions)
        going = ~_at_source(agent.environment, after)
        after, rows = after[going], rows[going]
    return _in_order(backwards, len(final))


def _draw_backward(
    environment: Buildable, after: Tensor, outputs: Tensor | None, generator: Generator
) -> Tensor:
    if is_continuous(environment):
        return environment.backward_actions(after, outputs).draw(generator)
    if not is_discrete(environment):
        raise TypeError(f"{type(environment).__name__} has neither masks nor densities")
    mask = environment.backward_mask(after)
    noise = gumbel((len(after), environment.n_actions), generator)
    return masked_argmax(noise if outputs is None else outputs + noise, mask)


def _at_source(environment: Buildable, states: Tensor) -> Tensor:
    if is_continuous(environment):
        return environment.at_source(states)
    return (states == environment.initial(1).to(states.device)).all(dim=1)


def _in_order(backwards: list[tuple[Tensor, Tensor]], n: int) -> Given:
    """Actions found last first, put in order of time."""
    if not backwards:
        nothing = torch.zeros(0, n, dtype=torch.long)
        return Given(nothing, nothing.bool())
    actions, rows = (torch.cat(parts) for parts in zip(*backwards, strict=True))
    sizes = [len(own) for _, own in backwards]
    undone = torch.repeat_interleave(torch.tensor(sizes)).to(rows)
    times = rows.bincount(minlength=n)[rows] - 1 - undone
    shape = (len(backwards), n)
    ordered = actions.new_zeros(*shape, *actions.shape[1:]).index_put((times, rows), actions)
    known = torch.zeros(shape, dtype=torch.bool, device=rows.device)
    return Given(ordered, known.index_put((times, rows), torch.ones_like(rows, dtype=torch.bool)))
