import xml.etree.ElementTree as ET
from math import hypot

import pytest

from mfal.errors import ConfigError, InvalidKeyError, MissingDependencyError
from oracles.dna import problem
from oracles.dna_drawing import COLOURS, draw_strand, pairs_of

SVG = "{http://www.w3.org/2000/svg}"
HAIRPIN = "CAGCCCGTCAGAGCACGCTGACGGGCCAAG"
STRUCTURE = "..(((((((((......)))))))))...."


def places(root: ET.Element) -> list[tuple[float, float]]:
    return [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter(f"{SVG}circle")]


@pytest.mark.parametrize(
    ("structure", "pairs"),
    [
        ("...", []),
        ("((.)).", [(0, 4), (1, 3)]),
        ("(.)(.)", [(0, 2), (3, 5)]),
        ("((.)(.))", [(0, 7), (1, 3), (4, 6)]),
    ],
)
def test_pairs_of_a_structure(structure: str, pairs: list[tuple[int, int]]) -> None:
    assert pairs_of(structure) == pairs


@pytest.mark.parametrize("structure", ["", "(.", ".)", "(.))", "[.]", "(x)", ")("])
def test_what_is_no_structure_is_refused(structure: str) -> None:
    with pytest.raises(ConfigError, match="no structure"):
        pairs_of(structure)


def test_a_picture_shows_every_base_and_every_pair() -> None:
    root = ET.fromstring(draw_strand(HAIRPIN, STRUCTURE, "−10.90 kcal/mol"))
    circles = list(root.iter(f"{SVG}circle"))
    assert [c.attrib["fill"] for c in circles] == [COLOURS[letter] for letter in HAIRPIN]
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert texts == [*HAIRPIN, "5′", "3′", "−10.90 kcal/mol"]
    at = places(root)
    # Lines join the bases that pair, heavier where G meets C.
    lines = list(root.iter(f"{SVG}line"))
    assert len(lines) == len(pairs_of(STRUCTURE)) == 9
    for line, (i, j) in zip(lines, pairs_of(STRUCTURE), strict=True):
        ends = [tuple(float(line.attrib[f"{a}{n}"]) for a in "xy") for n in (1, 2)]
        assert ends == [at[i], at[j]]
        heavy = {HAIRPIN[i], HAIRPIN[j]} == {"G", "C"}
        assert line.attrib["stroke-width"] == ("4" if heavy else "2")
    assert {HAIRPIN[i] + HAIRPIN[j] for i, j in pairs_of(STRUCTURE)} <= {"GC", "CG", "AT", "TA"}


@pytest.mark.parametrize(
    ("sequence", "structure"),
    [
        (HAIRPIN, STRUCTURE),
        ("GCGCGCGCGCGCGAAACGCGCGCGCGCGCG", "(((((((((((((...)))))))))))))."),
        ("A" * 30, "." * 30),
        ("GGGCACTTTTGTGCCCAAGGCACTTTTGTGCC", "((((((....))))))..(((((....)))))"),
        ("ACG", "..."),
        ("A", "."),
    ],
)
def test_a_picture_is_readable(sequence: str, structure: str) -> None:
    root = ET.fromstring(draw_strand(sequence, structure, "0.00 kcal/mol"))
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    at = places(root)
    radius = 7.0
    for x, y in at:
        assert left <= x - radius and x + radius <= left + width
        assert top <= y - radius and y + radius <= top + height
    for i, (x, y) in enumerate(at):
        apart = [hypot(x - a, y - b) for a, b in at[i + 1 :]]
        assert all(d > 1.5 * radius for d in apart), f"base {i} lies upon another"
    *_, five, three, caption = root.iter(f"{SVG}text")
    labels = [(float(t.attrib["x"]), float(t.attrib["y"])) for t in (five, three)]
    for (x, y), end in zip(labels, (at[0], at[-1]), strict=True):
        assert hypot(x - end[0], y - end[1]) < 3 * radius
        assert left <= x <= left + width and top <= y <= top + height
    assert float(caption.attrib["y"]) > max(y for _, y in at) + radius


def test_the_problem_draws_what_its_folding_finds() -> None:
    built = problem(backend="viennarna")
    assert built.draw is not None and built.describe is not None
    picture = built.draw(HAIRPIN)
    assert "−10.90 kcal/mol" in picture
    assert f"<title>{HAIRPIN} {built.describe(HAIRPIN)}</title>" in picture
    assert picture == built.draw(HAIRPIN)
    with pytest.raises(InvalidKeyError):
        built.draw("ACGU")


def test_a_structure_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not of 'ACGT'"):
        draw_strand("ACGT", "...", "")


def test_without_viennarna_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "RNA", None)
    with pytest.raises(MissingDependencyError, match="ViennaRNA does not import"):
        draw_strand("ACGT", "....", "")
