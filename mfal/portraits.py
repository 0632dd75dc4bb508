"""How a problem shows its candidates, where a user's code that fails costs only what it shows."""

import logging
from collections.abc import Callable
from dataclasses import replace

from mfal.reasons import plain, said
from mfal.types import Problem

log = logging.getLogger(__name__)


class Lenient:
    """A function from a candidate to a text, whose failures are empty texts and one warning."""

    def __init__(self, what: str, function: Callable[[str], str]) -> None:
        self._what = what
        self._function = function
        self._warned = False

    def __call__(self, key: str) -> str:
        """What the function says of a candidate; nothing where it raises or gives no text."""
        try:
            text: object = self._function(key)
        except (Exception, SystemExit) as error:  # of a user's code
            return self._fail(key, said(error))
        return plain(text) if isinstance(text, str) else self._fail(key, f"gives {text!r}, no text")

    def _fail(self, key: str, why: str) -> str:
        if not self._warned:
            self._warned = True
            log.warning(
                "%s: candidate %r is shown without it, as others may be: %s", self._what, key, why
            )
        return ""


def shown(problem: Problem) -> Problem:
    """The problem with a `describe` and a `draw` that never raise."""
    describe, draw = problem.describe, problem.draw
    return replace(
        problem,
        describe=describe and Lenient(f"{problem.name}: describe", describe),
        draw=draw and Lenient(f"{problem.name}: draw", draw),
    )
