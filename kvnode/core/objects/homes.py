"""
Where objects live: the names of shards, and who keeps those of a region.

    s000 .. s015                 of no region: of objects that nobody has placed
    r.<region>.000 .. .015       of a region: of objects that were placed there

Both have as many, and an object falls into the same number in each.  So an object that
was placed is found by its id and the name of its region.

A region's shards are kept by three of its nodes.  Where it has fewer, nodes of others
help, nearest first, and one of a region: what takes a region away must not take two of
three copies.  Its own nodes are to lead, so whoever is near the object waits for one
round trip to the nearest helper at most.
"""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

SHARDS: Final = 16
"""So many leaders can share the work, and so little is idle."""

KEEPERS: Final = 3
"""One may be lost, and one in each of three places survives the loss of a place."""

NAMES_REMEMBERED: Final = 4096
"""Of shards, which are asked about at each call."""

_REGIONAL: Final = re.compile(r"r\.([a-z0-9.-]+)\.(\d{3})", re.ASCII)
_PLACELESS: Final = re.compile(r"s(\d{3})", re.ASCII)
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-")


class Keeper(NamedTuple):
    """
    A node that could keep a shard.

    Attributes:
        name: Its name.
        region: Where it is; may be empty.
        distance_ms: Of a round trip from whoever looks; None if it was not measured.
    """

    name: str
    region: str
    distance_ms: int | None = None


def shard_name(number: int, region: str = "") -> str:
    """Return what shard *number* of a region, or of none, is called."""
    if not region:
        return f"s{number:03}"
    written = "".join(
        chr(byte) if byte in _PLAIN else f".{byte:02x}" for byte in region.encode()
    )
    return f"r.{written}.{number:03}"


def region_of(shard: str) -> str:
    """Return the region of the shard of that name; empty if it has none."""
    parsed = _parsed(shard)
    return "" if parsed is None else parsed[0]


def number_of(shard: str) -> int | None:
    """Return which of its region's shards that is; None if none has such a name."""
    parsed = _parsed(shard)
    return None if parsed is None else parsed[1]


@lru_cache(maxsize=NAMES_REMEMBERED)
def _parsed(shard: str) -> tuple[str, int] | None:
    """Return region and number of a shard; None if none has such a name."""
    if (placeless := _PLACELESS.fullmatch(shard)) is not None:
        return "", int(placeless[1])
    if (regional := _REGIONAL.fullmatch(shard)) is None:
        return None
    first, *escaped = regional[1].split(".")
    raw = first.encode()
    try:
        for each in escaped:
            raw += bytes.fromhex(each[:2]) + each[2:].encode()
        region, number = raw.decode(), int(regional[2])
    except ValueError:  # no byte, or no UTF-8
        return None
    # What could be written otherwise is not so called.
    return (region, number) if shard_name(number, region) == shard else None


def placed(region: str, number: int, nodes: Collection[Keeper]) -> tuple[str, ...]:
    """
    Return who is to keep a shard of *region*; the first is to lead it.

    Args:
        region: Where its home is; some of *nodes* are there.
        number: Which of its shards: they are shared among the region's nodes.
        nodes: Those that can be reached, as one of the region's sees them.

    Returns:
        The names of KEEPERS nodes, or of all.
    """
    at_home = sorted(each.name for each in nodes if each.region == region)
    assert at_home, "somebody is at home"
    turn = number % len(at_home)
    chosen = (at_home[turn:] + at_home[:turn])[:KEEPERS]
    others = [each for each in nodes if each.region != region]
    return (*chosen, *_helpers(others, KEEPERS - len(chosen)))


def _helpers(nodes: Sequence[Keeper], count: int) -> list[str]:
    """Return *count* nodes, the nearest first, and of different regions if possible."""
    nearest = sorted(nodes, key=_distance)
    first: dict[str, Keeper] = {}
    for each in nearest:
        first.setdefault(each.region or each.name, each)
    chosen = list(first.values())
    others = [each for each in nearest if each not in chosen]
    return [each.name for each in (*chosen, *others)][:count]


def _distance(node: Keeper) -> tuple[bool, int, str]:
    return node.distance_ms is None, node.distance_ms or 0, node.name
