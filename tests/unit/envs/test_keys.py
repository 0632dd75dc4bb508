import pytest

from mfal.envs.keys import bad_keys, check_keys, refused_keys
from mfal.errors import InvalidKeyError
from tests.problems.two_ways import TwoWays

WORDS = TwoWays(alphabet="ACGT", length=4)
GIVEN = ["AACC", "CCAA", "ACG", "TTTT", "AACX"]


def test_what_is_no_candidate_is_found_among_those_that_are() -> None:
    assert list(refused_keys(WORDS, GIVEN)) == ["ACG", "AACX"]
    assert refused_keys(WORDS, ["AACC", "CCAA"]) == refused_keys(WORDS, []) == {}


def test_a_candidate_that_is_written_otherwise_is_a_bad_key_and_the_right_one_is_named() -> None:
    wrong = bad_keys(WORDS, GIVEN)
    assert set(wrong) == {"CCAA", "ACG", "AACX"}
    assert wrong["CCAA"] == ("'CCAA' is not how this candidate is written", "write 'AACC'")
    assert wrong["AACX"] == refused_keys(WORDS, ["AACX"])["AACX"]


def test_the_first_bad_key_is_named_and_how_many_there_are() -> None:
    check_keys(WORDS, ["AACC", "TTTT"], "list")
    with pytest.raises(InvalidKeyError) as raised:
        check_keys(WORDS, ["AACC", "TTAA", "CCAA"], "list")
    said = "list: 'TTAA' is not how this candidate is written (the first of 2)"
    assert (raised.value.message, raised.value.hint) == (said, "write 'AATT'")
