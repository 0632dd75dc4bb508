"""The configuration of a campaign: one YAML file, checked before anything is spent."""

import json
import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from mfal.errors import ConfigError

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
_LEDGER = re.compile(
    r"postgresql\+psycopg://([^:@/?]*(:\$\{\w+\})?@)?[^@?]+(\?(?!.*password).*)?", re.IGNORECASE
)
Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Component(_Frozen):
    """A part by name, with its options. ``stems`` is short for ``{name: stems}``."""

    name: str = Field(
        description="A built-in name, 'package.module:attribute' or './file.py:attribute'."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Keyword options of the part, checked against it."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


class BudgetConfig(_Frozen):
    """What the campaign may spend in all."""

    total: PositiveFloat = Field(
        description="Campaign units that may be spent in all, the initial design included."
    )
    charge_failures: bool = Field(
        default=True, description="Whether a failed query costs as much as an answered one."
    )


class InitialConfig(_Frozen):
    """The random design that a campaign starts from: its counts, or its share of the budget."""

    queries: dict[str, PositiveInt] | None = Field(
        default=None,
        min_length=1,
        description="Number of random candidates per fidelity. The designs are nested: those "
        "asked at the target are also asked at the fidelities below it.",
    )
    share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the budget for the initial design, instead of queries. Every "
        "fidelity gets about an equal part of it, nested as in queries.",
    )

    @model_validator(mode="after")
    def _one_size(self) -> "InitialConfig":
        if (self.queries is None) == (self.share is None):
            raise ValueError("give either initial.queries or initial.share")
        return self


class BatchConfig(_Frozen):
    """What one round buys."""

    cost: PositiveFloat | None = Field(
        default=None, description="Campaign units a round may spend; null for no such limit."
    )
    queries: PositiveInt | None = Field(
        default=None, description="Queries a round may ask; null for no such limit."
    )
    target_share: Share = Field(
        default=0.5,
        description="Floor on the share of a round's cost that is spent at the target fidelity.",
    )
    promotions: int = Field(
        default=200,
        ge=0,
        description="How many already-queried candidates compete for a query at another fidelity.",
    )
    random_share: Share = Field(
        default=0.0,
        description="Random candidates that compete for a place in the batch, at every "
        "fidelity, as a share of proposals.",
    )
    fidelity: Literal["best", "random"] = Field(
        default="best",
        description="Whether a candidate is asked where that is worth most for its cost, or at "
        "a fidelity drawn at random and whatever it costs, to compare with.",
    )
    repulsion: float | None = Field(
        default=None,
        ge=0,
        description="Weight of the diversity term, which counts in nats, or in spreads of the "
        "acquisition where that is no information; null for one over the size of the batch.",
    )

    @model_validator(mode="after")
    def _some_limit(self) -> "BatchConfig":
        if self.cost is None and self.queries is None:
            raise ValueError("give a limit: batch.cost, batch.queries or both")
        return self


class DiversityConfig(_Frozen):
    """How different from each other the candidates have to be that are bought and reported."""

    similarity: Component = Field(
        default=Component(name="edit"), description="How alike two candidates are, in [0, 1]."
    )
    at_most: Share = Field(
        description="Similarity up to which two candidates count as different. A candidate that "
        "is more similar than that to a better one in the ledger, or to one in the batch, is "
        "not bought.",
    )
    repulsion: float = Field(
        default=4.0,
        ge=0,
        description="How much the sampler's reward is lowered for a candidate that is more "
        "similar than that to one of the top-K by posterior mean: by so many temperatures for "
        "one that hardly differs.",
    )


class ScoringConfig(_Frozen):
    """How oracles are called."""

    runner: Literal["processes", "threads", "dask"] = Field(
        default="processes",
        description="Who calls the oracle: processes of this machine; threads of this process, "
        "for oracles that wait rather than compute, without protection from crashes; or dask, a "
        "Dask cluster.",
    )
    address: str | None = Field(
        default=None,
        description="Address of a running Dask scheduler, e.g. tcp://host:8786; null for a "
        "cluster of processes on this machine.",
    )
    workers: PositiveInt | None = Field(
        default=None,
        description="Most calls of the oracle at the same time; null for one per core that this "
        "process may use, or per thread of a running Dask cluster. A worker is started when "
        "there is work that is worth it.",
    )
    chunk_seconds: PositiveFloat = Field(
        default=2.0,
        description="How long one call of an oracle should take. As many queries are asked in a "
        "call, and committed to the ledger together, as were measured to take that long.",
    )
    chunk_size: PositiveInt = Field(
        default=1000, description="Most queries of one call, however fast they are."
    )
    timeout_seconds: PositiveFloat = Field(
        default=60.0,
        description="Longest that one candidate may take. A call for several that takes longer "
        "is given up and they are asked one at a time; one that does so alone has failed.",
    )
    retries: int = Field(
        default=3,
        ge=0,
        description="How often a query is asked again whose failure is a TransientError.",
    )
    backoff_seconds: PositiveFloat = Field(
        default=1.0, description="Wait before the first of these retries; each next is twice it."
    )
    retry_timeouts: bool = Field(
        default=False, description="Whether a candidate that took too long counts as transient."
    )

    @model_validator(mode="after")
    def _address_of_dask(self) -> "ScoringConfig":
        if self.address is not None and self.runner != "dask":
            raise ValueError("scoring.address is that of a Dask scheduler: set runner: dask")
        return self


