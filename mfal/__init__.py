"""mfal: multi-fidelity active learning with GFlowNets.

Here are the words that a problem of your own is written with, and `open`, which looks at a
campaign; none of them loads torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from mfal.own.command import external
from mfal.own.function import oracle
from mfal.own.manual import manual
from mfal.types import Fidelity, Objective, Outcome, Problem

if TYPE_CHECKING:
    from mfal.view import View

__all__ = ["Fidelity", "Objective", "Outcome", "Problem", "external", "manual", "open", "oracle"]


def open(campaign: str, configs: str | Path = "configs") -> "View":  # noqa: A001
    """A campaign to look at, as in ``mfal.open("dna-aptamers").observations()``.

    Args:
        campaign: Its name, or the path of its YAML file.
        configs: The folder in which the name is looked up.

    Raises:
        ConfigError: if there is no such campaign.
    """
    # Imported here: `import mfal` costs nothing.
    from mfal.folder import find_campaign
    from mfal.view import View

    return View(find_campaign(campaign, Path(configs)))
