"""A surrogate and a sampler that stop where the campaign of `stops.py` is told to."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from mfal.gfn.base import LogReward, Proposals, TrainMetrics
from mfal.gfn.sampler import GFlowNetSampler
from mfal.registry import resolve
from mfal.surrogate.gp import MultiFidelityGP

# The very module that the campaign has its problem from, which knows the folder.
stop = resolve("problem", f"{Path(__file__).with_name('stops.py')}:stop")

_sampled = False


class StoppingGP(MultiFidelityGP):
    def fit(self, *arguments: Any, **options: Any) -> "StoppingGP":
        fitted = super().fit(*arguments, **options)
        stop("fit")
        return fitted

    def covariance(self, *arguments: Any) -> Tensor:
        if _sampled:  # the acquisition asks for it as well, before that
            stop("propose")
        return super().covariance(*arguments)


class StoppingSampler(GFlowNetSampler):
    def sample(
        self,
        log_reward: LogReward,
        n: int,
        *,
        seed: int,
        start: Sequence[str] = (),
        weights: bytes | None = None,
        on_step: Callable[[TrainMetrics], None] = lambda _: None,
    ) -> Proposals:
        global _sampled

        def stopping(metrics: TrainMetrics) -> None:
            stop("train")
            on_step(metrics)

        drawn = super().sample(
            log_reward, n, seed=seed, start=start, weights=weights, on_step=stopping
        )
        _sampled = True
        return drawn
