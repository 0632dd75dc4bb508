"""What every acquisition offers to the reward and to selection."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from mfal.surrogate.base import JointMoments


@runtime_checkable
class Acquisition(Protocol):
    """The worth of asking about a candidate at each fidelity, before cost.

    `candidate` is as for a surrogate: the place of the candidate in the training data, or -1.
    """

    def log(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """Of n candidates at M fidelities, ``n x M``: its logarithm, finite where it underflows."""
        ...


def is_information(acquisition: object) -> bool:
    """Whether a worth is in nats; it is where the acquisition says ``is_information = True``."""
    return bool(getattr(acquisition, "is_information", False))


def squared_correlation(moments: JointMoments) -> Tensor:
    """Of a noisy answer at each fidelity with the target's value, ``n x M`` in [0, 1].

    It is the share of the target's variance that the answer would explain; in double precision,
    like all that is computed from moments.
    """
    variance = moments.variance.double()
    target = variance[:, -1:].sqrt().clamp(min=1e-150)
    noisy = (variance + moments.noise).sqrt().clamp(min=1e-150)
    # Roots first: squares of large or small variances leave the range of numbers.
    return (moments.target_covariance / target / noisy).square().clamp(0, 1)


def target_moments(moments: JointMoments) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation at the target, each ``n``, in double precision."""
    return moments.mean[:, -1].double(), moments.variance[:, -1].double().sqrt()
