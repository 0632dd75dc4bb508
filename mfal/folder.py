"""The campaigns of a folder of configurations, by name."""

from pathlib import Path

from mfal.config import CampaignConfig, load_config
from mfal.errors import ConfigError

CONFIGS = Path("configs")


def named_campaigns(folder: Path = CONFIGS) -> dict[str, CampaignConfig]:
    """Every campaign configured in a folder, by name.

    Raises:
        ConfigError: if a file is no configuration, or two have the same name.
    """
    found: dict[str, CampaignConfig] = {}
    for path in sorted(folder.glob("*.yaml")):
        config = load_config(path)
        if config.name in found:
            raise ConfigError(
                f"{path}: the name {config.name!r} is taken by another file in {folder}/",
                "give every campaign a name of its own",
            )
        found[config.name] = config
    return found


def find_campaign(which: str, folder: Path = CONFIGS) -> CampaignConfig:
    """The configuration in a YAML file, or the one of this name in the folder.

    Raises:
        ConfigError: if there is none.
    """
    path = Path(which)
    if path.suffix in (".yaml", ".yml"):
        return load_config(path)
    known = named_campaigns(folder)
    if which not in known:
        raise ConfigError(
            f"there is no campaign {which!r} in {folder}/",
            f"there are {', '.join(known) or 'none'}; or give the path of a YAML file",
        )
    return known[which]
