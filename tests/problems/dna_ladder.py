"""DNA 30-mers on a ladder of three rungs that differ in kind, all of them open and fast.

``folding`` is the free energy of the ensemble with the DNA parameters (ViennaRNA, kcal/mol),
``rna`` the minimum free energy of the same letters under the RNA parameters and without lonely
pairs, and ``stem`` the longest perfect hairpin, its pairs weighted 3 (G-C) and 2 (A-T). Lower
is better on every rung, and G-T is no pair on any. On the pools of `make_pool` their rank
correlations with the target are about .90 and .83, and .67 and .46 among the best tenth.
"""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mfal.types import Fidelity, Objective, Outcome, Problem

if TYPE_CHECKING:
    from mfal.envs.base import Environment

LENGTH = 30
PARTNER = {"A": "T", "C": "G", "G": "C", "T": "A"}
WEIGHT = {"GC": 3, "CG": 3, "AT": 2, "TA": 2}
LOOP = 3  # least number of letters in a hairpin's loop


class LadderOracle:
    fidelities = (
        Fidelity("stem", 1.0, 0.3),
        Fidelity("rna", 3.0, 0.6),
        Fidelity("folding", 7.0, 1.0),
    )
    objectives = (Objective("energy", "kcal/mol", "min"),)

    @property
    def backends(self) -> Mapping[str, str]:
        import RNA

        vienna = f"ViennaRNA {RNA.__version__}"
        return {
            "stem": "longest perfect hairpin",
            "rna": f"{vienna}, RNA Turner 2004, MFE, no lonely pairs, no GU",
            "folding": f"{vienna}, DNA Mathews 2004, ensemble, d2, no GU",
        }

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        answer = {"stem": stem, "rna": rna_energy, "folding": dna_energy}[fidelity.name]
        load = {"rna": load_rna, "folding": load_dna}.get(fidelity.name)
        if load is not None:
            load()
        return [Outcome((float(answer(key)),), None, 0.0) for key in keys]


def load_dna() -> None:
    """Make the DNA parameters those of the process: ViennaRNA keeps one set at a time."""
    import RNA

    RNA.params_load_DNA_Mathews2004()


def load_rna() -> None:
    """Make the RNA parameters those of the process."""
    import RNA

    RNA.params_load_RNA_Turner2004()


def dna_energy(key: str) -> float:
    """Free energy of the ensemble, kcal/mol, under the parameters that are loaded."""
    import RNA

    model = RNA.md()
    model.noGU, model.special_hp = 1, 0
    energy: float = RNA.fold_compound(key, model).pf()[1]
    return energy


def rna_energy(key: str) -> float:
    """Minimum free energy without lonely pairs, kcal/mol, under the parameters loaded."""
    import RNA

    model = RNA.md()
    model.noLP, model.noGU = 1, 1
    energy: float = RNA.fold_compound(key, model).mfe()[1]
    return energy


def stem(key: str) -> int:
    """Minus the highest weight of a perfect hairpin."""
    best = 0
    for centre in range(LOOP + 1, 2 * len(key) - LOOP - 2):
        left, run = (centre - LOOP - 1) // 2, 0
        right = centre - left
        while left >= 0 and right < len(key):
            weight = WEIGHT.get(key[left] + key[right], 0)
            run = run + weight if weight else 0
            best = max(best, run)
            left, right = left - 1, right + 1
    return -best


def make_pool(n: int, seed: int) -> list[str]:
    """N of 12,000 different strands: 2,000 with a stem of 0 to 6 pairs planted, and mutants."""
    draw = random.Random(seed)
    founders = [_planted(draw) for _ in range(2000)]
    found = dict.fromkeys(founders)
    while len(found) < 12_000:
        letters = list(draw.choice(founders))
        for _ in range(draw.randint(1, 4)):
            letters[draw.randrange(LENGTH)] = draw.choice("ACGT")
        found["".join(letters)] = None
    return draw.sample(list(found), n)


def _planted(draw: random.Random) -> str:
    letters = [draw.choice("ACGT") for _ in range(LENGTH)]
    pairs = draw.randint(0, 6)
    span = 2 * pairs + draw.randint(LOOP, 8)
    first = draw.randint(0, LENGTH - span)
    for i in range(pairs):
        letters[first + span - 1 - i] = PARTNER[letters[first + i]]
    return "".join(letters)


def problem() -> Problem:
    def environment() -> "Environment":
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet="ACGT", length=LENGTH)

    return Problem("DNA 30-mers, three rungs", LadderOracle(), environment)
