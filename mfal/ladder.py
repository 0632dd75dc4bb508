"""What a ladder is like: every fidelity asked about the same candidates, outside of the budget."""

import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mfal.campaign import campaign_ladder, derive_seed, open_campaign
from mfal.config import CampaignConfig
from mfal.config_errors import in_field
from mfal.errors import ConfigError, NoLedgerError, OracleError
from mfal.gfn.base import HasPool, Sampler
from mfal.metrics import best
from mfal.problem import build_environment, build_problem, check_engines
from mfal.propose import random_candidates
from mfal.reasons import commonest
from mfal.registry import build
from mfal.scoring.scorer import Scorer, scorer
from mfal.surrogate.calibration import spearman
from mfal.types import Fidelity, Objective, Outcome, Problem, Query
from mfal.worth import best_rungs, variance_ratio

DECILE = 0.1
FEWEST = 3  # candidates that a correlation is worth showing for


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a fidelity's values agree with the target's, over n candidates that have both.

    Attributes:
        pearson: Correlation; None for fewer than three candidates or constant values.
        spearman: Rank correlation, the same.
        rmse: Root of the mean squared difference to the target, in the objective's unit; None
            for no candidates.
    """

    n: int
    pearson: float | None
    spearman: float | None
    rmse: float | None


@dataclass(frozen=True, slots=True)
class RungReport:
    """A fidelity of the ladder.

    Attributes:
        seconds: Wall time per candidate, of one worker process.
        agreement: Agreement with the target over the random candidates; None at the target.
        top: The same over the best tenth of all, by the target's value.
        variance_ratio: See `mfal.worth.variance_ratio`, for this and the target only; None also
            for one that runs against the target, or of which nothing can be said.
        used: Whether the best use of the ladder takes this fidelity; the target always.
    """

    name: str
    level: float
    cost: float
    backend: str
    asked: int
    failed: int
    seconds: float
    agreement: Agreement | None
    top: Agreement | None
    variance_ratio: float | None
    used: bool

    @property
    def untold(self) -> bool:
        """Whether its answers do not say how it agrees with the target."""
        return self.agreement is not None and self.agreement.pearson is None


@dataclass(frozen=True)
class LadderReport:
    """What came of asking every fidelity about the same candidates.

    Attributes:
        random: Candidates drawn at random.
        best: Others, the best of the campaign's ledger.
        by_hand: Fidelities that were left out, since people measure them.
        rungs: By rising level, the target last.
        variance_ratio: With those fidelities that are best used; 1 where that is the target only.
        values: Fidelity -> a value per candidate, None where it failed.
    """

    problem: str
    objective: Objective
    random: int
    best: int
    by_hand: tuple[str, ...]
    rungs: tuple[RungReport, ...]
    variance_ratio: float
    keys: tuple[str, ...]
    values: dict[str, tuple[float | None, ...]]


def examine_ladder(
    config: CampaignConfig, source: str = "configuration", *, n: int = 100, n_best: int = 20
) -> LadderReport:
    """Ask every fidelity about n random candidates and the best that the ledger has.

    Where the campaign chooses from a fixed list, the random ones are drawn from that. Nothing is
    recorded, and nothing counts against the campaign's budget.

    Args:
        source: Name of the configuration in errors, usually its file.

    Raises:
        ConfigError: unless the target and another fidelity can be asked.
        OracleError: if the target answers nothing.
    """
    problem = build_problem(config.problem)
    ladder = campaign_ladder(problem, config, source)
    check_engines(problem, ladder, source)
    asked = [f for f in ladder if not f.manual]
    if len(asked) < 2 or ladder[-1].manual:
        names = ", ".join(f.name for f in asked) or "none"
        raise ConfigError(
            f"{source}: of {problem.name}'s fidelities, {names} can be asked",
            "the target and another one are needed, neither of them measured by hand",
        )
    fresh = _random_keys(config, problem, ladder, source, n)
    known = [key for key in _best_known(config, source, n_best) if key not in {*fresh}]
    keys = [*fresh, *known]
    n_objectives = len(problem.oracle.objectives)
    one = config.scoring.model_copy(update={"workers": 1})  # seconds are those of one worker
    with scorer(config.problem, ladder, n_objectives, one) as asker:
        answers = {f.name: ask(asker, keys, f) for f in asked}
    _check_answered(asked[-1], answers[asked[-1].name][0])
    objective = problem.oracle.objectives[0]
    rungs, ratio = _rungs(asked, answers, len(fresh), objective, problem.oracle.backends)
    return LadderReport(
        problem=problem.name,
        objective=objective,
        random=len(fresh),
        best=len(known),
        by_hand=tuple(f.name for f in ladder if f.manual),
        rungs=rungs,
        variance_ratio=ratio,
        keys=tuple(keys),
        values={name: tuple(o.value for o in outcomes) for name, (outcomes, _) in answers.items()},
    )


def ask(asker: Scorer, keys: Sequence[str], fidelity: Fidelity) -> tuple[list[Outcome], float]:
    """Outcomes, and wall seconds per candidate; a first call apart warms the worker up."""
    queries = [Query(key, fidelity.name) for key in keys]
    asker.outcomes(queries[:1])
    started = time.perf_counter()
    outcomes = asker.outcomes(queries)
    return outcomes, (time.perf_counter() - started) / len(keys)


def agreement(values: Tensor, target: Tensor) -> Agreement:
    """How ``n`` values of a fidelity agree with the target's of the same candidates."""
    n = len(values)
    rank = spearman(values, target)
    constant = n < FEWEST or bool((values == values[0]).all() or (target == target[0]).all())
    pearson = None if constant else float(torch.corrcoef(torch.stack([values, target]))[0, 1])
    rmse = float((values - target).square().mean().sqrt()) if n else None
    return Agreement(n, pearson, rank, rmse)


