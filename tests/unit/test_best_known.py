"""Which candidates of a ledger a sampler starts from."""

from dataclasses import replace

import torch

from mfal.learn import best_measured, best_promising
from mfal.surrogate.gp import MultiFidelityGP
from tests.unit.surrogate.data import synthetic


def test_a_cheap_rung_that_reads_high_does_not_hide_the_best_measured() -> None:
    data = synthetic(80, 2, seed=1)
    truth = data.utility[80:]
    asked = truth.topk(20).indices
    data = replace(
        data,
        candidate=torch.cat([torch.arange(80), asked]),
        fidelity=torch.cat([torch.zeros(80), torch.ones(20)]).long(),
        utility=torch.cat([data.utility[:80] + 10 * truth.std(), truth[asked]]),
    )
    best = {data.keys[int(i)] for i in asked[:5]}
    assert not best & set(best_measured(data, 60))
    surrogate = MultiFidelityGP(linear_columns=(6, 7, 8)).fit(data, seed=0)
    found = best_promising(data, surrogate)
    assert best <= set(found[:10])
    assert len(found) == 80
    lost = replace(data, failed=frozenset(found[:3]))
    assert best_promising(lost, surrogate) == found[3:]
