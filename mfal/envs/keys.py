"""Keys that somebody else has written, held against what the environment makes of them."""

from collections.abc import Sequence

from mfal.envs.base import Buildable
from mfal.errors import InvalidKeyError
from mfal.user_code import user_code

_READING = (
    "the environment cannot read the candidates",
    "have its states() raise InvalidKeyError for what is no candidate",
)


def refused_keys(environment: Buildable, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Key -> why it is no candidate and what would be right; halves what is refused at once.

    Raises:
        ConfigError: for whatever else the environment raises.
    """
    if not keys:
        return {}
    try:
        with user_code(*_READING):
            environment.states(keys)
    except InvalidKeyError as error:
        if len(keys) == 1:
            return {keys[0]: (error.message, error.hint)}
        half = len(keys) // 2
        return refused_keys(environment, keys[:half]) | refused_keys(environment, keys[half:])
    return {}


def bad_keys(environment: Buildable, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Key -> why it is no candidate, or not how one is written, and what would be right.

    To write candidates anew may take long: a molecule takes a millisecond or two.

    Raises:
        ConfigError: for whatever else the environment raises.
    """
    wrong = refused_keys(environment, keys)
    if candidates := [key for key in keys if key not in wrong]:
        with user_code(*_READING):
            written = environment.keys(environment.states(candidates))
        wrong |= {
            key: (f"{key!r} is not how this candidate is written", f"write {right!r}")
            for key, right in zip(candidates, written, strict=True)
            if key != right
        }
    return wrong


def check_keys(environment: Buildable, keys: Sequence[str], source: str) -> None:
    """Raise InvalidKeyError that names the first of `bad_keys`, and says how many there are.

    Args:
        source: Where the keys come from, in the error.

    Raises:
        ConfigError: for whatever else the environment raises.
    """
    wrong = bad_keys(environment, keys)
    for what, right in wrong.values():
        more = f" (the first of {len(wrong)})" if len(wrong) > 1 else ""
        raise InvalidKeyError(f"{source}: {what}{more}", right)
