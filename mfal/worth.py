"""Whether cheaper fidelities are worth their costs: the criterion of multi-fidelity Monte Carlo.

Peherstorfer, Willcox & Gunzburger 2016, SIAM J. Sci. Comput. 38(5), A3163, doi
10.1137/15M1046472. Let a mean over candidates be estimated at the target alone, or with cheaper
fidelities as control variates and the best split of the same budget among them. Their
correlations with the target and their costs alone say by how much the second has the smaller
variance. The criterion is of estimation, not of search; but a fidelity that does not pay even
for a mean, where every candidate counts the same, tells little about the target for its price.
"""

import math
from collections.abc import Sequence
from itertools import combinations, pairwise


def variance_ratio(cost: Sequence[float], correlation: Sequence[float]) -> float | None:
    """Variance of the estimate with all these fidelities over that at the target alone.

    With rungs by falling correlation r with the target (r_1 = 1 for itself, r_{k+1} = 0) and
    costs w, it is (sum_i sqrt(w_i / w_1 (r_i^2 - r_{i+1}^2)))^2. Below 1 they are worth their
    costs; 1 / ratio is the budget that the target alone would need, over what they need.

    Args:
        cost: Of the target and then of the others.
        correlation: Pearson's, of the others with the target, in the same order.

    Returns:
        None where the best split does not exist for these: w_{i-1} / w_i has to be above
        (r_{i-1}^2 - r_i^2) / (r_i^2 - r_{i+1}^2) for each i, or a rung costs too much for where
        it stands.
    """
    others = sorted(zip(correlation, cost[1:], strict=True), key=lambda rung: -abs(rung[0]))
    squares = [1.0, *(r * r for r, _ in others), 0.0]
    price = [cost[0], *(w for _, w in others)]
    drops = [a - b for a, b in pairwise(squares)]
    for i in range(1, len(price)):
        if drops[i] <= 0 or price[i - 1] * drops[i] <= price[i] * drops[i - 1]:
            return None
    parts = (math.sqrt(w / price[0] * drop) for w, drop in zip(price, drops, strict=True))
    return sum(parts) ** 2


def best_rungs(
    cost: Sequence[float], correlation: Sequence[float]
) -> tuple[tuple[int, ...], float]:
    """Which of the others are best used with the target, and the variance ratio with them.

    All subsets are tried, as the paper does. No other and 1 where none is worth its cost.

    Args:
        cost: Of the target and then of the others.
        correlation: Pearson's, of the others with the target.
    """
    found: tuple[tuple[int, ...], float] = (), 1.0
    for n in range(1, len(correlation) + 1):
        for rungs in combinations(range(len(correlation)), n):
            ratio = variance_ratio(
                [cost[0], *(cost[1 + i] for i in rungs)], [correlation[i] for i in rungs]
            )
            if ratio is not None and ratio < found[1]:
                found = rungs, ratio
    return found
