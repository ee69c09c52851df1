"""Isolation levels: read committed, read atomic, causal convergence, weak causal."""

from jepsen_like.checkers.isolation.checker import LEVELS, check

__all__ = ["LEVELS", "check"]
