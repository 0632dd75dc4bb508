"""Which data a Gaussian process can be fitted to."""

from itertools import pairwise

from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.surrogate.kernels import CountKernel

_FEWEST_POINTS = 3


def only_target(data: Dataset) -> Dataset:
    """The observations at the target, with candidates where they are.

    Raises:
        SurrogateError: They are too few.
    """
    target = data.fidelity == data.n_fidelities - 1
    if int(target.sum()) < _FEWEST_POINTS:
        raise SurrogateError(
            f"{int(target.sum())} observations at the target are too few to fit a surrogate to",
            "ask more at the target, or use another structure than single",
        )
    return data.rows(target)


def check_levels(levels: tuple[float, ...], n_fidelities: int) -> None:
    """Raises SurrogateError unless there are M levels above 0 that rise to 1."""
    rising = all(low < high for low, high in pairwise(levels))
    if len(levels) != n_fidelities or not rising or not levels[0] > 0 or levels[-1] != 1:
        raise SurrogateError(
            f"levels {levels} do not describe a ladder of {n_fidelities} fidelities",
            "name one level each, above 0 and rising to 1 at the target",
        )


def check_data(data: Dataset, kernel: CountKernel, linear_columns: tuple[int, ...]) -> None:
    """Raises SurrogateError where `data` are too few, not finite, or not for the kernel."""
    if len(data) < _FEWEST_POINTS:
        raise SurrogateError(
            f"{len(data)} observations are too few to fit a surrogate to",
            f"start with at least {_FEWEST_POINTS}, better twenty or more",
        )
    if not bool(data.utility.isfinite().all()) or not bool(data.features.isfinite().all()):
        raise SurrogateError(
            "some utilities or features are not finite",
            "let the oracle report a failed query as an error instead of a number",
        )
    counts = [c for c in range(data.features.shape[1]) if c not in set(linear_columns)]
    if kernel == "tanimoto" and bool((data.features[:, counts] < 0).any()):
        raise SurrogateError(
            "the Tanimoto kernel compares counts, but some features are below zero",
            "use kernel: matern52, or name those columns in linear_columns",
        )
