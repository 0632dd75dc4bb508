"""A folder of campaigns, answered by hand, for the tests of commands."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from mfal.campaign import Campaign, open_campaign
from mfal.cli.app import app
from mfal.config import CampaignConfig, parse_config
from mfal.round import Answer, Steps, append, run_rounds, score
from mfal.scoring.scorer import Scorer
from mfal.types import Outcome, Query
from tests.support import motif_settings


class Folder:
    """A folder with configurations, and their campaigns' ledgers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "configs").mkdir()

    def add(self, name: str, **changes: Any) -> CampaignConfig:
        settings = motif_settings(self.path, name=name, **{"scoring__runner": "threads"} | changes)
        (self.path / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(settings))
        return parse_config(settings)

    def call(self, *arguments: str, columns: int = 200) -> tuple[int, str]:
        """Exit code and what was printed, both on its two ways out."""
        configs = ["--configs", str(self.path / "configs")]
        done = CliRunner().invoke(app, [*arguments, *configs], env={"COLUMNS": str(columns)})
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    def status(self, *names: str) -> list[dict[str, Any]]:
        _, out = self.call("status", *names, "--json")
        found: list[dict[str, Any]] = json.loads(out)
        return found


ROUNDS: list[list[tuple[str, str, float | None]]] = [
    [("CCCCCCCC", "half", 2.0), ("GGGGGGGG", "whole", 2.5)],
    [
        ("ACGTCCCC", "half", 4.0),
        ("ACGTACGA", "whole", 7.0),
        ("AAAAAAAA", "whole", None),
        ("ACGTACGT", "whole", 8.0),
        ("TTTTACGT", "whole", 4.0),
    ],
]


def play(config: CampaignConfig, unanswered: int = 0) -> None:
    """The initial design and a batch, answered by hand but for the last `unanswered` queries."""
    with open_campaign(config) as campaign:
        for number, asked in enumerate(ROUNDS):
            rows = [(Query(key, at), value) for key, at, value in asked]
            campaign.writer.begin_round(
                number,
                [(q, campaign.cost(q.fidelity)) for q, _ in rows],
                kind="batch" if number else "initial",
                seed=number,
                config={},
                versions={},
                record={},
            )
            answered = rows[: len(rows) - unanswered * number]
            campaign.writer.record(
                [
                    (q, Outcome(None if v is None else (v,), "no fold" if v is None else None, 0.5),
                     f"motif {q.fidelity}")
                    for q, v in answered
                ]
            )  # fmt: skip
            if len(answered) == len(rows):
                campaign.writer.finish_round(number)


def break_off(config: CampaignConfig) -> None:
    """Run a round that is broken off in its batch, when one answer is recorded."""

    def breaks(campaign: Campaign, asker: Scorer) -> list[Answer]:
        answers = score(campaign, asker)
        if any(r.kind == "batch" for r in campaign.store.rounds()):
            append(campaign, answers[:1])
            asker.close()  # and so nobody knows of the others
            raise RuntimeError("the power fails")
        return answers

    with pytest.raises(RuntimeError, match="the power fails"), open_campaign(config) as campaign:
        run_rounds(campaign, 1, steps=Steps(score=breaks))
