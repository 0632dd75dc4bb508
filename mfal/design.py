"""The nested initial design: how many candidates each fidelity is asked about, and which."""

from collections.abc import Collection, Mapping, Sequence

from mfal.budget import exact, fits, minus, times, total_cost, total_of_counted
from mfal.config import CampaignConfig
from mfal.digits import amount
from mfal.errors import BudgetError, ConfigError
from mfal.types import Fidelity, Query

# Candidates of an initial design at one fidelity: to draw and to write down more takes minutes.
MOST = 100_000


def initial_counts(
    config: CampaignConfig, ladder: Sequence[Fidelity], source: str = "configuration"
) -> dict[str, int]:
    """Fidelity -> how many candidates the initial design asks about there.

    Either as `initial.queries` says, or by `initial.share` of the budget (see `counts_by_share`).

    Raises:
        BudgetError: if the share does not pay for one candidate at every fidelity.
        ConfigError: if there are more than `MOST` at a fidelity.
    """
    initial = config.initial
    if initial.queries is not None:
        counts = {f.name: initial.queries[f.name] for f in ladder if f.name in initial.queries}
    else:
        counts = _shared_counts(config, ladder, source)
    _check_size(config, counts, source)
    return counts


def _shared_counts(
    config: CampaignConfig, ladder: Sequence[Fidelity], source: str
) -> dict[str, int]:
    part = config.initial.share or 0.0
    share = float(exact(part) * exact(config.budget.total))
    once = total_cost(f.cost for f in ladder)
    if not fits(once, share):
        raise BudgetError(
            f"{source}: initial.share: {part:g} of the budget is {amount(share)}, and "
            f"one candidate at every fidelity costs {amount(once)}",
            "raise initial.share or budget.total, or give counts in initial.queries",
        )
    return counts_by_share(share, ladder)


def _check_size(config: CampaignConfig, counts: Mapping[str, int], source: str) -> None:
    crowded = next((name for name, n in counts.items() if n > MOST), None)
    if crowded is not None:
        field = "share" if config.initial.queries is None else f"queries.{crowded}"
        raise ConfigError(
            f"{source}: initial.{field}: makes a design of more than {MOST} queries at "
            f"{crowded!r}, too large to be drawn",
            "ask for fewer at that fidelity, in initial.queries",
        )


def counts_by_share(amount: float, ladder: Sequence[Fidelity]) -> dict[str, int]:
    """Fidelity -> count, nested, for at most `amount` campaign units in all.

    One candidate is asked at every fidelity. What is left is parted equally among the
    fidelities, so that a fidelity gets as many queries as its part pays for, but never more
    than the one below it. What is left after that goes to the highest fidelity that it
    pays for and that nesting allows, until it pays for nothing, or there are more than `MOST`.

    Args:
        amount: At least the sum of the ladder's costs.
        ladder: Fidelities by rising level.
    """
    rest = minus(amount, total_cost(f.cost for f in ladder))
    counts: list[int] = []
    for fidelity in ladder:
        n = 1 + times(fidelity.cost, rest) // len(ladder)
        counts.append(min([n, *counts[-1:]]))
    prices = [f.cost for f in ladder]
    left = minus(amount, total_of_counted(zip(prices, counts, strict=True)))
    while counts[0] <= MOST:
        open_rungs = [
            i
            for i, f in enumerate(ladder)
            if fits(f.cost, left) and (i == 0 or counts[i] < counts[i - 1])
        ]
        if not open_rungs:
            break
        counts[open_rungs[-1]] += 1
        left = minus(left, prices[open_rungs[-1]])
    return {f.name: n for f, n in zip(ladder, counts, strict=True)}


def missing_counts(wanted: Mapping[str, int], answered: Sequence[Query]) -> dict[str, int]:
    """Fidelity -> how many of the wanted queries the ledger's answers do not make up."""
    found = [q.fidelity for q in answered]
    return {name: max(0, n - found.count(name)) for name, n in wanted.items()}


def nested_design(
    missing: Mapping[str, int],
    ladder: Sequence[Fidelity],
    asked: Sequence[Query],
    fresh: Sequence[str],
    failed: Collection[str] = frozenset(),
    among: str = "the problem's search space",
) -> list[Query]:
    """Queries that make up what is missing, by rising level.

    From the target down, a fidelity is asked about candidates that are asked at a higher one,
    then about others that the ledger knows, then about fresh ones. With an empty ledger and
    counts that do not rise with the level, all that are asked at a fidelity are asked below it.

    Args:
        asked: All queries in the ledger; none of them is asked again, and their candidates
            are taken in this order.
        fresh: Candidates that the ledger does not know.
        failed: Candidates that are asked nothing more.
        among: What they were drawn from, in errors.

    Raises:
        ConfigError: if there are too few candidates.
    """
    good = [q for q in asked if q.key not in failed]
    taken, known = set(asked), dict.fromkeys(q.key for q in good)
    above: dict[str, None] = {}
    chosen: dict[str, list[str]] = {}
    for fidelity in reversed(ladder):
        name, n = fidelity.name, missing.get(fidelity.name, 0)
        free = [k for k in dict.fromkeys([*above, *known, *fresh]) if Query(k, name) not in taken]
        if len(free) < n:
            raise ConfigError(
                f"the initial design asks for {n} more candidates at {name}, and {len(free)} "
                "different ones were found",
                f"ask for fewer by initial.queries or initial.share: {among} is small",
            )
        chosen[name] = free[:n]
        above |= dict.fromkeys(chosen[name])
        above |= dict.fromkeys(q.key for q in good if q.fidelity == name)
    return [Query(key, f.name) for f in ladder for key in chosen[f.name]]
