"""What all losses have in common: they vanish at the target, and only there."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from mfal.envs.base import Environment
from mfal.envs.tetris import TetrisEnvironment, tetris_log_reward
from mfal.gfn.agent import Agent
from mfal.gfn.exact import exact_distribution, total_variation
from mfal.gfn.losses import TrajectoryBalance
from mfal.gfn.objectives import LossName, make_loss
from mfal.gfn.rollout import rollout
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.enumerated import exact_log_z, exact_target
from tests.unit.gfn.problems import ladder, seeded
from tests.unit.gfn.tables import PREFERENCES, Table, exact_agent, joined, preferred, uneven

Reward = Callable[[Tensor, Tensor | None], Tensor]


PROBLEMS: dict[str, tuple[Environment, Reward]] = {
    "grid": (GridEnvironment(side=3), uneven),
    "grid at fidelities": (ladder(3), uneven),
    "tetris": (
        TetrisEnvironment(height=4, width=4, pieces="IO", rotations=(90,)),
        lambda states, _: tetris_log_reward(states),
    ),
}
LOSSES: list[LossName] = ["vargrad", "tb", "db", "subtb", "fm"]


def balance(seen: Agent, name: LossName, log_reward: Reward, seed: int = 0) -> tuple[float, float]:
    """A loss, and what it says log Z is, of trajectories that wander about."""
    found = rollout(seen, seen.start(60), seeded(seed), epsilon=0.5, with_states=True)
    loss, scores = make_loss(name, seen, decay=1.1), log_reward(found.final, None)
    value = float(loss(found, scores).detach())
    return value, float(loss.log_z(found, scores).detach())


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("learnt_backward", [False, True])
def test_the_exact_flows_end_in_proportion_to_the_reward(
    problem: str, learnt_backward: bool
) -> None:
    environment, log_reward = PROBLEMS[problem]
    seen = exact_agent(environment, log_reward, learnt_backward=learnt_backward)
    target = exact_target(environment, lambda states: log_reward(states, None))
    assert total_variation(exact_distribution(seen)[1], target) < 1e-6


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("learnt_backward", [False, True])
def test_losses_vanish_at_the_exact_flows(
    problem: str, name: LossName, learnt_backward: bool
) -> None:
    environment, log_reward = PROBLEMS[problem]
    seen = exact_agent(environment, log_reward, learnt_backward=learnt_backward)
    loss, log_z = balance(seen, name, log_reward)
    assert loss < 1e-8
    assert abs(log_z - exact_log_z(environment, lambda states: log_reward(states, None))) < 1e-4


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("part", ["forward", "backward", "flow"])
def test_losses_vanish_nowhere_else(problem: str, name: LossName, part: str) -> None:
    """Each part of the table that a loss looks at, moved a little."""
    environment, log_reward = PROBLEMS[problem]
    seen = exact_agent(environment, log_reward, learnt_backward=True)
    table, heads = seen.policy, seen.heads
    assert isinstance(table, Table)
    noise = 0.1 * torch.randn(len(table.outputs), heads.n_outputs, generator=seeded(3))
    columns = {
        "forward": slice(0, heads.forward),
        "backward": slice(heads.forward, heads.forward + heads.backward),
        "flow": slice(-1, None),
    }
    with torch.no_grad():
        table.outputs[:, columns[part]] += noise[:, columns[part]]
    used = {
        "forward": True,
        "backward": name != "fm",
        "flow": name in ("db", "subtb"),
    }
    assert (balance(seen, name, log_reward)[0] > 1e-4) == used[part]


@pytest.mark.parametrize("name", LOSSES)
def test_losses_vanish_at_the_exact_flows_of_every_context(name: LossName) -> None:
    """Two tables, one a context, told apart by the observation."""
    environment = GridEnvironment(side=3)
    agents = [
        exact_agent(environment, preferred, learnt_backward=True, context=context[None])
        for context in PREFERENCES
    ]
    both = joined(agents, environment)
    context = PREFERENCES.repeat(30, 1)
    found = rollout(both, both.start(60), seeded(0), context=context, epsilon=0.5, with_states=True)
    loss, scores = make_loss(name, both, context_features=2), preferred(found.final, context)
    log_z = torch.tensor(
        [exact_log_z(environment, partial(preferred, context=c)) for c in PREFERENCES]
    )
    assert log_z.std() > 0.1
    if isinstance(loss, TrajectoryBalance):
        loss.by_context = Table(PREFERENCES, (log_z - log_z.mean())[:, None])
    assert float(loss(found, scores).detach()) < 1e-8
    assert abs(float(loss.log_z(found, scores).detach()) - float(log_z.mean())) < 1e-4
    swapped = preferred(found.final, context.flip(0))
    assert float(loss(found, swapped).detach()) > 1e-3
