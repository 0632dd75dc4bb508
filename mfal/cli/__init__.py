"""The command line: what it parses, whom it calls, and what it shows."""
