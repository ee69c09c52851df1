"""
The built-in class `Storage`: a strongly consistent map for clients without a class.

Every key has a version, a number that grows with each change of any key of the object
and is never used again.  A transaction is steps that happen together if all of its
conditions hold; if one does not, it answers what it saw and changes nothing.

    {"if": KEY, "version": N}       the key has that version; 0 = it is not there
    {"if": KEY, "value": VALUE}     it has that value; None = it is not there
    {"put": KEY, "value": VALUE}
    {"delete": KEY}
    {"get": KEY}
"""

from collections.abc import Mapping
from typing import Any, Final

from kvnode.errors import InvalidArgumentError
from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject

STEPS_MAX: Final = 128  # as many keys as one call may write
LIST_DEFAULT: Final = 1000

_VERSION: Final = "v"
"""Where the newest version is; what users store begins with `/`."""


class Storage(DurableObject):
    """A map of its own for whoever knows its name."""

    restore_keeps = (_VERSION,)

    async def get(self, key: str) -> Value:
        """Return {"value", "version"} of a key, None if it is not there."""
        return await self.storage.get(_place(key))

    async def get_many(self, keys: list[str]) -> dict[str, Value]:
        """Return the same for those of several keys that are there."""
        found = await self.storage.get([_place(key) for key in keys])
        return {_key(place): row for place, row in found.items()}

    async def put(self, key: str, value: Value) -> int:
        """Store a value; return its version."""
        return await self.put_many({key: value})

    async def put_many(self, values: dict[str, Value]) -> int:
        """Store several together; return the version that all of them get."""
        if len(values) > STEPS_MAX:
            msg = f"{len(values)} keys are given; at most {STEPS_MAX} can be at once"
            raise InvalidArgumentError(msg)
        version = await self._next_version()
        rows = {
            _place(key): {"value": value, "version": version}
            for key, value in values.items()
        }
        await self.storage.change({**rows, _VERSION: version})
        return version

    async def delete(self, key: str) -> bool:
        """Delete a key; tell whether it was there."""
        return await self.delete_many([key]) > 0

    async def delete_many(self, keys: list[str]) -> int:
        """Delete several together; return how many were there."""
        there: dict[str, Value] = await self.storage.get([_place(key) for key in keys])
        if there:
            await self.storage.change({_VERSION: await self._next_version()}, there)
        return len(there)

    async def transaction(self, steps: list[Mapping[str, Any]]) -> dict[str, Any]:
        """
        Do *steps* if all conditions among them hold.

        Returns:
            `applied`; `version` of what was put; `seen`: what the keys of conditions
            held (all of them if it was applied, the failed ones if not); `got`.
        """
        if len(steps) > STEPS_MAX:
            msg = f"a transaction has {len(steps)} steps; at most {STEPS_MAX} fit"
            raise InvalidArgumentError(msg)
        rows = {
            _name(step): await self.storage.get(_place(_name(step))) for step in steps
        }
        conditions = [step for step in steps if "if" in step]
        failed = [step for step in conditions if not _holds(step, rows[step["if"]])]
        seen = {step["if"]: rows[step["if"]] for step in failed or conditions}
        if failed:
            return {"applied": False, "version": 0, "seen": seen, "got": {}}
        version = await self._change(steps, rows)
        got = {step["get"]: rows[step["get"]] for step in steps if "get" in step}
        return {"applied": True, "version": version, "seen": seen, "got": got}

    async def _change(
        self, steps: list[Mapping[str, Any]], rows: dict[str, Any]
    ) -> int:
        """Put and delete what *steps* say, in *rows* as well; return the version."""
        version = await self._next_version()
        changed: dict[str, None] = {}  # in order
        for step in steps:
            if "put" in step:
                rows[step["put"]] = {"value": step.get("value"), "version": version}
                changed[step["put"]] = None
            elif "delete" in step:
                rows[step["delete"]] = None
                changed[step["delete"]] = None
        if not changed:
            return 0
        puts = {_place(key): rows[key] for key in changed if rows[key] is not None}
        gone = [_place(key) for key in changed if rows[key] is None]
        await self.storage.change({**puts, _VERSION: version}, gone)
        return version

    async def _next_version(self) -> int:
        last: int = await self.storage.get(_VERSION, 0)
        return last + 1

    async def list(
        self,
        prefix: str = "",
        start: str | None = None,
        end: str | None = None,
        *,
        reverse: bool = False,
        limit: int = LIST_DEFAULT,
    ) -> list[Value]:
        """Return [key, value, version] of a range, in the order of keys' bytes."""
        rows = await self.storage.list(
            prefix=_place(prefix),
            start=None if start is None else _place(start),
            end=None if end is None else _place(end),
            reverse=reverse,
            limit=limit,
        )
        return [
            [_key(place), row["value"], row["version"]] for place, row in rows.items()
        ]


def _place(key: str) -> str:
    return f"/{key}"


def _key(place: str) -> str:
    return place[1:]


def _name(step: Mapping[str, Any]) -> str:
    """Return the key that a step is about."""
    names = [step[kind] for kind in ("if", "put", "delete", "get") if kind in step]
    if len(names) != 1 or not isinstance(names[0], str):
        msg = f"a step says one of if, put, delete and get, and which key; not {step!r}"
        raise InvalidArgumentError(msg)
    name: str = names[0]
    return name


def _holds(step: Mapping[str, Any], row: Any) -> bool:  # noqa: ANN401 -- what is stored
    """Tell whether a condition holds of a key that has *row*."""
    if "version" in step:
        return bool(step["version"] == (row["version"] if row else 0))
    if "value" in step:
        return bool(step["value"] == (row["value"] if row else None))
    msg = f"a condition names a version or a value, unlike {step!r}"
    raise InvalidArgumentError(msg)
