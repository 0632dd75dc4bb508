"""How a policy is trained, as a campaign or a user says."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from mfal.envs.base import Buildable
from mfal.errors import ConfigError
from mfal.gfn.guided import GuideName
from mfal.gfn.heads import Heads, make_heads
from mfal.gfn.objectives import LOSSES, LossName
from mfal.gfn.replay import ReplayName


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train. Why the defaults are what they are: docs/ablations.md.

    Attributes:
        steps: Gradient steps.
        batch_size: Trajectories a step, fresh and replayed together.
        learning_rate: Of Adam, for the policy.
        cooldown: Share of the steps, the last ones, in which the learning rate falls to zero
            along half a cosine; what noise a constant rate leaves in the policy then dies down.
        loss: ``vargrad``, ``tb``, ``db``, ``subtb`` or ``fm`` (`mfal.gfn.objectives`).
        decay: λ of ``subtb``.
        backward: Whether the backward policy is uniform or learnt.
        epsilon: Probability with which a fresh trajectory's step is uniform.
        temperature: Above 1 flattens the policy that draws fresh trajectories.
        replay_share: Share of the batch that is replayed, in [0, 1).
        replay: Whether replay is ``uniform`` or ``prioritised`` (`ReplayBuffer.draw`).
        guide: How proposals are made of the best (`mfal.gfn.guided`): ``genetic``, by the
            environment's own mutation and crossover, or ``local``, by the policy itself.
        guided_every: Steps between guided proposals; 0 for none.
        guided_size: Proposals each time.
        guided_parents: How many of the best queries may be parents.
        guided_apart: How far parents are from all better ones, in [0, 1): the share of the
            places that differ, or the environment's own measure (`mfal.gfn.modes`); 0 for any.
            Above 0, as many families are bred side by side as there are parents.
        capacity: Most queries in the replay buffer.
        report_every: Steps between lines of metrics.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    steps: Annotated[int, Field(gt=0)] = 600
    batch_size: Annotated[int, Field(gt=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    cooldown: Annotated[float, Field(ge=0, le=1)] = 0.25
    loss: LossName = "vargrad"
    decay: Annotated[float, Field(gt=0)] = 0.9
    backward: Literal["uniform", "learnt"] = "uniform"
    epsilon: Annotated[float, Field(ge=0, le=1)] = 0.05
    temperature: Annotated[float, Field(gt=0)] = 1.0
    replay_share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    replay: ReplayName = "uniform"
    guide: GuideName = "genetic"
    guided_every: Annotated[int, Field(ge=0)] = 8
    guided_size: Annotated[int, Field(gt=0)] = 256
    guided_parents: Annotated[int, Field(gt=0)] = 200
    guided_apart: Annotated[float, Field(ge=0, lt=1)] = 0.0
    capacity: Annotated[int, Field(ge=8)] = 50_000
    report_every: Annotated[int, Field(gt=0)] = 10

    def __post_init__(self) -> None:
        if self.loss == "fm" and self.backward == "learnt":
            raise ConfigError(
                "flow matching learns no backward policy: its flows imply one",
                "leave backward at 'uniform', or choose another loss",
            )

    def heads(self, environment: Buildable) -> Heads:
        """The outputs that a policy needs for this."""
        learnt = self.backward == "learnt"
        return make_heads(environment, learnt_backward=learnt, flow=LOSSES[self.loss].needs_flow)

    def pace(self, step: int) -> float:
        """The learning rate of a step (from 1 on), as a share of what it is at first."""
        falling = self.steps * self.cooldown
        left = self.steps - step + 1
        return 1.0 if left >= falling else 0.5 - 0.5 * math.cos(math.pi * left / falling)
