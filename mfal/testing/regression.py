"""What the laws of surrogates are checked on: data, queries and comparisons."""

from dataclasses import replace

import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.surrogate.base import JointMoments, Surrogate

MOMENTS = ("mean", "variance", "target_covariance")


def example_data(n: int = 60, seed: int = 0) -> Dataset:
    """N candidates asked at a cheap rung, half of them at the target too.

    Six counts describe a candidate. The target is a sum and a product of them and something
    of its own; the cheap rung sees it shifted, scaled and with an error.
    """
    generator = torch.Generator().manual_seed(seed)
    features = torch.randint(0, 5, (n, 6), generator=generator).to(torch.float64)
    noise = torch.randn(2, n, generator=generator, dtype=torch.float64)
    target = 2 * features[:, 0] - features[:, 1] + features[:, 2] * features[:, 3] / 4
    target = target + 0.3 * noise[0]
    cheap = 10 + 0.5 * target + 0.4 * noise[1]
    asked = torch.arange(0, n, 2)
    return Dataset(
        keys=tuple(f"candidate {i}" for i in range(n)),
        features=features,
        candidate=torch.cat([torch.arange(n), asked]),
        fidelity=torch.cat([torch.zeros(n), torch.ones(len(asked))]).long(),
        utility=torch.cat([cheap, target[asked]]),
        n_fidelities=2,
    )


def part(moments: JointMoments, rows: Tensor) -> JointMoments:
    """The moments of the candidates at `rows`."""
    chosen = {name: getattr(moments, name)[rows] for name in MOMENTS}
    return replace(moments, **chosen)


def same_moments(
    ours: JointMoments, theirs: JointMoments, tolerance: float, what: str, unit: float = 1.0
) -> None:
    """Raises AssertionError unless two sets of moments agree.

    Args:
        ours: The ones.
        theirs: The others.
        tolerance: In posterior deviations for means, and as a share for the others.
        what: What was compared, for the message.
        unit: How many of the unit of `ours` make one of the unit of `theirs`.
    """
    deviation = theirs.variance.sqrt()
    target = deviation[:, -1:]
    for name, scale, units in (
        ("mean", deviation, unit),
        ("variance", theirs.variance, unit**2),
        ("target_covariance", deviation * target, unit**2),
    ):
        error = (getattr(ours, name) / units - getattr(theirs, name)).abs() / scale
        worst = float(error.max()) if error.numel() else 0.0
        assert worst <= tolerance, f"{what}: {name} is off by {worst:.3g}, at most {tolerance:g}"


def every_query(features: Tensor, candidate: Tensor, n_fidelities: int) -> tuple[Tensor, ...]:
    """Each candidate at every fidelity: features, candidate and fidelity of ``n M`` queries."""
    fidelity = torch.arange(n_fidelities).repeat_interleave(len(features))
    return features.repeat(n_fidelities, 1), candidate.repeat(n_fidelities), fidelity


def mean_variance(surrogate: Surrogate, data: Dataset, rows: Tensor) -> float:
    """Of candidates of the training data at the target."""
    return float(surrogate.joint(data.features[rows], rows).variance[:, -1].mean())
