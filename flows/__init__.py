"""Rounds and campaigns as Prefect flows. Nothing here holds logic: that is in `mfal`."""

from flows.settings import apply_defaults

# Prefect reads its settings when it is first imported, which is after this.
apply_defaults()
