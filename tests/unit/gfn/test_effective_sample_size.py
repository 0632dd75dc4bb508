"""The effective sample size that training reports is 1 at the target, whatever the loss."""

import pytest
import torch

from mfal.gfn.agent import Agent
from mfal.gfn.exact import exact_distribution, total_variation
from mfal.gfn.heads import Heads
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import Trainer
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.enumerated import exact_target
from tests.unit.gfn.tables import (
    PREFERENCES,
    Table,
    exact_agent,
    joined,
    preferred,
    uneven,
)


@pytest.mark.parametrize("loss", ["vargrad", "db"])
def test_the_effective_sample_size_is_one_at_the_target(loss: str) -> None:
    environment = GridEnvironment(side=3)
    seen = exact_agent(environment, uneven, learnt_backward=True)
    assert (
        total_variation(exact_distribution(seen)[1], exact_target(environment, lambda s: uneven(s)))
        < 1e-6
    )
    settings = TrainSettings(
        steps=1, loss=loss, backward="learnt", learning_rate=1e-12, guided_every=0
    )
    assert Trainer(seen, uneven, settings, seed=0).run()[-1].effective_sample_size > 0.999


def test_flow_matching_has_an_effective_sample_size_of_one_at_the_target() -> None:
    """At flows whose own backward policy, F(s -> s') / F(s'), is not the uniform one."""
    environment = GridEnvironment(side=3)
    seen = exact_agent(environment, uneven, learnt_backward=True)
    table, width = seen.policy, seen.heads.forward
    outputs = torch.cat([table.outputs[:, :width], table.outputs[:, -1:]], dim=1).detach()
    seen = Agent(environment, Table(torch.tensor(table.rows), outputs), Heads(width, flow=1))
    settings = TrainSettings(steps=1, loss="fm", learning_rate=1e-12, guided_every=0)
    assert Trainer(seen, uneven, settings, seed=0).run()[-1].effective_sample_size > 0.999


def test_under_contexts_too_it_is_one_at_the_target() -> None:
    environment = GridEnvironment(side=3)
    preferences = PREFERENCES * torch.tensor([[5.0], [1.0]])
    both = joined(
        [
            exact_agent(environment, preferred, learnt_backward=True, context=c[None])
            for c in preferences
        ],
        environment,
    )
    settings = TrainSettings(steps=1, backward="learnt", learning_rate=1e-12, guided_every=0)
    trainer = Trainer(
        both,
        preferred,
        settings,
        seed=0,
        contexts=lambda n, g: preferences[torch.randint(2, (n,), generator=g)],
    )
    assert trainer.run()[-1].validation_loss < 1e-8
    assert trainer.history[-1].effective_sample_size > 0.999
