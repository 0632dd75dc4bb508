"""The laws that every feature map obeys, as a class of tests to inherit."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mfal.features.base import Features, fault
from mfal.registry import build
from mfal.sections import Component
from mfal.testing.generators import left_alone


class FeatureChecks:
    """Checks a feature map on some candidates; each law is one test.

    A row is kept for as long as a campaign runs, and used beside rows that were computed with
    other candidates: it may depend on its own candidate alone.

    In a test module::

        class TestMine(FeatureChecks):
            features = "./my_features.py:MyFeatures"
            options = {"radius": 2}
            keys = ("[C][C][O]", "[C][=O]")

    A failing law says in its message what broke. Override `tolerance`, by how much numbers that
    are to agree may differ.
    """

    features: str
    options: Mapping[str, Any] = {}
    keys: Sequence[str]
    seed = 0
    tolerance = 1e-9

    def make(self) -> Features:
        """The map, built as a campaign builds it.

        Raises:
            NotImplementedError: without its name, or two different candidates to try it on.
        """
        if not hasattr(self, "features") or len({*getattr(self, "keys", ())}) < 2:
            raise NotImplementedError(
                "set `features`, and `keys` to two candidates or more, in your subclass of "
                "FeatureChecks"
            )
        made: Features = build(
            "features", Component(name=self.features, options=dict(self.options))
        )
        return made

    def test_satisfies_the_protocol(self) -> None:
        """There are `width`, `linear_columns`, which are columns, and the call."""
        made = self.make()
        assert isinstance(made, Features), "`width`, `linear_columns` or `__call__` is missing"
        assert isinstance(made.width, int) and made.width > 0, f"a width of {made.width!r}"
        strange = [c for c in made.linear_columns if not 0 <= c < made.width]
        assert not strange, f"linear columns {strange} of {made.width}"

    def test_a_candidate_has_a_row_of_finite_numbers(self) -> None:
        """They are ``n x width``, whatever n."""
        made = self.make()
        for n in (len(self.keys), 1):
            wrong = fault(made(self.keys[:n]), n, made.width)
            assert not wrong, wrong

    def test_candidates_are_told_apart(self) -> None:
        """Of rows that are all the same, a surrogate learns nothing."""
        rows = self._rows()
        spread = float((rows.max(dim=0).values - rows.min(dim=0).values).max())
        assert spread > self.tolerance, "all candidates have the same row"

    def test_rows_do_not_depend_on_the_batch(self) -> None:
        """A candidate by itself has the row that it has among others."""
        made, whole = self.make(), self._rows()
        for i, key in enumerate(self.keys):
            self._same(made([key]), whole[i : i + 1], f"{key!r} by itself and among others")

    def test_rows_follow_the_order_of_the_candidates(self) -> None:
        """Candidates shuffled and repeated have rows shuffled and repeated."""
        order = [*range(len(self.keys)), *range(len(self.keys))]
        random.Random(self.seed).shuffle(order)
        mixed = self.make()([self.keys[i] for i in order])
        self._same(mixed, self._rows()[order], "shuffled candidates")

    def test_rows_are_the_same_again(self) -> None:
        """Asked again, or built anew as the next process does, a map says the same."""
        made = self.make()
        first = made(self.keys).clone()
        self._same(made(self.keys), first, "asked again")
        self._same(self._rows(), first, "built anew")

    def test_nothing_draws_from_the_global_generators(self) -> None:
        """Building and asking leave the generators of torch and Python alone."""
        with left_alone():
            self._rows()

    def _rows(self) -> Tensor:
        return self.make()(self.keys)

    def _same(self, ours: Tensor, theirs: Tensor, what: str) -> None:
        assert ours.shape == theirs.shape, f"{what}: {tuple(ours.shape)}, {tuple(theirs.shape)}"
        error = float((ours - theirs).abs().max())
        assert error <= self.tolerance, f"{what}: they differ by {error:.3g}"
