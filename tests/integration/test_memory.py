"""How much memory training takes, in processes of its own."""

import pytest

from tests.benchmarks.memory import measure


@pytest.mark.slow
def test_a_training_step_grows_linearly_in_batch_and_length() -> None:
    once, wider, longer = measure(256, 60), measure(1024, 60), measure(256, 240)
    # Four times the batch or the length; squared it would be sixteen times as much.
    for grown in (wider, longer):
        assert 2 < grown / once < 5, (once, grown)
