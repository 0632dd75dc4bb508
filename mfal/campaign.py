"""Opening a campaign: every part is built and checked before anything is spent."""

import hashlib
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version

import torch

from mfal import registry
from mfal.budget import fits, in_full, minus, times, total_cost, total_of_counted
from mfal.config import CampaignConfig
from mfal.config_errors import in_field
from mfal.design import initial_counts
from mfal.digits import amount
from mfal.envs.base import Environment
from mfal.envs.keys import check_keys
from mfal.errors import BudgetError, ConfigError, LedgerError, NoLedgerError
from mfal.features.base import Features, FeatureSet
from mfal.gfn.base import HasPool, Sampler, needs_reward
from mfal.ledger.declared import declared
from mfal.ledger.reading import Ledger, read_ledger
from mfal.ledger.store import IMPORTED, Store
from mfal.portraits import shown
from mfal.problem import build_environment, build_problem, check_engines
from mfal.readable import check_readable, sample_keys
from mfal.similarity import Similarity, similarity_of
from mfal.surrogate.making import make_surrogate
from mfal.types import Fidelity, Objective, Problem

# Queries that a budget or a batch may pay for: beyond it, prices have no digits in common with it.
PAYABLE = 10**15
GIVEN_TO_ACQUISITIONS = ("surrogate", "reference_features", "reference_candidate", "rank", "seed")
PACKAGES = ("mfal", "torch", "botorch", "gpytorch", "numpy", "ViennaRNA", "nupack", "prefect")


@dataclass(frozen=True)
class Campaign:
    """A checked configuration with all that its rounds work with.

    Attributes:
        pool: The only candidates that it may ask about; None where it searches freely.
    """

    config: CampaignConfig
    problem: Problem
    ladder: tuple[Fidelity, ...]
    environment: Environment
    features: FeatureSet
    store: Ledger
    pool: tuple[str, ...] | None

    @property
    def writer(self) -> Store:
        """The store, where the campaign was opened to work on it."""
        if not isinstance(self.store, Store):
            raise LedgerError(
                f"{self.store.url}: campaign {self.config.name!r} was opened to be looked at",
                "open it without to_read",
            )
        return self.store

    @property
    def objective(self) -> Objective:
        """What is optimised."""
        return self.problem.oracle.objectives[0]

    @property
    def target(self) -> Fidelity:
        """The last rung of the ladder."""
        return self.ladder[-1]

    @cached_property
    def _listed(self) -> frozenset[str]:
        return frozenset(self.pool or ())

    @cached_property
    def similarity(self) -> Similarity:
        """How alike two candidates are: as `diversity` says, or else the problem's own measure."""
        rule = self.config.diversity
        return similarity_of(self.problem, None if rule is None else rule.similarity)

    def may_ask(self, key: str) -> bool:
        """Whether a candidate may be bought: any may, unless there is a list without it."""
        return self.pool is None or key in self._listed

    @property
    def left(self) -> float:
        """Campaign units that may still be promised: begun rounds are paid for already."""
        # In this order: what is answered meanwhile is counted twice rather than not at all.
        promised = self.store.promised()
        return minus(self.config.budget.total, total_cost([self.store.spent(), promised]))

    @property
    def initial_counts(self) -> dict[str, int]:
        """Fidelity -> how many candidates the initial design asks about there."""
        return initial_counts(self.config, self.ladder)

    def cost(self, fidelity: str) -> float:
        """Price of a query at the fidelity of this name."""
        return next(f.cost for f in self.ladder if f.name == fidelity)