def _best_known(config: CampaignConfig, source: str, n: int) -> list[str]:
    try:
        with open_campaign(config, source, to_read=True) as campaign:
            seen = campaign.store.observations()
            leaders = best(seen, campaign.target.name, campaign.objective, n)
            return [o.query.key for o in leaders]
    except NoLedgerError:
        return []


def _random_keys(
    config: CampaignConfig,
    problem: Problem,
    ladder: tuple[Fidelity, ...],
    source: str,
    n: int,
) -> list[str]:
    """At most n at random, of the sampler's list where it has one."""
    environment = build_environment(problem, source)
    with in_field(source, "sampler"):
        sampler: Sampler = build(
            "sampler", config.sampler, environment=environment, fidelities=ladder
        )
    seed = derive_seed(config.seed, "ladder")
    if not isinstance(sampler, HasPool):
        return random_candidates(environment, ladder, n, seed)
    return random.Random(seed).sample(sampler.pool, min(n, len(sampler.pool)))


def _check_answered(target: Fidelity, outcomes: Sequence[Outcome]) -> None:
    """Raise OracleError where the target has no value that others could agree with."""
    found = commonest(outcomes)
    if found is not None and all(o.values is None for o in outcomes):
        reason, n = found
        raise OracleError(
            f"all {len(outcomes)} queries at {target.name}, the target, have failed, {n} "
            f"with: {reason}",
            "mend the oracle: without values there, nothing can be said of the other fidelities",
        )


def _rungs(
    asked: Sequence[Fidelity],
    answers: dict[str, tuple[list[Outcome], float]],
    n_random: int,
    objective: Objective,
    backends: Mapping[str, str],
) -> tuple[tuple[RungReport, ...], float]:
    values = torch.tensor(
        [[math.nan if o.value is None else o.value for o in answers[f.name][0]] for f in asked],
        dtype=torch.float64,
    )
    target = asked[-1]
    # What is worth its cost is so for candidates drawn at random: with a cluster of the best
    # among them any rung that tells the cluster from the others correlates with the target.
    random = [_over(row[:n_random], values[-1, :n_random]) for row in values[:-1]]
    top = _top(values[-1], objective)
    # One that runs against the target would do for a mean, and misleads the surrogate.
    pairs = [(i, a.pearson) for i, a in enumerate(random) if a.pearson and a.pearson > 0]
    chosen, ratio = best_rungs(
        [target.cost, *(asked[i].cost for i, _ in pairs)], [r for _, r in pairs]
    )
    used = {asked[pairs[i][0]].name for i in chosen} | {target.name}
    alone = {i: variance_ratio([target.cost, asked[i].cost], [r]) for i, r in pairs}
    rungs = [
        RungReport(
            name=f.name,
            level=f.level,
            cost=f.cost,
            backend=backends[f.name],
            asked=len(answers[f.name][0]),
            failed=sum(o.values is None for o in answers[f.name][0]),
            seconds=answers[f.name][1],
            agreement=None if f is target else random[i],
            top=None if f is target else _over(values[i][top], values[-1][top]),
            variance_ratio=alone.get(i),
            used=f.name in used,
        )
        for i, f in enumerate(asked)
    ]
    return tuple(rungs), ratio


def _over(values: Tensor, target: Tensor) -> Agreement:
    both = values.isfinite() & target.isfinite()
    return agreement(values[both], target[both])


def _top(target: Tensor, objective: Objective) -> Tensor:
    """Rows of the best tenth by the target's value, rounded up."""
    utility = target * objective.sign
    order = utility.nan_to_num(nan=-math.inf).argsort(descending=True, stable=True)
    n = math.ceil(DECILE * int(utility.isfinite().sum()))
    return order[:n]
