"""Features and utilities on scales of order one, learnt from the training data."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mfal.dataset import Dataset
from mfal.errors import SurrogateError

_FEWEST_PAIRS = 5
_FLOOR = 1e-12


@dataclass(frozen=True)
class FeatureScale:
    """Splits features into counts and trends and brings both to order one.

    Counts share one scale, at which two training candidates are at distance 1 in the root
    mean square, so that rare words do not outweigh common ones: counts of different units have
    to be made alike before. Trend columns are standardised one by one, but for those that hardly
    vary beside the others (`bounded_spread`), and divided by the root of their number.

    Attributes:
        counts: The columns without a linear trend.
        trends: The columns with one.
        count_scale: What the counts are divided by.
        trend_mean: Centre of each trend column.
        trend_scale: What each is divided by.
    """

    counts: Tensor
    trends: Tensor
    count_scale: float
    trend_mean: Tensor
    trend_scale: Tensor

    @classmethod
    def learn(
        cls, features: Tensor, linear_columns: tuple[int, ...], *, differing: bool = False
    ) -> "FeatureScale":
        """From ``n x p`` features of distinct training candidates.

        Args:
            features: As above.
            linear_columns: The trend columns.
            differing: Measure distance between counts by how many columns differ.

        Raises:
            SurrogateError: There is no such column.
        """
        width = features.shape[1]
        if any(not 0 <= column < width for column in linear_columns):
            raise SurrogateError(
                f"linear_columns go up to {max(linear_columns)}, but there are {width} features",
                "linear_columns are places among the feature columns, 0 the first",
            )
        linear = torch.zeros(width, dtype=torch.bool)
        linear[list(linear_columns)] = True
        counts, trends = (~linear).nonzero()[:, 0], linear.nonzero()[:, 0]
        centred = features - features.mean(dim=0)
        variance = centred.square().mean(dim=0)
        distance = (2 * variance[counts].sum()).sqrt()
        if differing:
            distance = _mean_differing(features[:, counts])
        spread = bounded_spread(variance[trends].sqrt(), features[:, trends])
        return cls(
            counts=counts,
            trends=trends,
            count_scale=float(distance) if distance > _FLOOR else 1.0,
            trend_mean=features[:, trends].mean(dim=0),
            trend_scale=spread * max(1, len(trends)) ** 0.5,
        )

    def split(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Unscaled counts ``n x c`` and scaled trends ``n x t`` of ``n x p`` features."""
        trends = (features[:, self.trends] - self.trend_mean) / self.trend_scale
        return features[:, self.counts], trends


def bounded_spread(spread: Tensor, features: Tensor) -> Tensor:
    """What the columns of ``n x p`` features are divided by, from the spread of each, ``p``.

    A column that hardly varies among the training candidates would be blown up by its own spread,
    and what is learnt would then run away on any candidate where it does vary. So none is divided
    by less than a quarter of the median spread of those that do vary; by 1 where none does.
    """
    varies = spread > _FLOOR * features.abs().amax(dim=0)
    least = 0.25 * float(spread[varies].median()) if bool(varies.any()) else 1.0
    return spread.clamp(min=least)


def _mean_differing(counts: Tensor) -> Tensor:
    """In how many columns two rows of ``n x c`` counts differ, on average; a scalar."""
    same = torch.zeros((), dtype=counts.dtype)
    for column in counts.T:
        share = torch.unique(column, return_counts=True)[1] / len(counts)
        same += share.square().sum()
    return counts.shape[1] - same


@dataclass(frozen=True)
class UtilityScale:
    """For each fidelity the line that maps order-one values to its utilities.

    Batches ask cheap rungs about anything and the target about the good candidates, so that
    standardising each rung by its own mean would move the good candidates apart. A lower
    rung's line is therefore taken from the candidates asked at both (the reduced major axis,
    which treats the rungs alike), and from the rung's own values only where too few were.
    The surrogate learns an offset and a scale on top of it.

    Attributes:
        centre: Utility that maps to 0, ``M``.
        scale: Utility per unit, ``M``, above zero.
    """

    centre: Tensor
    scale: Tensor

    @classmethod
    def learn(cls, data: Dataset) -> "UtilityScale":
        """From the training data; raises SurrogateError where all utilities are equal."""
        overall = float(data.utility.std())
        if not overall > _FLOOR * float(data.utility.abs().max()):
            raise SurrogateError(
                f"all {len(data)} utilities are {float(data.utility[0]):g}",
                "ask about more, and more different, candidates before fitting",
            )
        target = data.n_fidelities - 1
        reference = _own_line(data, target, (float(data.utility.mean()), overall))
        lines = [_paired_line(data, rung, target, reference) for rung in range(target)]
        centre, scale = zip(*lines, reference, strict=True)
        return cls(
            centre=torch.tensor(centre, dtype=torch.float64),
            scale=torch.tensor(scale, dtype=torch.float64),
        )

    def standardise(self, utility: Tensor, fidelity: Tensor) -> Tensor:
        """Order-one values of ``N`` utilities."""
        return (utility - self.centre[fidelity]) / self.scale[fidelity]


Line = tuple[float, float]


def _own_line(data: Dataset, rung: int, fallback: Line) -> Line:
    values = data.utility[data.fidelity == rung]
    if len(values) < 3 or not float(values.std()) > _FLOOR * fallback[1]:
        return fallback
    return float(values.mean()), float(values.std())


def _paired_line(data: Dataset, rung: int, target: int, reference: Line) -> Line:
    """The line of a lower rung, from the candidates that were also asked at the target."""
    by_candidate = torch.full((2, len(data.keys)), torch.nan, dtype=torch.float64)
    for row, level in enumerate((rung, target)):
        mask = data.fidelity == level
        by_candidate[row, data.candidate[mask]] = data.utility[mask]
    low, high = by_candidate[:, by_candidate.isfinite().all(dim=0)]
    least = float(torch.minimum(low.std(), high.std())) if len(low) >= _FEWEST_PAIRS else 0.0
    if not least > _FLOOR * reference[1]:
        return _own_line(data, rung, reference)
    scale = float(low.std() / high.std()) * reference[1]
    return float(low.mean()) - scale * (float(high.mean()) - reference[0]) / reference[1], scale
