import pytest
import torch

from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.variable import VariableSequenceEnvironment
from mfal.errors import ConfigError, InvalidKeyError
from mfal.testing import EnvironmentChecks
from tests.unit.envs.exhaust import every_finished

PEPTIDES = "ACDEFGHIKLMNPQRSTVWY"


class TestLetters(EnvironmentChecks):
    def environment(self) -> VariableSequenceEnvironment:
        return VariableSequenceEnvironment(alphabet="ACGT", min_length=2, max_length=6)

    def bad_keys(self) -> list[str]:
        return ["A", "ACGTACG", "ACU", "acg", "A C", "AC\n", "[A]C"]


class TestTokens(EnvironmentChecks):
    def environment(self) -> VariableSequenceEnvironment:
        return VariableSequenceEnvironment(alphabet=["[C]", "[=C]", "N"], max_length=4)

    def bad_keys(self) -> list[str]:
        return ["", "[C][O]", "[C", "C]", "[C][", "[C] [C]", "[[C]]", "NNNNN", "=C"]


class TestOneLetterOneLength(EnvironmentChecks):
    """Two candidates of one token each."""

    def environment(self) -> VariableSequenceEnvironment:
        return VariableSequenceEnvironment(alphabet="AB", max_length=1)


class TestLettersWithFidelities(EnvironmentChecks):
    def environment(self) -> FidelityEnvironment:
        return FidelityEnvironment(
            VariableSequenceEnvironment(alphabet="ACG", min_length=1, max_length=5), 3
        )


@pytest.fixture
def peptides() -> VariableSequenceEnvironment:
    return VariableSequenceEnvironment(alphabet=PEPTIDES, min_length=3, max_length=8)


@pytest.fixture
def short() -> VariableSequenceEnvironment:
    return VariableSequenceEnvironment(alphabet="ABC", min_length=2, max_length=4)


def test_there_is_a_candidate_for_every_text(short: VariableSequenceEnvironment) -> None:
    found = every_finished(short)
    assert len(found) == 3**2 + 3**3 + 3**4
    assert len(set(short.keys(found))) == len(found)


def test_states_spell_the_text_and_its_end(short: VariableSequenceEnvironment) -> None:
    states = short.states(["BA", "CCCC"])
    assert states.tolist() == [[1, 0, 3, -1, -1], [2, 2, 2, 2, 3]]
    assert short.keys(states) == ["BA", "CCCC"]
    assert short.retrace(states).T.tolist() == states.tolist()


def test_the_end_is_allowed_within_the_lengths(short: VariableSequenceEnvironment) -> None:
    states = torch.tensor(
        [
            [-1, -1, -1, -1, -1],
            [0, -1, -1, -1, -1],
            [0, 0, -1, -1, -1],
            [0, 0, 0, 0, -1],
            [0, 0, 3, -1, -1],
            [0, 0, 0, 0, 3],
        ]
    )
    letters, both = [True, True, True, False], [True] * 4
    only_end, none = [False, False, False, True], [False] * 4
    expected = [letters, letters, both, only_end, none, none]
    assert short.forward_mask(states).tolist() == expected


def test_observation_is_a_one_hot_prefix_and_the_end(short: VariableSequenceEnvironment) -> None:
    states = torch.tensor([[1, 2, -1, -1, -1], [1, 2, 3, -1, -1]])
    prefix = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert short.observe(states).tolist() == [[*prefix, 0], [*prefix, 1]]
    places, letters = short.sequence_shape
    assert (places, letters, short.n_features, short.max_steps) == (4, 3, 13, 5)
    columns, changes = short.observe_delta(states[[0, 0]], torch.tensor([1, 3]))
    assert columns.tolist() == [[7], [12]] and changes.tolist() == [[1.0], [1.0]]


def test_keys_of_letters_and_bracketed_tokens_mix() -> None:
    environment = VariableSequenceEnvironment(alphabet=["[C]", "[=C]", "N"], max_length=4)
    states = environment.states(["N[=C][C]", "[C]"])
    assert states.tolist() == [[2, 1, 0, 3, -1], [0, 3, -1, -1, -1]]
    assert environment.keys(states) == ["N[=C][C]", "[C]"]


def test_error_names_the_token_and_its_position(peptides: VariableSequenceEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match=r"'ACBA'.*'B' at position 3[\s\S]*A C D E"):
        peptides.states(["ACDE", "ACBA"])


@pytest.mark.parametrize(("key", "length"), [("AC", 2), ("ACDEFGHIK", 9), ("", 0)])
def test_error_names_the_lengths(
    peptides: VariableSequenceEnvironment, key: str, length: int
) -> None:
    with pytest.raises(InvalidKeyError, match=rf"'{key}' has {length} tokens[\s\S]*3 to 8"):
        peptides.states([key])


@pytest.mark.parametrize(
    "alphabet", ["", [], "AA", ["[C]", "[C]"], ["Ala"], ["[C"], "A[", ["[C][N]"], ["[[C]]"], [""]]
)
def test_a_bad_alphabet_is_refused(alphabet: str | list[str]) -> None:
    with pytest.raises(ConfigError, match="alphabet"):
        VariableSequenceEnvironment(alphabet=alphabet, max_length=3)


