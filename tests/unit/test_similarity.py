import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from mfal.errors import ConfigError
from mfal.registry import build
from mfal.sections import Component
from mfal.similarity import (
    AlignmentIdentity,
    EditSimilarity,
    Guarded,
    Remembered,
    Similarity,
    different,
    mean_similarity,
    similarity_of,
)
from mfal.types import Problem


class EqualLetters(Similarity):
    """Of texts of one length: what can be counted by eye."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __call__(self, a: str, b: str) -> float:
        self.asked.append((a, b))
        return sum(x == y for x, y in zip(a, b, strict=True)) / len(a)


equal_letters = EqualLetters()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("kitten", "sitting", 1 - 3 / 7),  # k->s, e->i, +g
        ("ACGT", "ACGT", 1.0),
        ("ACGTACGT", "CGTACGTA", 1 - 2 / 8),  # -A at the start, +A at the end
        ("AAAA", "TTTT", 0.0),
        ("A", "AAAA", 1 - 3 / 4),
        ("", "", 1.0),
        ("", "AC", 0.0),
    ],
)
def test_edit_similarity_by_hand(a: str, b: str, expected: float) -> None:
    assert EditSimilarity()(a, b) == pytest.approx(expected)
    assert EditSimilarity()(b, a) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("ACGTACGT", "ACGTACGT", 1.0),
        ("ACGTACGT", "ACGTACGA", 7 / 8),  # 7 x 5 - 4: no gap pays
        # One place on, seven are equal: 35 for them less 20 for two gaps at the ends, against
        # -32 for eight mismatches. Gaps at the ends cost, but are no places.
        ("ACGTACGT", "CGTACGTA", 1.0),
        # Eleven equal and a gap inside, which is a place: 55 - 10.
        ("AAAATTTTCCCC", "AAAATTTCCCC", 11 / 12),
        ("AAAA", "TTTT", 0.0),
        ("", "AC", 0.0),
    ],
)
def test_alignment_identity_by_hand(a: str, b: str, expected: float) -> None:
    assert AlignmentIdentity()(a, b) == pytest.approx(expected)
    assert AlignmentIdentity()(b, a) == pytest.approx(expected)


def test_random_dna_is_as_alike_as_published() -> None:
    # Biotite's align_optimal and get_sequence_identity give .4432 for the same pairs.
    draw = random.Random(0)
    pairs = [["".join(draw.choices("ACGT", k=30)) for _ in range(2)] for _ in range(500)]
    mean = sum(AlignmentIdentity()(a, b) for a, b in pairs) / len(pairs)
    assert mean == pytest.approx(0.4432, abs=1e-4)


@pytest.mark.parametrize("name", ["edit", "identity", "tanimoto"])
def test_every_built_in_similarity_is_symmetric_and_one_with_itself(name: str) -> None:
    if name == "tanimoto":
        pytest.importorskip("rdkit")
        pytest.importorskip("selfies")
    similarity: Similarity = build("similarity", Component(name=name))
    keys = ["[C][C][O]", "[C][C][N]", "[C][C][C]"] if name == "tanimoto" else ["ACG", "AGG", "TT"]
    for key in keys:
        assert similarity(key, key) == pytest.approx(1.0)
    for a, b in permutations(keys, 2):
        assert similarity(a, b) == pytest.approx(similarity(b, a))
        assert 0 <= similarity(a, b) < 1


def test_tanimoto_by_hand() -> None:
    pytest.importorskip("rdkit")
    pytest.importorskip("selfies")
    from mfal.similarity import Tanimoto

    # Radius 2 sees of ethane: a methyl group, and that with its bond. Of propane: a methyl and
    # a methylene group, and those two with their bonds. Only the methyl group is in both.
    assert Tanimoto()("[C][C]", "[C][C][C]") == pytest.approx(1 / 5)
    assert Tanimoto()("[C][C][O]", "[O][C][C]") == 1.0  # one molecule, written in two ways


class Says(Similarity):
    """Whatever it is told to say of a pair, and in a matrix."""

    def __init__(self, alike: float, table: object = ()) -> None:
        self.alike, self.table = alike, table

    def __call__(self, a: str, b: str) -> float:
        return self.alike

    def matrix(self, keys: Sequence[str], others: Sequence[str]) -> NDArray[np.float32]:
        return np.array(self.table, dtype=np.float32)


def test_what_a_similarity_of_a_users_own_says_is_passed_on() -> None:
    for alike in (0.0, 0.25, 1.0, 1.0000001):  # the last by rounding
        said = Guarded(Says(alike, [[alike, 0.5]]), "mine")
        assert said("A", "C") == alike
        assert said.matrix(["A"], ["C", "G"]) == pytest.approx(np.array([[alike, 0.5]]))
    assert Guarded(Says(0.0, np.zeros((0, 2))), "mine").matrix([], ["A", "C"]).shape == (0, 2)


@pytest.mark.parametrize("alike", [float("nan"), -0.5, 40.0])
def test_what_is_no_similarity_is_refused(alike: float) -> None:
    said = Guarded(Says(alike, [[0.5, alike]]), "mine")
    with pytest.raises(ConfigError, match=r"similarity 'mine': gives .* of 'A' and 'C'"):
        said("A", "C")
    with pytest.raises(ConfigError, match=r"'mine': .* of 1 candidates and 2 others"):
        said.matrix(["A"], ["C", "G"])


def test_a_matrix_without_a_row_for_each_candidate_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"shape \(1, 2\) .* of 2 candidates and 1 others"):
        Guarded(Says(0.5, [[0.5, 0.5]]), "mine").matrix(["A", "C"], ["G"])


def test_each_pair_is_asked_for_once_whatever_its_order() -> None:
    similarity = EqualLetters()
    remembered = Remembered(similarity)
    assert [remembered("AC", "AG"), remembered("AG", "AC")] == [0.5, 0.5]
    assert similarity.asked == [("AC", "AG")]


@pytest.mark.parametrize("similarity", [EditSimilarity(), AlignmentIdentity()])
def test_a_matrix_is_each_pair_alone(similarity: Similarity) -> None:
    keys, others = ["ACGT", "AC", "TTTTT"], ["ACGA", "CC"]
    expected = [[similarity(key, other) for other in others] for key in keys]
    assert similarity.matrix(keys, others) == pytest.approx(np.array(expected))
    assert similarity.matrix([], others).shape == (0, 2)
    assert similarity.matrix(keys, []).shape == (3, 0)


def test_a_matrix_of_molecules_is_each_pair_alone() -> None:
    pytest.importorskip("rdkit")
    pytest.importorskip("selfies")
    from mfal.similarity import Tanimoto

    similarity = Tanimoto()
    keys = ["[C][C][O]", "[#Branch1]", "[C][C][C][O]"]  # the second spells no atom
    others = ["[O][C][C]", "[Ring1]", "[C]"]
    expected = [[similarity(key, other) for other in others] for key in keys]
    assert expected[0][0] == expected[1][1] == 1.0 > expected[2][0] > 0.0 == expected[1][0]
    assert similarity.matrix(keys, others) == pytest.approx(np.array(expected))
    assert similarity.matrix([], others).shape == (0, 3)


def test_a_problem_has_a_similarity_of_its_own() -> None:
    problem: Problem = build("problem", Component(name="ehrlich"))
    assert isinstance(similarity_of(problem), EditSimilarity)
    own = replace(problem, similarity="identity")
    assert isinstance(similarity_of(own), AlignmentIdentity)
    assert isinstance(similarity_of(own, Component(name="edit")), EditSimilarity)


@pytest.mark.parametrize(
    ("name", "a", "b", "expected"),
    [
        ("branin", "39,45", "40,45", 1 - 1 / 99),
        ("branin", "9,45", "10,44", 1 - 1 / 99),  # texts of different lengths
        ("branin", "12,82", "54,15", 1 - 67 / 99),  # two of the three basins
        ("branin", "0,7", "99,7", 0.0),
        ("hartmann", "2,2,5,3,3,7", "2,2,5,3,3,7", 1.0),
        ("hartmann", "2,2,5,3,3,7", "3,2,5,3,3,5", 1 - 2 / 9),
        ("hartmann", "0,2,5,3,3,7", "9,2,5,3,3,7", 0.0),
    ],
)
def test_points_of_a_grid_are_as_alike_as_they_are_close(
    name: str, a: str, b: str, expected: float
) -> None:
    similarity = similarity_of(build("problem", Component(name=name)))
    assert similarity(a, b) == similarity(b, a) == expected


def test_a_matrix_of_points_is_each_pair_alone() -> None:
    similarity = similarity_of(build("problem", Component(name="hartmann")))
    keys, others = ["2,2,5,3,3,7", "0,0,0,0,0,0", "9,9,9,9,9,9"], ["3,2,5,3,3,5", "9,0,0,0,0,0"]
    expected = [[similarity(key, other) for other in others] for key in keys]
    assert expected == [[1 - 2 / 9, 1 - 7 / 9], [1 - 5 / 9, 0.0], [1 - 7 / 9, 0.0]]
    assert similarity.matrix(keys, others) == pytest.approx(np.array(expected))
    assert similarity.matrix([], others).shape == (0, 2)
    assert similarity.matrix(keys, []).shape == (3, 0)


def test_what_has_no_side_is_no_grid() -> None:
    ehrlich: Problem = build("problem", Component(name="ehrlich"))
    with pytest.raises(ConfigError, match="environment has the side None"):
        similarity_of(ehrlich, Component(name="grid"))


def test_identity_of_a_pair_is_the_same_in_either_order() -> None:
    draw, identity = random.Random(1), AlignmentIdentity()
    for _ in range(500):
        a, b = ("".join(draw.choices("ACGT", k=draw.randint(20, 30))) for _ in range(2))
        assert identity(a, b) == identity(b, a)


def test_a_limit_is_not_broken_by_rounding() -> None:
    # 1 - 7 / 10 is .30000000000000004 in floating point.
    keys = ["AAAAAAAAAA", "AAACCCCCCC"]
    assert EditSimilarity()(*keys) > 0.3
    assert different(keys, EditSimilarity(), 0.3) == keys
    assert different(keys, EditSimilarity(), 0.299) == keys[:1]


def test_different_keys_are_taken_from_the_best_on() -> None:
    keys = ["AAAA", "AAAC", "AACC", "CCCC", "GGGG"]
    assert different(keys, equal_letters, 0.5) == ["AAAA", "AACC", "CCCC", "GGGG"]
    assert different(keys, equal_letters, 0.5, most=2) == ["AAAA", "AACC"]
    assert different(keys, equal_letters, 1.0) == keys
    assert different([], equal_letters, 0.5) == []


def test_mean_similarity_is_over_all_pairs_of_different_places() -> None:
    # AA-AC .5, AA-CC 0, AC-CC .5
    assert mean_similarity(["AA", "AC", "CC"], equal_letters) == pytest.approx(1 / 3)
    assert mean_similarity(["AA"], equal_letters) is None
