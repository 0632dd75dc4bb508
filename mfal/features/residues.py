"""The twenty amino acids and their properties; free of torch."""

ALPHABET = "ACDEFGHIKLMNPQRSTVWY"
"""The twenty amino acids, in the order of the composition columns."""

HYDROPHOBICITY = {
    **{"A": 0.62, "C": 0.29, "D": -0.90, "E": -0.74, "F": 1.19},
    **{"G": 0.48, "H": -0.40, "I": 1.38, "K": -1.50, "L": 1.06},
    **{"M": 0.64, "N": -0.78, "P": 0.12, "Q": -0.85, "R": -2.53},
    **{"S": -0.18, "T": -0.05, "V": 1.08, "W": 0.81, "Y": 0.26},
}
"""Consensus scale of Eisenberg, Weiss & Terwilliger, PNAS 81, 140 (1984), table 1."""

CHARGE = {"D": -1.0, "E": -1.0, "H": 0.1, "K": 1.0, "R": 1.0}
"""Charge of a side chain at pH 7 in elementary charges; histidine is a tenth protonated."""

CLASSES = ("AGV", "C", "DE", "FILP", "HNQW", "KR", "MSTY")
"""Seven classes by dipole and volume of the side chain: Shen et al., PNAS 104, 4337 (2007)."""


def net_charge(key: str) -> float:
    """Net charge of the side chains at pH 7, in elementary charges."""
    return sum(CHARGE.get(letter, 0.0) for letter in key)
