"""mfal: multi-fidelity active learning with GFlowNets.

Here are the words that a problem of your own is written with; none of them loads torch.
"""

from mfal.own.command import external
from mfal.own.function import oracle
from mfal.own.manual import manual
from mfal.types import Fidelity, Objective, Outcome, Problem

__all__ = ["Fidelity", "Objective", "Outcome", "Problem", "external", "manual", "oracle"]
