"""What is refused before a comparison spends anything."""

from collections.abc import Sequence

from mfal.budget import total_of_counted
from mfal.campaign import Campaign, open_campaign
from mfal.compare.config import Comparison
from mfal.compare.engines import Engines, check_engines
from mfal.compare.runs import Look, Run
from mfal.compare.settings import check_settings
from mfal.digits import amount
from mfal.errors import ConfigError
from mfal.readable import check_similarity, sample_keys


def check_runs(comparison: Comparison, looks: Sequence[Look]) -> None:
    """Raise MfalError unless all methods can run and what they find can be compared.

    They begin from designs of one cost, as near as may be: to less than what a query at the target
    costs. The measure reads their candidates. No person has to measure anything, and all runs have
    the same engines. What was run already was run with the settings that it has now.
    """
    check_settings(comparison, looks)
    costs: dict[str, float] = {}
    today: dict[str, Engines] = {}
    dearest = 0.0
    for run in (look.run for look in looks):
        if run.method in costs:
            continue
        with open_campaign(run.config, comparison.source(run.method)) as campaign:
            check_computed(comparison, run, campaign)
            if not costs:  # all methods have the same problem
                check_measure(comparison, campaign)
            costs[run.method] = design_cost(campaign)
            today[f"{run.method} today"] = engines_now(campaign)
            dearest = max(dearest, campaign.target.cost)
    if max(costs.values()) - min(costs.values()) >= dearest:
        raise ConfigError(
            f"{comparison.source()}: methods: the initial designs do not cost the same: "
            + ", ".join(f"{method} {amount(cost)}" for method, cost in costs.items()),
            "set initial.queries of each method that uses other fidelities",
        )
    check_engines(comparison, looks, today)


def check_measure(comparison: Comparison, campaign: Campaign) -> None:
    """Raise MfalError where a similarity of the measure cannot compare the problem's candidates."""
    keys = sample_keys(campaign.environment, campaign.ladder, campaign.pool, campaign.config.seed)
    measure = comparison.measure
    named = {"measure.pairs": measure.pairs, "measure.similarity": measure.similarity}
    given = {field: component for field, component in named.items() if component is not None}
    check_similarity(given, campaign.problem, keys, comparison.source())


def check_computed(comparison: Comparison, run: Run, campaign: Campaign) -> None:
    """Raise ConfigError where people measure one of the run's fidelities."""
    by_hand = [f.name for f in campaign.ladder if f.manual]
    if by_hand:
        raise ConfigError(
            f"{comparison.source(run.method)}: fidelities: people measure {', '.join(by_hand)} of "
            f"{campaign.problem.name}, and a comparison waits for nobody",
            "name fidelities that are computed, or a problem whose target is",
        )


def design_cost(campaign: Campaign) -> float:
    """What the initial design costs."""
    return total_of_counted((campaign.cost(name), n) for name, n in campaign.initial_counts.items())


def engines_now(campaign: Campaign) -> dict[str, set[str]]:
    """Fidelity -> the engine that would answer there now."""
    backends = campaign.problem.oracle.backends
    return {f.name: {backends[f.name]} for f in campaign.ladder}
