"""A policy trained once, and how far its distribution is from the target."""

from typing import Any

from torch import Tensor

from mfal.envs.fidelity import FidelityEnvironment
from mfal.gfn.base import LogReward
from mfal.gfn.exact import exact_distribution, total_variation
from mfal.gfn.rewards import Rewards
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import Trainer
from tests.unit.gfn.enumerated import exact_log_z, exact_target
from tests.unit.gfn.problems import agent

# Written out, so that other defaults do not move the thresholds.
RECIPE: dict[str, Any] = {
    "batch_size": 32,
    "learning_rate": 5e-3,
    "cooldown": 0.5,
    "epsilon": 0.05,
    "replay_share": 0.5,
    "guided_every": 8,
    "guided_size": 256,
    "guided_parents": 200,
    "report_every": 10,
}


def trainer(
    environment: FidelityEnvironment,
    log_reward: LogReward,
    *,
    seed: int = 0,
    hidden: int = 64,
    **settings: Any,
) -> Trainer:
    """A perceptron yet to be trained on queries."""
    how = TrainSettings(**{**RECIPE, **settings})
    heads = how.heads(environment)
    seen = agent(
        environment,
        seed=seed,
        hidden=hidden,
        learnt_backward=heads.backward > 0,
        flow=heads.flow > 0,
    )
    return Trainer(seen, Rewards(environment, log_reward), how, seed=seed)


class Run:
    """What training reached."""

    def __init__(
        self,
        environment: FidelityEnvironment,
        log_reward: LogReward,
        *,
        start: Tensor | None = None,
        **changes: Any,
    ) -> None:
        self.trainer = trainer(environment, log_reward, **changes)
        exact = Rewards(environment, log_reward)
        self.log_z, self.target = exact_log_z(environment, exact), exact_target(environment, exact)
        self.untrained = self._distance()
        self.history = self.trainer.run(start=start)
        self.distance = self._distance()

    def _distance(self) -> float:
        return total_variation(exact_distribution(self.trainer.agent)[1], self.target)
