"""True target values of everything that was queried, scored outside all budgets."""

from collections.abc import Sequence

from mfal.campaign import Campaign, open_campaign, versions
from mfal.compare.checks import check_computed, engines_now
from mfal.compare.config import Comparison
from mfal.compare.engines import Engines, check_engines
from mfal.compare.runs import Run
from mfal.ledger.store import Store
from mfal.scoring.scorer import scorer
from mfal.sections import LockConfig
from mfal.types import Query

FOLDER = "outside"


def score_outside(comparison: Comparison, runs: Sequence[Run]) -> dict[str, float]:
    """Key -> first objective at the target, of all that any run queried and that does not fail.

    The answers are kept in a ledger of their own, ``<folder>/outside/ledger.db``, that belongs
    to no campaign and is charged to none; what is there, or was measured at the target by any
    run, is not asked again. A process that is killed goes on here, too.

    Raises:
        LedgerError: where answers came from different engines, or would come from another one.
        ConfigError: where people would have to be asked.
    """
    folder = comparison.folder / FOLDER
    first = runs[0].config
    identity = {"problem": first.problem.model_dump(mode="json")}
    url = f"sqlite:///{folder / 'ledger.db'}"
    with (
        open_campaign(first, first.name, to_read=True) as campaign,
        Store(url, FOLDER, identity, LockConfig()) as store,
    ):
        known, wanted = _look(runs, campaign.target.name)
        answered = {q.key for q in store.asked()}
        new = [key for key in wanted if key not in known and key not in answered]
        engines: dict[str, Engines] = {FOLDER: store.backends()}
        if new or not all(info.finished for info in store.outline()):
            check_computed(comparison, runs[0], campaign)
            engines["today"] = {campaign.target.name: engines_now(campaign)[campaign.target.name]}
        check_engines(comparison, runs, engines)
        if new:
            _begin(store, campaign, new)
        _finish(store, campaign)
        asked = {
            o.query.key: o.outcome.values[0]
            for o in store.observations()
            if o.outcome.values is not None
        }
    return asked | known


def _look(runs: Sequence[Run], target: str) -> tuple[dict[str, float], list[str]]:
    """What runs measured at the target, and all that they queried."""
    known: dict[str, float] = {}
    queried: dict[str, None] = {}
    for run in runs:
        with open_campaign(run.config, run.name, to_read=True) as campaign:
            for o in campaign.store.observations():
                queried[o.query.key] = None
                if o.query.fidelity == target and o.outcome.values is not None:
                    known[o.query.key] = o.outcome.values[0]
    return known, list(queried)


def _begin(store: Store, campaign: Campaign, keys: Sequence[str]) -> None:
    store.begin_round(
        len(store.outline()),
        [(Query(key, campaign.target.name), 0.0) for key in keys],
        kind="batch",
        seed=0,
        config={},
        versions=versions(),
        record={},
    )


def _finish(store: Store, campaign: Campaign) -> None:
    """Ask what was begun here or by a process that was killed."""
    config, backends = campaign.config, campaign.problem.oracle.backends
    n_objectives = len(campaign.problem.oracle.objectives)
    with scorer(config.problem, campaign.ladder, n_objectives, config.scoring) as asker:
        for info in store.outline():
            asker.ask(store.pending(info.number))
            while asker.waiting:
                backend = backends[campaign.target.name]
                store.record([(query, outcome, backend) for query, outcome in asker.answers()])
            store.finish_round(info.number)
