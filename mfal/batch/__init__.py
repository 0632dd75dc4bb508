"""From what was proposed to the queries that a round buys."""
