"""Where objects live, as nodes tell."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """
    Where an object lives.

    `region` is that of its shard, empty if it was not placed in one.  `leader` is the
    node that leads it, empty if that is not known.  Unless it `is_settled`, nothing was
    heard of it yet, and a location hint may still place it.
    """

    shard: str
    region: str
    leader: str
    is_settled: bool
