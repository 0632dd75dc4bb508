"""The configuration of a campaign: one YAML file, checked before anything is spent."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from mfal.config_errors import checked
from mfal.errors import ConfigError
from mfal.sections import (
    BatchConfig,
    BudgetConfig,
    Component,
    DiversityConfig,
    Folder,
    Frozen,
    InitialConfig,
    LockConfig,
    ScheduleConfig,
    ScoringConfig,
    StopConfig,
)
from mfal.yaml_file import COMMAND_LINE, apply_overrides, overridden, read_yaml

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
_LEDGER = re.compile(
    r"postgresql\+psycopg://([^:@/?]*(:\$\{\w+\})?@)?[^@?]+(\?(?!.*password).*)?", re.IGNORECASE
)


class CampaignConfig(Frozen):
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
    budget: BudgetConfig = Field(description="What may be spent in all: `{total: 500}`.")
    initial: InitialConfig = Field(
        description="The random design that comes first: `{queries: {cheap: 30, target: 10}}` "
        "or `{share: 0.2}`."
    )
    batch: BatchConfig = Field(description="What a round buys: cost, queries or both.")
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
        description="How sharp the sampler's reward is: the log reward that is lost from the "
        "best of a round's reference set to its median. More seeks the very best, less is more "
        "varied.",
    )
    proposals: PositiveInt = Field(
        default=1000, description="Queries drawn from the trained sampler in each round."
    )
    scoring: ScoringConfig = Field(
        default=ScoringConfig(), description="How oracles are asked: workers, time, retries."
    )
    schedule: ScheduleConfig | None = Field(
        default=None, description="When the campaign runs by itself under `make serve`."
    )
    stop: StopConfig = Field(
        default=StopConfig(), description="What ends the campaign before its money does."
    )
    top_k: PositiveInt = Field(
        default=10,
        description="K of the top-K mean that is reported. It is also what gibbon and mes seek: "
        "information about the K-th best value.",
    )
    threads: PositiveInt = Field(
        default=1,
        le=1024,
        description="Threads of one torch operation. Results to the last digit depend on it.",
    )
    data_dir: Folder = Field(
        default=Path("data"),
        description="The ledger lies in `<data_dir>/<name>/ledger.db`. It begins, as all paths "
        "do, at the folder in which the command runs.",
    )
    ledger: str | None = Field(
        default=None,
        description="URL of a PostgreSQL database that holds the ledger instead, as in "
        "`postgresql+psycopg://user:${PASSWORD}@host/database`; `${NAME}` comes from the "
        "environment.",
    )
    lock: LockConfig = Field(
        default=LockConfig(), description="What happens while another works on it."
    )
    mix_backends: bool = Field(
        default=False,
        description="Allow answers of different engines at one fidelity in one ledger.",
    )

    @field_validator("fidelities")
    @classmethod
    def _named_once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        # The ledger keeps the list as part of what the campaign is.
        if names is not None and len({*names}) < len(names):
            raise ValueError("names a fidelity twice")
        return names

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


def load_config(path: Path, overrides: Sequence[str] = ()) -> CampaignConfig:
    """The configuration in a YAML file.

    Args:
        overrides: Changes such as ``"budget.total=500"``; the value is read as YAML.

    Raises:
        ConfigError: naming the file, the field, what was wrong and what would be right.
    """
    data = read_yaml(path)
    if {"campaign", "methods"} <= data.keys():
        raise ConfigError(
            f"{path}: is a comparison, not a campaign", f"run it: mfal compare {quote(str(path))}"
        )
    apply_overrides(data, overrides)
    return parse_config(data, str(path), dict.fromkeys(overridden(overrides), COMMAND_LINE))


def parse_config(
    data: dict[str, Any],
    source: str = "configuration",
    origins: Mapping[str, str] | None = None,
) -> CampaignConfig:
    """A checked configuration from plain values.

    Args:
        source: Names them in errors.
        origins: Path of a field that was set elsewhere -> names that place.
    """
    return checked(CampaignConfig, _options_of_the_default(data), source, origins)


def _options_of_the_default(data: dict[str, Any]) -> dict[str, Any]:
    """As given; ``{options: …}`` without a name, as --set leaves it, is of the default part."""
    return data | {
        name: {"name": field.default.name} | data[name]
        for name, field in CampaignConfig.model_fields.items()
        if isinstance(field.default, Component) and isinstance(data.get(name), dict)
    }


def config_schema() -> dict[str, Any]:
    """JSON schema of `CampaignConfig`, for editors and forms."""
    return CampaignConfig.model_json_schema()
