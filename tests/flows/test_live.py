"""The live line of a page that does not answer."""

import logging
import threading
import time
from pathlib import Path
from typing import NoReturn

import pytest

import flows.live
from flows.live import LivePage
from mfal.campaign import open_campaign
from mfal.config import parse_config
from mfal.progress import STAGES
from tests.support import motif_settings


def test_what_is_still_to_be_told_to_a_dead_server_is_dropped_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    answer = threading.Event()

    def unheard(percent: float, *, key: str, description: str) -> NoReturn:
        told.append(description)
        answer.wait()
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(flows.live, "create_progress_artifact", unheard)
    with open_campaign(parse_config(motif_settings(tmp_path))) as campaign:
        page = LivePage(campaign)
        with caplog.at_level(logging.WARNING), page:
            page.begin_round(1, "batch")
            page.stage("train")
            page.stage("propose")
            while not told:
                time.sleep(0.01)
            threading.Timer(0.3, answer.set).start()
    assert told == ["round 1: fit"]
    assert [r.message for r in caplog.records if r.name == "mfal.flows"] == [
        "the page could not be told: ConnectionError: nobody answers"
    ]


def test_a_page_that_failed_once_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def unheard(percent: float, *, key: str, description: str) -> NoReturn:
        told.append(description)
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(flows.live, "create_progress_artifact", unheard)
    with (
        open_campaign(parse_config(motif_settings(tmp_path))) as campaign,
        LivePage(campaign) as page,
    ):
        for n, stage in enumerate(STAGES[:3], 1):
            page.stage(stage)
            while len(told) < n:
                time.sleep(0.01)
    assert len(told) == 3
