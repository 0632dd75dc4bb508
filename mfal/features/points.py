"""Points of a grid as text, such as ``3,0,7,1``; free of torch."""

from mfal.errors import InvalidKeyError


def point_text(point: tuple[int, ...] | list[int]) -> str:
    """The coordinates, separated by commas."""
    return ",".join(map(str, point))


def parse_point(key: str, dimensions: int, side: int) -> list[int]:
    """The coordinates of a point; the inverse of `point_text`.

    Raises:
        InvalidKeyError: for a point of other dimensions, off the grid, or written in another
            way than the canonical one.
    """
    parts = key.split(",")
    if len(parts) != dimensions:
        raise InvalidKeyError(
            f"point {key!r} has {len(parts)} coordinates",
            f"this grid has {dimensions} dimensions, separated by commas",
        )
    for position, part in enumerate(parts, start=1):
        digits = part.isascii() and part.isdecimal() and str(int(part)) == part
        if not (digits and int(part) < side):
            raise InvalidKeyError(
                f"point {key!r} has the coordinate {part!r} at position {position}",
                f"a coordinate is a whole number from 0 to {side - 1}",
            )
    return [int(part) for part in parts]