@contextmanager
def open_campaign(
    config: CampaignConfig, source: str = "configuration", *, to_read: bool = False
) -> Iterator[Campaign]:
    """The campaign of `config`, alone on its ledger while the block lasts.

    So long torch has the campaign's number of threads, and then as many as before.

    Args:
        source: Name of the configuration in errors, usually its file.
        to_read: Only to look at a campaign that exists, beside whoever works on it, and on
            whatever machine: nothing is asked, so nothing is checked of its engines and its money.

    Raises:
        MfalError: for whatever would go wrong later, before anything is spent.
    """
    with _threads(config.threads):
        campaign = _assembled(config, source, to_read=to_read)
        with campaign.store as store:
            numbers = declared(campaign.problem.oracle.objectives, campaign.ladder)
            if isinstance(store, Store):
                store.declare(numbers)
                check_backends(store, campaign.problem, config)
            else:
                store.check_declared(numbers)
            yield campaign


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Let torch have n threads for an operation while the block lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _assembled(config: CampaignConfig, source: str, *, to_read: bool) -> Campaign:
    with in_field(source, "problem"):
        problem: Problem = shown(build_problem(config.problem))
    ladder = campaign_ladder(problem, config, source)
    if not to_read:
        check_engines(problem, ladder, source)
        check_money(config, ladder, source)
        check_devices(config, source)
    features = build_features(config, source)
    if config.surrogate is not None:
        with in_field(source, "surrogate"):
            make_surrogate(config.surrogate, tuple(f.level for f in ladder), features)
    with in_field(source, "acquisition"):
        registry.check("acquisition", config.acquisition, GIVEN_TO_ACQUISITIONS)
    environment = build_environment(problem, source)
    with in_field(source, "sampler"):
        sampler: Sampler = registry.build(
            "sampler", config.sampler, environment=environment, fidelities=ladder
        )
    check_sampler(sampler, config, source)
    pool = tuple(sampler.pool) if isinstance(sampler, HasPool) else None
    if not to_read:
        if pool is not None and not _asked_something(config):  # then each round checks its own
            check_keys(environment, pool, f"{source}: sampler: its list")
        keys = sample_keys(environment, ladder, pool, config.seed)
        check_readable(config, problem, features.parts, keys, source)
    url, identity = config.ledger_url, config.identity()
    store: Ledger
    if to_read:
        store = read_ledger(url, config.name, identity)
    else:
        store = Store(url, config.name, identity, config.lock)
    return Campaign(config, problem, ladder, environment, features, store, pool)


def campaign_ladder(problem: Problem, config: CampaignConfig, source: str) -> tuple[Fidelity, ...]:
    """Those of the problem's fidelities that the campaign works with, at its costs."""
    fidelities = problem.oracle.fidelities
    names = [f.name for f in fidelities]
    used = names if config.fidelities is None else config.fidelities
    _check_known(f"{source}: fidelities: {problem.name}", used, names)
    _check_known(f"{source}: costs: {problem.name}", config.costs, names)
    if names[-1] not in used:
        raise ConfigError(
            f"{source}: fidelities: {', '.join(used)} leaves out the target",
            f"name {names[-1]}, too: it is what the campaign is about",
        )
    _check_known(f"{source}: initial.queries: the campaign", config.initial.queries or {}, used)
    return tuple(
        replace(f, cost=config.costs.get(f.name, f.cost)) for f in fidelities if f.name in used
    )


def _check_known(where: str, named: Iterable[str], known: Sequence[str]) -> None:
    unknown = sorted(set(named) - set(known))
    if unknown:
        raise ConfigError(
            f"{where} has no fidelity {', '.join(unknown)}",
            f"its fidelities are {', '.join(known)}",
        )


def check_devices(config: CampaignConfig, source: str) -> None:
    """Raise ConfigError for a device that the surrogate or the sampler names and is not here."""
    for field, component in (("surrogate", config.surrogate), ("sampler", config.sampler)):
        # A user's own part may call what it likes a device.
        own = component is None or component.name not in registry.BUILTIN[field]
        device = None if component is None or own else component.options.get("device")
        if not isinstance(device, str):
            continue  # it has none, or what it has is refused as no text
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"{source}: {field}: option device: {device!r} is not here: {error}",
                "use cpu, or a device that is here",
            ) from error


