"""Settings and records as the text that a ledger keeps: JSON, whose numbers are all finite."""

import json
import reprlib
from collections.abc import Iterator

from mfal.errors import LedgerError


def encode(value: object) -> str:
    """The text of a value, the same for equal ones.

    Raises:
        TypeError, ValueError: for what JSON cannot hold, such as a NaN; see `encode_part`.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False)


def encode_part(name: str, value: object, where: str) -> str:
    """The text of a part of a round that is to be begun, such as its record.

    Parts of a user's own, surrogates and samplers, put figures into a record.

    Args:
        where: Names ledger and round in an error.

    Raises:
        LedgerError: naming the place of the first figure that is not finite, or is no figure.
    """
    try:
        return encode(value)
    except (TypeError, ValueError) as error:
        place, found = _first_refused(name, value)
        raise LedgerError(
            f"{where} cannot be written down: {place} is {reprlib.repr(found)}, and a ledger "
            "holds text and finite numbers",
            "have what gives it, such as a surrogate or sampler of your own, give a finite number "
            "or leave it out; no query of the round was asked, and the same command begins it anew",
        ) from error


def _first_refused(place: str, value: object) -> tuple[str, object]:
    """The innermost value that cannot be encoded, and its place, as in ``record.training[3].loss``.

    That is a mapping where its keys are at fault.
    """
    for at, inner in _members(place, value):
        try:
            encode(inner)
        except (TypeError, ValueError):
            return _first_refused(at, inner)
    return place, value


def _members(place: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from ((f"{place}.{key}", inner) for key, inner in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"{place}[{i}]", inner) for i, inner in enumerate(value))
