"""A connection that several share, of whom some have less time."""

import asyncio
import socket

import pytest

from kvnode._pb import etcd_pb2 as pb
from kvnode.authority.etcd.connection import Connection
from kvnode.authority.etcd.failure import Failure
from kvnode.authority.etcd.wire import RANGE, STATUS
from tests.authority.etcd_site import EtcdSite


async def _ask(connection: Connection, seconds: float) -> pb.EtcdRangeReply | Failure:
    until = asyncio.get_running_loop().time() + seconds
    return await connection.ask(RANGE, pb.EtcdRange(key=b"k"), (), until)


async def test_who_has_less_time_does_not_cut_others_short() -> None:
    """Something listens and says nothing: each gives up when its time is over."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        connection = Connection(f"127.0.0.1:{mute.getsockname()[1]}", None)
        answers = await asyncio.gather(*(_ask(connection, n / 10) for n in (1, 2, 3)))
        await connection.close()

    for answer, waited in zip(answers, ("0.1", "0.2", "0.3"), strict=True):
        assert isinstance(answer, Failure)
        assert f"no connection within {waited} s" in answer.reason
        assert not answer.may_have_happened


async def test_call_that_still_has_time_ends_on_a_connection_that_is_given_up() -> None:
    """Another one was silent on it; its answer comes yet."""
    async with EtcdSite() as site:
        member = site.members[0]
        connection = Connection(member.endpoint, None)
        may_answer = member.holds_back = asyncio.Event()
        hasty = asyncio.create_task(_ask(connection, 0.1))
        patient = asyncio.create_task(_ask(connection, 20))

        assert isinstance(await hasty, Failure)
        late = asyncio.create_task(_ask(connection, 20))
        may_answer.set()

        assert isinstance(await patient, pb.EtcdRangeReply)
        assert isinstance(await late, pb.EtcdRangeReply)
        assert len(set(member.peers)) == 2
        await connection.close()


async def test_cancelled_caller_is_cancelled() -> None:
    """It is not told of a failure that is none."""
    async with EtcdSite() as site:
        site.members[0].is_silent = True
        connection = Connection(site.members[0].endpoint, None)
        until = asyncio.get_running_loop().time() + 20
        asking = asyncio.create_task(connection.ask(STATUS, pb.EtcdStatus(), (), until))
        while not site.members[0].asked:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)

        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking
        await connection.close()
