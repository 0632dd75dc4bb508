"""Campaigns over a fixed pool, and campaigns on some of a problem's fidelities."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mfal.campaign import open_campaign
from mfal.config import CampaignConfig, parse_config
from mfal.errors import ConfigError, InvalidKeyError, LedgerError
from mfal.importing.observations import import_file
from mfal.learn import fit
from mfal.propose import make_pool, promotions
from mfal.reference import reference_keys
from mfal.rest import sought_keys
from mfal.round import run_rounds
from mfal.types import Query
from tests.support import motif_settings

POOL = ["".join(word) + "ACGT" for word in itertools.product("ACT", repeat=4)][:60]


@pytest.fixture
def pooled(tmp_path: Path) -> Callable[..., CampaignConfig]:
    """The motif campaign over sixty words."""
    (tmp_path / "pool.txt").write_text("\n".join(POOL))

    def make(**changes: Any) -> CampaignConfig:
        settings = motif_settings(tmp_path, **changes)
        settings["sampler"] = {"name": "pool", "options": {"file": str(tmp_path / "pool.txt")}}
        return parse_config(settings)

    return make


def asked(config: CampaignConfig) -> list[Query]:
    with open_campaign(config) as campaign:
        return [o.query for o in campaign.store.observations()]


def run(config: CampaignConfig, n: int | None) -> None:
    with open_campaign(config) as campaign:
        run_rounds(campaign, n)


def test_a_campaign_asks_about_its_pool_and_nothing_else(
    pooled: Callable[..., CampaignConfig],
) -> None:
    config = pooled()
    run(config, 2)
    queries = asked(config)
    assert len(queries) > 18  # beyond the initial design
    assert {q.key for q in queries} <= set(POOL)


def test_a_list_with_two_spellings_of_a_candidate_is_refused_before_anything_is_asked(
    tmp_path: Path,
) -> None:
    (tmp_path / "pool.txt").write_text("AAAACCCC\nCCCCAAAA\nACACACAC\n")
    settings = motif_settings(tmp_path, problem="tests.problems.two_ways:problem")
    settings["sampler"] = {"name": "pool", "options": {"file": str(tmp_path / "pool.txt")}}
    with pytest.raises(InvalidKeyError) as raised, open_campaign(parse_config(settings), "a.yaml"):
        pass
    said = "a.yaml: sampler: its list: 'CCCCAAAA' is not how this candidate is written"
    assert (raised.value.message, raised.value.hint) == (said, "write 'AAAACCCC'")


def test_a_pool_is_asked_to_the_end_and_then_the_campaign_is_over(
    pooled: Callable[..., CampaignConfig],
) -> None:
    # Sixty words at 1 and 3 cost 240; the budget would pay for more.
    config = pooled(budget__total=500, batch={"cost": 60})
    run(config, None)
    everything = {Query(key, at) for key in POOL for at in ("half", "whole")}
    queries = asked(config)
    assert set(queries) == everything and len(queries) == len(everything)


def test_a_design_beyond_the_pool_is_refused_by_the_pool(
    pooled: Callable[..., CampaignConfig],
) -> None:
    config = pooled(initial__queries={"half": 61, "whole": 1}, budget__total=500)
    with pytest.raises(ConfigError, match="61 more candidates at half, and 60") as raised:
        run(config, 1)
    assert raised.value.hint == (
        "ask for fewer by initial.queries or initial.share: the sampler's list of 60 candidates is "
        "small"
    )
    # It has asked nothing, and so may be mended.
    mended = pooled(initial__queries={"half": 60, "whole": 1}, budget__total=500)
    run(mended, 1)
    assert len(asked(mended)) > 60


def test_imported_data_from_outside_the_pool_teach_and_are_not_bought(
    pooled: Callable[..., CampaignConfig], tmp_path: Path
) -> None:
    # They agree with the motif at every place that the pool's words do not, and look best.
    outside = [f"ACGT{''.join(word)}" for word in itertools.product("CG", repeat=4)]
    path = tmp_path / "mine.csv"
    rows = [f"{key},half,{4 - i % 2}" for i, key in enumerate(outside)]
    path.write_text("\n".join(["candidate,fidelity,agreement", *rows]))
    with open_campaign(pooled()) as campaign:
        import_file(campaign, path)
        assert run_rounds(campaign, 2) == [2, 3]
        bought = [o.query for o in campaign.store.observations() if o.round > 0]
        fitted = fit(campaign, 0)
        assert fitted.surrogate is not None
        promoted = promotions(campaign, fitted.data, fitted.surrogate)
    assert len(bought) > 6  # beyond what the design still asked
    assert {q.key for q in bought} <= set(POOL)
    assert {*outside} <= {*fitted.data.keys}
    assert {*promoted} <= {*POOL}


def test_the_maximum_is_sought_in_the_pool(pooled: Callable[..., CampaignConfig]) -> None:
    config = pooled()
    run(config, 1)
    with open_campaign(config) as campaign:
        fitted = fit(campaign, 0)
        assert fitted.surrogate is not None
        keys = reference_keys(campaign, fitted.surrogate, fitted.data, 0)
    assert sorted(keys) == sorted(POOL)


def test_without_a_surrogate_the_batch_is_random_from_the_pool(
    pooled: Callable[..., CampaignConfig],
) -> None:
    config = pooled(initial__queries={"half": 1, "whole": 1})
    run(config, 1)
    with open_campaign(config) as campaign:
        assert "random batch" in campaign.store.rounds()[1].record["fallback"]
    assert {q.key for q in asked(config)} <= set(POOL)


@pytest.mark.parametrize("acquisition", ["gibbon", "mes", "ucb", "ei", "thompson"])
def test_a_nat_counts_one_beside_information_and_a_spread_beside_the_rest(
    pooled: Callable[..., CampaignConfig], acquisition: str
) -> None:
    config = pooled(acquisition=acquisition)
    run(config, 0)
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
        fitted = fit(campaign, 0)
        assert fitted.surrogate is not None and fitted.reward is not None
        queries = [Query(key, "whole") for key in POOL]
        pool = make_pool(campaign, fitted, fitted.surrogate, fitted.reward, queries)
    spread = float(torch.std(pool.value, correction=0))
    assert pool.nat == (1.0 if acquisition in ("gibbon", "mes") else pytest.approx(spread))
    assert pool.nat > 0


def test_what_is_sought_are_the_most_promising_and_how_queries_tell_of_them(
    pooled: Callable[..., CampaignConfig], motif: Callable[..., CampaignConfig]
) -> None:
    config = pooled(top_k=5)
    run(config, 1)
    with open_campaign(config) as campaign:
        fitted = fit(campaign, 0)
        assert fitted.surrogate is not None and fitted.reward is not None
        queries = [Query(key, at) for key in POOL[:20] for at in ("half", "whole")]
        pool = make_pool(campaign, fitted, fitted.surrogate, fitted.reward, queries)
        known = list(dict.fromkeys([*fitted.data.keys, *POOL[:20]]))  # all may be sought
        features, place = campaign.features(known), fitted.candidate(known)
        moments = fitted.surrogate.joint(features, place)
        bound = moments.mean[:, -1] + moments.variance[:, -1].sqrt()
        order = bound.argsort(descending=True)
        assert pool.sought is not None and pool.sought.k == 5
        assert pool.sought.rows.tolist() == list(range(40))
        torch.testing.assert_close(pool.sought.mean, moments.mean[order, -1].double())
        three = torch.tensor([0, 1, 7])
        among = pool.covariance(three)
        at = torch.cat([torch.tensor([known.index(queries[i].key) for i in three.tolist()]), order])
        rungs = torch.cat([torch.tensor([0, 1, 1]), torch.ones(len(order), dtype=torch.long)])
        expected = fitted.surrogate.covariance(features[at], place[at], rungs)
        torch.testing.assert_close(among, expected)
    # Where candidates are searched for, cheap queries find as well as teach.
    with open_campaign(motif()) as campaign:
        assert not sought_keys(campaign, fitted, fitted.surrogate, POOL)
    with open_campaign(motif(batch={"cost": 12, "rest": "knowledge"})) as campaign:
        assert sought_keys(campaign, fitted, fitted.surrogate, POOL)
    for batch in ({"rest": "acquisition"}, {"fidelity": "random"}):
        with open_campaign(pooled(batch={"cost": 12, **batch})) as campaign:
            assert make_pool(
                campaign, fitted, fitted.surrogate, fitted.reward, queries
            ).sought is None  # fmt: skip


def test_a_campaign_on_the_target_alone_asks_at_the_target_alone(
    motif: Callable[..., CampaignConfig],
) -> None:
    config = motif(fidelities=["whole"], initial={"queries": {"whole": 6}})
    run(config, 1)
    queries = asked(config)
    assert {q.fidelity for q in queries} == {"whole"}
    assert len(queries) == 6 + 12 // 3


@pytest.mark.parametrize(
    ("changes", "said", "hinted"),
    [
        ({"fidelities": ["half"]}, "fidelities: half leaves out the target", "name whole"),
        ({"fidelities": ["third", "whole"]}, "motif has no fidelity third", "half, whole"),
        ({"fidelities": ["whole"]}, "initial.queries: the campaign has no fidelity half", "whole"),
    ],
)
def test_fidelities_that_do_not_fit_are_refused(
    motif: Callable[..., CampaignConfig], changes: dict[str, Any], said: str, hinted: str
) -> None:
    with pytest.raises(ConfigError) as raised, open_campaign(motif(**changes)):
        pass
    assert said in raised.value.message and hinted in raised.value.hint


def test_a_ledger_keeps_to_its_fidelities(motif: Callable[..., CampaignConfig]) -> None:
    initial = {"queries": {"whole": 6}}
    run(motif(initial=initial), 1)
    with pytest.raises(LedgerError, match=r'fidelities\.0 was null, is now "whole"'):
        run(motif(initial=initial, fidelities=["whole"]), 1)
    # Ledgers from before there was a choice go on as they are.
    assert "fidelities" not in motif().identity()


def test_a_query_has_the_noise_of_its_fidelity(pooled: Callable[..., CampaignConfig]) -> None:
    config = pooled()
    run(config, 0)
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
        fitted = fit(campaign, 0)
        surrogate = fitted.surrogate
        assert surrogate is not None and fitted.reward is not None
        queries = [Query(key, rung) for key in POOL[:2] for rung in ("half", "whole")]
        pool = make_pool(campaign, fitted, surrogate, fitted.reward, queries)
        known = surrogate.joint(campaign.features(POOL[:1]), fitted.candidate(POOL[:1])).noise
    assert known[0] != known[1]
    assert pool.noise.tolist() == [*known.tolist()] * 2


OWN = """
from mfal.gfn.base import Proposals
from mfal.types import Query

