"""The laws that every surrogate obeys, as a class of tests to inherit."""

from dataclasses import replace

import torch

from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.surrogate.base import Surrogate
from mfal.testing.generators import left_alone
from mfal.testing.moments import MomentChecks
from mfal.testing.regression import mean_variance, same_moments

_ASKED = 5  # candidates whose answers are taken away, to see what they are worth


class SurrogateChecks(MomentChecks):
    """Checks a surrogate on a small ladder; each law is one test.

    In a test module::

        class TestMine(SurrogateChecks):
            def surrogate(self):
                return MySurrogate(width=32)

    A failing law says in its message what broke. Override `data` where yours needs features
    of another kind; `tolerance`, the share by which moments that are to agree may differ;
    `refit_tolerance`, the same for two fits that are to agree, in posterior deviations.
    """

    refit_tolerance = 0.05

    def test_satisfies_the_protocol(self) -> None:
        """Every method of `Surrogate` is there."""
        assert isinstance(self.surrogate(), Surrogate), "a method is missing"

    def test_fitting_leaves_an_earlier_fit_alone(self) -> None:
        """`fit` gives a new surrogate: what was fitted before predicts as it did."""
        settings, train = self.surrogate(), self.train()
        first = settings.fit(train, seed=self.seed)
        before = first.joint(*self.queries())
        settings.fit(replace(train, utility=-3 * train.utility), seed=self.seed)
        first.fit(replace(train, utility=-3 * train.utility), seed=self.seed)
        same_moments(first.joint(*self.queries()), before, self.tolerance, "after another fit")

    def test_fitting_does_not_change_the_data(self) -> None:
        """`fit` writes into nothing that it is given."""
        train, kept = self.train(), self.train()
        self.surrogate().fit(train, seed=self.seed)
        for name in ("features", "candidate", "fidelity", "utility"):
            assert torch.equal(getattr(train, name), getattr(kept, name)), f"{name} was changed"

    def test_a_seed_settles_the_fit(self) -> None:
        """Two fits with one seed are one."""
        train = self.train()
        moments = self.surrogate().fit(train, seed=self.seed).joint(*self.queries())
        torch.rand(7)
        again = self.surrogate().fit(train, seed=self.seed).joint(*self.queries())
        same_moments(again, moments, 0.0, "the same seed")

    def test_nothing_draws_from_the_global_generators(self) -> None:
        """Fitting and predicting leave the generators of torch and Python alone."""
        with left_alone():
            self.surrogate().fit(self.train(), seed=self.seed).joint(*self.queries())

    def test_the_order_of_observations_changes_nothing(self) -> None:
        """Rows of the data in another order teach the same."""
        train = self.train()
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(self.seed))
        mixed = self.surrogate().fit(train.rows(order), seed=self.seed)
        same_moments(
            mixed.joint(*self.queries()),
            self.fitted().joint(*self.queries()),
            self.refit_tolerance,
            "shuffled observations",
        )

    def test_units_of_the_utility_carry_through(self) -> None:
        """Utilities times 1,000 and 5 more give means, deviations and noise that are as well."""
        train = self.train()
        scaled = replace(train, utility=1000 * train.utility + 5)
        ours = self.surrogate().fit(scaled, seed=self.seed).joint(*self.queries())
        ours = replace(ours, mean=ours.mean - 5)
        theirs = self.fitted().joint(*self.queries())
        same_moments(ours, theirs, self.refit_tolerance, "scaled utilities", unit=1000)
        noise, expected = ours.noise, 1000**2 * theirs.noise
        # What is fitted to be noise is vague; in other units it is off by orders of magnitude.
        alike = ((noise >= expected / 2) & (noise <= expected * 2)).all()
        assert alike, f"scaled utilities: noise {noise.tolist()}, not {expected.tolist()}"

    def test_answers_lower_the_variance(self) -> None:
        """Candidates are better known once they have been asked about than before."""
        train = self.train()
        target = train.fidelity == train.n_fidelities - 1
        asked = torch.unique(train.candidate[target])[:_ASKED]
        fewer = train.rows(~(target & torch.isin(train.candidate, asked)))
        before = mean_variance(self.surrogate().fit(fewer, seed=self.seed), train, asked)
        after = mean_variance(self.fitted(), train, asked)
        assert after < before, f"mean variance {before:.4g} before, {after:.4g} after"

    def test_what_was_asked_is_learnt(self) -> None:
        """Higher means where higher utilities were seen, at every fidelity."""
        train = self.train()
        mean = self.fitted().joint(train.features, torch.arange(len(train.keys))).mean
        for rung in torch.unique(train.fidelity).tolist():
            at = train.fidelity == rung
            pair = torch.stack([mean[train.candidate[at], rung], train.utility[at]])
            correlation = float(torch.corrcoef(pair)[0, 1])
            assert correlation > 0.5, f"correlation {correlation:.3f} at fidelity {rung}"

    def test_answers_that_were_given_twice_do_no_harm(self) -> None:
        """Every observation three times over: finite moments, and nothing certain."""
        train = self.train()
        again = train.rows(torch.arange(len(train)).repeat(3))
        moments = self.surrogate().fit(again, seed=self.seed).joint(*self.queries())
        assert moments.mean.isfinite().all(), "a mean is not finite"
        assert moments.variance.isfinite().all(), "a variance is not finite"
        assert (moments.variance > 0).all(), "a variance is zero"

    def test_one_observation_is_fitted_or_refused(self) -> None:
        """A single answer raises SurrogateError, or leads to moments that are finite."""
        one = self.train().rows(torch.tensor([0]))
        try:
            surrogate = self.surrogate().fit(one, seed=self.seed)
        except SurrogateError:
            return
        moments = surrogate.joint(self.queries()[0])
        assert moments.mean.isfinite().all(), "a mean is not finite"
        assert moments.variance.isfinite().all(), "a variance is not finite"
        assert (moments.variance > 0).all(), "a variance is not above zero"

    def test_equal_utilities_are_refused(self) -> None:
        """Data from which nothing can be learnt raise SurrogateError, with a hint."""
        train = self.train()
        self._refused(replace(train, utility=torch.full_like(train.utility, 3.0)), "equal")

    def test_utilities_that_are_not_finite_are_refused(self) -> None:
        """NaN and infinity raise SurrogateError, with a hint."""
        train = self.train()
        for value in (torch.nan, torch.inf):
            utility = train.utility.clone()
            utility[1] = value
            self._refused(replace(train, utility=utility), str(value))

    def test_predicting_before_a_fit_is_refused(self) -> None:
        """`joint` of a surrogate that is not fitted raises SurrogateError."""
        try:
            self.surrogate().joint(self.queries()[0])
        except SurrogateError:
            return
        raise AssertionError("a surrogate that is not fitted predicted something")

    def _refused(self, data: Dataset, what: str) -> None:
        try:
            self.surrogate().fit(data, seed=self.seed)
        except SurrogateError as error:
            assert error.hint, f"{what} utilities: the error has no hint"
            return
        raise AssertionError(f"{what} utilities were fitted")
