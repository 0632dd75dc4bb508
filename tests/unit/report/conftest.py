from pathlib import Path

import pytest
import torch

from mfal.campaign import open_campaign
from mfal.config import parse_config
from mfal.report.campaign_page import campaign_page
from mfal.report.html import render
from mfal.report.page import Page
from mfal.report.snapshot import Snapshot, take
from mfal.round import run_rounds
from tests.support import motif_settings


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A campaign of two rounds on the motif problem, some of whose queries failed."""
    torch.set_num_threads(1)
    folder: Path = tmp_path_factory.mktemp("reported")
    config = parse_config(motif_settings(folder, top_k=3, problem__options__trouble="raise"))
    with open_campaign(config) as campaign:
        run_rounds(campaign, 2)
        return take(campaign)


@pytest.fixture(scope="session")
def page(snapshot: Snapshot) -> Page:
    """The page of that campaign as it is."""
    return campaign_page(snapshot)


@pytest.fixture(scope="session")
def html(page: Page) -> str:
    return render(page)
