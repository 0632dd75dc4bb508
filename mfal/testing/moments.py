"""The laws of what a fitted surrogate says."""

from dataclasses import replace

import torch
from torch import Tensor

from mfal.dataset import Dataset, split_by_candidate
from mfal.surrogate.base import Surrogate, posterior_mean
from mfal.testing.regression import MOMENTS, every_query, example_data, part, same_moments


class MomentChecks:
    """The part of `SurrogateChecks` about one fitted surrogate."""

    seed = 0
    tolerance = 1e-6

    def surrogate(self) -> Surrogate:
        """The surrogate to check, not fitted; called once a law or more."""
        raise NotImplementedError("define surrogate(self) in your subclass of SurrogateChecks")

    def data(self) -> Dataset:
        """Some thirty candidates or more that a surrogate can be fitted to, some at two rungs."""
        return example_data()

    def train(self) -> Dataset:
        """The data without the candidates that are kept to ask about."""
        return split_by_candidate(self.data(), 0.3, seed=self.seed)[0]

    def queries(self) -> tuple[Tensor, Tensor]:
        """Features and places of candidates outside and, after them, inside the training data."""
        train, kept = split_by_candidate(self.data(), 0.3, seed=self.seed)
        outside = torch.full((len(kept.keys),), -1)
        inside = torch.arange(min(12, len(train.keys)))
        return torch.cat([kept.features, train.features[inside]]), torch.cat([outside, inside])

    def fitted(self) -> Surrogate:
        """Fitted to the training data."""
        return self.surrogate().fit(self.train(), seed=self.seed)

    def test_moments_have_a_row_per_candidate_and_a_column_per_fidelity(self) -> None:
        """`joint` gives float64, ``n x M``, and one noise variance a fidelity."""
        (features, candidate), m = self.queries(), self.train().n_fidelities
        moments = self.fitted().joint(features, candidate)
        for name in MOMENTS:
            got = getattr(moments, name)
            assert got.shape == (len(features), m), f"{name} is {tuple(got.shape)}"
            assert got.dtype == torch.float64, f"{name} is {got.dtype}"
        assert moments.noise.shape == (m,), f"noise is {tuple(moments.noise.shape)}"

    def test_moments_are_finite(self) -> None:
        """No NaN and no infinity, also far away from the data."""
        surrogate, (features, candidate) = self.fitted(), self.queries()
        far = surrogate.joint(100 * features + 100)
        for moments in (surrogate.joint(features, candidate), far):
            for name in (*MOMENTS, "noise"):
                assert getattr(moments, name).isfinite().all(), f"{name} is not finite"

    def test_means_alone_are_those_of_all_moments(self) -> None:
        """A surrogate that predicts means by themselves predicts the same."""
        surrogate, (features, candidate) = self.fitted(), self.queries()
        for place in (candidate, None):
            mean = posterior_mean(surrogate, features, place)
            joint = surrogate.joint(features, place)
            same_moments(replace(joint, mean=mean), joint, self.tolerance, "means alone")

    def test_variances_are_above_zero(self) -> None:
        """Nothing is certain; noise is not below zero."""
        moments = self.fitted().joint(*self.queries())
        assert (moments.variance > 0).all(), f"least variance {float(moments.variance.min()):.3g}"
        assert (moments.noise >= 0).all(), f"noise {moments.noise.tolist()}"

    def test_the_targets_covariance_with_itself_is_its_variance(self) -> None:
        """The last columns of `target_covariance` and `variance` are one."""
        moments = self.fitted().joint(*self.queries())
        gap = (moments.target_covariance[:, -1] / moments.variance[:, -1] - 1).abs().max()
        assert gap <= self.tolerance, f"they differ by {float(gap):.3g}"

    def test_covariances_obey_cauchy_and_schwarz(self) -> None:
        """No fidelity tells more of the target than there is to know."""
        moments = self.fitted().joint(*self.queries())
        bound = moments.variance * moments.variance[:, -1:]
        ratio = float((moments.target_covariance.square() / bound).max())
        assert ratio <= 1 + self.tolerance, f"a squared correlation with the target is {ratio:.6g}"

    def test_joint_covariances_are_symmetric_and_positive(self) -> None:
        """`covariance` is symmetric and has no negative eigenvalue."""
        joint = self._covariance()
        largest = float(joint.diagonal().max())
        skew = float((joint - joint.T).abs().max()) / largest
        assert skew <= self.tolerance, f"it is skew by {skew:.3g} of the largest variance"
        least = float(torch.linalg.eigvalsh((joint + joint.T) / 2)[0]) / largest
        assert least >= -self.tolerance, f"least eigenvalue {least:.3g} of the largest variance"

    def test_joint_covariances_agree_with_joint(self) -> None:
        """The diagonals of `covariance`, by fidelity and with the target, are what `joint` says."""
        m = self.train().n_fidelities
        moments, joint = self.fitted().joint(*self.queries()), self._covariance()
        blocks = joint.view(m, len(joint) // m, m, -1).diagonal(dim1=1, dim2=3)
        for name, block in (
            ("variance", blocks.diagonal()),
            ("target_covariance", blocks[:, -1].T),
        ):
            error = (getattr(moments, name) - block).abs().max() / joint.diagonal().max()
            assert error <= self.tolerance, f"{name} is off by {float(error):.3g}"

    def test_moments_do_not_depend_on_the_batch(self) -> None:
        """A candidate by itself has the moments that it has among others."""
        surrogate, (features, candidate) = self.fitted(), self.queries()
        whole = surrogate.joint(features, candidate)
        for row in (0, len(features) - 1):
            one = surrogate.joint(features[row : row + 1], candidate[row : row + 1])
            same_moments(one, part(whole, torch.tensor([row])), self.tolerance, f"row {row}")

    def test_moments_follow_the_order_of_the_queries(self) -> None:
        """Queries shuffled and repeated give moments shuffled and repeated."""
        surrogate, (features, candidate) = self.fitted(), self.queries()
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(self.seed))
        order = torch.cat([order, order[:3]])
        mixed = surrogate.joint(features[order], candidate[order])
        expected = part(surrogate.joint(features, candidate), order)
        same_moments(mixed, expected, self.tolerance, "shuffled queries")

    def test_no_queries_have_no_moments(self) -> None:
        """An empty batch gives empty moments."""
        features, candidate = self.queries()
        moments = self.fitted().joint(features[:0], candidate[:0])
        for name in MOMENTS:
            shape = tuple(getattr(moments, name).shape)
            assert shape == (0, self.train().n_fidelities), f"{name} is {shape}"

    def test_without_places_all_candidates_are_new(self) -> None:
        """`joint` without `candidate` takes every candidate for one never queried."""
        surrogate, (features, candidate) = self.fitted(), self.queries()
        new = surrogate.joint(features, torch.full_like(candidate, -1))
        same_moments(surrogate.joint(features), new, self.tolerance, "no places")

    def test_an_asked_candidate_is_no_less_certain_than_a_stranger(self) -> None:
        """Knowing which candidate of the data it is never raises a variance."""
        surrogate, (features, candidate) = self.fitted(), self.queries()
        known = candidate >= 0
        stranger = surrogate.joint(features[known]).variance
        asked = surrogate.joint(features[known], candidate[known]).variance
        ratio = float((asked / stranger).max())
        assert ratio <= 1 + self.tolerance, f"a known candidate's variance is {ratio:.4g} times"

    def test_predicting_changes_nothing(self) -> None:
        """`joint` and `covariance` write into nothing, and say the same when asked again."""
        surrogate, (features, candidate) = self.fitted(), self.queries()
        kept = features.clone(), candidate.clone()
        first = surrogate.joint(features, candidate)
        surrogate.covariance(*every_query(features, candidate, self.train().n_fidelities))
        assert torch.equal(features, kept[0]), "the features were changed"
        assert torch.equal(candidate, kept[1]), "the places were changed"
        same_moments(surrogate.joint(features, candidate), first, self.tolerance, "asked again")

    def test_diagnostics_are_finite_numbers_by_name(self) -> None:
        """`diagnostics` maps names to finite floats, as a round's record keeps them."""
        for name, value in self.fitted().diagnostics().items():
            assert isinstance(name, str) and isinstance(value, float), f"{name!r}: {value!r}"
            assert abs(value) < float("inf"), f"{name} is {value}"

    def _covariance(self) -> Tensor:
        features, candidate = self.queries()
        m = self.train().n_fidelities
        return self.fitted().covariance(*every_query(features, candidate, m))
