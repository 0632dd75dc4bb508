"""The exact process over what a network makes of the features."""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from mfal.dataset import Dataset, split_by_candidate
from mfal.errors import SurrogateError
from mfal.surrogate.admission import check_data
from mfal.surrogate.base import JointMoments
from mfal.surrogate.embedding import Embedding, Training
from mfal.surrogate.evidence import choose_points
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.scaling import UtilityScale

if TYPE_CHECKING:
    from botorch.models.model import Model

UNSEEN = 0.3  # share of the candidates that hyperparameters are fitted to


class EmbeddedGP:
    """`MultiFidelityGP` of the numbers that a network makes of a candidate's features.

    The network is trained on seven tenths of the candidates. What it makes of those fits their
    utilities better than any others', and hyperparameters fitted to them would take that for
    knowledge: so they are fitted to the candidates that the network has not seen. With these
    the process is conditioned on all data, and with what is special to a candidate, which no
    sparse process can hold.

    Args:
        process: Not fitted; its linear columns are those behind the embedding.
        training: How the network is trained.
        linear_columns: Feature columns with a trend; the process sees them as they are, too.
        max_train_points: Most observations that network and hyperparameters are learnt from.
    """

    def __init__(
        self,
        process: MultiFidelityGP,
        training: Training,
        linear_columns: tuple[int, ...],
        max_train_points: int,
    ) -> None:
        self.process = process
        self.training = training
        self.linear_columns = linear_columns
        self.max_train_points = max_train_points
        self._network: Embedding | None = None

    def fit(self, data: Dataset, *, seed: int) -> Self:
        """A fitted surrogate; raises SurrogateError where `data` do not allow a fit."""
        check_data(data, self.process.kernel, self.linear_columns)
        chosen = data.subset(choose_points(data, self.max_train_points, seed=seed))
        seen, unseen = split_by_candidate(chosen, UNSEEN, seed=seed)
        scale = UtilityScale.learn(chosen)
        for part in (seen, unseen):
            check_data(part, self.process.kernel, self.linear_columns)
        fitted = copy.copy(self)
        fitted._network = self.training.run(seen, unseen, self.linear_columns, scale, seed=seed)
        honest = self.process.fit(fitted._embedded(unseen), seed=seed)
        fitted.process = honest.condition(fitted._embedded(data))
        return fitted

    def _embedded(self, data: Dataset) -> Dataset:
        return replace(data, features=self.embed(data.features))

    def embed(self, features: Tensor) -> Tensor:
        """What the process sees of ``... x p`` features: the network's numbers, and the trends."""
        if self._network is None:
            raise SurrogateError("this surrogate is not fitted", "use what fit() returns")
        features = features.to(torch.float64)
        return torch.cat([self._network(features), features[..., self.linear_columns]], dim=-1)

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        """Moments of ``n x p`` `features` at every fidelity, in one pass."""
        return self.process.joint(self.embed(features), candidate)

    def mean(self, features: Tensor, candidate: Tensor | None = None) -> Tensor:
        """The means of `joint` alone, ``n x M``."""
        return self.process.mean(self.embed(features), candidate)

    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        """Posterior covariance (noise-free) among n queries, ``n x n``."""
        return self.process.covariance(self.embed(features), candidate, fidelity)

    def diagnostics(self) -> dict[str, float]:
        """Those of the process."""
        return self.process.diagnostics()

    def to_botorch(self) -> "Model":
        """The same posterior over ``[features | candidate id | fidelity]``."""
        from mfal.surrogate.reference import Embeds

        model = self.process.to_botorch()
        model.input_transform = Embeds(self.embed)
        return model.eval()
