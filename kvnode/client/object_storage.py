"""
A map with strong consistency, for who has no class of objects: thin calls of `Storage`.

    cart = client.storage("cart-42")
    version = await cart.put("apple", 3)
    done = await cart.transaction(
        [{"if": "apple", "version": version}, {"put": "apple", "value": 4}]
    )

Every key has a version, a number that grows with each change of any key of the map.
A map lives in one place: keys of the same map can change together, and whoever needs
more throughput than one place has spreads keys over several.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

from kvnode.client.object_location import Location
from kvnode.client.objects import ObjectHandle
from kvnode.errors import PeerProtocolError
from kvnode.object_values import Value

STORAGE_CLASS: Final = "Storage"
LIST_DEFAULT: Final = 1000

Step = Mapping[str, Value]
"""
What a transaction does to a key, or asks of it:

    {"if": KEY, "version": N}       go on if it has that version; 0 = it is not there
    {"if": KEY, "value": VALUE}     go on if it has that value; None = it is not there
    {"put": KEY, "value": VALUE}
    {"delete": KEY}
    {"get": KEY}
"""


class StoredValue(NamedTuple):
    """What is under a key; *value* is whatever was put there."""

    value: Any
    version: int


class StoredItem(NamedTuple):
    """One key of a listing."""

    key: str
    value: Any
    version: int


class Transacted(NamedTuple):
    """
    What came of a transaction.

    Attributes:
        applied: Whether all conditions held; if not, nothing was changed.
        version: Of all that was put; 0 if nothing was.
        seen: What the keys of conditions held before; if one did not hold, of those
            that did not.  None: the key was not there.
        got: What the keys asked for held after it.
    """

    applied: bool
    version: int
    seen: dict[str, StoredValue | None]
    got: dict[str, StoredValue | None]


class StorageHandle:
    """A map; keys have at most 2,047 bytes of UTF-8, values 128 KiB."""

    def __init__(self, reading: ObjectHandle, writing: ObjectHandle) -> None:
        """Call the object by *reading* for what changes nothing, else by *writing*."""
        self._reading = reading
        self._writing = writing

    def options(
        self,
        *,
        idempotency_key: str = "",
        location_hint: str = "",
        deadline: float | None = None,
    ) -> Self:
        """
        Return a handle on the same map whose calls have these options.

        Args:
            idempotency_key: Of changes with the same key within 24 hours one happens,
                and all get its result; reads take no notice of it.
            location_hint: The region in which the map is to live, if a call is the
                first that is heard of it; one that has a home stays there.
            deadline: Seconds that a call may take in all; None for that of before.

        Raises:
            InvalidArgumentError: *deadline* is out of range.
        """
        return type(self)(
            self._reading.options(location_hint=location_hint, deadline=deadline),
            self._writing.options(
                idempotency_key=idempotency_key,
                location_hint=location_hint,
                deadline=deadline,
            ),
        )

    async def locate(self) -> Location:
        """Return where the map lives; see ObjectHandle.locate."""
        return await self._reading.locate()

    async def get(self, key: str) -> StoredValue | None:
        """Return what is under a key, None if nothing is."""
        return _stored(await self._reading.call("get", key))

    async def get_many(self, keys: Sequence[str]) -> dict[str, StoredValue]:
        """Return the same for those of several keys that are there; at most 128."""
        rows = await self._reading.call("get_many", list(keys))
        found = {key: _stored(row) for key, row in _mapping(rows).items()}
        return {key: stored for key, stored in found.items() if stored is not None}

    async def put(self, key: str, value: Value) -> int:
        """Store a value; return its version."""
        return _number(await self._writing.call("put", key, value))

    async def put_many(self, values: Mapping[str, Value]) -> int:
        """Store several together, at most 128; return the version that all get."""
        return _number(await self._writing.call("put_many", dict(values)))

    async def delete(self, key: str) -> bool:
        """Delete a key; tell whether it was there."""
        return bool(await self._writing.call("delete", key))

    async def delete_many(self, keys: Sequence[str]) -> int:
        """Delete several together, at most 128; return how many were there."""
        return _number(await self._writing.call("delete_many", list(keys)))

    async def list(
        self,
        prefix: str = "",
        *,
        start: str | None = None,
        end: str | None = None,
        reverse: bool = False,
        limit: int = LIST_DEFAULT,
    ) -> list[StoredItem]:
        """
        Return keys and values in the order of the keys' bytes.

        Args:
            prefix: What the keys begin with.
            start: The first key of interest, included.
            end: Behind the last one of interest.
            reverse: From the last to the first.
            limit: How many at most, 1 to 10,000.
        """
        rows = await self._reading.call(
            "list", prefix=prefix, start=start, end=end, reverse=reverse, limit=limit
        )
        match rows:
            case list():
                return [_item(row) for row in rows]
            case _:
                raise _unreadable(rows)

    async def transaction(self, steps: Sequence[Step]) -> Transacted:
        """
        Do *steps*, at most 128, together if all conditions among them hold.

        Raises:
            ObjectRaisedError: A step is none; nothing was changed.
        """
        row = await self._writing.call("transaction", [dict(step) for step in steps])
        match row:
            case {
                "applied": bool(applied),
                "version": int(version),
                "seen": dict(seen),
                "got": dict(got),
            }:
                return Transacted(applied, version, _several(seen), _several(got))
            case _:
                raise _unreadable(row)


def _stored(row: Any) -> StoredValue | None:  # noqa: ANN401 -- what the node sent
    match row:
        case None:
            return None
        case {"value": value, "version": int(version)}:
            return StoredValue(value, version)
        case _:
            raise _unreadable(row)


def _several(rows: dict[str, Any]) -> dict[str, StoredValue | None]:
    return {key: _stored(row) for key, row in rows.items()}


def _item(row: Any) -> StoredItem:  # noqa: ANN401 -- what the node sent
    match row:
        case [str(key), value, int(version)]:
            return StoredItem(key, value, version)
        case _:
            raise _unreadable(row)


def _mapping(rows: Any) -> dict[str, Any]:  # noqa: ANN401 -- what the node sent
    if isinstance(rows, dict):
        return rows
    raise _unreadable(rows)


def _number(row: Any) -> int:  # noqa: ANN401 -- what the node sent
    if isinstance(row, int):
        return row
    raise _unreadable(row)


def _unreadable(row: Any) -> PeerProtocolError:  # noqa: ANN401 -- what the node sent
    return PeerProtocolError(f"the node's Storage answered with {row!r:.200}")
