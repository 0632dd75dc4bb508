"""What campaigns are judged by. Every figure has its definition here, and one function.

Values are in the objective's unit; "good" follows its goal. K is the campaign's `top_k`. A mean
over the K best is over all there are while there are fewer than K, and the number is beside it.

======================  ==========================================================================
top_k                   Strict reading: mean of the K best values **measured** at the target.
published_top_k         Published reading (arXiv 2306.11715): mean of the K best **true target
                        values** of everything queried at any fidelity. What was not measured at
                        the target is scored outside the budget, so it costs the campaign nothing.
published_n             How many values that is the best of: candidates with a true value.
recommended_top_k       Mean true target value of the K candidates of the ledger that have the best
                        posterior means, scored outside the budget. The next round's model says
                        which, so the last finished round has none unless another has begun.
diverse_top_k           Strict, of different candidates: best first, each is taken whose similarity
                        to all that are taken is at most a threshold.
diverse_n               How many were taken, at most K.
published_diverse_top_k The same of the published reading's values.
similarity              Mean similarity of all pairs among the strict K best, in [0, 1]. **Lower is
                        more diverse.**
published_similarity    The same among the published reading's K best (for DNA by global-alignment
                        identity: what the published evaluation calls diversity).
novelty                 Mean over the strict K best of 1 - the highest similarity to any candidate
                        of the initial design, in [0, 1]; higher is newer.
modes                   How many different candidates, as in diverse_top_k, were measured at the
                        target to be at least as good as a stated value.
cost_to_reach           The cost at which a figure first was at least as good as a stated value.
share_<fidelity>        Share of the cost spent at a fidelity.
n_target                Successful queries at the target.
failures                Failed queries; each is paid for unless the campaign says otherwise.
======================  ==========================================================================
"""

from mfal.metrics.diversity import (
    diverse_best,
    mean_similarity,
    modes_found,
    novelty,
)
from mfal.metrics.spending import cost_shares, cost_to_reach, failures
from mfal.metrics.topk import CurvePoint, best, curve, in_order, utility
from mfal.metrics.values import Scored, measured, of_keys, true_values

__all__ = [
    "CurvePoint",
    "Scored",
    "best",
    "cost_shares",
    "cost_to_reach",
    "curve",
    "diverse_best",
    "failures",
    "in_order",
    "mean_similarity",
    "measured",
    "modes_found",
    "novelty",
    "of_keys",
    "true_values",
    "utility",
]
