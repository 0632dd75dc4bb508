"""Times that a configuration may give: none that a system refuses to wait for."""

from pathlib import Path

import pytest

from mfal.config import parse_config
from mfal.errors import ConfigError
from mfal.sections import MONTH
from tests.support import motif_settings

YEAR = 525_600


@pytest.mark.parametrize(
    ("field", "longest"),
    [
        ("scoring__timeout_seconds", MONTH),
        ("scoring__backoff_seconds", MONTH),
        ("scoring__retries", 100),
        ("lock__wait_seconds", MONTH),
        ("lock__stale_seconds", MONTH),
        ("schedule__interval_minutes", YEAR),
    ],
)
def test_a_wait_has_a_longest_that_is_named(tmp_path: Path, field: str, longest: float) -> None:
    parse_config(motif_settings(tmp_path, **{field: longest}))
    with pytest.raises(ConfigError, match=field.replace("__", r"\.")) as raised:
        parse_config(motif_settings(tmp_path, **{field: longest + 1}))
    assert f"less than or equal to {longest:.0f}" in raised.value.message


def test_an_interval_is_long_enough_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.interval_minutes: .* equal to 0\.01"):
        parse_config(motif_settings(tmp_path, schedule__interval_minutes=1e-9))
