"""A deep kernel that has to prove itself in every round."""

from typing import Annotated, Literal

from pydantic import Field

from mfal.surrogate.embedded import EmbeddedGP
from mfal.surrogate.embedding import Training
from mfal.surrogate.gate import Gated
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.kernels import CountKernel


class DeepKernelGP(Gated):
    """The multi-fidelity process over features that a network learns, behind a gate.

    Deep kernel learning (Wilson, Hu, Salakhutdinov & Xing, AISTATS 2016, arXiv 1511.02222) by
    the evidence lower bound of a sparse process (`mfal.surrogate.embedding`), with the
    hyperparameters of the exact process on top fitted to candidates that the network has not seen
    (`mfal.surrogate.embedded`). By the exact evidence of the same candidates, 90 % intervals were
    seen to cover a third of what they should. A network can still promise too much, so every
    round compares it with the exact process on candidates that neither has seen, and uses the
    better (`mfal.surrogate.gate`). That takes the time of six fits of each.

    Args:
        n_fidelities: As of `MultiFidelityGP`, and so are the next two.
        levels: Level of each fidelity.
        linear_columns: Feature columns that get a linear trend; they pass the network by as
            well as through it.
        kernel: Of the exact process, over the counts.
        hidden: Width of the network's hidden layer.
        outputs: How many numbers it makes of a candidate.
        inducing: Most inducing points of the sparse process that trains it.
        steps: Most steps of its training (Adam); it ends earlier where it no longer helps.
        learning_rate: Of its training.
        weight_decay: Of its weights.
        max_train_points: Most observations that it and the hyperparameters are learnt from.
        precision: What `joint` computes in; networks and fits are float64.
        device: Where `joint` computes; networks stay on the CPU.
    """

    def __init__(
        self,
        *,
        n_fidelities: Annotated[int, Field(gt=0)] | None = None,
        levels: tuple[float, ...] | None = None,
        linear_columns: tuple[int, ...] = (),
        kernel: CountKernel = "matern52",
        hidden: Annotated[int, Field(gt=0)] = 32,
        outputs: Annotated[int, Field(gt=0)] = 4,
        inducing: Annotated[int, Field(gt=0)] = 64,
        steps: Annotated[int, Field(gt=0)] = 200,
        learning_rate: Annotated[float, Field(gt=0)] = 0.01,
        weight_decay: Annotated[float, Field(ge=0)] = 0.01,
        max_train_points: Annotated[int, Field(ge=10)] = 1000,
        precision: Literal["float64", "float32"] = "float64",
        device: str = "cpu",
    ) -> None:
        def process(columns: tuple[int, ...], kernel: CountKernel) -> MultiFidelityGP:
            return MultiFidelityGP(
                n_fidelities=n_fidelities,
                levels=levels,
                linear_columns=columns,
                kernel=kernel,
                precision=precision,
                device=device,
            )

        columns = tuple(linear_columns)
        behind = tuple(range(outputs, outputs + len(columns)))
        training = Training(hidden, outputs, inducing, steps, learning_rate, weight_decay)
        deep = EmbeddedGP(process(behind, "matern52"), training, columns, max_train_points)
        super().__init__(deep, process(columns, kernel), "deep-kernel")
