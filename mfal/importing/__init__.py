"""A user's own measurements, read from tables into the ledger."""