@pytest.mark.parametrize(("least", "most"), [(0, 3), (4, 3), (0, 0), (1, 0)])
def test_impossible_lengths_are_refused(least: int, most: int) -> None:
    with pytest.raises(ConfigError, match=f"from {least} to {most}"):
        VariableSequenceEnvironment(alphabet="AB", min_length=least, max_length=most)


def _edits(parent: str) -> set[str]:
    """Every text one insertion, deletion or shift away from `parent`, over its alphabet."""
    short = {parent[:i] + parent[i + 1 :] for i in range(len(parent))}
    longer = {s[:i] + x + s[i:] for s in {parent} for i in range(len(s) + 1) for x in PEPTIDES}
    shifts = {s[:i] + x + s[i:] for s in short for i in range(len(s) + 1) for x in PEPTIDES}
    return short | longer | shifts


@pytest.mark.parametrize(
    ("parent", "lengths"), [("ACDEF", {4, 5, 6}), ("ACD", {3, 4}), ("ACDEFGHI", {7, 8})]
)
def test_mutants_are_substitutions_or_one_edit(
    peptides: VariableSequenceEnvironment, parent: str, lengths: set[int]
) -> None:
    generator = torch.Generator().manual_seed(5)
    parents = peptides.states([parent] * 600)
    mutants = peptides.keys(peptides.mutate(parents, generator))
    edits, substituted = _edits(parent), set()
    for child in mutants:
        if len(child) == len(parent) and child not in edits:
            substituted.add(sum(a != b for a, b in zip(parent, child, strict=True)))
        else:
            assert child in edits, child
    assert substituted == {2, 3}  # One substitution is a shift onto its own place.
    assert {len(child) for child in mutants} == lengths


def test_insertions_and_deletions_happen_everywhere() -> None:
    environment = VariableSequenceEnvironment(alphabet="ABCDX", max_length=5)
    generator = torch.Generator().manual_seed(6)
    mutants = environment.keys(environment.mutate(environment.states(["ABCD"] * 4000), generator))
    assert {child for child in mutants if len(child) == 3} == {"BCD", "ACD", "ABD", "ABC"}
    inserted = {child for child in mutants if len(child) == 5}
    assert {"XABCD", "AXBCD", "ABXCD", "ABCXD", "ABCDX"} <= inserted
    assert len(inserted) == 5 * 5 - 4  # Doubling a letter can be done on either side of it.


def test_mutation_reaches_every_candidate(short: VariableSequenceEnvironment) -> None:
    generator = torch.Generator().manual_seed(7)
    states, seen = short.states(["AA"] * 64), set()
    for _ in range(60):
        states = short.mutate(states, generator)
        seen.update(short.keys(states))
    assert len(seen) == 3**2 + 3**3 + 3**4


def test_a_fixed_length_stays() -> None:
    environment = VariableSequenceEnvironment(alphabet="ABCDEF", min_length=4, max_length=4)
    generator = torch.Generator().manual_seed(8)
    mutants = environment.keys(environment.mutate(environment.states(["ABCD"] * 500), generator))
    assert {len(child) for child in mutants} == {4}
    assert "BCDF" in mutants and "FABC" in mutants


def test_one_token_leaves_only_the_length_to_change() -> None:
    environment = VariableSequenceEnvironment(alphabet="A", max_length=3)
    generator = torch.Generator().manual_seed(9)
    mutants = environment.keys(environment.mutate(environment.states(["AA"] * 100), generator))
    assert set(mutants) == {"A", "AA", "AAA"}


def test_crossover_cuts_both_parents_at_the_same_places() -> None:
    environment = VariableSequenceEnvironment(alphabet="AB", min_length=2, max_length=6)
    generator = torch.Generator().manual_seed(10)
    first, second = environment.states(["AAA"] * 800), environment.states(["BBBBB"] * 800)
    for one, other, expected in (
        # One cut: the end of the second parent; two: a part of it; none of it: the first.
        (first, second, {"BBBBB", "ABBBB", "AABBB", "AAABB"}),
        (second, first, {"AAA", "BAA", "BBA", "BBB"}),
    ):
        children = set(environment.keys(environment.crossover(one, other, generator)))
        assert {c for c in children if len(c) == len(environment.keys(other)[0])} == expected
        inner = {c for c in children if len(c) == len(environment.keys(one)[0])}
        a, b = environment.keys(one)[0], environment.keys(other)[0]
        twice = {a[:i] + b[i:j] + a[j:] for i in range(4) for j in range(i, 4)}
        assert inner == twice


def test_states_of_a_large_batch_are_read_back(peptides: VariableSequenceEnvironment) -> None:
    generator = torch.Generator().manual_seed(11)
    states = peptides.states(["ACDEFG"] * 300)
    for _ in range(10):
        states = peptides.mutate(states, generator)
    assert torch.equal(peptides.states(peptides.keys(states)), states)
    assert {len(key) for key in peptides.keys(states)} == set(range(3, 9))
