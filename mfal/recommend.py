"""Which candidates, asked at any fidelity or only listed, the model holds for the best."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mfal.campaign import Campaign, derive_seed
from mfal.dataset import Dataset, build_dataset
from mfal.errors import ConfigError, SurrogateError
from mfal.feasibility import learn_feasibility
from mfal.metrics import measured
from mfal.reference import best_rows
from mfal.similarity import different
from mfal.surrogate.base import Surrogate, posterior_mean
from mfal.surrogate.making import make_surrogate

_AT_ONCE = 4096  # candidates: a list may be longer than the covariance of all with the data


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A candidate, and what is thought of it at the target.

    Attributes:
        mean: Posterior mean of the first objective at the target, in its unit.
        sd: Its standard deviation, without the noise of a measurement.
        measured: What was measured at the target; None where it was not asked there.
        probability: That it has a value there at all, as far as failures teach; 1 where nothing
            failed.
    """

    candidate: str
    mean: float
    sd: float
    measured: float | None
    probability: float


def recommend(
    campaign: Campaign, n: int, diverse: float | None = None, *, unasked: bool = False
) -> list[Recommendation]:
    """The n candidates of the ledger with the best posterior means at the target, best first.

    The surrogate is fitted to everything that the ledger holds now. A candidate that is known to
    have no value at the target is not among them; how probable it is that the others have one
    is said, and does not change their order.

    Args:
        diverse: Leave out whoever is more similar than this to a better one that is in.
        unasked: Consider all of the fixed list that the campaign searches, asked or not.

    Raises:
        SurrogateError: if the campaign has none, or the answers do not allow one yet.
        ConfigError: if those that were not asked are wanted of a campaign without a list.
    """
    if campaign.config.surrogate is None:
        raise SurrogateError(
            f"campaign {campaign.config.name!r} has no surrogate, so nothing is recommended",
            "see what was measured: mfal best",
        )
    observations = campaign.store.observations()
    data = build_dataset(observations, campaign.ladder, campaign.objective, campaign.features)
    considered = _considered(campaign, data, unasked)
    component, levels = campaign.config.surrogate, tuple(f.level for f in campaign.ladder)
    seed = derive_seed(campaign.config.seed, "recommend")
    fitted = make_surrogate(component, levels, campaign.features).fit(data, seed=seed)
    if not considered:
        return []
    expected = _expected(campaign, data, fitted, considered)
    keys = [considered[i] for i in best_rows(expected, len(expected))]
    if diverse is not None:
        keys = different(keys, campaign.similarity, diverse, n)
    keys = keys[:n]
    moments = fitted.joint(campaign.features(keys), data.places(keys))
    mean = (moments.mean[:, -1] * campaign.objective.sign).tolist()
    sd = moments.variance[:, -1].sqrt().tolist()
    known = measured(observations, campaign.target.name, campaign.objective).by_key
    of_one = make_surrogate(component, (1.0,), campaign.features)
    feasibility = learn_feasibility(
        observations, campaign.ladder, campaign.features, of_one, seed=seed
    )
    probable = [1.0] * len(keys) if feasibility is None else feasibility(keys)[:, -1].tolist()
    return [
        Recommendation(key, m, s, known.get(key), p)
        for key, m, s, p in zip(keys, mean, sd, probable, strict=True)
    ]


def _considered(campaign: Campaign, data: Dataset, unasked: bool) -> list[str]:
    """Those that have a value at the target, as far as is known."""
    if unasked and campaign.pool is None:
        raise ConfigError(
            f"campaign {campaign.config.name!r} searches no list, so that those which were not "
            "asked have no end",
            "ask for these where the sampler is pool, and elsewhere for what was asked",
        )
    keys = dict.fromkeys([*data.keys, *(campaign.pool or () if unasked else ())])
    return [key for key in keys if key not in data.failed]


def _expected(campaign: Campaign, data: Dataset, fitted: Surrogate, keys: Sequence[str]) -> Tensor:
    """Posterior means at the target in units of utility, one a key."""
    parts = [keys[i : i + _AT_ONCE] for i in range(0, len(keys), _AT_ONCE)]
    return torch.cat(
        [posterior_mean(fitted, campaign.features(k), data.places(k))[:, -1] for k in parts]
    )
