"""`mfal resume`: what is missing is bought, and no more."""

from mfal.campaign import open_campaign
from mfal.round import run_rounds
from tests.integration.campaigns import Folder, break_off, play


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
