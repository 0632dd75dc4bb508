"""Counts of short words in a sequence."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mfal.errors import ConfigError
from mfal.features.letters import check_alphabet, encode

_WIDEST = 50_000


class KmerCounts:
    """How often each word of 1 to k letters occurs, overlaps included (the spectrum features).

    Columns run over the sizes 1 to k, within a size in the order of `alphabet`: with ``ACGT``
    and k = 2 they are A, C, G, T, AA, AC, ..., TT. Sequences may differ in length. Method:
    the spectrum features of Leslie, Eskin & Noble, PSB 2002, pp. 564-575, for all sizes up to k.

    Args:
        alphabet: The letters, each a single ASCII character.
        k: Length of the longest word.
    """

    linear_columns = ()

    def __init__(self, *, alphabet: str, k: Annotated[int, Field(gt=0, le=8)] = 4) -> None:
        check_alphabet(alphabet)
        self.alphabet = alphabet
        self.k = k
        self.width = sum(len(alphabet) ** size for size in range(1, k + 1))
        if self.width > _WIDEST:
            raise ConfigError(
                f"words of up to {k} of {len(alphabet)} letters make {self.width} columns",
                f"choose a smaller k: at most {_WIDEST} columns are supported",
            )

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """``n x width`` float64 counts."""
        codes, lengths = encode(keys, self.alphabet)
        counts = torch.zeros(len(keys), self.width, dtype=torch.float64)
        letters = len(self.alphabet)
        word = torch.zeros_like(codes)
        start = 0
        for size in range(1, self.k + 1):
            places = codes.shape[1] - size + 1
            if places <= 0:
                break
            word = word[:, :places] * letters + codes[:, size - 1 :]
            complete = torch.arange(places) <= (lengths - size)[:, None]
            # Words that run over the end carry weight 0; the clamp only keeps them in range.
            column = start + word.clamp(max=letters**size - 1)
            counts.scatter_add_(1, column, complete.to(torch.float64))
            start += letters**size
        return counts
