"""Checks for users' own parts: subclass one and pytest runs it."""

from mfal.testing.acquisition import AcquisitionChecks
from mfal.testing.continuous import ContinuousEnvironmentChecks
from mfal.testing.environment import EnvironmentChecks
from mfal.testing.features import FeatureChecks
from mfal.testing.oracle import OracleChecks
from mfal.testing.sampler import SamplerChecks
from mfal.testing.surrogate import SurrogateChecks

__all__ = [
    "AcquisitionChecks",
    "ContinuousEnvironmentChecks",
    "EnvironmentChecks",
    "FeatureChecks",
    "OracleChecks",
    "SamplerChecks",
    "SurrogateChecks",
]
