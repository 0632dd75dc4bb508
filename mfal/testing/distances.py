"""The law of an environment's own measure of how far apart candidates are."""

from torch import Tensor

from mfal.envs.base import Buildable, hook
from mfal.testing.walks import same


def check_distance(environment: Buildable, states: Tensor) -> None:
    """`distance`, where there is one, is symmetric, in [0, 1], and 0 between equal candidates only.

    Args:
        environment: Whose method it is.
        states: Finished states, ``n x d``.
    """
    distance = hook(environment, "distance")
    if distance is None:
        return
    some = states[: len(states) // 2]
    kept = states.clone()
    found = distance(some, states)
    same(states, kept, "the states given to distance")
    assert found.shape == (len(some), len(states)), f"distance gives {tuple(found.shape)}"
    assert ((found >= 0) & (found <= 1)).all(), f"distances go to {float(found.abs().max())}"
    same(distance(states, some), found.T, "distances the other way round")
    keys = environment.keys(states)
    for row, own in enumerate(keys[: len(some)]):
        for other, gap in zip(keys, found[row].tolist(), strict=True):
            assert (gap == 0) == (own == other), f"{own!r} and {other!r} are {gap} apart"
