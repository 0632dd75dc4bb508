"""What an answer is expected to teach about which candidates are the best."""

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from mfal.batch.conditioning import Conditioned

_AT_ONCE = 256  # queries whose gains are worked out together
_AGAIN = 16


@dataclass(frozen=True)
class Sought:
    """The candidates among which the K best are looked for.

    Attributes:
        mean: Their posterior means at the target, ``r``.
        k: K, below r.
        rows: Which rows of a pool of queries ask about one of them, in rising order.
        probability: Of each row of the pool, that an answer has a value and is of use, ``n``.
    """

    mean: Tensor
    k: int
    rows: Tensor
    probability: Tensor


class Knowledge:
    """How much a query is expected to better the mean of the K best posterior means.

    The knowledge gradient (Frazier, Powell & Dayanik 2009, INFORMS Journal on Computing 21(4),
    doi 10.1287/ijoc.1080.0314) of a recommendation of K candidates. An answer moves the posterior
    means at the target by s z, with s their covariance with it over its standard deviation, and
    z standard normal. The mean of the K highest of r values is the least of t + sum_r (v - t)+ / K
    over t (Rockafellar & Uryasev 2000, Journal of Risk 2(3), theorem 1, for the mean of the upper
    tail), so the t that is the least now gives a bound from above in closed form,

        1/K sum_r s (phi(u) - u Phi(-u)),  u = |mean - t| / s,

    to which every candidate adds that an answer may move across the border t.

    Args:
        mean: Posterior means at the target of the candidates sought, ``r``.
        k: K, below r.
        conditioned: Covariance among queries and the values of those candidates at the target.
        columns: Where these values stand in it, ``r``.
    """

    def __init__(self, mean: Tensor, k: int, conditioned: Conditioned, columns: Tensor) -> None:
        border = mean.topk(k + 1).values[-2:].mean()
        self._gap = (mean - border).abs()
        self._k = k
        self._conditioned = conditioned
        self._columns = columns

    def gain(self, rows: Tensor) -> Tensor:
        """Of queries, given what `conditioned` has observed, in units of utility, ``n``."""
        parts = [self._gain(part) for part in torch.split(rows, _AT_ONCE)]
        return torch.cat(parts) if parts else self._gap.new_zeros(0)

    def _gain(self, rows: Tensor) -> Tensor:
        covariance = self._conditioned.covariance(rows, self._columns)
        s = covariance.abs() / self._conditioned.variance[rows].sqrt()[:, None]
        s = s.clamp_min(torch.finfo(s.dtype).tiny)
        u = self._gap / s
        density = torch.exp(-0.5 * u.square()) / (2 * pi) ** 0.5
        moved = s * density - self._gap * torch.special.ndtr(-u)
        total: Tensor = moved.clamp_min(0).sum(dim=1)
        return total / self._k


class BestLesson:
    """Finds, again and again, the query that teaches most for its price.

    What an answer teaches falls as more is known, or hardly rises. So what it was worth when it
    was last worked out ranks all queries, and the first ones are worked out anew until the
    first of all is.

    Args:
        knowledge: What queries teach.
        price: Of each query over the probability that its answer is of use, ``n``.
        conditioned: What `knowledge` looks at.
    """

    def __init__(self, knowledge: Knowledge, price: Tensor, conditioned: Conditioned) -> None:
        self._knowledge = knowledge
        self._price = price
        self._conditioned = conditioned
        self._rate = torch.full_like(price, torch.inf)
        self._seen = torch.full((len(price),), -1)

    def among(self, rows: Tensor) -> int:
        """The best of some rows, of which there is one at least."""
        while True:
            first = self._rate[rows].argsort(descending=True, stable=True)
            best = rows[first[:_AGAIN]]
            if self._seen[best[0]] == self._conditioned.n:
                return int(best[0])
            unseen = rows[self._seen[rows] < 0]
            old = unseen if len(unseen) else best[self._seen[best] < self._conditioned.n]
            self._rate[old] = self._knowledge.gain(old) / self._price[old]
            self._seen[old] = self._conditioned.n
