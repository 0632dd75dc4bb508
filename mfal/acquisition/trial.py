"""An acquisition of a user's own, tried on made-up answers before any is paid for."""

from collections.abc import Sequence

import torch

from mfal.acquisition.reward import AcquisitionReward
from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.features.base import FeatureSet
from mfal.registry import BUILTIN, build
from mfal.sections import Component
from mfal.surrogate.making import make_surrogate

SEED = 0


def try_acquisition(
    acquisition: Component,
    surrogate: Component,
    levels: Sequence[float],
    features: FeatureSet,
    keys: Sequence[str],
) -> None:
    """Make a round's reward of an acquisition that is none of mfal's, for a few candidates.

    Their answers are made up: they rise from one to the next, at every fidelity. Where no
    surrogate can be fitted to that, nothing is tried.

    Args:
        levels: Of the fidelities, ``M``.
        keys: The candidates, distinct.

    Raises:
        ConfigError: for what the acquisition raises.
        SurrogateError: for a worth that is not ``n x M``, or not finite.
    """
    if acquisition.name in BUILTIN["acquisition"] or len(keys) < 2:
        return
    n, rungs = len(keys), len(levels)
    data = Dataset(
        keys=tuple(keys),
        features=features(keys),
        candidate=torch.arange(n).repeat(rungs),
        fidelity=torch.arange(rungs).repeat_interleave(n),
        utility=torch.linspace(0, 1, n, dtype=torch.float64).repeat(rungs),
        n_fidelities=rungs,
    )
    try:
        fitted = make_surrogate(surrogate, tuple(levels), features).fit(data, seed=SEED)
    except SurrogateError:
        return
    built = build(
        "acquisition",
        acquisition,
        surrogate=fitted,
        reference_features=data.features,
        reference_candidate=data.places(keys),
        rank=1,
        seed=SEED,
    )
    AcquisitionReward(built, features, data.index, [1.0] * rungs, keys)
