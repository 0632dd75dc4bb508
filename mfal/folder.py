"""The campaigns of a folder of configurations, by name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mfal.config import CampaignConfig, load_config
from mfal.errors import ConfigError
from mfal.yaml_file import read_yaml

CONFIGS = Path("configs")
ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Broken:
    """A campaign that cannot be used or looked at, and why not."""

    campaign: str
    error: str
    hint: str

    @property
    def name(self) -> str:
        """That of the campaign, as its configuration would have it."""
        return self.campaign


def campaigns_in(folder: Path = CONFIGS) -> list[CampaignConfig | Broken]:
    """Every campaign configured in a folder, by file; what one file lacks spoils no other."""
    return [_campaign(name, paths) for name, paths in _files(folder).items()]


def find_campaign(
    which: str, folder: Path = CONFIGS, overrides: Sequence[str] = ()
) -> CampaignConfig:
    """The configuration in a YAML file, or the one of this name in the folder.

    Other files of the folder may be broken.

    Args:
        which: Path of a file, or name of a campaign.
        folder: Where names are looked up.
        overrides: Changes of fields, ``a.b=c``.

    Raises:
        ConfigError: if there is none, or two of this name.
    """
    if is_file_of(which):
        return load_config(Path(which), overrides)
    known = _files(folder)
    if which not in known:
        raise ConfigError(f"there is no campaign {which!r} in {folder}/", _meant(which, known))
    return load_config(_only(known[which], which), overrides)


def is_file_of(which: str) -> bool:
    """Whether this is the path of a YAML file, and no name."""
    return Path(which).suffix in ENDINGS


def _meant(which: str, known: Iterable[str]) -> str:
    """What somebody may have meant by a name that no campaign of the folder has."""
    for here in (Path(f"{which}{ending}") for ending in ENDINGS):
        if here.is_file():
            return f"write {here}, with its ending"
    return f"there are {', '.join(known) or 'none'}; or give the path of a YAML file, as in a.yaml"


def _campaign(name: str, paths: Sequence[Path]) -> CampaignConfig | Broken:
    try:
        return load_config(_only(paths, name))
    except ConfigError as error:
        return Broken(name, error.message, error.hint)


def _files(folder: Path) -> dict[str, list[Path]]:
    """Name of a campaign -> the files that have it."""
    found: dict[str, list[Path]] = {}
    for path in sorted(p for p in folder.glob("*") if p.suffix in ENDINGS):
        found.setdefault(_name(path), []).append(path)
    return found


def _name(path: Path) -> str:
    """The name that a file gives its campaign; that of the file where it gives none."""
    try:
        name = read_yaml(path).get("name")
    except ConfigError:
        return path.stem
    return name if isinstance(name, str) else path.stem


def _only(paths: Sequence[Path], name: str) -> Path:
    if len(paths) > 1:
        raise ConfigError(
            f"{', '.join(map(str, paths))}: name: all of them are called {name!r}",
            "give every campaign a name of its own",
        )
    return paths[0]
