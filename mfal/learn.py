"""What a round learns: a surrogate of the ledger, and a sampler of what is worth asking."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from mfal import registry
from mfal.acquisition.base import Acquisition
from mfal.acquisition.remember import RemembersReference
from mfal.acquisition.reward import AcquisitionReward
from mfal.batch.crowd import Crowding
from mfal.campaign import Campaign, derive_seed
from mfal.dataset import Dataset, build_dataset
from mfal.diagnostics import calibration, correlations, held_out, parity, running_against
from mfal.errors import ConfigError, SurrogateError
from mfal.feasibility import Feasibility, learn_feasibility
from mfal.gfn.base import Proposals, Sampler, TrainMetrics, needs_reward, no_reward
from mfal.gfn.baselines import RandomSampler
from mfal.progress import training_line
from mfal.reference import attainable, best_rows, reference_keys
from mfal.sections import Component
from mfal.surrogate.base import FallsBack, Surrogate, posterior_mean
from mfal.surrogate.making import make_surrogate
from mfal.types import Observation, Query
from mfal.user_code import user_code

log = logging.getLogger(__name__)

FALLBACKS = (Component(name="ucb"), Component(name="thompson"))

COLLAPSED = 0.99  # fidelity correlation above which a warning is due
START = 200  # best candidates of the ledger that a sampler starts from


@dataclass(frozen=True)
class Fitted:
    """What a round has learnt from the ledger.

    Attributes:
        surrogate: None where the data do not allow one.
        reward: Acquisition per cost as a log reward; None without a surrogate.
        fallback: What was done instead of what was configured, and why; for the record.
        diagnostics: Figures of the surrogate itself.
        held_out: Fidelity -> figures of its predictions of candidates left out; empty where it
            makes none.
        parity: Fidelity -> those predictions themselves, as far as the record keeps them.
        best: The ledger's best candidates by posterior mean at the target, or by their values
            where there is no surrogate, best first; without those known to have no value there.
        recommended: The top-K of them by posterior mean; empty without a surrogate.
        correlations: Fidelity -> its fitted correlation with the target.
    """

    data: Dataset
    surrogate: Surrogate | None = None
    reward: AcquisitionReward | None = None
    fallback: str = ""
    diagnostics: dict[str, float] = field(default_factory=dict)
    held_out: dict[str, dict[str, float | int | None]] = field(default_factory=dict)
    parity: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)
    correlations: dict[str, float] = field(default_factory=dict)
    best: tuple[str, ...] = ()
    recommended: tuple[str, ...] = ()

    @property
    def reward_statistics(self) -> dict[str, Any]:
        """Figures of the reward for the record."""
        return {} if self.reward is None else self.reward.statistics()

    @property
    def feasibility(self) -> Callable[[Sequence[str]], Tensor] | None:
        """Probability that candidates have a value; None where nothing has failed."""
        return None if self.reward is None else self.reward.feasibility

    def candidate(self, keys: Sequence[str]) -> Tensor:
        """Place of each key among the data's candidates, -1 for a new one, ``n``."""
        return self.data.places(keys)


def fit(campaign: Campaign, seed: int) -> Fitted:
    """Fit the surrogate to the ledger and make the reward of the round from it.

    Where no surrogate can be fitted (too few answers, constant values), says so and leaves
    the round to random proposals. Where the acquisition does not tell candidates apart, the
    first of `FALLBACKS` that does takes its place for this round.
    """
    observations = campaign.store.observations()
    ladder, featurise = campaign.ladder, campaign.features
    data = build_dataset(observations, ladder, campaign.objective, featurise)
    if campaign.config.surrogate is None:
        return Fitted(data, best=best_measured(data, START))
    component, levels = campaign.config.surrogate, tuple(f.level for f in ladder)
    unfitted = make_surrogate(component, levels, featurise)
    try:
        surrogate = unfitted.fit(data, seed=seed)
    except SurrogateError as error:
        log.warning("no surrogate this round, the batch is random: %s", error.message)
        why = f"random batch: {error.message}"
        return Fitted(data, fallback=why, best=best_measured(data, START))
    of_one = make_surrogate(component, (1.0,), featurise)
    feasibility = learn_feasibility(observations, ladder, featurise, of_one, seed=seed)
    return _fitted(campaign, observations, data, surrogate, feasibility, seed)


