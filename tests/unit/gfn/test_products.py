import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mfal.envs.hypergrid import HypergridEnvironment
from mfal.gfn import perceptron, products
from mfal.gfn.products import dense_relu, product
from mfal.gfn.settings import TrainSettings
from mfal.gfn.train import Trainer
from tests.unit.gfn.problems import agent, seeded

# Rows, inner width, outer width: below and above what pays, and at the border.
SMALL = [(1, 1, 1), (63, 64, 64), (64, 63, 64), (64, 64, 63), (200, 5, 7)]
LARGE = [(64, 64, 64), (300, 128, 65), (1000, 64, 256)]


class Calls(TorchDispatchMode):
    """Names of the operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))

    @property
    def by_onednn(self) -> bool:
        return any(name.startswith("mkldnn.") for name in self.names)


@pytest.fixture(params=[False, True], ids=["plain", "onednn"])
def pays(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the processor is one on which oneDNN pays; its kernels run on any."""
    if request.param and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "_ONEDNN_PAYS", request.param)
    return bool(request.param)


def operands(shape: tuple[int, int, int], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    n, k, m = shape
    sizes = ((n, k), (k, m), (m,))
    return [torch.randn(size, generator=seeded(i)).to(dtype) for i, size in enumerate(sizes)]


def within_rounding(got: Tensor, expected: Tensor, inner: int) -> bool:
    """Whether float32 (or what `got` is) explains the difference from float64."""
    unit = torch.finfo(got.dtype).eps * max(1.0, inner**0.5)
    return bool((got.double() - expected).abs().max() <= 2 * unit * expected.abs().max())


@pytest.mark.parametrize("shape", SMALL + LARGE)
def test_products_are_right_to_rounding(shape: tuple[int, int, int], pays: bool) -> None:
    left, right, _ = operands(shape)
    with Calls() as calls:
        found = product(left, right)
    assert calls.by_onednn == (pays and shape in LARGE)
    assert found.shape == (shape[0], shape[2])
    assert within_rounding(found, left.double() @ right.double(), shape[1])


@pytest.mark.parametrize("shape", SMALL + LARGE)
def test_layers_are_right_to_rounding_and_written_where_wanted(
    shape: tuple[int, int, int], pays: bool
) -> None:
    values, weight, bias = operands(shape)
    room = torch.full((shape[0] + 2, shape[2]), 7.0)
    out = room[1:-1]
    with Calls() as calls:
        found = dense_relu(values, weight, bias, out)
    assert calls.by_onednn == (pays and shape in LARGE)
    assert found.data_ptr() == out.data_ptr()
    assert (room[0] == 7.0).all() and (room[-1] == 7.0).all()
    expected = (values.double() @ weight.double() + bias.double()).relu()
    assert (found >= 0).all() and (shape[2] == 1 or (found == 0).any())
    assert within_rounding(out, expected, shape[1])


def test_turned_operands_are_multiplied_as_they_stand(pays: bool) -> None:
    """Gradients come with strides of their own."""
    left, right, bias = operands((128, 96, 80))
    turned, wide = left.T.contiguous().T, torch.cat([right, right], dim=1)[:, :80]
    expected = left.double() @ right.double()
    assert within_rounding(product(turned, wide), expected, 96)
    out = torch.empty(128, 80)
    assert within_rounding(dense_relu(turned, wide, bias, out), (expected + bias).relu(), 96)


def test_other_types_are_left_to_torch(pays: bool) -> None:
    for dtype in (torch.bfloat16, torch.float64):
        left, right, bias = operands((256, 128, 128), dtype)
        out = torch.empty(256, 128, dtype=dtype)
        with Calls() as calls:
            found = product(left, right)
            dense_relu(left, right, bias, out)
        assert not calls.by_onednn
        assert torch.equal(found, left @ right)
        assert torch.equal(out, torch.addmm(bias, left, right).relu())


def test_ragged_rollouts_multiply_few_different_numbers_of_rows(
    monkeypatch: pytest.MonkeyPatch, pays: bool
) -> None:
    """OneDNN keeps a kernel for each; they came to gigabytes. Others need no rows in vain."""
    seen: set[int] = set()

    def spied(values: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> Tensor:
        seen.add(len(values))
        return dense_relu(values, weight, bias, out)

    def spied_product(left: Tensor, right: Tensor) -> Tensor:
        seen.add(max(len(left), len(right)))
        return product(left, right)

    monkeypatch.setattr(perceptron, "dense_relu", spied)
    monkeypatch.setattr(perceptron, "product", spied_product)
    grid = HypergridEnvironment(dimensions=2, side=20)
    settings = TrainSettings(steps=12, batch_size=100, guided_every=0, report_every=1)
    seen_by = agent(grid, hidden=32)
    Trainer(seen_by, lambda states, _: states[:, 0].float(), settings, seed=0).run()
    forward = {n for n in seen if n <= 100}
    if not pays:
        assert any(n % 32 for n in forward - {25, 100})
        return
    assert forward <= {25, 32, 64, 96, 100}  # 25 rows validate.
    assert all(n % 128 == 0 for n in seen - forward) and len(seen - forward) < 12
