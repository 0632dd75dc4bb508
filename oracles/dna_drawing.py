"""A folded strand as a picture: ViennaRNA's layout, drawn as the text of an SVG file."""

import importlib
from math import atan2, cos, hypot, pi, sin
from xml.sax.saxutils import escape

from mfal.errors import ConfigError, MissingDependencyError

COLOURS = {"A": "#3a923a", "C": "#2f6fb7", "G": "#e08214", "T": "#c2344b"}
RADIUS = 7.0
MARGIN = 20.0
CAPTION = 20.0
NARROWEST = 120.0
NEAR = 2  # bases that a label keeps away from

Point = tuple[float, float]


def draw_strand(sequence: str, structure: str, caption: str) -> str:
    """The strand's bases, backbone and pairs, with both ends marked, and a line below.

    Bases are coloured by letter: A green, C blue, G orange, T red. A pair of three hydrogen
    bonds (G and C) is drawn as a heavier line than one of two.

    Args:
        sequence: One or more of A, C, G and T.
        structure: Its secondary structure in dot-bracket notation, of the same length.
        caption: What stands below, such as the energy.

    Raises:
        ConfigError: for a structure of another length or with brackets that do not match.
        MissingDependencyError: if ViennaRNA, which lays the structure out, is not installed.
    """
    pairs = pairs_of(structure)
    if len(structure) != len(sequence):
        raise ConfigError(
            f"structure {structure!r} is not of {sequence!r}", "both have a letter per base"
        )
    points = _upright(_layout(structure))
    low_x, low_y = (min(p[i] for p in points) - MARGIN for i in (0, 1))
    width, height = (max(p[i] for p in points) + MARGIN for i in (0, 1))
    width, height = max(width - low_x, 7.0 * len(caption), NARROWEST), height - low_y
    middle = (min(p[0] for p in points) + max(p[0] for p in points)) / 2
    left = middle - width / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{height + CAPTION:.0f}" '
        f'viewBox="{left:.1f} {low_y:.1f} {width:.1f} {height + CAPTION:.1f}" '
        'font-family="Helvetica, Arial, sans-serif" text-anchor="middle">',
        f"<title>{escape(sequence)} {escape(structure)}</title>",
        _backbone(points),
        *(_pair(sequence, points, i, j) for i, j in pairs),
        *(_base(letter, p) for letter, p in zip(sequence, points, strict=True)),
        *_ends(points),
        _text(caption, (middle, low_y + height + CAPTION / 2), 12, "#222222"),
        "</svg>",
    ]
    return "\n".join(parts)


def pairs_of(structure: str) -> list[tuple[int, int]]:
    """Places of the bases that pair, from 0; raises ConfigError where brackets do not match."""
    opened: list[int] = []
    pairs = []
    for place, letter in enumerate(structure):
        if letter == "(":
            opened.append(place)
        elif letter == ")" and opened:
            pairs.append((opened.pop(), place))
        elif letter != ".":
            opened.append(len(structure))
    if opened or not structure:
        raise ConfigError(
            f"{structure!r} is no structure in dot-bracket notation",
            "write dots, and brackets that match, e.g. ((...))",
        )
    return sorted(pairs)


def _layout(structure: str) -> list[Point]:
    try:
        rna = importlib.import_module("RNA")
    except ImportError as error:
        raise MissingDependencyError(
            f"ViennaRNA does not import ({error})", "pip install ViennaRNA"
        ) from error
    found = rna.simple_xy_coordinates(structure)[: len(structure)]  # one more comes than bases
    return [(float(place.X), float(place.Y)) for place in found]


def _upright(points: list[Point]) -> list[Point]:
    """The layout turned so that its long axis lies across the page, the 5' end to the left."""
    n = len(points)
    mean = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    centred = [(x - mean[0], y - mean[1]) for x, y in points]
    xx, yy, xy = (sum(f) for f in zip(*((x * x, y * y, x * y) for x, y in centred), strict=True))
    angle = -atan2(2 * xy, xx - yy) / 2
    turned = _turned(centred, angle)
    return _turned(turned, pi) if turned[0][0] > 0 else turned


def _turned(points: list[Point], angle: float) -> list[Point]:
    c, s = cos(angle), sin(angle)
    return [(x * c - y * s, x * s + y * c) for x, y in points]


def _backbone(points: list[Point]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="#9a9a9a" stroke-width="2.5"/>'


def _pair(sequence: str, points: list[Point], i: int, j: int) -> str:
    (x1, y1), (x2, y2) = points[i], points[j]
    heavy = {sequence[i], sequence[j]} == {"G", "C"}
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="#444444" stroke-width="{4 if heavy else 2}"/>'
    )


def _base(letter: str, at: Point) -> str:
    x, y = at
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}" fill="{COLOURS[letter]}"/>'
    return circle + _text(letter, at, 11, "#ffffff")


def _ends(points: list[Point]) -> list[str]:
    """5' and 3', each beside its end, away from the bases around it."""
    labels = []
    for label, end in (("5′", 0), ("3′", len(points) - 1)):
        x, y = points[end]
        near = sorted(points, key=lambda p: hypot(p[0] - x, p[1] - y))[1 : NEAR + 1]
        dx, dy = (sum(at - p[i] for p in near) for i, at in ((0, x), (1, y)))
        far = (RADIUS + 7) / (hypot(dx, dy) or 1.0)
        at = (x + far * dx, y + far * dy) if dx or dy else (x - RADIUS - 7, y)
        labels.append(_text(label, at, 10, "#222222"))
    return labels


def _text(text: str, at: Point, size: int, colour: str) -> str:
    # The baseline lies a third of the height below the middle of capital letters.
    x, y = at[0], at[1] + 0.35 * size
    bold = ' font-weight="bold"' if len(text) == 1 else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{bold}>'
        f"{escape(text)}</text>"
    )
