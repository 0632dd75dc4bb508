"""What a reward comes to, over all finished states of a small environment."""

from collections.abc import Callable

from torch import Tensor

from mfal.envs.base import Environment
from mfal.gfn.exact import finished_states


def exact_log_z(environment: Environment, log_reward: Callable[[Tensor], Tensor]) -> float:
    """Log of the sum of the reward over all finished states."""
    return float(log_reward(finished_states(environment)).double().logsumexp(dim=0))


def exact_target(environment: Environment, log_reward: Callable[[Tensor], Tensor]) -> Tensor:
    """The distribution in proportion to the reward, float64 ``N``, rows as `finished_states`."""
    return log_reward(finished_states(environment)).double().softmax(dim=0)
