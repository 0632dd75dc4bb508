"""A similarity that can be counted by eye."""

from mfal.similarity import Similarity


class EqualLetters(Similarity):
    """Share of equal places, of texts of one length."""

    def __call__(self, a: str, b: str) -> float:
        return sum(x == y for x, y in zip(a, b, strict=True)) / len(a)
