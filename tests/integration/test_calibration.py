"""The default surrogate keeps its promises on strands and molecules it has not seen."""

import pytest

from tests.benchmarks.calibration import Case, dna_cases, judged, line, molecule_cases

SEEDS = 5


def assert_marks_are_met(cases: list[Case]) -> None:
    """Prints every seed, and fails with all marks that were missed."""
    for case in cases:
        print(line(case))  # noqa: T201
    assert cases
    assert [told for told, met in judged(cases) if not met] == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_strands_are_ranked_and_covered() -> None:
    assert_marks_are_met(list(dna_cases(SEEDS)))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_molecules_are_ranked_and_covered_from_twenty_at_the_target() -> None:
    pytest.importorskip("rdkit", reason="needs rdkit: pip install -e '.[molecules]'")
    cases = list(molecule_cases(SEEDS))
    if not cases:
        pytest.skip("name the folder of xtb_ip_ev.csv in MFAL_ANCHORS")
    assert_marks_are_met(cases)
