"""How well a DNA strand can fold back onto itself, in twenty numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mfal.features.letters import encode

_ALPHABET = "ACGT"
_OUTSIDE = 9  # pairs with nothing: pairing codes add up to 3 (A-T = 0 + 3, C-G = 1 + 2)
_TOP = 4
_CLOSEST = 2  # steps from the centre to the first pair that leaves a loop of three letters
_RUNS = range(2, 8)
_CHUNK = 2048
_REAL = torch.float32  # energies have two decimals; half the memory traffic

# Stacking free energies of 5'-XY-3' on its complement, kcal/mol at 37 C in 1 M NaCl: the
# unified parameters of SantaLucia, PNAS 95, 1460 (1998), table 1. Rows X, columns Y, in ACGT.
_STACKS = (
    (-1.00, -1.44, -1.28, -0.88),
    (-1.45, -1.84, -2.17, -1.28),
    (-1.30, -2.24, -1.84, -1.44),
    (-0.58, -1.30, -1.45, -1.00),
)
# Initiation of a hairpin loop of 3 to 9 letters, kcal/mol at 37 C, and the law beyond: SantaLucia
# & Hicks, Annu. Rev. Biophys. Biomol. Struct. 33, 415 (2004), table 4 and equation 7.
_LOOPS = (3.5, 3.5, 3.3, 4.0, 4.2, 4.3, 4.5)
_LOOP_GROWTH = 2.44 * 0.0019872 * 310.15
# A lone mismatch inside a stem, kcal/mol: the typical size of 1 x 1 internal loops, ibid.
_MISMATCH = 1.0
# What stands for "no hairpin", kcal/mol. Without this bound a strand without any hairpin lies
# far outside the others, and a linear trend then promises anything about it.
_NO_HAIRPIN = 4.0


class StemSummary:
    """Twenty numbers on the stems that a DNA strand can form with itself.

    A stem is a run of complementary letters on one anti-diagonal of the pair map (i + j is
    constant along it) that closes a loop of three letters or more. The columns:

    - 0-3: stacking energy of the best perfect stem on each of the best four anti-diagonals,
    - 4-7: the same when mismatches inside the stem are allowed at a price,
    - 8-11: the same with the price of the loop that the stem closes, bounded above,
    - 12-17: log(1 + number of runs of 2 to 7 stacked pairs),
    - 18: the sum of all stacks in the map, in tens of kcal/mol,
    - 19: share of G and C.

    Energies are in kcal/mol at 37 C (below zero is stable), nearest-neighbour stacks of
    SantaLucia (1998) without dangling ends, bulges or multiple loops. A strand and its reverse
    complement have the same columns. They are a hand-made cheap model of folding: report
    results that rest on them apart from those of plain k-mers.
    """

    width = 3 * _TOP + len(_RUNS) + 2
    linear_columns = tuple(range(width))

    def __call__(self, keys: Sequence[str]) -> Tensor:
        """``n x 20`` float64."""
        if not keys:
            return torch.zeros(0, self.width, dtype=torch.float64)
        codes, lengths = encode(keys, _ALPHABET)
        # Three letters or more have the five anti-diagonals that the best four are picked from.
        codes = torch.nn.functional.pad(
            codes, (0, max(0, 3 - codes.shape[1])), value=len(_ALPHABET)
        )
        chunks = zip(torch.split(codes, _CHUNK), torch.split(lengths, _CHUNK), strict=True)
        return torch.cat([_summarise(*chunk) for chunk in chunks])


@dataclass(frozen=True)
class _Shell:
    """All pairs (i, j) at one distance from the centres of their d anti-diagonals.

    Attributes:
        diagonals: The values of i + j for which i and j lie in the strand, two fewer at both
            ends than one step further inside.
        pair: Whether i and j are complementary, ``d x n``.
        stack: Energy of stacking (i, j) on (i + 1, j - 1) if both are pairs, ``d x n``.
        loop: Price of the loop that (i, j) closes, ``d x 1``.
    """

    diagonals: slice
    pair: Tensor
    stack: Tensor
    loop: Tensor


def _shells(codes: Tensor) -> Iterator[_Shell]:
    """From the inside out; `codes` are ``n x L`` with 4 after the end of a strand."""
    length = codes.shape[1]
    # Strands run along the rows, so that picking letters copies whole rows.
    letters = torch.where(codes > 3, _OUTSIDE, codes).T.to(torch.uint8).contiguous()
    table = torch.zeros(10, 10, dtype=_REAL)
    table[:4, :4] = torch.tensor(_STACKS, dtype=_REAL)
    stacks = table.view(-1)[(letters[:-1] * 10 + letters[1:]).long()]
    for step in range(_CLOSEST, (length + 1) // 2):
        diagonals = slice(2 * step, 2 * (length - 1 - step) + 1)
        total = torch.arange(diagonals.start, diagonals.stop)
        first, last = total // 2 - step, (total + 1) // 2 + step
        pair = letters.index_select(0, first) + letters.index_select(0, last) == 3
        yield _Shell(
            diagonals=diagonals,
            pair=pair,
            stack=stacks.index_select(0, first),
            loop=_loop_price(last - first - 1),
        )


def _loop_price(size: Tensor) -> Tensor:
    """kcal/mol of loops of `size` letters (3 or more), ``d`` -> ``d x 1``."""
    known = torch.tensor(_LOOPS, dtype=_REAL)[(size - 3).clamp(max=len(_LOOPS) - 1)]
    longest = len(_LOOPS) + 2
    return (known + _LOOP_GROWTH * (size.clamp(min=longest) / longest).log())[:, None]


def _summarise(codes: Tensor, lengths: Tensor) -> Tensor:
    n, size = len(codes), 2 * codes.shape[1] - 1
    best = [torch.zeros(size, n, dtype=_REAL) for _ in range(3)]
    best[2] += _NO_HAIRPIN
    counts = [torch.zeros(size, n, dtype=torch.int16) for _ in _RUNS]
    total = torch.zeros(size, n, dtype=_REAL)
    inside = torch.zeros(size - 4 * (_CLOSEST - 1), n, dtype=_REAL)
    perfect, tolerant, closed = inside, inside, inside + 2 * _NO_HAIRPIN
    inner = torch.zeros(inside.shape, dtype=torch.bool)
    runs = [inner] * len(_RUNS)
    for shell in _shells(codes):
        both = shell.pair & inner[2:-2]
        stack = shell.stack * both
        price = torch.where(shell.pair, stack, _MISMATCH)
        perfect = (perfect[2:-2] + stack) * both
        tolerant = (tolerant[2:-2] + price).clamp_(max=0.0)
        # A pair may close a loop of its own instead of resting on what lies inside it.
        loop = torch.where(shell.pair, shell.loop, 2 * _NO_HAIRPIN)
        closed = torch.minimum(closed[2:-2] + price, loop)
        for lowest, score in zip(best, (perfect, tolerant, closed), strict=True):
            here = lowest[shell.diagonals]
            torch.minimum(here, score, out=here)
        # runs[k] says whether a run of k + 2 pairs ends here: one pair longer than it was inside.
        runs = [both, *(both & shorter[2:-2] for shorter in runs[:-1])]
        for count, run in zip(counts, runs, strict=True):
            count[shell.diagonals] += run
        total[shell.diagonals] += stack
        inner = shell.pair
    columns = [_lowest(energies) for energies in best]
    columns += [count.sum(dim=0).to(torch.float64).log1p()[:, None] for count in counts]
    columns += [total.sum(dim=0, dtype=torch.float64)[:, None] / 10, _gc_share(codes, lengths)]
    return torch.cat(columns, dim=1)


def _lowest(energies: Tensor) -> Tensor:
    """The lowest of ``d x n`` `energies` in rising order, ``n x 4`` float64."""
    best = energies.T.contiguous().topk(_TOP, dim=1, largest=False, sorted=True).values
    return best.to(torch.float64)


def _gc_share(codes: Tensor, lengths: Tensor) -> Tensor:
    """Share of G and C, ``n x 1``."""
    strong = ((codes == 1) | (codes == 2)).sum(dim=1).to(torch.float64)
    return (strong / lengths.clamp(min=1))[:, None]
