"""A surrogate and a sampler whose figures for the record are not all finite."""

from dataclasses import replace
from typing import Any

from mfal.gfn.base import Proposals, TrainMetrics
from mfal.gfn.baselines import RandomSampler
from mfal.surrogate.gp import MultiFidelityGP


class Unsure(MultiFidelityGP):
    def diagnostics(self) -> dict[str, float]:
        return {**super().diagnostics(), "evidence": float("nan")}


class Diverging(RandomSampler):
    def sample(self, *arguments: Any, **options: Any) -> Proposals:
        history = tuple(
            TrainMetrics(step, 3, 1.0, loss, 0.0, 1.0, 0)
            for step, loss in enumerate((1.0, 2.0, float("inf")))
        )
        return replace(super().sample(*arguments, **options), history=history)
