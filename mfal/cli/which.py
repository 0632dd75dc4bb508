"""Which campaign a command is about, and what of it was changed: the arguments they share."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mfal.config import CampaignConfig
from mfal.folder import CONFIGS, find_campaign, is_file_of
from mfal.yaml_file import COMMAND_LINE

Which = Annotated[
    str, typer.Argument(metavar="CONFIG|NAME", help="A campaign by its YAML file or its name.")
]
Several = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG|NAME",
        help="Campaigns by YAML file or name; all of the folder if none.",
    ),
]
Folder = Annotated[Path, typer.Option("--configs", help="The folder that names are looked up in.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Change a field: a.b=c. May be given again."),
]


def chosen(which: str, folder: Path, overrides: Sequence[str] | None) -> tuple[CampaignConfig, str]:
    """The campaign that is meant, and how it stands on the command line.

    Raises:
        ConfigError: if there is none, or its configuration cannot be used.
    """
    return find_campaign(which, folder, overrides or ()), as_typed(which, folder, overrides)


def as_typed(which: str, folder: Path, overrides: Sequence[str] | None) -> str:
    """A campaign, where its name is looked up, and what was changed, for another command."""
    elsewhere = folder != CONFIGS and not is_file_of(which)
    options = [("--configs", str(folder))] if elsewhere else []
    options += [(COMMAND_LINE, change) for change in overrides or ()]
    return " ".join(
        [shlex.quote(which), *(f"{option} {shlex.quote(value)}" for option, value in options)]
    )
