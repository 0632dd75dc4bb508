"""Pictures of peptides: every residue is there, in its colour and on its place."""

import math
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from oracles.peptide_drawing import DEGREES, KINDS, draw_peptide

MAGAININ = "GIGKFLHSAKKFGKAFVGEIMNS"
COLOUR = {letter: disc for letters, disc, _ in KINDS.values() for letter in letters}


def parts(root: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return [e for e in root.iter() if e.tag == f"{{http://www.w3.org/2000/svg}}{tag}"]


@pytest.mark.parametrize("key", ["K", MAGAININ, "ACDEFGHIKLMNPQRSTVWY" * 2 + "KKLLKKLLKK"])
def test_every_residue_has_a_disc_in_its_colour(key: str) -> None:
    discs = parts(ElementTree.fromstring(draw_peptide(key)), "circle")
    assert [disc.get("fill") for disc in discs] == [COLOUR[letter] for letter in key]


def test_the_kinds_part_the_amino_acids() -> None:
    assert "".join(sorted("".join(letters for letters, _, _ in KINDS.values()))) == (
        "ACDEFGHIKLMNPQRSTVWY"
    )


def test_neighbours_are_a_hundred_degrees_apart_and_no_disc_hides_another() -> None:
    discs = parts(ElementTree.fromstring(draw_peptide("K" * 50)), "circle")
    places = [complex(float(d.get("cx", "")), float(d.get("cy", ""))) for d in discs]
    assert places[0].real == 0 and places[0].imag < 0
    for first, second in pairwise(places):
        turn = math.degrees(math.atan2((second / first).imag, (second / first).real))
        assert turn == pytest.approx(DEGREES, abs=0.5)
    nearest = min(abs(a - b) for i, a in enumerate(places) for b in places[:i])
    assert nearest > 2 * float(discs[0].get("r", ""))


def test_the_sequence_can_be_read_off() -> None:
    texts = [e.text or "" for e in parts(ElementTree.fromstring(draw_peptide(MAGAININ)), "text")]
    letters = "".join(text for text in texts if text.isupper())
    assert letters == 2 * MAGAININ  # the line and the wheel


def test_everything_lies_inside_the_picture() -> None:
    root = ElementTree.fromstring(draw_peptide("K" * 50))
    _, _, width, height = map(float, root.get("viewBox", "").split())
    (group,) = parts(root, "g")
    x, y = map(float, group.get("transform", "").removeprefix("translate(")[:-1].split())
    for disc in parts(group, "circle"):
        r = float(disc.get("r", ""))
        assert r <= x + float(disc.get("cx", "")) <= width - r
        assert r <= y + float(disc.get("cy", "")) <= height - r
    for cell in parts(root, "rect"):
        assert float(cell.get("x", "0")) + float(cell.get("width", "")) <= width
