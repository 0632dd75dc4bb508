"""What to compare: one YAML file with a campaign, and what each method changes in it."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from pydantic import Field, PositiveInt, PrivateAttr, field_validator

from mfal.config import NAME_PATTERN, CampaignConfig, parse_config
from mfal.config_errors import checked
from mfal.errors import ConfigError
from mfal.sections import Component, Folder, Frozen
from mfal.yaml_file import COMMAND_LINE, apply_overrides, overridden, read_yaml, set_field

MethodName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
OWN = ("name", "seed", "data_dir", "ledger")  # fields of a campaign that a comparison fills in
ALIKE = ("problem", "top_k")  # fields that decide what a figure means


class ScaleConfig(Frozen):
    """An affine map of values to another scale, beside the raw ones and never instead of them."""

    label: str = Field(description="What the scale is, as reports name it.")
    slope: float
    intercept: float


class MeasureConfig(Frozen):
    """What figures need to know beyond the campaign; their definitions are in `mfal.metrics`."""

    pairs: Component | None = Field(
        default=None,
        description="Similarity that means over pairs are of; null for the problem's own.",
    )
    similarity: Component | None = Field(
        default=None,
        description="Similarity by which candidates are different (diverse_top_k, modes); null "
        "for the problem's own.",
    )
    at_most: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.8, description="Similarity up to which two candidates are different."
    )
    mode: float | None = Field(
        default=None, description="Value at the target from which a candidate counts as a mode."
    )
    reach: tuple[float, ...] = Field(
        default=(),
        description="Values of means of the K best, in the objective's unit, of which a report "
        "says what it cost to reach them.",
    )
    outside: bool = Field(
        default=True,
        description="Whether everything that was queried is also scored at the target outside "
        "the budget, as the published evaluation does.",
    )
    scale: ScaleConfig | None = Field(
        default=None, description="Another scale to give mean values on as well."
    )


class Comparison(Frozen):
    """Methods and seeds to compare on one problem."""

    name: str = Field(pattern=NAME_PATTERN, description="Its folder is <data_dir>/compare/<name>.")
    seeds: tuple[int, ...] = Field(min_length=1, description="Every method runs with each.")
    campaign: dict[str, Any] = Field(
        description="Fields of a campaign that all methods share, without name, seed, data_dir "
        "and ledger."
    )
    methods: dict[MethodName, dict[str, Any]] = Field(
        min_length=1,
        description="Name -> what the method changes, by the field's path: 'batch.queries: 64'.",
    )
    measure: MeasureConfig = MeasureConfig()
    processes: PositiveInt = Field(default=2, description="Runs at once.")
    data_dir: Folder = Path("data")
    _file: str = PrivateAttr("comparison")
    _overridden: tuple[str, ...] = PrivateAttr(())

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError("give each seed once")
        return value

    @property
    def folder(self) -> Path:
        """Where the ledgers and the tables of the comparison lie."""
        return self.data_dir / "compare" / self.name

    def source(self, method: str = "") -> str:
        """Names the comparison, or one of its methods, in errors: by its file."""
        return f"{self._file}: methods.{method}" if method else self._file

    def config(self, method: str, seed: int) -> CampaignConfig:
        """The campaign of a method and a seed.

        Raises:
            ConfigError: naming the file, the method and the field.
        """
        changes = self.methods[method]
        self._check_own(f"{self._file}: campaign.", self.campaign)
        self._check_own(f"{self.source(method)}: ", [path.partition(".")[0] for path in changes])
        data: dict[str, Any] = copy.deepcopy(self.campaign)
        for path, value in changes.items():
            set_field(data, path, copy.deepcopy(value), self.source(method))
        data |= {"name": f"{method}-{seed}", "seed": seed, "data_dir": str(self.folder)}
        return parse_config(data, f"{self._file}: campaign", self._origins(method))

    @staticmethod
    def _check_own(source: str, fields: Iterable[str]) -> None:
        own = sorted({*fields} & {*OWN})
        if own:
            raise ConfigError(
                f"{source}{own[0]} is not for a comparison to set",
                "each run gets its own name, its seed, and a folder in which its ledger lies",
            )

    def _origins(self, method: str) -> dict[str, str]:
        """Path of a field -> what set it, where that is not the campaign in the file."""
        here = f"methods.{method}"
        changed = any(path == "methods" or _is_in(path, here) for path in self._overridden)
        place = f"{COMMAND_LINE}: {here}" if changed else self.source(method)
        shared = [path.partition(".")[2] for path in self._overridden if _is_in(path, "campaign")]
        return dict.fromkeys(filter(None, shared), f"{COMMAND_LINE}: campaign") | dict.fromkeys(
            self.methods[method], place
        )


def _is_in(path: str, section: str) -> bool:
    return path == section or path.startswith(f"{section}.")


def load_comparison(path: Path, overrides: Sequence[str] = ()) -> Comparison:
    """The comparison in a YAML file, every campaign of it checked.

    Args:
        overrides: Changes such as ``"campaign.budget.total=500"``; the value is read as YAML.

    Raises:
        ConfigError: naming the file, the field, what was wrong and what would be right.
    """
    data = read_yaml(path)
    if "problem" in data and "campaign" not in data and "methods" not in data:
        raise ConfigError(
            f"{path}: is a campaign, not a comparison", f"run it: mfal round {quote(str(path))}"
        )
    apply_overrides(data, overrides)
    changed = overridden(overrides)
    comparison = checked(Comparison, data, str(path), dict.fromkeys(changed, COMMAND_LINE))
    comparison._file, comparison._overridden = str(path), tuple(changed)
    for seed in comparison.seeds:
        _check_alike(comparison, {m: comparison.config(m, seed) for m in comparison.methods})
    return comparison


def _check_alike(comparison: Comparison, configs: Mapping[str, CampaignConfig]) -> None:
    """Raise ConfigError where figures of two methods would not be of the same."""
    first, *others = configs
    for method in others:
        for field in ALIKE:
            here, there = getattr(configs[method], field), getattr(configs[first], field)
            if here != there:
                raise ConfigError(
                    f"{comparison.source(method)}: {field} is not that of {first}: figures of the "
                    "two do not compare",
                    f"set campaign.{field}, for all methods",
                )