def _fitted(
    campaign: Campaign,
    observations: Sequence[Observation],
    data: Dataset,
    surrogate: Surrogate,
    feasibility: Feasibility | None,
    seed: int,
) -> Fitted:
    diagnostics = surrogate.diagnostics()
    _warn_of_collapse(campaign, diagnostics)
    _warn_of_opposites(campaign, observations)
    reference = reference_keys(
        campaign, surrogate, data, derive_seed(seed, "reference"), feasibility
    )
    reward, followed = choose_reward(campaign, surrogate, data, reference, seed, feasibility)
    stand_in = surrogate.fallback() if isinstance(surrogate, FallsBack) else ""
    predicted = held_out(surrogate, data, seed=derive_seed(seed, "held out"))
    ranked = best_promising(data, surrogate)
    return Fitted(
        data,
        surrogate,
        reward,
        "; ".join(why for why in (stand_in, followed) if why),
        diagnostics,
        best=ranked[:START],
        recommended=ranked[: campaign.config.top_k],
        held_out={} if predicted is None else calibration(predicted, campaign.ladder),
        parity={} if predicted is None else parity(predicted, campaign.ladder),
        correlations=correlations(diagnostics, campaign.ladder),
    )


def best_promising(data: Dataset, surrogate: Surrogate | RemembersReference) -> tuple[str, ...]:
    """The ledger's candidates by posterior mean at the target, best first.

    A candidate that is known to have no value there is none of them.
    """
    mean = posterior_mean(surrogate, data.features, torch.arange(len(data.keys)))[:, -1]
    ranked = (data.keys[i] for i in best_rows(mean, len(mean)))
    return tuple(key for key in ranked if key not in data.failed)


def best_measured(data: Dataset, n: int) -> tuple[str, ...]:
    """The n candidates of the ledger with the best values at the highest fidelity of each.

    Those that are known to have no value at the target are left out.
    """
    value: dict[str, float] = {}
    for row in data.fidelity.argsort(stable=True).tolist():
        value[data.keys[int(data.candidate[row])]] = float(data.utility[row])
    possible = (key for key in value if key not in data.failed)
    return tuple(sorted(possible, key=lambda key: (-value[key], key))[:n])


def choose_reward(
    campaign: Campaign,
    surrogate: Surrogate,
    data: Dataset,
    reference: Sequence[str],
    seed: int,
    feasibility: Feasibility | None = None,
) -> tuple[AcquisitionReward, str]:
    """The reward of the configured acquisition, or of a fallback, and then why.

    A round whose acquisition has stalled, so that it does not tell candidates apart, would
    train its sampler on nothing. Where the fallbacks have stalled, too, the last is followed.
    """
    configured = campaign.config.acquisition
    asked = RemembersReference(surrogate, campaign.features(reference), data.places(reference))
    reward = make_reward(campaign, configured, asked, data, reference, seed, feasibility)
    stalled, name = [], configured.name
    for other in FALLBACKS:
        if not reward.is_flat:
            break
        if other.name != configured.name:
            stalled.append(name)
            name = other.name
            reward = make_reward(campaign, other, asked, data, reference, seed, feasibility)
    if not stalled:
        return reward, ""
    why = f"{name}: {' and '.join(stalled)} did not tell candidates apart"
    if reward.is_flat:
        why += f", nor does {name}"
    log.warning("this round follows %s", why)
    return reward, why


