"""A network that embeds candidates, and how it is trained."""

from dataclasses import dataclass
from typing import Any

import torch
from gpytorch.distributions import MultivariateNormal
from gpytorch.mlls import VariationalELBO
from linear_operator.utils.errors import NanError, NotPSDError
from torch import Tensor

from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.surrogate.scaling import FeatureScale, UtilityScale, bounded_spread
from mfal.surrogate.sparse import FidelityLikelihood, SparseProcess

_LOOK = 5  # steps between two looks at what the network has not seen
_PATIENCE = 12  # looks without a better one until training ends
_HINT = "lower learning_rate"


class Embedding(torch.nn.Module):
    """Standardises ``n x p`` features and maps them to a few numbers, ``n x outputs``.

    A perceptron of one hidden layer. A column that hardly varies among the training candidates
    is not blown up (`bounded_spread`).

    Args:
        features: Of distinct training candidates, ``c x p``.
        hidden: Width of the hidden layer.
        outputs: Width of the embedding.
    """

    def __init__(self, features: Tensor, hidden: int, outputs: int) -> None:
        super().__init__()
        spread = features.std(dim=0, correction=0)
        self.centre = features.mean(dim=0)
        self.spread = bounded_spread(spread, features)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(features.shape[1], hidden, dtype=torch.float64),
            torch.nn.SiLU(),
            torch.nn.Linear(hidden, outputs, dtype=torch.float64),
        )

    def forward(self, features: Tensor) -> Tensor:
        """``n x outputs``, float64."""
        embedded: Tensor = self.layers((features - self.centre) / self.spread)
        return embedded


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Deep kernel learning (Wilson, Hu, Salakhutdinov & Xing, AISTATS 2016, arXiv 1511.02222) by
    the evidence lower bound of a sparse process instead of the exact evidence. The bound, too,
    goes on rising while a network learns its candidates by heart, so the weights that are kept
    are those that predicted unseen candidates best. All observations count in every step, in
    float64; the global generators stay as they are.

    Attributes:
        hidden: Width of the network's hidden layer.
        outputs: Width of the embedding.
        inducing: Most inducing points.
        steps: Most steps of the optimiser, Adam.
        learning_rate: Of all parameters.
        weight_decay: Of the network's, decoupled.
    """

    hidden: int
    outputs: int
    inducing: int
    steps: int
    learning_rate: float
    weight_decay: float

    def run(
        self,
        seen: Dataset,
        unseen: Dataset,
        linear_columns: tuple[int, ...],
        scale: UtilityScale,
        *,
        seed: int,
    ) -> Embedding:
        """The network.

        Args:
            seen: What it is trained on.
            unseen: Observations of other candidates, by which it is seen when to stop.
            linear_columns: Feature columns with a trend; the process sees them beside what the
                network makes of all columns.
            scale: To standardised utilities.
            seed: Of weights and inducing points.

        Raises:
            SurrogateError: The bound is not finite, or a covariance cannot be factorised.
        """
        columns = FeatureScale.learn(seen.features, linear_columns)
        ours, theirs = (_Points.of(data, columns, scale) for data in (seen, unseen))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Embedding(seen.features, self.hidden, self.outputs)
            places = torch.randperm(len(seen.keys))[: self.inducing]
            process = SparseProcess(
                ours.candidates(network)[places].detach(), seen.n_fidelities, self.outputs
            )
            likelihood = FidelityLikelihood(seen.n_fidelities)
            try:
                self._descend(network, process, likelihood, ours, theirs)
            except (NanError, NotPSDError) as error:
                raise SurrogateError(f"a network cannot be trained: {error}", _HINT) from error
        return network.requires_grad_(False)

    def _descend(
        self,
        network: Embedding,
        process: SparseProcess,
        likelihood: FidelityLikelihood,
        ours: "_Points",
        theirs: "_Points",
    ) -> None:
        """Trains all three; `network` ends as what predicted `theirs` best."""
        bound = VariationalELBO(likelihood, process, len(ours.values))  # type: ignore[no-untyped-call]
        optimiser = torch.optim.AdamW(
            [
                {"params": network.parameters(), "weight_decay": self.weight_decay},
                {"params": bound.parameters(), "weight_decay": 0.0},
            ],
            lr=self.learning_rate,
        )
        kept, least, looks = network.state_dict(), torch.inf, 0
        for step in range(self.steps):
            optimiser.zero_grad()
            marginals = ours.marginals(network, process)
            value: Any = bound(marginals, ours.values, fidelity=ours.fidelity)
            if not bool(value.isfinite()):
                raise SurrogateError("the evidence bound of a network is not finite", _HINT)
            (-value).backward()
            optimiser.step()
            if step % _LOOK:
                continue
            with torch.no_grad():
                marginals = theirs.marginals(network, process)
                miss = float(likelihood.miss(marginals, theirs.values, theirs.fidelity))
            looks += 1
            if miss < least:
                kept = {name: value.clone() for name, value in network.state_dict().items()}
                least, looks = miss, 0
            if looks == _PATIENCE:
                break
        network.load_state_dict(kept)


@dataclass(frozen=True)
class _Points:
    """N observations of c candidates, as a network and a process see them."""

    features: Tensor
    trends: Tensor
    candidate: Tensor
    fidelity: Tensor
    values: Tensor

    @classmethod
    def of(cls, data: Dataset, columns: FeatureScale, scale: UtilityScale) -> "_Points":
        values = scale.standardise(data.utility, data.fidelity)
        trends = columns.split(data.features)[1]
        return cls(data.features, trends, data.candidate, data.fidelity, values)

    def candidates(self, network: Embedding) -> Tensor:
        """Embeddings and trends, ``c x (o + t)``."""
        return torch.cat([network(self.features), self.trends], dim=1)

    def marginals(self, network: Embedding, process: SparseProcess) -> MultivariateNormal:
        """Of the function at each observation."""
        return process.marginals(self.candidates(network)[self.candidate], self.fidelity)
