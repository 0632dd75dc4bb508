"""Asking oracles: side by side, in processes that may crash or hang, here or elsewhere."""
