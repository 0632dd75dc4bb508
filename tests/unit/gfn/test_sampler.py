from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Generator, Tensor, nn

from mfal.gfn import sampler
from mfal.gfn.agent import Agent
from mfal.gfn.base import Proposals, Sampler, TrainMetrics
from mfal.gfn.heads import Heads
from mfal.gfn.losses import Loss, VarGrad, residual
from mfal.gfn.policy import PolicySettings
from mfal.gfn.sampler import GFlowNetSampler, as_queries, draw
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import Trainer
from mfal.gfn.trajectories import Trajectories
from mfal.types import Query
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.problems import LADDER, agent, dna, potts, seeded

DNA = dna(6)
POTTS = potts(DNA)
SMALL = PolicySettings(hidden=32)


class Counting:
    """The reward, and how often each candidate was asked for."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, keys: Sequence[str]) -> Tensor:
        self.asked.update(keys)
        return POTTS(keys)


def quick(
    *, keep: int = 40, policy: PolicySettings = SMALL, warm_start: bool = False, **changes: Any
) -> GFlowNetSampler:
    settings = {"steps": 24, "batch_size": 16, "guided_size": 32, **changes}
    return GFlowNetSampler(
        DNA,
        LADDER,
        train=TrainSettings(**settings),
        policy=policy,
        warm_start=warm_start,
        keep=keep,
    )


def sample(seed: int = 0, n: int = 60, **changes: Any) -> Proposals:
    return quick(**changes).sample(POTTS, n, seed=seed, start=["ACGTAC"])


def test_it_is_a_sampler() -> None:
    assert isinstance(quick(), Sampler)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"policy": PolicySettings(kind="gru", hidden=16)},
        {"loss": "subtb", "replay": "prioritised", "guide": "local"},
    ],
)
def test_the_same_seed_gives_the_same_proposals(changes: dict[str, Any]) -> None:
    torch.manual_seed(1)
    first = sample(seed=5, **changes)
    torch.manual_seed(2)
    again = sample(seed=5, **changes)
    assert first == again
    assert sample(seed=6, **changes).queries != first.queries


class Robust(VarGrad):
    """The default loss, less moved by trajectories that are far off."""

    def forward(self, trajectories: Trajectories, log_reward: Tensor) -> Tensor:
        values = residual(trajectories, log_reward)
        return F.huber_loss(values, values.mean().expand_as(values))


class WithLoss(GFlowNetSampler):
    own: Loss = VarGrad()

    def loss(self, agent: Agent) -> Loss:
        return self.own


def test_another_loss_may_be_plugged_in() -> None:
    train = TrainSettings(steps=150, batch_size=16, guided_size=32, loss="tb")
    plugged = WithLoss(DNA, LADDER, train=train, policy=SMALL, keep=0)
    # Whatever the settings name: the default itself gives what the default gives.
    by_name = replace(train, loss="vargrad")
    default = GFlowNetSampler(DNA, LADDER, train=by_name, policy=SMALL, keep=0)
    usual = default.sample(POTTS, 200, seed=0)
    assert plugged.sample(POTTS, 200, seed=0) == usual
    plugged.own = Robust()
    found = plugged.sample(POTTS, 200, seed=0)
    assert found != usual
    untrained = quick(steps=1, learning_rate=1e-9, keep=0).sample(POTTS, 200, seed=0)
    learnt, by_chance = (
        float(POTTS([query.key for query in p.queries]).mean()) for p in (found, untrained)
    )
    assert learnt > by_chance + 1.0


def test_one_sampler_may_be_used_again() -> None:
    used = quick()
    first = used.sample(POTTS, 30, seed=5)
    used.sample(POTTS, 30, seed=6)
    assert used.sample(POTTS, 30, seed=5) == first


def test_the_global_generator_is_left_alone() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    sample()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_each_candidate_is_rewarded_once() -> None:
    log_reward = Counting()
    proposals = quick().sample(log_reward, 50, seed=0, start=["ACGTAC", "ACGTAC"])
    assert set(log_reward.asked.values()) == {1}
    assert log_reward.asked["ACGTAC"] == 1
    assert len(log_reward.asked) > 100
    assert len(proposals.history) == 3


def test_proposals_are_distinct_queries_of_the_problem() -> None:
    proposals = sample()
    assert len(set(proposals.queries)) == len(proposals.queries)
    assert {query.fidelity for query in proposals.queries} == {"low", "mid", "high"}
    DNA.states([query.key for query in proposals.queries])


def test_the_best_ever_scored_are_proposed_after_the_drawn() -> None:
    log_reward = Counting()
    proposals = quick().sample(log_reward, 30, seed=0, start=["ACGTAC"])
    keys = list(log_reward.asked)
    scores = POTTS(keys)
    ranked = sorted(
        (-float(scores[i, m]), Query(key, fidelity.name))
        for i, key in enumerate(keys)
        for m, fidelity in enumerate(LADDER)
    )
    best = [query for _, query in ranked[:40]]
    assert set(best) <= set(proposals.queries)
    drawn = quick(keep=0).sample(Counting(), 30, seed=0, start=["ACGTAC"]).queries
    assert 0 < len(drawn) <= 30
    assert proposals.queries[: len(drawn)] == drawn
    assert set(proposals.queries[len(drawn) :]) == set(best) - set(drawn)


def test_metrics_stream_as_training_goes_on() -> None:
    seen: list[TrainMetrics] = []
    proposals = quick().sample(POTTS, 5, seed=0, on_step=seen.append)
    assert tuple(seen) == proposals.history
    assert [m.step for m in seen] == [10, 20, 24]
    assert all(m.steps == 24 for m in seen)


@pytest.mark.parametrize("policy", [SMALL, PolicySettings(kind="gru", hidden=32)])
def test_training_finds_better_candidates_than_chance(policy: PolicySettings) -> None:
    def mean(queries: tuple[Query, ...]) -> float:
        return float(POTTS([query.key for query in queries]).mean())

    untrained = quick(steps=1, learning_rate=1e-9, keep=0, policy=policy)
    trained = quick(steps=150, keep=0, policy=policy)
    by_chance, learnt = (s.sample(POTTS, 200, seed=0).queries for s in (untrained, trained))
    assert mean(learnt) > mean(by_chance) + 1.0


class Linear(GFlowNetSampler):
    def policy(self, heads: Heads, generator: Generator) -> nn.Module:
        module = nn.Linear(self.environment.n_features, heads.n_outputs)
        for values in module.parameters():
            values.data.normal_(generator=generator)
        return module


@pytest.mark.parametrize(("loss", "backward"), [("vargrad", "uniform"), ("db", "learnt")])
def test_any_network_may_be_plugged_in(loss: Any, backward: Any) -> None:
    settings = TrainSettings(steps=20, batch_size=16, loss=loss, backward=backward)
    linear = Linear(DNA, LADDER, train=settings)
    first = linear.sample(POTTS, 20, seed=1)
    assert first.queries and first == linear.sample(POTTS, 20, seed=1)
    assert first.queries != linear.sample(POTTS, 20, seed=2).queries


@pytest.mark.parametrize(
    ("loss", "backward"),
    [
        *product(["vargrad", "tb", "db", "subtb"], ["uniform", "learnt"]),
        ("fm", "uniform"),
    ],
)
def test_environments_without_breeding_or_increments_work(loss: Any, backward: Any) -> None:
    grid = GridEnvironment(side=5)
    settings = TrainSettings(
        steps=10, batch_size=16, guided_every=5, guided_size=16, loss=loss, backward=backward
    )
    on_grid = GFlowNetSampler(grid, LADDER[:1], train=settings, policy=SMALL)

    def log_reward(keys: Sequence[str]) -> Tensor:
        return grid.states(keys)[:, :1].float()

    proposals = on_grid.sample(log_reward, 40, seed=0)
    assert {query.fidelity for query in proposals.queries} == {"low"}
    grid.states([query.key for query in proposals.queries])


def test_training_starts_with_known_candidates_at_fidelities_drawn_by_their_reward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each once: at the middle fidelity in 8 of 10 cases, in none at the last."""
    ladder = torch.tensor([[0.2, 0.8, 1e-9]]).log()
    started: list[Tensor] = []

    class Watched(Trainer):
        def run(self, *, start: Tensor | None = None, **others: Any) -> tuple[TrainMetrics, ...]:
            assert start is not None
            started.append(start)
            return super().run(start=start, **others)

    monkeypatch.setattr(sampler, "Trainer", Watched)
    keys = DNA.keys(torch.randint(4, (1000, 6), generator=seeded(0)))
    quick(steps=1).sample(lambda asked: ladder.expand(len(asked), -1), 1, seed=0, start=keys)
    environment, distinct = quick().environment, list(dict.fromkeys(keys))
    assert len(distinct) < 1000 and environment.keys(started[0]) == distinct
    shares = environment.fidelities(started[0]).bincount(minlength=3) / len(distinct)
    assert shares[2] == 0
    assert abs(float(shares[1]) - 0.8) < 4 * (0.2 * 0.8 / len(distinct)) ** 0.5


def test_nothing_need_be_known() -> None:
    assert quick().sample(POTTS, 5, seed=0, start=()).queries


def test_queries_are_drawn_in_any_number() -> None:
    seen = agent(quick().environment)
    for n in (0, 1, 1500):
        assert len(draw(seen, n, seeded(0))) == n
    with pytest.raises(TypeError, match="SequenceEnvironment has no fidelities"):
        draw(agent(DNA), 1, seeded(0))


def test_queries_keep_the_order_of_their_first_appearance() -> None:
    queries = as_queries([("B", 1), ("A", 0), ("B", 1), ("B", 0)], LADDER)
    assert queries == (Query("B", "mid"), Query("A", "low"), Query("B", "low"))


@pytest.mark.parametrize("has", [True, False])
def test_a_precision_that_the_processor_lacks_is_warned_of(
    has: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sampler, "has_bfloat16", lambda device: has)
    quick()
    assert not caplog.messages
    quick(policy=PolicySettings(precision="bfloat16"))
    assert [message.partition(":")[0] for message in caplog.messages] == (
        []
        if has
        else ["this processor has no bfloat16 and takes ten times as long for it as for float32"]
    )
