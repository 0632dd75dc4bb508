"""Checks for users' own parts: subclass one and pytest runs it."""

from mfal.testing.environment import EnvironmentChecks

__all__ = ["EnvironmentChecks"]
