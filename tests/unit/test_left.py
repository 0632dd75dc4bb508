"""What of the budget is left, and how much has to be read to know it."""

from collections.abc import Callable
from dataclasses import replace

from mfal.budget import minus, total_cost
from mfal.campaign import Campaign, open_campaign
from mfal.config import CampaignConfig
from mfal.round import next_kind
from mfal.stopping import stop_reason
from mfal.types import Outcome, Query
from tests.unit.ledgers import begin, statements

FIVE = [f"{letters}ACGTAC" for letters in ("AA", "AC", "AG", "CA", "CC")]


def begin_round(campaign: Campaign, number: int, answered: int) -> None:
    """A batch of ten queries, of which so many are answered, every third of those by a failure."""
    prefix = "".join("ACGT"[number // 4**i % 4] for i in range(3))
    asked = [Query(prefix + key[:5], at) for key in FIVE for at in ("half", "whole")]
    campaign.writer.begin_round(
        number,
        [(q, campaign.cost(q.fidelity)) for q in asked],
        kind="batch",
        seed=0,
        config={},
        versions={},
        record={"training": [{"loss": 0.5}] * 100},
    )
    campaign.writer.record(
        [(q, Outcome((1.0,), None, 0.0) if i % 3 else Outcome(None, "no fold", 0.0),
          f"motif {q.fidelity}") for i, q in enumerate(asked[:answered])],
        charge_failures=False,
    )  # fmt: skip
    if answered == len(asked):
        campaign.writer.finish_round(number)


def test_what_is_left_is_what_every_round_has_yet_to_ask_and_what_was_charged(
    motif: Callable[..., CampaignConfig],
) -> None:
    with open_campaign(motif(costs={"half": 0.1, "whole": 0.7})) as campaign:
        assert campaign.left == 100
        for number, answered in enumerate((10, 7, 0, 10, 1)):
            begin_round(campaign, number, answered)
            # Query by query, as a person would.
            promised = [
                campaign.cost(query.fidelity)
                for info in campaign.store.rounds()
                for query in campaign.store.pending(info.number)
            ]
            charged = [o.cost for o in campaign.store.observations()]
            assert campaign.left == minus(100, total_cost([*promised, *charged]))
        assert campaign.left == 84.2  # 50 queries cost 20, less 4.2 for those that failed


def test_no_more_is_read_of_a_campaign_the_more_rounds_it_has(
    motif: Callable[..., CampaignConfig],
) -> None:
    looks: list[Callable[[Campaign], object]] = [
        lambda c: c.left,
        stop_reason,
        lambda c: c.store.has_asked(),
        next_kind,
    ]
    with open_campaign(motif(budget__total=1000, stop__rounds=12)) as campaign:
        begin_round(campaign, 0, 10)
        seen: list[list[int]] = []
        for number in range(1, 12):
            begin_round(campaign, number, number % 11)
            seen.append([])
            for look in looks:
                with statements(campaign.store) as sent:
                    look(campaign)
                seen[-1].append(len(sent))
        assert stop_reason(campaign) == "12 rounds are done, and stop.rounds is 12"
    assert seen == [seen[0]] * 11


def test_a_budget_that_is_spent_is_added_up_once(motif: Callable[..., CampaignConfig]) -> None:
    small = {"budget": {"total": 40.5}, "initial": {"queries": {"half": 1}}}
    with open_campaign(motif(**small, costs={"half": 2.0, "whole": 6.0})) as campaign:
        with statements(campaign.store) as sent:
            assert stop_reason(campaign) is None
        enough = len(sent)
        begin_round(campaign, 0, 0)
        with statements(campaign.store) as sent:
            why = stop_reason(campaign)
        assert why is not None and why.startswith("the budget is spent: 0.5 of 40.5 is left")
        assert len(sent) == enough


def test_a_begun_round_is_paid_for_at_the_price_it_was_begun_at(
    motif: Callable[..., CampaignConfig],
) -> None:
    query = Query("CCCCCCCC", "half")
    with open_campaign(motif()) as campaign:
        begin(campaign.writer, 0, query, cost=campaign.cost("half"))
        assert campaign.left == 99
        half, whole = campaign.ladder
        dearer = replace(campaign, ladder=(replace(half, cost=2.0), whole))
        assert dearer.cost("half") == 2 and dearer.left == 99
        dearer.writer.record([(query, Outcome((1.0,), None, 0.0), "motif half")])
        assert dearer.left == 99
