"""A peptide as a picture: its sequence in colour, and a helical wheel."""

import cmath
import math
from collections.abc import Iterator
from html import escape

from mfal.features.residues import HYDROPHOBICITY

KINDS = {
    "hydrophobic": ("AFILMVWY", "#f2c14e", "#222222"),
    "positive": ("HKR", "#3b6fd4", "#ffffff"),
    "negative": ("DE", "#d1495b", "#ffffff"),
    "polar": ("NQST", "#6fb98f", "#222222"),
    "special": ("CGP", "#b9b9c4", "#222222"),
}
"""Kind of residue -> its letters, and the colours of its disc and of its letter."""

DEGREES = 100.0  # from one residue of an α-helix to the next
TURN = 18  # residues after which a helix is back at the same angle: one ring of the wheel
LINE = 25  # residues in a line of the sequence

_CELL, _DISC, _INNER, _RING, _WIDTH = 20, 13, 92, 30, 540


def draw_peptide(key: str) -> str:
    """An SVG file's text: the sequence, then the helix seen along its axis, first residue on top.

    Every 18 residues the helix is back at an angle; those that come after lie one ring further
    out. The arrow is the direction of the hydrophobic moment, its length relative to 1 per
    residue, at which it reaches the inner ring.
    """
    rings = (len(key) - 1) // TURN + 1
    lines = (len(key) - 1) // LINE + 1
    radius = _INNER + (rings - 1) * _RING + _DISC + 4
    top = lines * (_CELL + 14) + 24
    height = top + 2 * radius + 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(key)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        *_sequence(key),
        f'<g transform="translate({_WIDTH / 2:g} {top + radius})">',
        *_wheel(key),
        "</g>",
        *_legend(height - 18),
        "</svg>",
    ]
    return "\n".join(parts)


def _sequence(key: str) -> Iterator[str]:
    for i, letter in enumerate(key):
        row, column = divmod(i, LINE)
        x, y = 20 + column * _CELL, 16 + row * (_CELL + 14)
        _, disc, ink = _kind(letter)
        yield f'<rect x="{x}" y="{y}" width="{_CELL - 1}" height="{_CELL}" rx="3" fill="{disc}"/>'
        yield _text(x + (_CELL - 1) / 2, y + 14, letter, ink)
        if i % 10 == 9 or i == 0:
            yield _text(x + (_CELL - 1) / 2, y - 3, str(i + 1), "#777777", size=9)


def _wheel(key: str) -> Iterator[str]:
    places = [_place(i) for i in range(len(key))]
    path = " ".join(f"{p.real:.1f},{p.imag:.1f}" for p in places)
    yield f'<polyline points="{path}" fill="none" stroke="#d5d5dd" stroke-width="1.5"/>'
    moment = sum(HYDROPHOBICITY[letter] * _direction(i) for i, letter in enumerate(key)) / len(key)
    tip = moment * (_INNER - _DISC - 6)
    if abs(tip) > 1:
        yield _line(0, tip)
        for side in (150, -150):
            yield _line(tip, tip + 8 * cmath.rect(1, cmath.phase(tip) + math.radians(side)))
    for i, (letter, place) in enumerate(zip(key, places, strict=True)):
        _, disc, ink = _kind(letter)
        yield f'<circle cx="{place.real:.1f}" cy="{place.imag:.1f}" r="{_DISC}" fill="{disc}"/>'
        yield _text(place.real, place.imag + 1, letter, ink)
        yield _text(place.real, place.imag + 9, str(i + 1), ink, size=7)


def _legend(y: float) -> Iterator[str]:
    for column, (name, (_, disc, _)) in enumerate(KINDS.items()):
        x = 20 + column * 102
        yield f'<rect x="{x}" y="{y - 10}" width="12" height="12" rx="3" fill="{disc}"/>'
        yield f'<text x="{x + 17}" y="{y}" fill="#444444">{name}</text>'


def _direction(i: int) -> complex:
    """Unit vector of residue i; residue 0 points up, and y grows downwards."""
    return cmath.rect(1, math.radians(i * DEGREES - 90))


def _place(i: int) -> complex:
    return _direction(i) * (_INNER + i // TURN * _RING)


def _kind(letter: str) -> tuple[str, str, str]:
    return next(kind for kind in KINDS.values() if letter in kind[0])


def _line(start: complex, end: complex) -> str:
    start = complex(start)
    return (
        f'<line x1="{start.real:.1f}" y1="{start.imag:.1f}" x2="{end.real:.1f}" '
        f'y2="{end.imag:.1f}" stroke="#444444" stroke-width="2"/>'
    )


def _text(x: float, y: float, text: str, colour: str, *, size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="{size}" '
        f'fill="{colour}">{text}</text>'
    )
