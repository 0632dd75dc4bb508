"""The laws of a surrogate, asked of copies of one fit where they are about no fit of their own."""

import copy
from functools import cache

from mfal.surrogate.base import Surrogate
from mfal.testing import SurrogateChecks


@cache
def _fitted(kind: type[SurrogateChecks]) -> Surrogate:
    return SurrogateChecks.fitted(kind())


class Kept(SurrogateChecks):
    """Fits once a class; a law gets a copy of what nobody has asked yet."""

    def fitted(self) -> Surrogate:
        return copy.deepcopy(_fitted(type(self)))
