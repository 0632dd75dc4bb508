"""The laws that every acquisition obeys, as a class of tests to inherit."""

import random
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from mfal.acquisition.base import Acquisition
from mfal.dataset import Dataset, split_by_candidate
from mfal.registry import build
from mfal.sections import Component
from mfal.surrogate.base import Surrogate
from mfal.surrogate.gp import MultiFidelityGP
from mfal.testing.generators import left_alone
from mfal.testing.regression import example_data


class AcquisitionChecks:
    """Checks an acquisition on a process fitted to 48 candidates; each law is one test.

    In a test module::

        class TestMine(AcquisitionChecks):
            acquisition = "./my_acquisition.py:MyAcquisition"
            options = {"beta": 2.0}

    A failing law says in its message what broke. Override `tolerance`, by how many nats worths
    that are to agree may differ.
    """

    acquisition: str
    options: Mapping[str, Any] = {}
    seed = 0
    tolerance = 1e-6

    def make(self, *, rungs: int = 2) -> Acquisition:
        """The acquisition, built as a round builds it, for a ladder of one rung or two.

        The reference is what the surrogate was fitted to.
        """
        if not hasattr(self, "acquisition"):
            raise NotImplementedError("set `acquisition` in your subclass of AcquisitionChecks")
        train, surrogate = _fitted(rungs)
        made: Acquisition = build(
            "acquisition",
            Component(name=self.acquisition, options=dict(self.options)),
            surrogate=surrogate,
            reference_features=train.features.clone(),
            reference_candidate=torch.arange(len(train.keys)),
            rank=1,
            seed=self.seed,
        )
        return made

    def queries(self) -> tuple[Tensor, Tensor]:
        """Features and places of candidates outside and, after them, inside the training data."""
        train, kept = _parts()
        inside = torch.arange(len(train.keys))
        outside = torch.full((len(kept.keys),), -1)
        return torch.cat([kept.features, train.features]), torch.cat([outside, inside])

    def test_satisfies_the_protocol(self) -> None:
        """There is `log`."""
        assert isinstance(self.make(), Acquisition), "`log` is missing"

    def test_worths_have_a_row_per_candidate_and_a_column_per_fidelity(self) -> None:
        """They are ``n x M``, whatever n."""
        acquisition, (features, candidate) = self.make(), self.queries()
        for n in (len(features), 1, 0):
            found: object = acquisition.log(features[:n], candidate[:n])
            assert isinstance(found, Tensor), f"log is a {type(found).__name__}"
            shape, wanted = tuple(found.shape), (n, 2)
            assert shape == wanted, f"log is {shape}, not {wanted}"

    def test_a_ladder_of_one_fidelity_has_one_column(self) -> None:
        """A campaign may use the target alone."""
        features, _ = self.queries()
        shape = tuple(self.make(rungs=1).log(features).shape)
        assert shape == (len(features), 1), f"log is {shape}"

    def test_logarithms_are_finite(self) -> None:
        """No NaN and no infinity, also far away from the data."""
        acquisition, (features, candidate) = self.make(), self.queries()
        for log in (acquisition.log(features, candidate), acquisition.log(100 * features + 100)):
            assert log.isfinite().all(), f"{int((~log.isfinite()).sum())} are not finite"

    def test_candidates_are_told_apart(self) -> None:
        """A worth that is the same for all leaves nothing to follow."""
        log = self.make().log(*self.queries())
        spread = float((log.max(dim=0).values - log.min(dim=0).values).max())
        assert spread > self.tolerance, "all candidates are worth the same"

    def test_worths_do_not_depend_on_the_batch(self) -> None:
        """A candidate by itself is worth what it is worth among others."""
        acquisition, (features, candidate) = self.make(), self.queries()
        whole = acquisition.log(features, candidate)
        for row in (0, len(features) - 1):
            one = slice(row, row + 1)
            self._same(acquisition.log(features[one], candidate[one]), whole[one], f"row {row}")

    def test_worths_follow_the_order_of_the_candidates(self) -> None:
        """Candidates shuffled and repeated give worths shuffled and repeated."""
        acquisition, (features, candidate) = self.make(), self.queries()
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(self.seed))
        order = torch.cat([order, order[:3]])
        mixed = acquisition.log(features[order], candidate[order])
        self._same(mixed, acquisition.log(features, candidate)[order], "shuffled candidates")

    def test_without_places_all_candidates_are_new(self) -> None:
        """Without `candidate`, every candidate is taken for one never queried."""
        acquisition, (features, candidate) = self.make(), self.queries()
        new = acquisition.log(features, torch.full_like(candidate, -1))
        self._same(acquisition.log(features), new, "no places")

    def test_asking_changes_nothing(self) -> None:
        """Nothing is written into what is given, and the same is said when asked again."""
        acquisition, (features, candidate) = self.make(), self.queries()
        kept = features.clone(), candidate.clone()
        first = acquisition.log(features, candidate).clone()
        assert torch.equal(features, kept[0]), "the features were changed"
        assert torch.equal(candidate, kept[1]), "the places were changed"
        self._same(acquisition.log(features, candidate), first, "asked again")

    def test_a_seed_settles_the_worths(self) -> None:
        """Two acquisitions with one seed are one."""
        first = self.make().log(*self.queries())
        torch.rand(7)
        random.random()
        self._same(self.make().log(*self.queries()), first, "the same seed")

    def test_nothing_draws_from_the_global_generators(self) -> None:
        """Building and asking leave the generators of torch and Python alone."""
        _fitted(2)  # before
        with left_alone():
            self.make().log(*self.queries())

    def _same(self, ours: Tensor, theirs: Tensor, what: str) -> None:
        assert ours.shape == theirs.shape, f"{what}: {tuple(ours.shape)}, {tuple(theirs.shape)}"
        error = float((ours - theirs).abs().max()) if ours.numel() else 0.0
        assert error <= self.tolerance, f"{what}: they differ by {error:.3g} nats"


def _parts() -> tuple[Dataset, Dataset]:
    """Candidates that the surrogate is fitted to, and others."""
    return split_by_candidate(example_data(), 0.2, seed=0)


@cache
def _fitted(rungs: int) -> tuple[Dataset, Surrogate]:
    """The data and a process fitted to them: all, or the target alone."""
    train = _parts()[0]
    if rungs == 1:
        at_target = train.subset(train.fidelity == train.n_fidelities - 1)
        train = replace(at_target, fidelity=0 * at_target.fidelity, n_fidelities=1)
    levels = (0.5, 1.0)[-rungs:]
    return train, MultiFidelityGP(n_fidelities=rungs, levels=levels).fit(train, seed=0)
