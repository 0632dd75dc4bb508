"""Whether features and similarity can read the candidates of a problem, before any is paid for."""

from collections.abc import Callable, Sequence

from mfal.config import CampaignConfig
from mfal.config_errors import in_field
from mfal.envs.base import Environment
from mfal.errors import ConfigError, MfalError
from mfal.features.base import Features
from mfal.gfn.base import no_reward
from mfal.gfn.baselines import RandomSampler
from mfal.sections import Component
from mfal.similarity import Similarity, similarity_of
from mfal.types import Fidelity, Problem
from mfal.user_code import user_code

TRIED = 16
"""Candidates that are tried: what reads these will hardly fail at others of their kind."""


def sample_keys(
    environment: Environment, ladder: Sequence[Fidelity], pool: Sequence[str] | None, seed: int
) -> list[str]:
    """Some candidates: spread over the pool where there is one, else drawn at random."""
    if pool is not None:
        return list(pool[:: max(1, len(pool) // TRIED)][:TRIED])
    drawn = RandomSampler(environment, ladder).sample(no_reward, TRIED, seed=seed)
    return list(dict.fromkeys(q.key for q in drawn.queries))


def check_readable(
    config: CampaignConfig,
    problem: Problem,
    parts: Sequence[Features],
    keys: Sequence[str],
    source: str,
) -> None:
    """Raise MfalError unless all that the campaign reads candidates with can read these.

    Args:
        parts: The features, in the order of the configuration.
        source: Name of the configuration in errors, usually its file.
    """
    _check_features(config, problem, parts, keys, source)
    _check_similarity(config, problem, keys, source)


def _check_features(
    config: CampaignConfig,
    problem: Problem,
    parts: Sequence[Features],
    keys: Sequence[str],
    source: str,
) -> None:
    for i, part in enumerate(parts):
        name = config.features[i].name
        for key in keys:
            reason = _why_not(_check_row, part, key)
            if reason is not None:
                raise ConfigError(
                    f"{source}: features.{i}: {name} cannot read {key!r}, a candidate of "
                    f"{problem.name}: {reason}",
                    "name features that read this problem's candidates, with the options of its "
                    "search space",
                )


def _check_similarity(
    config: CampaignConfig, problem: Problem, keys: Sequence[str], source: str
) -> None:
    measures: dict[str, Component | None] = {"problem: similarity": None}
    if config.diversity is not None and config.diversity.similarity is not None:
        measures["diversity.similarity"] = config.diversity.similarity
    for field, component in measures.items():
        name = problem.similarity if component is None else component.name
        with in_field(source, field):
            measure = similarity_of(problem, component)
        for key in keys:
            reason = _why_not(_check_pair, measure, keys[0], key)
            if reason is not None:
                raise ConfigError(
                    f"{source}: {field}: {name} cannot compare {keys[0]!r} and {key!r}, "
                    f"candidates of {problem.name}: {reason}",
                    "name a measure that reads this problem's candidates, such as edit",
                )


def _check_row(part: Features, key: str) -> None:
    row = part([key])
    if tuple(row.shape) != (1, part.width) or not bool(row.isfinite().all()):
        raise ConfigError(f"gives {row.tolist()}, not a row of {part.width} finite numbers")


def _check_pair(measure: Similarity, key: str, other: str) -> None:
    alike = measure(key, other)
    if not 0 <= alike <= 1:
        raise ConfigError(f"gives {alike}, which is not in [0, 1]")


def _why_not(check: Callable[..., None], *of: object) -> str | None:
    """Why a check raises; None where it does not."""
    try:
        with user_code("it raises", ""):
            check(*of)
    except MfalError as error:
        return error.message
    return None
