"""The campaigns of a folder of configurations, by name."""

from collections.abc import Sequence
from pathlib import Path

from mfal.config import CampaignConfig, load_config
from mfal.errors import ConfigError

CONFIGS = Path("configs")


def named_campaigns(folder: Path = CONFIGS) -> dict[str, CampaignConfig]:
    """Every campaign configured in a folder, by name.

    Raises:
        ConfigError: if a file is no configuration, or two have the same name.
    """
    return {config.name: config for _, config in _files(folder).values()}


def find_campaign(
    which: str, folder: Path = CONFIGS, overrides: Sequence[str] = ()
) -> CampaignConfig:
    """The configuration in a YAML file, or the one of this name in the folder.

    Args:
        which: Path of a file, or name of a campaign.
        folder: Where names are looked up.
        overrides: Changes of fields, ``a.b=c``.

    Raises:
        ConfigError: if there is none.
    """
    if Path(which).suffix in (".yaml", ".yml"):
        return load_config(Path(which), overrides)
    known = _files(folder)
    if which not in known:
        raise ConfigError(
            f"there is no campaign {which!r} in {folder}/",
            f"there are {', '.join(known) or 'none'}; or give the path of a YAML file",
        )
    path, config = known[which]
    return load_config(path, overrides) if overrides else config


def _files(folder: Path) -> dict[str, tuple[Path, CampaignConfig]]:
    found: dict[str, tuple[Path, CampaignConfig]] = {}
    for path in sorted(folder.glob("*.yaml")):
        config = load_config(path)
        if config.name in found:
            raise ConfigError(
                f"{path}: the name {config.name!r} is taken by another file in {folder}/",
                "give every campaign a name of its own",
            )
        found[config.name] = path, config
    return found
