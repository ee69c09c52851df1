"""Runs several nodes together: real processes, cuts and distances, a demonstration."""
