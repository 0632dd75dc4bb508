"""Training losses by name."""

from typing import Literal

from torch import Generator

from mfal.gfn.agent import Agent
from mfal.gfn.flow_losses import DetailedBalance, FlowMatching, SubTrajectoryBalance
from mfal.gfn.losses import Loss, TrajectoryBalance, VarGrad

LossName = Literal["vargrad", "tb", "db", "subtb", "fm"]

LOSSES: dict[LossName, type[Loss]] = {
    "vargrad": VarGrad,
    "tb": TrajectoryBalance,
    "db": DetailedBalance,
    "subtb": SubTrajectoryBalance,
    "fm": FlowMatching,
}


def make_loss(
    name: LossName,
    agent: Agent,
    *,
    decay: float = 0.9,
    context_features: int = 0,
    generator: Generator | None = None,
) -> Loss:
    """The loss called `name`.

    Args:
        agent: The policy that is trained.
        decay: λ of sub-trajectory balance.
        context_features: Width of the context; 0 for none.
        generator: Draws initial weights where there is a context.
    """
    if name == "vargrad":
        return VarGrad()
    if name == "tb":
        return TrajectoryBalance(context_features, generator)
    if name == "db":
        return DetailedBalance()
    if name == "subtb":
        return SubTrajectoryBalance(decay)
    return FlowMatching(agent)
