"""
Asking where an object lives: a call that is none of its methods, and places nothing.

It goes the way of all calls, to the node that leads.  No method has such a name.
"""

from typing import Final, NamedTuple

LOCATE: Final = "home:of"
"""Takes nothing; returns a row of `Location`."""


class Location(NamedTuple):
    """
    Where an object lives.

    Attributes:
        shard: The name of its shard.
        is_settled: It stays there; if not, a location hint may still place it.
    """

    shard: str
    is_settled: bool
