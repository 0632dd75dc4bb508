"""What a surrogate promises, as a feature that failures are foreseen by."""

import random
import string
from collections.abc import Sequence

import torch
from torch import Tensor

from mfal.dataset import build_dataset
from mfal.feasibility import learn_feasibility
from mfal.promise import WithPromise
from mfal.surrogate.gp import MultiFidelityGP
from mfal.types import Fidelity, Objective, Observation, Outcome, Query

LETTERS = string.ascii_uppercase
LADDER = (Fidelity("low", 1.0, 0.5), Fidelity("high", 7.0, 1.0))
VALUE = Objective("value", "1", "max")


class Letters:
    """Which of the 26 letters a word has."""

    width = 26
    linear_columns = ()

    def __call__(self, keys: Sequence[str]) -> Tensor:
        return torch.tensor([[k.count(c) for c in LETTERS] for k in keys], dtype=torch.float64)


def value(word: str) -> float:
    """Late letters are worth most."""
    return sum(LETTERS.index(c) for c in word) / 25


def words(n: int, letters: str, seed: int) -> list[str]:
    """Of eight different letters each."""
    draw = random.Random(seed)
    return ["".join(sorted(draw.sample(letters, 8))) for _ in range(n)]


def asked(word: str, fidelity: str, *, limit: float) -> Observation:
    """The target has no value for a word that is worth more than `limit`."""
    fails = fidelity == "high" and value(word) > limit
    outcome = Outcome(None, "too good", 0.1) if fails else Outcome((value(word),), None, 0.1)
    return Observation(Query(word, fidelity), outcome, 0, 1.0, "test")


def with_promise(observations: Sequence[Observation]) -> WithPromise:
    data = build_dataset(observations, LADDER, VALUE, Letters())
    return WithPromise(Letters(), MultiFidelityGP().fit(data, seed=0), data)


def ledger() -> list[Observation]:
    """Of forty random words, the best eight fail at the target."""
    known = words(40, LETTERS, seed=0)
    limit = sorted(value(word) for word in known)[-9]
    return [asked(word, f, limit=limit) for word in known for f in ("low", "high")]


def test_the_last_column_is_the_mean_at_the_target() -> None:
    data = build_dataset(ledger(), LADDER, VALUE, Letters())
    surrogate = MultiFidelityGP().fit(data, seed=0)
    features = WithPromise(Letters(), surrogate, data)
    keys = [*data.keys[:3], *words(3, LETTERS, seed=1)]
    assert features.width == 27
    assert features.linear_columns == (26,)
    assert torch.equal(features(keys)[:, :26], Letters()(keys))
    mean = surrogate.joint(Letters()(keys), data.places(keys)).mean[:, -1]
    assert torch.equal(features(keys)[:, 26], mean)


def test_failures_of_the_best_are_foreseen_where_no_candidate_is_like_them() -> None:
    best, worst = words(20, LETTERS[14:], seed=2), words(20, LETTERS[:12], seed=3)

    def probabilities(features: WithPromise | Letters) -> tuple[float, float]:
        surrogate = MultiFidelityGP(linear_columns=features.linear_columns)
        learnt = learn_feasibility(ledger(), LADDER, features, surrogate, seed=0)
        assert learnt is not None
        return float(learnt(best)[:, -1].mean()), float(learnt(worst)[:, -1].mean())

    of_best, of_worst = probabilities(with_promise(ledger()))
    assert of_best < 0.1 and of_worst > 0.9
    of_best, of_worst = probabilities(Letters())
    assert of_best > 0.3 and of_worst > 0.9  # none of the best has a value
