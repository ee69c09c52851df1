"""
The authority that etcd keeps: a key a shard.

The value is a configuration (kvnode.core.objects.configuration_codec), so that
`etcdctl get --prefix /kvnode/` shows who leads.  It is changed by one transaction that
compares when the key was changed last, and reads it if somebody was faster.  No lease
and no lock of etcd's is used: they end by a clock that the store does not see, and
fence nothing.  What fences is the epoch, which every replica knows.

Who was not told whether a change has happened may ask for it again, or look: whatever
was sent before changes nothing any more once the key has changed.
"""

import asyncio
from typing import Final, NamedTuple

from kvnode._pb import etcd_pb2 as pb
from kvnode.authority.etcd.access import Access
from kvnode.authority.etcd.connection import Connection
from kvnode.authority.etcd.endpoints import Endpoints
from kvnode.authority.etcd.failure import Failure
from kvnode.authority.etcd.login import Login
from kvnode.authority.etcd.wire import RANGE, STATUS, TRANSACTION, swap_of
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.configuration_codec import (
    decode_configuration,
    encode_configuration,
)
from kvnode.errors import CorruptRecordError

ANSWER_SECONDS_MAX: Final = 1.8
"""Less than whoever asks an authority waits, so that it is told what has happened."""


class _Held(NamedTuple):
    """A register: what it holds, and since which revision; None and 0 if nothing."""

    configuration: Configuration | None
    mod_revision: int


class EndpointStatus(NamedTuple):
    """
    One endpoint, for people.

    Attributes:
        endpoint: As in the settings.
        version: Of etcd; empty if it does not say.
        trouble: What is wrong with it; empty if nothing is.
    """

    endpoint: str
    version: str
    trouble: str


class EtcdAuthority:
    """See kvnode.authority.port.Authority; the registers are keys of etcd."""

    def __init__(
        self,
        access: Access,
        prefix: str,
        *,
        answer_seconds: float = ANSWER_SECONDS_MAX,
    ) -> None:
        """
        Ask nobody yet.

        Args:
            access: Where etcd is, and who asks.
            prefix: Of the keys; each ends with a shard's name.
            answer_seconds: How long a call may last.
        """
        self._endpoints = Endpoints(
            access.endpoints,
            credentials=access.credentials,
            login=Login(access.user, access.password),
        )
        self._prefix = prefix
        self._answer_seconds = answer_seconds

    async def read(self, shard: str) -> Configuration | None:
        """Return what is held of *shard*."""
        held = await self._read(self._key(shard), self._deadline())
        return held.configuration

    async def swap(
        self, shard: str, expected: Configuration | None, desired: Configuration
    ) -> Configuration:
        """
        Hold *desired* if *expected* is held; return what is held.

        Somebody may put the same configuration again by hand: that is what is expected,
        only later, and the transaction is made anew.
        """
        key, deadline = self._key(shard), self._deadline()
        # A register that is to be empty need not be looked at first.
        held = _Held(None, 0)
        if expected is not None:
            held = await self._read(key, deadline)
        while held.configuration == expected:
            request = swap_of(
                key.encode(), held.mod_revision, encode_configuration(desired)
            )
            reply = await self._endpoints.ask(TRANSACTION, request, deadline)
            if reply.succeeded:
                return desired
            held = _held(key, reply.replies[0].range if reply.replies else None)
        if held.configuration is None:
            msg = (
                f"etcd holds nothing at {key} any more: somebody has removed it, and no"
                " node may begin the shard anew; restore etcd from a snapshot"
            )
            raise CorruptRecordError(msg)
        return held.configuration

    async def _read(self, key: str, deadline: float) -> _Held:
        request = pb.EtcdRange(key=key.encode())
        return _held(key, await self._endpoints.ask(RANGE, request, deadline))

    async def status(self) -> tuple[EndpointStatus, ...]:
        """Return what each endpoint says of itself, in the order of the settings."""
        until = self._deadline()
        return tuple(
            await asyncio.gather(
                *(self._status(each, until) for each in self._endpoints.all)
            )
        )

    async def _status(self, connection: Connection, until: float) -> EndpointStatus:
        answer = await self._endpoints.ask_one(
            connection, STATUS, pb.EtcdStatus(), until
        )
        if isinstance(answer, Failure):
            return EndpointStatus(connection.endpoint, "", answer.reason)
        troubles = list(answer.errors)
        if not answer.leader:
            troubles.append("it knows of no leader")
        if answer.is_learner:
            troubles.append("it is a learner, and answers nothing")
        return EndpointStatus(
            connection.endpoint, answer.version, "; ".join(dict.fromkeys(troubles))
        )

    async def close(self) -> None:
        """End all connections; calls under way may fail."""
        await self._endpoints.close()

    def _key(self, shard: str) -> str:
        return f"{self._prefix}{shard}"

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._answer_seconds


def _held(key: str, reply: pb.EtcdRangeReply | None) -> _Held:
    """
    Return what the register at *key* holds.

    Raises:
        CorruptRecordError: It is no configuration.
    """
    if reply is None or not reply.pairs:
        return _Held(None, 0)
    pair = reply.pairs[0]
    try:
        return _Held(decode_configuration(pair.value), pair.mod_revision)
    except CorruptRecordError as error:
        msg = f"etcd at {key}: {error}; nobody but kvnode may write there"
        raise CorruptRecordError(msg) from error
