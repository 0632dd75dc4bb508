"""Numbers that describe a candidate to the surrogate."""
