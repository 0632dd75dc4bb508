"""The surrogate that a campaign names; one of a user's own says where in its code it fails."""

from functools import partial
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor

from mfal.dataset import Dataset
from mfal.errors import ConfigError
from mfal.features.base import Features
from mfal.registry import BUILTIN, build
from mfal.sections import Component
from mfal.surrogate.base import JointMoments, Surrogate
from mfal.user_code import user_code

if TYPE_CHECKING:
    from botorch.models.model import Model

OPTIONAL = ("condition", "fallback", "held_out", "mean")


def make_surrogate(
    component: Component, levels: tuple[float, ...], features: Features
) -> Surrogate:
    """The surrogate of that name and options for fidelities at these levels, not fitted."""
    surrogate: Surrogate = build(
        "surrogate",
        component,
        n_fidelities=len(levels),
        levels=levels,
        linear_columns=tuple(features.linear_columns),
    )
    is_own = component.name not in BUILTIN["surrogate"]
    return Guarded(surrogate, component.name, len(levels)) if is_own else surrogate


class Guarded:
    """A surrogate of a user's own: what any of its methods raises says where, as `user_code` does.

    Of the methods that a surrogate may have or not, it has those of the one inside.

    Args:
        surrogate: Whatever is called that.
        name: What the campaign calls it.
        n_fidelities: M.
    """

    def __init__(self, surrogate: Surrogate, name: str, n_fidelities: int) -> None:
        self._surrogate, self._name, self._n_fidelities = surrogate, name, n_fidelities
        for method in OPTIONAL:
            if hasattr(surrogate, method):
                setattr(self, method, partial(self._ask, method))

    def fit(self, data: Dataset, *, seed: int) -> Self:
        """A fitted one, guarded as this."""
        fitted: Self = self._ask("fit", data, seed=seed)
        return fitted

    def joint(self, features: Tensor, candidate: Tensor | None = None) -> JointMoments:
        """Moments of ``n x p`` `features` at every fidelity; ConfigError where they are none."""
        moments: JointMoments = self._ask("joint", features, candidate)
        mean, wanted = getattr(moments, "mean", None), (len(features), self._n_fidelities)
        if not isinstance(mean, Tensor) or tuple(mean.shape) != wanted:
            raise ConfigError(
                f"surrogate {self._name!r}: its joint() gives no means of the shape {wanted}",
                "it returns mfal.surrogate.base.JointMoments, a row a candidate and a column a "
                "fidelity",
            )
        return moments

    def covariance(self, features: Tensor, candidate: Tensor, fidelity: Tensor) -> Tensor:
        """Posterior covariance among n queries, ``n x n``."""
        covariance: Tensor = self._ask("covariance", features, candidate, fidelity)
        return covariance

    def diagnostics(self) -> dict[str, float]:
        """Named figures for the round's record."""
        figures: dict[str, float] = self._ask("diagnostics")
        return figures

    def to_botorch(self) -> "Model":
        """The same posterior as a BoTorch model."""
        model: Model = self._ask("to_botorch")
        return model

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._surrogate, name)

    def _ask(self, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401
        with user_code(f"surrogate {self._name!r}", "mend it", self._surrogate):
            answer = getattr(self._surrogate, method)(*args, **options)
        if method in ("fit", "condition"):
            return type(self)(answer, self._name, self._n_fidelities)
        return answer
