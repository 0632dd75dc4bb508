"""A continuous environment end to end: a mixture of von Mises on a torus, density and all."""

import math

import pytest
import torch
from torch import Generator, Tensor

from mfal.envs.torus import TorusEnvironment, torus_log_reward
from mfal.envs.vonmises import target_mixture
from mfal.gfn.agent import Agent
from mfal.gfn.losses import log_mean_exp, residual
from mfal.gfn.policy import PolicySettings, make_policy
from mfal.gfn.rollout import rollout
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import Trainer

TARGET = target_mixture(
    [1.0, 0.5, 0.25],
    [[-2.0, -1.0], [1.5, 2.0], [0.5, -2.2]],
    [[10.0, 10.0], [20.0, 5.0], [3.0, 8.0]],
)
CELLS = 36

RECIPE = TrainSettings(
    steps=2500,
    batch_size=128,
    learning_rate=2e-3,
    loss="tb",
    backward="learnt",
    epsilon=0.1,
    replay_share=0.25,
    guided_every=0,
)


def log_reward(states: Tensor, context: Tensor | None) -> Tensor:
    return torus_log_reward(states, TARGET)


def target_cells() -> Tensor:
    """Mass of each cell, by 8 x 8 points in it."""
    angles = (torch.arange(CELLS * 8) + 0.5) / (CELLS * 8) * 2 * math.pi - math.pi
    density = TARGET.log_density(torch.cartesian_prod(angles, angles)).double().exp()
    mass = density.view(CELLS, 8, CELLS, 8).sum(dim=(1, 3)).flatten()
    return mass / mass.sum()


def drawn_cells(states: Tensor) -> Tensor:
    place = ((states[:, :2] + math.pi) / (2 * math.pi) * CELLS).long().clamp(0, CELLS - 1)
    counts = torch.bincount(place[:, 0] * CELLS + place[:, 1], minlength=CELLS**2)
    return counts.double() / len(states)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_mixture_on_a_torus_is_learnt(seed: int) -> None:
    environment = TorusEnvironment(steps=3)
    heads = RECIPE.heads(environment)
    policy = make_policy(PolicySettings(), environment, heads, Generator().manual_seed(seed))
    agent = Agent(environment, policy, heads)
    trainer = Trainer(agent, log_reward, RECIPE, seed=seed)
    trainer.run()
    with torch.no_grad():
        drawn = rollout(agent, agent.start(50_000), Generator().manual_seed(99))
    log_weight = -residual(drawn, log_reward(drawn.final, None))
    exact_log_z = math.log(1.75)
    assert abs(float(log_mean_exp(log_weight)) - exact_log_z) < 0.02
    weight = log_weight.softmax(dim=0)
    assert float(1 / (len(weight) * weight.square().sum())) > 0.6
    target, cells = target_cells(), drawn_cells(drawn.final)
    mean = (target + cells) / 2
    parts = [torch.xlogy(p, p / mean).nan_to_num(0.0).sum() for p in (target, cells)]
    # 50,000 draws from the target itself come to 0.0025.
    assert float(sum(parts) / 2) < 0.01
