"""The marginal likelihood, its gradient, and the points it is fitted to."""

from typing import get_args

import pytest
import torch

from mfal.dataset import Dataset
from mfal.errors import SurrogateError
from mfal.surrogate.evidence import Evidence, choose_points, factorise, fit_parameters
from mfal.surrogate.gp import MultiFidelityGP
from mfal.surrogate.kernels import CandidateKernel, CountKernel
from mfal.surrogate.parameters import Priors
from mfal.surrogate.scaling import FeatureScale, UtilityScale
from mfal.surrogate.structures import StructureName, make_structure
from tests.unit.surrogate.data import synthetic, target_only

LEVELS = (0.2, 0.5, 1.0)


def evidence_of(
    data: Dataset, kernel: CountKernel = "matern52", structure: StructureName = "lmc"
) -> Evidence:
    priors = Priors.of(
        make_structure(structure, LEVELS),
        counts=True,
        length=kernel != "tanimoto",
        trends=True,
        noise_floor=1e-4,
        nugget_floor=1e-3,
    )
    scale = FeatureScale.learn(data.features, (6, 7, 8))
    values = UtilityScale.learn(data).standardise(data.utility, data.fidelity)
    return Evidence(CandidateKernel(scale, kernel), priors, data, values)


@pytest.mark.parametrize("structure", get_args(StructureName))
@pytest.mark.parametrize("kernel", get_args(CountKernel))
def test_no_parameter_starts_where_its_gradient_vanishes(
    three_rungs: Dataset, kernel: CountKernel, structure: StructureName
) -> None:
    data = target_only(three_rungs) if structure == "single" else three_rungs
    evidence = evidence_of(data, kernel, structure)
    _, gradient = evidence.log_likelihood(evidence.priors.start())
    by_name = evidence.priors.split(gradient)
    assert {name for name, part in by_name.items() if len(part) == 0} == (
        {"log_count_length"} if kernel == "tanimoto" else set()
    )
    for name, part in by_name.items():
        assert (part.abs() > 1e-4).all(), name


@pytest.mark.parametrize(
    ("structure", "kernel"),
    [
        ("lmc", "matern52"),
        ("icm", "hamming"),
        ("ar1", "rbf"),
        ("linear-truncated", "tanimoto"),
        ("single", "rbf"),
    ],
)
def test_gradient_agrees_with_differences(
    three_rungs: Dataset, structure: StructureName, kernel: CountKernel
) -> None:
    data = target_only(three_rungs) if structure == "single" else three_rungs
    evidence = evidence_of(data, kernel, structure)
    generator = torch.Generator().manual_seed(0)
    start = evidence.priors.start()
    theta = start + 0.3 * torch.randn(len(start), generator=generator, dtype=torch.float64)
    value, gradient = evidence.loss(theta)
    step = 1e-5
    for i in range(len(theta)):
        shift = torch.zeros_like(theta)
        shift[i] = step
        above, _ = evidence.loss(theta + shift)
        below, _ = evidence.loss(theta - shift)
        assert float(gradient[i]) == pytest.approx(float(above - below) / (2 * step), abs=1e-6)
    assert value.isfinite()


def test_log_likelihood_agrees_with_gpytorch(three_rungs: Dataset) -> None:
    surrogate = MultiFidelityGP(linear_columns=(6, 7, 8)).fit(three_rungs, seed=0)
    model = surrogate.to_botorch().train()
    inputs, targets = model.train_inputs[0], model.train_targets
    with torch.no_grad():
        theirs = model.likelihood(model(inputs), inputs).log_prob(targets)
    # Ours is of standardised values: the density of a value in its unit is 1/unit of that.
    units = surrogate.posterior.scale.scale[three_rungs.fidelity]
    ours = surrogate.diagnostics()["log_marginal_likelihood"] - units.log().sum()
    assert float(theirs) == pytest.approx(float(ours), abs=1e-6)


def test_a_fit_raises_the_likelihood_and_comes_to_rest(three_rungs: Dataset) -> None:
    evidence = evidence_of(three_rungs)
    before, _ = evidence.loss(evidence.priors.start())
    fit = fit_parameters(evidence, max_steps=200, seed=0)
    after, gradient = evidence.loss(fit.theta)
    assert after < before - 0.01
    assert gradient.abs().max() < 1e-3
    assert (fit.attempts, fit.jitter) == (1, 0.0)


def test_a_failing_start_is_moved_and_counted(
    three_rungs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = evidence_of(three_rungs)
    original, calls = evidence.loss, []

    def fails_at_first(theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(theta.clone())
        if len(calls) == 1:
            raise SurrogateError("made to fail")
        return original(theta)

    monkeypatch.setattr(evidence, "loss", fails_at_first)
    assert fit_parameters(evidence, max_steps=5, seed=0).attempts == 2
    assert not torch.equal(calls[0], calls[1])


def test_when_every_start_fails_the_error_says_so(
    three_rungs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = evidence_of(three_rungs)
    nothing = torch.tensor(torch.nan), torch.zeros(len(evidence.priors.start())).double()
    monkeypatch.setattr(evidence, "loss", lambda _: nothing)
    with pytest.raises(SurrogateError, match="not finite"):
        fit_parameters(evidence, max_steps=5, seed=0)


def test_a_singular_matrix_is_padded_and_an_indefinite_one_refused() -> None:
    singular = torch.ones(5, 5, dtype=torch.float64)
    factor, jitter = factorise(singular)
    assert 0 < jitter <= 1e-6
    torch.testing.assert_close(factor @ factor.T, singular, rtol=0, atol=1e-5)
    with pytest.raises(SurrogateError, match="positive definite"):
        factorise(torch.diag(torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64)))


def test_points_are_chosen_target_first_then_its_candidates_elsewhere() -> None:
    data = synthetic(100, 2, seed=1)  # 100 cheap, 50 at the target
    rows = choose_points(data, 110, seed=0)
    assert len(rows) == len(set(rows.tolist())) == 110
    chosen = data.subset(rows)
    assert int((chosen.fidelity == 1).sum()) == 50
    cheap = {chosen.keys[i] for i in chosen.candidate[chosen.fidelity == 0].tolist()}
    assert {str(i) for i in range(50)} <= cheap
    assert torch.equal(rows, choose_points(data, 110, seed=0))
    assert not torch.equal(rows, choose_points(data, 110, seed=1))


def test_many_target_observations_leave_room_for_the_others() -> None:
    data = synthetic(100, 2, seed=1)
    chosen = data.subset(choose_points(data, 30, seed=0))
    assert int((chosen.fidelity == 1).sum()) == 20
    shared = chosen.candidate[chosen.fidelity == 0]
    assert torch.isin(shared, chosen.candidate[chosen.fidelity == 1]).all()
    assert torch.equal(choose_points(data, 500, seed=0), torch.arange(150))