class LockConfig(_Frozen):
    """What happens while another process works on the campaign."""

    wait_seconds: float = Field(
        default=0.0,
        ge=0,
        description="How long to wait for it to end; 0 to give up as soon as it is seen to live.",
    )
    stale_seconds: PositiveFloat = Field(
        default=60.0,
        description="How long a process on another machine must be silent to count as dead. Its "
        "heart beats six times in this time; the same for all who work on the campaign.",
    )


class ScheduleConfig(_Frozen):
    """When a served campaign runs by itself."""

    cron: str | None = Field(
        default=None, description="Times in cron notation, UTC, e.g. '0 3 * * *' for 3:00 daily."
    )
    interval_minutes: PositiveFloat | None = Field(
        default=None, description="Minutes from the start of one run to that of the next."
    )
    rounds: PositiveInt | None = Field(
        default=1, description="Rounds of one scheduled run; null for as many as there may be."
    )

    @model_validator(mode="after")
    def _one_rhythm(self) -> "ScheduleConfig":
        if (self.cron is None) == (self.interval_minutes is None):
            raise ValueError("give either schedule.cron or schedule.interval_minutes")
        return self


class StopConfig(_Frozen):
    """What ends a campaign before its budget is spent."""

    rounds: PositiveInt | None = Field(
        default=None, description="Rounds in all, the initial design not counted; null: no limit."
    )
    value: float | None = Field(
        default=None,
        description="Value of the top-K mean at the target, in the objective's unit, that is "
        "good enough; null: none is.",
    )


class CampaignConfig(_Frozen):
    """One campaign: a problem, a budget, and the parts that spend it."""

    name: str = Field(
        pattern=NAME_PATTERN,
        description="Name of the campaign and of its folder: lower case, digits and dashes.",
    )
    problem: Component = Field(description="What to search and whom to ask, e.g. 'dna'.")
    costs: dict[str, PositiveFloat] = Field(
        default_factory=dict,
        description="Cost per query of each fidelity, where it differs from the problem's own.",
    )
    fidelities: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Names of the problem's fidelities to work with, the target among them; "
        "null for all. The target alone makes a single-fidelity campaign.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of every random draw.")
    budget: BudgetConfig
    initial: InitialConfig
    batch: BatchConfig
    diversity: DiversityConfig | None = Field(
        default=None, description="How different candidates have to be; null for no such limit."
    )
    features: tuple[Component, ...] = Field(
        min_length=1, description="What the surrogate sees of a candidate, side by side."
    )
    surrogate: Component | None = Field(
        default=Component(name="gp"),
        description="The model of all fidelities; null for none, with a sampler that asks for "
        "no reward: the batch is then a random choice of its proposals.",
    )
    acquisition: Component = Field(
        default=Component(name="gibbon"),
        description="What a query is worth, before its cost: gibbon, mes, ei, ucb, thompson or "
        "your own.",
    )
    sampler: Component = Field(
        default=Component(name="gflownet"), description="What proposes queries."
    )
    temperature: PositiveFloat = Field(
        default=15.0,
        description="Concentration of the sampler's reward: how much log reward is lost from "
        "the best of a round's reference set to its median.",
    )
    proposals: PositiveInt = Field(
        default=1000, description="Queries drawn from the trained sampler in each round."
    )
    scoring: ScoringConfig = ScoringConfig()
    schedule: ScheduleConfig | None = Field(
        default=None, description="When the campaign runs by itself under `make serve`."
    )
    stop: StopConfig = StopConfig()
    top_k: PositiveInt = Field(
        default=10,
        description="K of the top-K mean that is reported. It is also what gibbon and mes seek: "
        "information about the K-th best value.",
    )
    threads: PositiveInt = Field(
        default=1,
        description="Threads of one torch operation. Results to the last digit depend on it.",
    )
    data_dir: Path = Field(
        default=Path("data"), description="The ledger lies in <data_dir>/<name>/ledger.db."
    )
    ledger: str | None = Field(
        default=None,
        description="URL of a PostgreSQL database that holds the ledger instead, as in "
        "postgresql+psycopg://user:${PASSWORD}@host/database; ${NAME} comes from the environment.",
    )
    lock: LockConfig = LockConfig()
    mix_backends: bool = Field(
        default=False,
        description="Allow answers of different engines at one fidelity in one ledger.",
    )

    @field_validator("ledger")
    @classmethod
    def _without_password(cls, value: str | None) -> str | None:
        # It is copied into every round's record, and so holds no secret.
        if value is not None and not _LEDGER.fullmatch(value):
            raise ValueError(
                "not a URL postgresql+psycopg://user:${PASSWORD}@host:port/database; a password "
                "stands in ~/.pgpass, in PGPASSWORD or in another variable, never here"
            )
        return value

    def identity(self) -> dict[str, Any]:
        """The part that gives a ledger's numbers their meaning, and so may never change."""
        fixed = self.model_dump(mode="json", include={"problem", "costs", "seed"})
        if self.fidelities is not None:
            fixed |= {"fidelities": sorted(self.fidelities)}
        return fixed | {"initial": self.initial.model_dump(mode="json", exclude_none=True)}

    @property
    def ledger_url(self) -> str:
        """Where the ledger lies, as an SQLAlchemy URL in which ``${NAME}`` is not filled in."""
        return self.ledger or f"sqlite:///{self.folder / 'ledger.db'}"

    @property
    def folder(self) -> Path:
        """Where the campaign keeps its files."""
        return self.data_dir / self.name


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a mapping with the same key twice (YAML keeps the last, silently)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.value[i][0].start_mark
                )
        return super().construct_mapping(node, deep)


