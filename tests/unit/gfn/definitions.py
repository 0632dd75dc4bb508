"""What rollouts have to agree with: the definitions, one transition at a time."""

import math
from collections import Counter

import torch
from torch import Tensor

from mfal.envs.base import Environment, hook
from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.hypergrid import HypergridEnvironment
from mfal.envs.tetris import TetrisEnvironment
from mfal.envs.variable import VariableSequenceEnvironment
from mfal.gfn.agent import Agent
from mfal.gfn.rollout import rollout
from mfal.gfn.trajectories import Trajectories
from mfal.gfn.walk import Walkable
from tests.unit.gfn.problems import dna, ladder, seeded

PEPTIDES = VariableSequenceEnvironment(alphabet="ACD", min_length=2, max_length=4)

ENVIRONMENTS: dict[str, Environment] = {
    # By a schedule.
    "sequences": dna(4),
    "sequences at fidelities": FidelityEnvironment(dna(4), 3),
    # Step by step, one way back, by increments.
    "peptides at fidelities": FidelityEnvironment(PEPTIDES, 2),
    # Several ways back, by increments.
    "hypergrid": HypergridEnvironment(dimensions=2, side=4),
    "tetris": TetrisEnvironment(height=4, width=4, pieces="IO", rotations=(90,)),
    # Several ways back, nothing to make it faster.
    "grid at fidelities": ladder(4),
}

MERGING = ("hypergrid", "tetris", "grid at fidelities")
"""Names of those with several ways back."""


def environment_of(agent: Agent) -> Environment:
    assert isinstance(agent.environment, Environment)
    return agent.environment


def states_of(agent: Agent, found: Trajectories) -> Tensor:
    """The state before each transition, from the actions alone."""
    environment, states = environment_of(agent), agent.start(len(found))
    before = states.new_zeros(len(found.rows), states.shape[1])
    for place, (row, action) in enumerate(zip(found.rows.tolist(), found.actions, strict=True)):
        before[place] = states[row]
        assert environment.forward_mask(states[row][None])[0, action]
        states[row] = environment.step(states[row][None], action[None])[0]
    assert torch.equal(states, found.final)
    assert not environment.forward_mask(states).any()
    if found.states is not None:
        assert torch.equal(found.states, before)
    return before


def _context_of(found: Trajectories, row: int) -> Tensor | None:
    return None if found.context is None else found.context[row][None]


def _log_softmax(logits: list[float], allowed: list[bool], action: int) -> float:
    assert allowed[action]
    total = sum(math.exp(v) for v, ok in zip(logits, allowed, strict=True) if ok)
    return logits[action] - math.log(total)


@torch.no_grad()
def log_pf_by_definition(agent: Agent, found: Trajectories) -> Tensor:
    """Log of the forward policy's softmax over allowed actions, ``R``."""
    environment, values = environment_of(agent), []
    for state, action, row in zip(states_of(agent, found), found.actions, found.rows, strict=True):
        outputs = agent.outputs(state[None], _context_of(found, int(row)))
        logits = agent.heads.forward_of(outputs)[0].tolist()
        allowed = environment.forward_mask(state[None])[0].tolist()
        values.append(_log_softmax(logits, allowed, int(action)))
    return torch.tensor(values)


@torch.no_grad()
def log_pb_by_definition(agent: Agent, found: Trajectories) -> Tensor:
    """The same of the backward policy over what may have led to where the transition leads."""
    environment, values = environment_of(agent), []
    for state, action, row in zip(states_of(agent, found), found.actions, found.rows, strict=True):
        after = environment.step(state[None], action[None])
        allowed = environment.backward_mask(after)[0].tolist()
        logits = [0.0] * environment.n_actions
        if agent.heads.backward:
            outputs = agent.outputs(after, _context_of(found, int(row)))
            logits = agent.heads.backward_of(outputs)[0].tolist()
        values.append(_log_softmax(logits, allowed, int(action)))
    return torch.tensor(values)


def assert_walks_as_it_looks(agent: Agent, n: int, *, follows: bool = True) -> None:
    """A policy's walk has the outputs of looking anew, along random trajectories."""
    environment = environment_of(agent)
    delta = hook(environment, "observe_delta")
    assert delta is not None and isinstance(agent.policy, Walkable)
    states, generator, steps = agent.start(n), seeded(5), 0
    capacity = n * environment.max_steps
    walk = agent.policy.walk(environment.observe(states), capacity, follows=follows)
    seen: list[Tensor] = []
    while len(states):
        seen.append(agent.outputs(states))
        torch.testing.assert_close(walk.outputs(), seen[-1].detach(), rtol=0, atol=1e-5)
        mask = environment.forward_mask(states)
        actions = mask.double().multinomial(1, generator=generator)[:, 0]
        after = environment.step(states, actions)
        going = environment.forward_mask(after).any(dim=1).nonzero()[:, 0]
        if not len(going):
            break
        if follows:
            walk.keep(going)
            walk.shift(*delta(states[going], actions[going]))
        else:
            walk.move(environment.observe(after[going]))
        states, steps = after[going], steps + 1
    assert steps == environment.max_steps - 1
    torch.testing.assert_close(walk.recorded(), torch.cat(seen), rtol=0, atol=1e-5)


def gradients(agent: Agent, n: int, context: Tensor | None = None) -> list[Tensor]:
    """Of a loss that weighs every transition of a rollout and each of its parts differently."""
    found = rollout(agent, agent.start(n), seeded(5), context=context, epsilon=0.3)
    loss = (torch.linspace(-1, 2, len(found.rows)) * found.log_pf.square()).mean()
    loss = loss + (torch.linspace(2, 1, len(found.rows)) * found.log_pb.square()).mean()
    if found.log_flow is not None:
        loss = loss + (torch.linspace(0, 1, len(found.rows)) * found.log_flow.square()).mean()
    return list(torch.autograd.grad(loss, list(agent.policy.parameters())))


def assert_same_gradients(got: list[Tensor], expected: list[Tensor]) -> None:
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert other.abs().max() > 1e-4
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def assert_drawn_from(final: Tensor, states: Tensor, probabilities: Tensor) -> None:
    """Pearson's chi-square of finished states (``n x d``), within 4 standard deviations.

    States expected fewer than 5 times count as one.
    """
    counted, n = Counter(map(tuple, final.tolist())), len(final)
    counts = torch.tensor([counted[tuple(s)] for s in states.tolist()], dtype=torch.float64)
    assert counts.sum() == n, "a state outside the support"
    likely = n * probabilities > 5
    expected = torch.cat([n * probabilities[likely], (n * probabilities[~likely]).sum()[None]])
    observed = torch.cat([counts[likely], counts[~likely].sum()[None]])
    kept = expected > 5
    chi_square = float(((observed - expected).square() / expected)[kept].sum())
    freedom = int(kept.sum()) - 1
    assert freedom > 0
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom), (chi_square, freedom)
