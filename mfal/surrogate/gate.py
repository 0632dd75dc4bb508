"""Whether a surrogate may take the place of the exact process in a round."""

import copy
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from mfal.dataset import Dataset, folds_by_candidate
from mfal.errors import SurrogateError
from mfal.surrogate.base import JointMoments, Surrogate, posterior_mean
from mfal.surrogate.calibration import Calibration, compare
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.held_out import HeldOut, predict_rows

if TYPE_CHECKING:
    from botorch.models.model import Model

log = logging.getLogger(__name__)

FOLDS = 5
COVERAGE = (0.80, 0.97)  # shares of held-out observations that 90 % intervals may cover


@dataclass(frozen=True)
class Verdict:
    """A surrogate beside the one that it wants to replace, on the same held-out observations."""

    ours: Calibration
    theirs: Calibration

    def refusal(self) -> str:
        """Why the surrogate is refused; empty where it is not."""
        covered, (least, most) = self.ours.coverage_90, COVERAGE
        if not least <= covered <= most:
            return f"its 90 % intervals cover {covered:.2f} of what was held out"
        if self.ours.nlpd is None:
            return "what it says of held-out observations is not finite"
        if self.theirs.nlpd is not None and self.ours.nlpd > self.theirs.nlpd:
            ours, theirs = self.ours.nlpd, self.theirs.nlpd
            return f"its held-out NLPD is {ours:.3f}, that of the exact process {theirs:.3f}"
        return ""

    def figures(self) -> dict[str, float]:
        """For the round's record, as far as they are finite."""
        told = {
            "gate_coverage_90": self.ours.coverage_90,
            "gate_nlpd": self.ours.nlpd,
            "gate_nlpd_exact": self.theirs.nlpd,
        }
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True)
class Passed:
    """What came through the gate.

    Attributes:
        surrogate: Fitted.
        held_out: What it says of each observation from other candidates.
        fallback: Why it is the exact process; empty where it is not.
        figures: Of the verdict, for the record.
    """

    surrogate: Surrogate
    held_out: HeldOut
    fallback: str = ""
    figures: dict[str, float] = field(default_factory=dict)


class Gated:
    """A surrogate that is used only in rounds where it proves better than the exact process.

    Both are fitted anew to four fifths of the candidates, five times over, and predict the
    observations of the rest; all these predictions are judged together. Where the 90 %
    intervals of the surrogate cover a share outside `COVERAGE`, or its NLPD is above that of the
    exact process, or it cannot be fitted, the exact process is what `fit` returns.

    Args:
        wanted: The surrogate, not fitted.
        exact: What stands in for it.
        name: What the log and the record call it.
    """

    def __init__(self, wanted: Surrogate, exact: MultiFidelityGP, name: str) -> None:
        self.wanted = wanted
        self.exact = exact
        self.name = name
        self._passed: Passed | None = None

    def fit(self, data: Dataset, *, seed: int) -> Self:
        """Whichever of the two is to be used, fitted.

        Raises:
            SurrogateError: Not even the exact process can be fitted to `data`.
        """
        exact = self.exact.fit(data, seed=seed)
        fitted = copy.copy(self)
        fitted._passed = self._choose(exact, data, seed)
        if fitted.fallback():
            log.warning("this round follows %s", fitted.fallback())
        return fitted

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        """Moments of ``n x p`` `features` at every fidelity, in one pass."""
        return self._state().surrogate.joint(features, candidate)

    def mean(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """The means of `joint` alone, ``n x M``."""
        return posterior_mean(self._state().surrogate, features, candidate)

    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        """Posterior covariance (noise-free) among n queries, ``n x n``."""
        return self._state().surrogate.covariance(features, candidate, fidelity)

    def held_out(self) -> HeldOut:
        """Each observation as the other candidates predict it."""
        return self._state().held_out

    def fallback(self) -> str:
        """That the exact process stands in, and why; empty where it does not."""
        return self._state().fallback

    def diagnostics(self) -> dict[str, float]:
        """Those of what is used, and the figures it was chosen by."""
        passed = self._state()
        return passed.surrogate.diagnostics() | passed.figures

    def to_botorch(self) -> "Model":
        """The same posterior over ``[features | candidate id | fidelity]``."""
        return self._state().surrogate.to_botorch()

    def _state(self) -> Passed:
        if self._passed is None:
            raise SurrogateError("this surrogate is not fitted", "use what fit() returns")
        return self._passed

    def _choose(self, exact: MultiFidelityGP, data: Dataset, seed: int) -> Passed:
        figures: dict[str, float] = {}
        try:
            ours, theirs = (_unseen(s, data, seed) for s in (self.wanted, self.exact))
            verdict = judge(ours, theirs)
            why, figures = verdict.refusal(), verdict.figures()
            if not why:
                return Passed(self.wanted.fit(data, seed=seed), ours, figures=figures)
        except SurrogateError as error:
            why = error.message
        fallback = f"gp instead of {self.name}: {why}"
        return Passed(exact, exact.held_out(), fallback, figures)


def judge(ours: HeldOut, theirs: HeldOut) -> Verdict:
    """From held-out predictions of the same observations."""
    return Verdict(*(compare(h.mean, h.variance, h.observed) for h in (ours, theirs)))


def _unseen(surrogate: Surrogate, data: Dataset, seed: int) -> HeldOut:
    """Predictions by fits to the other folds; raises SurrogateError where one cannot be made."""
    mean, variance = torch.empty_like(data.utility), torch.empty_like(data.utility)
    for fold in folds_by_candidate(data, FOLDS, seed=seed):
        rows = fold.nonzero()[:, 0]
        fitted = surrogate.fit(data.subset(~fold), seed=seed)
        mean[rows], variance[rows] = predict_rows(fitted, data, rows)
    return HeldOut(mean, variance, data.utility, data.fidelity)