def make_reward(
    campaign: Campaign,
    component: Component,
    surrogate: Surrogate | RemembersReference,
    data: Dataset,
    reference: Sequence[str],
    seed: int,
    feasibility: Feasibility | None = None,
) -> AcquisitionReward:
    """The log reward of an acquisition, measured against a reference set of keys."""
    sought = attainable(reference, feasibility)
    # Of a few that are known to have a value, the top-K-th best is no mark at all.
    rank = min(campaign.config.top_k, 1 + len(sought) // 10)
    acquisition: Acquisition = registry.build(
        "acquisition",
        component,
        surrogate=surrogate,
        reference_features=campaign.features(sought),
        reference_candidate=data.places(sought),
        rank=rank,
        seed=derive_seed(seed, "acquisition"),
    )
    return AcquisitionReward(
        acquisition,
        campaign.features,
        data.index,
        [f.cost for f in campaign.ladder],
        reference,
        make_crowding(campaign, data, surrogate),
        feasibility,
        temperature=campaign.config.temperature,
    )


def make_crowding(
    campaign: Campaign, data: Dataset, surrogate: Surrogate | RemembersReference
) -> Crowding | None:
    """What keeps the sampler off the top-K that are known; None where all may be alike."""
    config = campaign.config.diversity
    if config is None or config.repulsion == 0:
        return None
    known = best_promising(data, surrogate)[: campaign.config.top_k]
    return Crowding(campaign.similarity, config.at_most, known, config.repulsion)


def train(
    campaign: Campaign,
    fitted: Fitted,
    seed: int,
    on_step: Callable[[TrainMetrics], None],
) -> Proposals:
    """Train the sampler on the reward and draw proposals from it.

    The sampler is given the weights that the last round's proposals came with, and decides
    whether to start from them. The random fallback ignores them, and hands them on; a sampler
    that needs no reward needs no fallback.

    Raises:
        ConfigError: for what a sampler of a user's own raises, or gives instead of proposals.
    """
    weights = campaign.store.weights()
    n = campaign.config.proposals
    sampler: Sampler = registry.build(
        "sampler",
        campaign.config.sampler,
        environment=campaign.environment,
        fidelities=campaign.ladder,
    )

    if fitted.reward is None and needs_reward(sampler):
        return replace(_at_random(campaign, n, seed), weights=weights)

    def report(metrics: TrainMetrics) -> None:
        log.info("step %d of %d: %s", metrics.step, metrics.steps, training_line(metrics))
        on_step(metrics)

    name = campaign.config.sampler.name
    with user_code(f"sampler {name!r}", "mend its sample()", sampler):
        found: object = sampler.sample(
            fitted.reward or no_reward,
            n,
            seed=seed,
            start=fitted.best,
            weights=weights,
            on_step=report,
        )
    return _of_the_campaign(campaign, found)


def _at_random(campaign: Campaign, n: int, seed: int) -> Proposals:
    """Random proposals, n; every query of a fixed list, from which a batch is chosen at random."""
    if campaign.pool is not None:
        return Proposals(
            tuple(Query(key, f.name) for key in campaign.pool for f in campaign.ladder)
        )
    return RandomSampler(campaign.environment, campaign.ladder).sample(no_reward, n, seed=seed)


def _of_the_campaign(campaign: Campaign, found: object) -> Proposals:
    """What a sampler gave, where that is proposals of its list at fidelities that there are."""
    sampler, names = f"sampler {campaign.config.sampler.name!r}", [f.name for f in campaign.ladder]
    if not isinstance(found, Proposals):
        raise ConfigError(
            f"{sampler}: its sample() gives a {type(found).__name__}",
            "it returns mfal.gfn.base.Proposals(queries), a tuple of distinct queries",
        )
    if strange := sorted({q.fidelity for q in found.queries} - {*names}):
        raise ConfigError(
            f"{sampler}: proposes queries at {', '.join(strange)}",
            f"the fidelities are {', '.join(names)}",
        )
    if strange := sorted({q.key for q in found.queries if not campaign.may_ask(q.key)}):
        raise ConfigError(
            f"{sampler}: proposes {strange[0]!r}, which is not in its pool",
            "its pool lists every candidate that it may propose",
        )
    return found


def _warn_of_opposites(campaign: Campaign, observations: Sequence[Observation]) -> None:
    batches = {r.number for r in campaign.store.batches()}
    unchosen = [o for o in observations if o.round not in batches]
    for name, correlation in running_against(unchosen, campaign.ladder).items():
        log.warning(
            "%s runs against %s (rank correlation %.2f), and the surrogate takes both to rise "
            "together: turn the sign of the one or leave it out of `fidelities`",
            name,
            campaign.target.name,
            correlation,
        )


def _warn_of_collapse(campaign: Campaign, diagnostics: dict[str, float]) -> None:
    for i, fidelity in enumerate(campaign.ladder[:-1]):
        correlation = diagnostics.get(f"correlation_{i}", 0.0)
        if correlation > COLLAPSED:
            log.warning(
                "the fitted correlation of %s with %s is %.4f: the surrogate takes the one for "
                "the other, and the cheaper will look best",
                fidelity.name,
                campaign.target.name,
                correlation,
            )
