"""How candidates are built, step by step: one environment a file."""
