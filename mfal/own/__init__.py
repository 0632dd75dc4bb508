"""Oracles of a user's own: a function, a program, or people in a laboratory."""
