"""
Linearizability: did all happen as if at one moment each, on one object?

    checker         which way each part of a history goes
    zones           registers with unique values, without search
    search          everything else
    witness         few operations that say it all
"""

from jepsen_like.checkers.linearizable.checker import CHECKER, check

__all__ = ["CHECKER", "check"]
