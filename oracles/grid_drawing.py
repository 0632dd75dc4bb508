"""A function of two coordinates as a small map, with a point on it."""

from collections.abc import Callable, Iterator, Sequence
from html import escape

_CELLS = 25  # along each side; finer maps are large files and look alike
_SIZE, _MARGIN = 250, 20
_COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def draw_map(
    value: Callable[[tuple[int, int]], float],
    side: int,
    point: Sequence[int],
    marks: Sequence[Sequence[int]],
    title: str,
) -> str:
    """An SVG file's text: low values dark, `marks` as crosses, `point` as a red ring.

    Args:
        value: What the map shows, of a grid point.
        side: Points along each coordinate; the first runs to the right, the second up.
        point: The point that the picture is about.
        marks: Points of interest, such as the known optima.
        title: What stands below.
    """
    width, height = _SIZE + 2 * _MARGIN, _SIZE + 2 * _MARGIN + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_cells(value, side),
        *(_cross(*_place(mark, side)) for mark in marks),
        _ring(*_place(point, side)),
        f'<text x="{_MARGIN}" y="{height - 12}" fill="#222222">{escape(title)}</text>',
        "</svg>",
    ]
    return "\n".join(parts)


def _cells(value: Callable[[tuple[int, int]], float], side: int) -> Iterator[str]:
    at = [round(i * (side - 1) / (_CELLS - 1)) for i in range(_CELLS)]
    table = [[value((x, y)) for y in at] for x in at]
    low, high = min(map(min, table)), max(map(max, table))
    step = _SIZE / _CELLS
    for i, column in enumerate(table):
        for j, found in enumerate(column):
            share = (found - low) / (high - low) if high > low else 0.0
            x, y = _MARGIN + i * step, _MARGIN + _SIZE - (j + 1) * step
            yield (
                f'<rect x="{x:g}" y="{y:g}" width="{step:g}" height="{step:g}" '
                f'fill="{_colour(share)}"/>'
            )


def _colour(share: float) -> str:
    place = min(max(share, 0.0), 1.0) * (len(_COLOURS) - 1)
    first = min(int(place), len(_COLOURS) - 2)
    mixed = [
        round(a + (b - a) * (place - first))
        for a, b in zip(_COLOURS[first], _COLOURS[first + 1], strict=True)
    ]
    return f"rgb({mixed[0]},{mixed[1]},{mixed[2]})"


def _place(point: Sequence[int], side: int) -> tuple[float, float]:
    step = _SIZE / side
    return _MARGIN + (point[0] + 0.5) * step, _MARGIN + _SIZE - (point[1] + 0.5) * step


def _cross(x: float, y: float) -> str:
    return (
        f'<path d="M{x - 4:.1f},{y:.1f}h8M{x:.1f},{y - 4:.1f}v8" '
        'stroke="#ffffff" stroke-width="1.5"/>'
    )


def _ring(x: float, y: float) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke="#ffffff" stroke-width="4"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke="#e63946" stroke-width="2"/>'
    )
