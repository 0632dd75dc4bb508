"""Why queries failed, as it is kept and as it is summed up."""

import pytest

from mfal.errors import TransientError
from mfal.reasons import LONGEST, NONE_GIVEN, commonest, kept, said
from mfal.types import Outcome


@pytest.mark.parametrize("reason", ["", "  \n", "\r"])
def test_a_blank_reason_is_said_to_be_none(reason: str) -> None:
    assert kept(reason) == NONE_GIVEN


def test_a_long_reason_is_cut_once_and_says_so() -> None:
    assert kept("x" * LONGEST) == "x" * LONGEST
    cut = kept("x" * (LONGEST + 1))
    assert len(cut) == LONGEST and cut.endswith(f"x [cut: {LONGEST + 1} letters in all]")
    assert kept(cut) == cut


def test_a_reason_has_only_letters_that_every_database_holds() -> None:
    assert kept("no \udcff\ud83d, no \0, but é, 😀 and \\") == (
        "no \\udcff\\ud83d, no \\x00, but é, 😀 and \\"
    )
    assert kept("\0") == "\\x00"


def test_an_exception_is_named_and_says_what_it_can() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise self

    assert said(ValueError("bad \0")) == "ValueError: bad \\x00"
    assert said(AssertionError()) == "AssertionError"
    assert said(TransientError("no licence", "wait")) == "TransientError: no licence"
    assert said(MuteError()) == "MuteError, whose text cannot be had: MuteError"


def test_the_commonest_reason_is_counted_on_one_line() -> None:
    answer = Outcome((1.0,), None, 0.0)
    outcomes = [Outcome(None, reason, 0.0) for reason in ("once", "boom\n  bang", "boom\n  bang")]
    assert commonest([*outcomes, answer]) == ("boom bang", 2)
    assert commonest([answer]) is None
    found = commonest([Outcome(None, "y" * 999, 0.0)])
    assert found is not None and found[0].endswith("y [...]") and len(found[0]) < 250