def load_config(path: Path, overrides: Sequence[str] = ()) -> CampaignConfig:
    """The configuration in a YAML file.

    Args:
        overrides: Changes such as ``"budget.total=500"``; the value is read as YAML.

    Raises:
        ConfigError: naming the file, the field, what was wrong and what would be right.
    """
    data = read_yaml(path)
    apply_overrides(data, overrides)
    return parse_config(data, source=str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises ConfigError where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read: {error}",
            "give the path of a YAML file, e.g. configs/dna.yaml",
        ) from error
    try:
        # A subclass of SafeLoader: builds plain values only.
        data = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}", "mend the line it names") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds no fields", "see configs/dna.yaml and `mfal schema`")
    return data


def parse_config(data: dict[str, Any], source: str = "configuration") -> CampaignConfig:
    """A checked configuration from plain values; `source` names them in errors."""
    try:
        # Strict JSON mode takes a list for a tuple and a text for a path, but never a text or
        # a truth value for a number.
        return CampaignConfig.model_validate_json(json.dumps(data, default=str), strict=True)
    except ValidationError as error:
        raise _config_error(error, source) from error


def config_schema() -> dict[str, Any]:
    """JSON schema of `CampaignConfig`, for editors and forms."""
    return CampaignConfig.model_json_schema()


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> None:
    """Change nested values in place, each by a text such as ``"budget.total=500"``.

    Raises:
        ConfigError: for a text of another form.
    """
    for override in overrides:
        _apply_override(data, override)


def _apply_override(data: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise ConfigError(
            f"override {override!r} is not of the form a.b=c", "for example budget.total=500"
        )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"override {override!r}: the value is not valid YAML", "quote it"
        ) from error
    set_field(data, path, value, source=f"override {override!r}")


def set_field(data: dict[str, Any], path: str, value: object, source: str) -> None:
    """Set a nested value in place by its path ``a.b.c``; `source` names it in errors."""
    *parents, leaf = path.split(".")
    for name in parents:
        child = data.setdefault(name, {})
        if isinstance(child, str):  # a component in its short form
            child = data[name] = {"name": child}
        if not isinstance(child, dict):
            raise ConfigError(
                f"{source}: {name} is not a section",
                "name fields as they are nested in the YAML file",
            )
        data = child
    data[leaf] = value


def _config_error(error: ValidationError, source: str) -> ConfigError:
    lines, hints = [], []
    for e in error.errors():
        field = ".".join(str(part) for part in e["loc"]) or "(whole file)"
        if e["type"] == "extra_forbidden":
            lines.append(f"{source}: {field}: there is no such field")
            hints.append(f"{_parent(e['loc'])} has the fields {', '.join(_siblings(e['loc']))}")
        elif e["type"] == "missing":
            lines.append(f"{source}: {field}: is missing")
            hints.append(_description(e["loc"]) or f"add {field}")
        else:
            got = "" if field == "ledger" else f", got {e['input']!r}"  # it may hold a password
            lines.append(f"{source}: {field}: {e['msg']}{got}")
            hints.append(_description(e["loc"]))
    return ConfigError("\n".join(lines), "; ".join(dict.fromkeys(h for h in hints if h)))


def _parent(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location[:-1]) or "the configuration"


def _fields(location: tuple[int | str, ...]) -> dict[str, Any]:
    """The fields of the section at `location`, as the JSON schema has them."""
    schema = config_schema()
    here: dict[str, Any] = schema
    for part in location:
        inner = here.get("properties", {}) if isinstance(part, str) else {part: here.get("items")}
        here = inner.get(part) or {}
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rsplit("/", 1)[-1]]
    fields: dict[str, Any] = here.get("properties", {})
    return fields


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    return list(_fields(location[:-1]))


def _description(location: tuple[int | str, ...]) -> str:
    # The innermost part that is a field: keys of a mapping, such as costs, are not.
    for i in reversed(range(len(location))):
        name = location[i]
        description = _fields(location[:i]).get(str(name), {}).get("description", "")
        if description:
            return f"{name}: {description}"
    return ""
