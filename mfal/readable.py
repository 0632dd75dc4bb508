"""Whether a campaign's own parts can read the candidates of a problem, before any is paid for."""

from collections.abc import Callable, Mapping, Sequence

from mfal.acquisition.trial import try_acquisition
from mfal.config import CampaignConfig
from mfal.config_errors import in_field
from mfal.envs.base import Environment
from mfal.errors import ConfigError, MfalError, SurrogateError
from mfal.features.base import Features, FeatureSet, fault
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

    An acquisition of a user's own is made to value them, too; see `try_acquisition`.

    Args:
        parts: The features, in the order of the configuration.
        source: Name of the configuration in errors, usually its file.
    """
    _check_features(config, problem, parts, keys, source)
    check_similarity(_measuring(config), problem, keys, source)
    if config.surrogate is not None:
        used, ladder = config.fidelities, problem.oracle.fidelities
        levels = [f.level for f in ladder if used is None or f.name in used]
        try:
            try_acquisition(config.acquisition, config.surrogate, levels, FeatureSet(parts), keys)
        except (ConfigError, SurrogateError) as error:
            raise ConfigError(f"{source}: {error.message}", error.hint) from error


def unreadable(
    config: CampaignConfig, problem: Problem, parts: Sequence[Features], keys: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """Key -> what cannot read it and why, and what to do; empty where all are read.

    Raises:
        ConfigError: for features that read each of the keys, and not all at once.
    """
    wrong: dict[str, tuple[str, str]] = {}
    for i, part in enumerate(parts):
        where = f"features.{i}: {config.features[i].name}"
        at_once = _why_not(_check_rows, part, keys)
        if at_once is None:
            continue
        found = {key: why for key in keys if (why := _why_not(_check_rows, part, [key]))}
        if not found:
            raise ConfigError(
                f"{where} cannot read {len(keys)} candidates at once: {at_once}",
                "give one row of numbers for each key, in order",
            )
        hint = "leave the row out, or name features that read it"
        for key, why in found.items():
            wrong.setdefault(key, (f"{where} cannot read {key!r}: {why}", hint))
    hint = "leave the row out, or name a measure that reads it"
    for field, (name, measure) in _measures(_measuring(config), problem, "").items():
        for key in keys:
            why_not = _why_not(measure, key, key)
            if why_not is not None:
                wrong.setdefault(key, (f"{field}: {name} cannot read {key!r}: {why_not}", hint))
    return wrong


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
            error = _refusal(_check_rows, part, [key])
            if error is not None:
                raise ConfigError(
                    f"{source}: features.{i}: {name} cannot read {key!r}, a candidate of "
                    f"{problem.name}: {error.message}",
                    _either(
                        error,
                        "name features that read this problem's candidates, with the options of "
                        "its search space",
                    ),
                )


def check_similarity(
    components: Mapping[str, Component | None], problem: Problem, keys: Sequence[str], source: str
) -> None:
    """Raise ConfigError unless measures of likeness can compare these candidates.

    Args:
        components: Field -> the measure that it names; None for the problem's own.
        source: Name of the configuration in errors, usually its file.
    """
    for field, (name, measure) in _measures(components, problem, source).items():
        for key in keys:
            error = _refusal(measure, keys[0], key)
            if error is not None:
                other = "name a measure that reads this problem's candidates, such as edit"
                raise ConfigError(
                    f"{source}: {field}: {name} cannot compare {keys[0]!r} and {key!r}, "
                    f"candidates of {problem.name}: {error.message}",
                    other if components[field] is None else _either(error, other),
                )


def _measuring(config: CampaignConfig) -> dict[str, Component | None]:
    """Field -> the measure there: the problem's, and the campaign's own where it has one."""
    components: dict[str, Component | None] = {"problem: similarity": None}
    if config.diversity is not None and config.diversity.similarity is not None:
        components["diversity.similarity"] = config.diversity.similarity
    return components


def _measures(
    components: Mapping[str, Component | None], problem: Problem, source: str
) -> dict[str, tuple[str, Similarity]]:
    """Field -> name of the measure there, and the measure."""
    measures = {}
    for field, component in components.items():
        with in_field(source, field):
            measure = similarity_of(problem, component)
        measures[field] = problem.similarity if component is None else component.name, measure
    return measures


def _check_rows(part: Features, keys: Sequence[str]) -> None:
    if wrong := fault(part(keys), len(keys), part.width):
        raise ConfigError(wrong)


def _why_not(check: Callable[..., object], *of: object) -> str | None:
    """Why a check raises; None where it does not."""
    error = _refusal(check, *of)
    return None if error is None else error.message


def _refusal(check: Callable[..., object], *of: object) -> MfalError | None:
    """What a check raises."""
    try:
        with user_code("it raises", ""):
            check(*of)
    except MfalError as error:
        return error
    return None


def _either(error: MfalError, otherwise: str) -> str:
    """What its own hint tells to do, which may name an option, or else something else."""
    return f"{error.hint}; or {otherwise}" if error.hint else otherwise
