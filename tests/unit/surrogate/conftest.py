import pytest

from mfal.dataset import Dataset
from tests.unit.surrogate.data import synthetic


@pytest.fixture(scope="session")
def three_rungs() -> Dataset:
    """48 candidates at the cheapest rung, 24 of them at the next, 12 at the target."""
    return synthetic(48, 3, seed=2)
