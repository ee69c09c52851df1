"""
Which objects of a shard live elsewhere: the directory, a part of it in each shard.

An object lives in the shard on which its name falls, unless somebody names a region
before anything else is heard of it.  Then that shard keeps one row instead of the
object: its claim, which never changes and never goes.  Whoever asks there is sent on.

So the first word about an object is an entry of one log, whatever it is: what the
object stores, or a claim.  One follows the other in that log, and who comes second
finds the first.  An object that is in memory and has stored nothing is here, too, as
long as it is there: a claim waits for nobody and ends nothing, so it is not honoured.

A claim is told once it is committed, and what is committed stays so.  Hence who was
told may remember it for as long as it likes, and whoever tells it need not lead.

    nothing ─▶ claim proposed ─▶ committed: told ─▶ shows in the state
        └────▶ in memory, or stored: it lives here
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from kvnode.completion import begun, ended
from kvnode.core.objects.homes import number_of, region_of, shard_name
from kvnode.core.objects.map_change import Change, ChangeKind, encode_changes
from kvnode.errors import (
    CorruptRecordError,
    KvError,
    MovedError,
    Outcome,
    OverloadedError,
    UnavailableError,
)
from kvnode.object_values import decode_value, encode_value
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points.shard_history import ShardHistory
from kvnode.objects.running.log_port import LoggedState
from kvnode.objects.storing.keys import Kind, all_of, end_of, object_prefix

logger = logging.getLogger(__name__)

CLAIMS_MAX: Final = 1000
"""Under way at once in a shard: each waits for an entry, as a call does."""

Found = Callable[[str], Awaitable[None]]
"""Lets a shard of that name begin, if it has not."""


class Claims:
    """The claims of one shard that is led here."""

    def __init__(
        self, shard: str, state: LoggedState, history: ShardHistory, found: Found
    ) -> None:
        """
        Begin.

        Args:
            shard: Its name.
            state: What its entries have done.
            history: Of the shard; entries go to the log through it.
            found: See `Found`.
        """
        self._shard = shard
        self._state = state
        self._history = history
        self._found = found
        self._claiming: dict[bytes, asyncio.Task[None]] = {}
        self._unseen: dict[bytes, tuple[int, str]] = {}  # entry, region

    @property
    def is_busy(self) -> bool:
        """Tell whether a claim is under way."""
        return bool(self._claiming)

    def is_under_way(self, body: bytes) -> bool:
        """Tell whether an object is being claimed."""
        return body in self._claiming

    async def wait_for(self, body: bytes) -> None:
        """Return once an object that is being claimed is so, or will not be."""
        await ended(self._claiming[body])

    def check_here(self, id_: ObjectId) -> None:
        """
        Do nothing if an object lives here, as far as is known.

        Raises:
            MovedError: It lives elsewhere.
            CorruptRecordError: Its claim is damaged.
        """
        region = self._region(id_.body)
        if region:
            msg = f"the {id_.class_name} {id_} lives in region {region}"
            raise MovedError(msg, region=region)

    def has_stored(self, body: bytes) -> bool:
        """Tell whether anything shows of an object in the state, its claim included."""
        prefix = all_of(body)
        return bool(self._state.scan(prefix, end_of(prefix), limit=1))

    async def claim(self, id_: ObjectId, region: str) -> None:
        """
        Let an object that nobody has heard of live in *region*; return when it does.

        Nothing of it must be here, in memory or stored.

        Raises:
            InvalidArgumentError: There is no such region.
            UnavailableError: It is not possible just now.
            OverloadedError: Too many are claimed.
        """
        assert not region_of(self._shard), "only what has no region can be given one"
        if len(self._claiming) >= CLAIMS_MAX:
            msg = f"{CLAIMS_MAX} objects of shard {self._shard} are being placed"
            raise OverloadedError(msg)

        task = begun(self._claim(id_, region), self._claiming, id_.body)
        await ended(task)
        if not task.cancelled():  # else the shard was closed
            task.result()

    async def _claim(self, id_: ObjectId, region: str) -> None:
        number = number_of(self._shard)
        assert number is not None, "a shard that is led has a name"
        await self._found(shard_name(number, region))
        row = encode_value([region, id_.class_name, id_.name], "a claim")
        key = object_prefix(id_.body, Kind.CLAIM)
        change = Change(ChangeKind.PUT, key, row)
        try:
            entry = await self._history.propose(encode_changes([change]))
        except KvError as error:
            if error.outcome is Outcome.FAILED:
                raise
            # The lead is lost: whoever has it next knows.  Of the call itself nothing
            # has happened.
            raise UnavailableError(str(error)) from error
        self._unseen[id_.body] = entry, region
        self.applied(self._history.applied_number)
        logger.info("%s %s lives in region %s", id_.class_name, id_, region)

    def applied(self, number: int) -> None:
        """The shard's state shows entries up to *number* from now on."""
        if self._unseen:
            shown = [body for body, (at, _) in self._unseen.items() if at <= number]
            for body in shown:
                del self._unseen[body]

    def close(self) -> None:
        """End: the shard is not led here any more."""
        for task in self._claiming.values():
            task.cancel()

    def _region(self, body: bytes) -> str:
        if body in self._unseen:
            return self._unseen[body][1]
        row = self._state.get(object_prefix(body, Kind.CLAIM))
        match None if row is None else decode_value(row):
            case None:
                return ""
            case [str(region), str(), str()] if region:
                return region
            case _:
                msg = f"what says where {body.hex()} lives is damaged"
                raise CorruptRecordError(msg)
