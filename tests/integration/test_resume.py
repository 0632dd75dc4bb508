"""`mfal resume`: what is missing is bought, and no more."""

import pytest

from mfal.campaign import open_campaign
from mfal.cli.runner import Library
from mfal.config import CampaignConfig
from mfal.errors import BudgetError
from mfal.round import run_rounds
from tests.integration.campaigns import Folder, break_off, play
from tests.unit.ledgers import rows


def test_resume_buys_what_is_missing_and_no_more(folder: Folder) -> None:
    whole, broken = (
        folder.add("whole", problem__options={}),
        folder.add("broken", problem__options={}),
    )
    with open_campaign(whole) as campaign:
        run_rounds(campaign, 1)

    break_off(broken)
    (before,) = folder.status("broken")
    assert before["open_round"] == 1 and before["pending"] > 0
    code, out = folder.call("resume", "broken", "--no-prefect")
    cost = 42 - before["spent"]
    last = out.splitlines()[-1]
    assert code == 0 and last.startswith(
        f"broken: round 1 is finished: {before['pending']} of its "
    )
    assert last.endswith(f"had no answer; they were asked, for {cost:g}")
    code, out = folder.call("diff", "whole", "broken")
    assert code == 0 and out.splitlines()[-1] == "the same"
    # And again, with one that has not begun beside them.
    folder.add("new")
    nothing = "nothing to do: every round that was begun is finished"
    assert folder.call("resume", "--no-prefect") == (
        0, f"broken: {nothing}\nnew: nothing to do: it has not begun\nwhole: {nothing}\n"
    )  # fmt: skip


def test_resume_leaves_a_campaign_to_whoever_is_at_work(folder: Folder) -> None:
    config = folder.add("motif")
    play(config, unanswered=1)
    with open_campaign(config):
        code, out = folder.call("resume", "motif", "--no-prefect")
    assert code == 2 and "is working on campaign 'motif'" in out


def test_one_runner_does_for_all_that_is_resumed(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def prefect() -> Library:
        made.append(Library())
        return made[-1]

    monkeypatch.setattr("mfal.cli.runner.resolve", lambda kind, name: prefect)
    folder.add("new")
    assert folder.call("resume")[0] == 0 and made == []
    at_work, left = folder.add("a"), folder.add("b")
    for config in (at_work, left):
        play(config, unanswered=1)
    with open_campaign(at_work):
        code, out = folder.call("resume")
    assert code == 2 and "is working on campaign 'a'" in out
    assert "b: round 1 is finished" in out and len(made) == 1


def state(config: CampaignConfig) -> tuple[float, int]:
    """What is spent, and how many queries have no answer."""
    with open_campaign(config) as campaign:
        return campaign.store.spent(), len(campaign.store.pending(1))


def test_a_begun_round_is_not_finished_above_a_budget_that_was_lowered(folder: Folder) -> None:
    config = folder.add("motif")
    break_off(config)
    before = state(config)
    lower = folder.add("motif", budget__total=41.5)
    with (
        pytest.raises(BudgetError, match=r"round 1 was begun .* makes 42 of 41\.5") as raised,
        open_campaign(lower) as campaign,
    ):
        run_rounds(campaign, 1)
    assert "raise budget.total to 42 at least" in raised.value.hint
    code, out = folder.call("resume", "motif", "--no-prefect")
    assert code == 2 and "round 1 was begun under a larger one" in out
    assert state(config) == before

    enough = folder.add("motif", budget__total=42)
    with open_campaign(enough) as campaign:
        assert run_rounds(campaign, 1) == [1]
    assert state(enough) == (42, 0)


def test_a_round_that_has_all_its_answers_is_finished_under_any_budget(folder: Folder) -> None:
    with open_campaign(folder.add("motif")) as campaign:
        run_rounds(campaign, 1)
        assert campaign.store.spent() == 42
        unfinish = "UPDATE rounds SET finished_at = NULL WHERE number = 1"
        rows(campaign.store.url, unfinish)
    with open_campaign(folder.add("motif", budget__total=41)) as campaign:
        assert run_rounds(campaign, 1) == [1]
        assert all(r.finished for r in campaign.store.outline())
