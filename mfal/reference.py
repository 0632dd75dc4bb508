"""The candidates that a round measures its rewards against."""

from collections.abc import Callable, Iterable, Sequence
from itertools import compress

from torch import Generator, Tensor

from mfal.campaign import Campaign
from mfal.dataset import Dataset
from mfal.feasibility import Feasibility
from mfal.gfn.guided import offspring
from mfal.surrogate.base import Surrogate, posterior_mean

PARENTS = 200  # best candidates that the reference set is evolved from
GENERATIONS, GENERATION = 10, 256
PROBABLE = 0.5


def reference_keys(
    campaign: Campaign,
    surrogate: Surrogate,
    data: Dataset,
    seed: int,
    feasibility: Feasibility | None = None,
) -> list[str]:
    """Candidates that reach as far as the sampler will.

    They are the ledger's, what the sampler proposed in the last round, and a pool evolved from
    the best of both. Max-values sampled over the ledger alone stay below what the search
    finds, and then every good candidate is worth the same. A campaign that chooses from a
    fixed list reaches that far and no farther. Candidates that probably have no value are left
    out, for no maximum is to be had from them.
    """
    if campaign.pool is not None:
        return _feasible(dict.fromkeys([*data.keys, *campaign.pool]), feasibility)
    environment = campaign.environment
    generator = Generator().manual_seed(seed)
    known = _feasible(dict.fromkeys([*data.keys, *last_proposed(campaign)]), feasibility)
    mean = posterior_mean(surrogate, campaign.features(known), data.places(known))
    parents = [known[i] for i in best_rows(mean[:, -1], PARENTS)]
    found = dict.fromkeys(known)
    for _ in range(GENERATIONS):
        states = environment.states(parents)
        children = environment.keys(offspring(environment, states, GENERATION, generator))
        children = _feasible(dict.fromkeys(children), feasibility)
        found |= dict.fromkeys(children)
        family = list(dict.fromkeys([*parents, *children]))
        moments = surrogate.joint(campaign.features(family), data.places(family))
        bound = moments.mean[:, -1] + moments.variance[:, -1].sqrt()
        parents = [family[i] for i in best_rows(bound, PARENTS)]
    return list(found)


def attainable(
    reference: Sequence[str], feasibility: Callable[[Sequence[str]], Tensor] | None
) -> list[str]:
    """Those of a reference that have a value more probably than not; all of it, where none has.

    What is good enough is judged by these. A family that promises more and mostly fails would
    otherwise set a mark that nothing else comes near, and a round would ask about it again.
    """
    if feasibility is None:
        return list(reference)
    probable = (feasibility(reference)[:, -1] >= PROBABLE).tolist()
    return list(compress(reference, probable)) or list(reference)


def last_proposed(campaign: Campaign) -> list[str]:
    """Keys that the sampler proposed in the last round, as far as its record keeps them."""
    last = campaign.store.last_round()
    return [] if last is None else list(last.record.get("proposed", []))


def best_rows(score: Tensor, n: int) -> list[int]:
    """Rows of the n highest scores, best first."""
    rows: list[int] = score.argsort(descending=True, stable=True)[:n].tolist()
    return rows


def _feasible(keys: Iterable[str], feasibility: Feasibility | None) -> list[str]:
    """Those that probably have a value at the target; all, where none has."""
    keys = list(keys)
    if feasibility is None or not keys:
        return keys
    return list(compress(keys, feasibility.is_probable(keys))) or keys