def check_money(config: CampaignConfig, ladder: tuple[Fidelity, ...], source: str) -> None:
    """Raise BudgetError unless budget and batch pay for a query, and the budget for the design.

    The batch for one at the target: without values there no candidate is ever named as the best.
    The design as long as it is not begun: a budget may be lowered, and ends the campaign then.

    And ConfigError for a design that is too large to be drawn, or a price that is next to nothing.
    """
    cheapest, target = min(ladder, key=lambda f: f.cost), ladder[-1]
    total, of_a_batch = config.budget.total, config.batch.cost
    if not fits(cheapest.cost, total):
        raise BudgetError(
            f"{source}: budget.total: {amount(total)} does not pay for a single query",
            f"the cheapest, at fidelity {cheapest.name!r}, costs {amount(cheapest.cost)}",
        )
    if of_a_batch is not None and not fits(target.cost, of_a_batch):
        raise BudgetError(
            f"{source}: batch.cost: {amount(of_a_batch)} does not pay for a query at the target, "
            f"{target.name!r}, which costs {amount(target.cost)}",
            "raise batch.cost, or limit batch.queries instead",
        )
    _check_price(config, cheapest, source)
    price = {f.name: f.cost for f in ladder}
    counts = initial_counts(config, ladder, source)
    design = total_of_counted((price[name], n) for name, n in counts.items())
    if not fits(design, total) and not _asked_something(config):
        raise BudgetError(
            f"{source}: initial.queries: the design costs {in_full(design)}, "
            f"and budget.total is {in_full(total)}",
            "ask fewer queries in the initial design, or raise the budget",
        )


def _asked_something(config: CampaignConfig) -> bool:
    """Whether a campaign has begun a round of its own; its design was the first."""
    try:
        with read_ledger(config.ledger_url, config.name, config.identity()) as ledger:
            return ledger.has_asked()
    except NoLedgerError:
        return False


def _check_price(config: CampaignConfig, cheapest: Fidelity, source: str) -> None:
    most = config.batch.cost or config.budget.total
    if times(cheapest.cost, most) > PAYABLE:
        raise ConfigError(
            f"{source}: costs: a query at {cheapest.name!r} costs {amount(cheapest.cost)}, which "
            f"is nothing beside the {amount(most)} that a round may spend",
            f"set costs.{cheapest.name} to a price that counts, or a smaller batch.cost",
        )


def check_promised(campaign: Campaign, number: int) -> None:
    """Raise BudgetError unless the budget of now pays for what an unfinished round has yet to ask.

    The budget that it was begun under did, and this may be a lower one.
    """
    promised, total = campaign.store.promised(), campaign.config.budget.total
    needed = total_cost([campaign.store.spent(), promised])
    if promised and not fits(needed, total):
        raise BudgetError(
            f"budget.total: round {number} was begun under a larger one: what it has still to ask "
            f"costs {in_full(promised)}, which makes {in_full(needed)} of {in_full(total)}",
            f"raise budget.total to {in_full(needed)} at least; until then the round is left as it "
            "is, and nothing is asked",
        )


def check_sampler(sampler: Sampler, config: CampaignConfig, source: str) -> None:
    """Raise ConfigError for a sampler that learns from a reward where nothing makes one."""
    if config.surrogate is None and needs_reward(sampler):
        raise ConfigError(
            f"{source}: sampler: {config.sampler.name} learns from a reward, and without a "
            "surrogate there is none",
            "name a surrogate, or a sampler that needs no reward: random, breeding or pool",
        )


def build_features(config: CampaignConfig, source: str) -> FeatureSet:
    """All parts of the features, side by side."""
    parts: list[Features] = []
    for i, component in enumerate(config.features):
        with in_field(source, f"features.{i}"):
            parts.append(registry.build("features", component))
    return FeatureSet(parts)


def check_backends(store: Ledger, problem: Problem, config: CampaignConfig) -> None:
    """Raise LedgerError where the ledger's answers came from other engines than today's.

    Imported answers are left out: whoever brings them vouches for them.
    """
    if config.mix_backends:
        return
    for fidelity, engines in store.backends().items():
        before = {engine for engine in engines if not engine.startswith(IMPORTED)}
        if not before:
            continue
        now = problem.oracle.backends.get(fidelity)
        if before != {now}:
            raise LedgerError(
                f"{store.url}: answers at {fidelity!r} came from {', '.join(sorted(before))}, "
                f"and now it is {now}",
                "numbers of two engines do not compare; begin a new campaign under another name, "
                "bring the engine back, or set mix_backends: true",
            )


def derive_seed(seed: int, *what: object) -> int:
    """A seed for one purpose, below 2^63, that depends on nothing but its arguments."""
    text = "/".join(str(part) for part in (seed, *what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on, and of Python."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
