"""Which of the candidates that were asked, at any fidelity, the model holds for the best."""

from dataclasses import dataclass

from mfal.campaign import Campaign, derive_seed
from mfal.dataset import build_dataset
from mfal.errors import SurrogateError
from mfal.learn import best_promising
from mfal.metrics import measured
from mfal.similarity import different
from mfal.surrogate.making import make_surrogate


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A candidate of the ledger, and what is thought of it at the target.

    Attributes:
        mean: Posterior mean of the first objective at the target, in its unit.
        sd: Its standard deviation, without the noise of a measurement.
        measured: What was measured at the target; None where it was not asked there.
    """

    candidate: str
    mean: float
    sd: float
    measured: float | None


def recommend(campaign: Campaign, n: int, diverse: float | None = None) -> list[Recommendation]:
    """The n candidates of the ledger with the best posterior means at the target, best first.

    The surrogate is fitted to everything that the ledger holds now. A candidate that is known to
    have no value at the target is not among them.

    Args:
        diverse: Leave out whoever is more similar than this to a better one that is in.

    Raises:
        SurrogateError: if the campaign has none, or the answers do not allow one yet.
    """
    if campaign.config.surrogate is None:
        raise SurrogateError(
            f"campaign {campaign.config.name!r} has no surrogate, so nothing is recommended",
            "see what was measured: mfal best",
        )
    observations = campaign.store.observations()
    data = build_dataset(observations, campaign.ladder, campaign.objective, campaign.features)
    levels = tuple(f.level for f in campaign.ladder)
    seed = derive_seed(campaign.config.seed, "recommend")
    surrogate = make_surrogate(campaign.config.surrogate, levels, campaign.features)
    fitted = surrogate.fit(data, seed=seed)
    keys = list(best_promising(data, fitted))
    if diverse is not None:
        keys = different(keys, campaign.similarity, diverse, n)
    rows = data.places(keys[:n])
    moments = fitted.joint(data.features[rows], rows)
    mean = (moments.mean[:, -1] * campaign.objective.sign).tolist()
    sd = moments.variance[:, -1].sqrt().tolist()
    known = measured(observations, campaign.target.name, campaign.objective).by_key
    return [
        Recommendation(key, m, s, known.get(key))
        for key, m, s in zip(keys[:n], mean, sd, strict=True)
    ]