class Listed:
    pool = ("CCCCACGT", "GGGGACGT", "TTTTACGT", "CGCGACGT", "GCGCACGT", "TCTCACGT")
    def sample(self, log_reward, n, *, seed, start, weights, on_step):
        log_reward(self.pool)
        return Proposals(tuple(Query(key, "whole") for key in self.proposes()))
    def proposes(self):
        return self.pool
class Strays(Listed):
    def proposes(self):
        return "AAAAACGT", *self.pool
"""


def test_a_round_without_a_surrogate_stays_in_the_list_of_a_sampler_of_ones_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    settings = motif_settings(tmp_path, sampler=f"{tmp_path}/own.py:Listed")
    settings["initial"] = {"queries": {"whole": 2}}
    config = parse_config(settings)
    with open_campaign(config) as campaign:
        run_rounds(campaign, 1)
        (batch,) = (r for r in campaign.store.rounds() if r.kind == "batch")
        assert batch.record["fallback"].startswith("random batch")
        queries = [o.query for o in campaign.store.observations()]
        assert len(queries) > 4 and {q.fidelity for q in queries} == {"half", "whole"}
        assert {q.key for q in queries} <= set(campaign.pool or ())


def test_what_a_sampler_of_ones_own_proposes_outside_its_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    settings = motif_settings(tmp_path, sampler=f"{tmp_path}/own.py:Strays")
    settings["initial"] = {"queries": {"half": 5, "whole": 3}}
    with (
        open_campaign(parse_config(settings)) as campaign,
        pytest.raises(ConfigError, match="proposes 'AAAAACGT', which is not in its pool"),
    ):
        run_rounds(campaign, 1)
